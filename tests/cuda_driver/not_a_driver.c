// SPDX-License-Identifier: MIT
/* A shared library that opens and has nothing of a driver in it. */
__attribute__((visibility("default"))) extern const int not_a_driver;
const int not_a_driver = 1;
