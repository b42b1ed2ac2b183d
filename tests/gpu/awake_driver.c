// SPDX-License-Identifier: MIT
// fake_driver.c for a program that does not know that it is one: ready as soon as it is loaded. Its
// kernels do not run, so what they should have written stays as it was.
#include "tests/cuda_driver/fake_driver.h"

fake_driver_reset_function fake_driver_reset;

__attribute__((constructor)) static void wake(void)
{
    fake_driver_reset();
}
