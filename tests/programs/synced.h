// SPDX-License-Identifier: MIT
// Programs whose author wrote all of their synchronization: compiled without the pass that derives
// it. The passes before make layouts and offsets of the text; it goes on from there as a text that
// says it is synchronized, which the validator and the PTX machine then hold it to.
#pragma once
#include "runtime/kgen.h"

kgen_status program_compile_synced(kgen_context *context, const char *text, size_t length,
                                   const kgen_compile_options *options, kgen_program **out);
