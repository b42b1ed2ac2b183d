// SPDX-License-Identifier: MIT
// Random tile programs about shared memory: buffers, rings, loops, branches, counters, copies in
// groups.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Writes a program's text; the same seed gives the same program.
void random_program(uint64_t seed, char *out, size_t size);
