// SPDX-License-Identifier: MIT
// Tensor maps as arguments of a kernel, from their text.
#pragma once
#include "session.h"

// "1:f32:64,32:32,16:swizzle=128" behind "map:": the argument that holds the tensor, counted from
// 1; the type of its elements; its sizes and those of a box, the fastest dimension first; then, if
// need be, strides=BYTES,... of the dimensions but the fastest, and swizzle=BYTES. Fills *argument
// and *info. On false the error was said, and *status is what to exit with.
bool raw_map_read(command_id command, const char *text, size_t *argument,
                  kgen_tensor_map_info *info, int *status);
