// SPDX-License-Identifier: MIT
// What the files of the lower pass share: lower.c makes exchanges explicit, lower_shared.c gives
// buffers their layouts and memory ops their widths.
#pragma once
#include "passes/passes.h"

// Chooses PITCH, SWIZZLE and ALIGN of every shared buffer, then VEC of loads and stores and ASYNC
// of copies.
void kg_lower_shared(kg_pass_context *context, kg_kernel *kernel);
