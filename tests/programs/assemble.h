// SPDX-License-Identifier: MIT
// Whether ptxas takes the PTX of a program, without a word.
#pragma once
#include <stddef.h>

// Fails the running cmocka test with what ptxas says: an error, a warning, a note of products that
// it serializes ("info", with numbers C75..), or local memory.
void program_assemble(const char *ptxas, const char *name, const char *target, const char *ptx,
                      size_t length);
