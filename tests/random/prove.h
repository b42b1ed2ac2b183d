// SPDX-License-Identifier: MIT
// The validator's word on a synchronized kernel, given as text.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// false: not proved, and `why` says what it said.
bool prove(const char *synced_ir, char *why, size_t size);
