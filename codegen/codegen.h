// SPDX-License-Identifier: MIT
// From a SYNCED kernel to PTX text: the entry of the code generator.
//
// Thread safety: a kg_codegen belongs to one thread at a time; different ones are independent.
// Memory: what LLVM makes hangs on the kg_codegen until the compilation ends, so a caller whose
// recovery point was jumped to (ir/arena.h) only has to call kg_codegen_reset or kg_codegen_free.
#pragma once
#include "codegen/target.h"
#include "ir/ir.h"

typedef struct kg_codegen kg_codegen;

// NULL without memory. A NULL allocator means malloc and free; it must outlive the object.
kg_codegen *kg_codegen_new(const kg_allocator *allocator);
void kg_codegen_free(kg_codegen *codegen);
// Drops what an interrupted compilation left behind. Done by kg_codegen_emit itself, too.
void kg_codegen_reset(kg_codegen *codegen);

typedef struct kg_codegen_options {
    const struct cg_target *target; // never NULL
    bool no_optimization;           // skip LLVM's function passes
    bool want_llvm;                 // also give the LLVM IR
    bool no_lines;                  // leave out .loc
    // What each synchronization is for, one line each, by id from 1 on; for the comments. An id
    // beyond them, or NULL, gets the numbers of its obligations.
    const char *const *sync_reasons;
    int n_sync_reasons;
    bool no_check; // skip the match of the PTX with the IR (for tests of the check)
} kg_codegen_options;

typedef struct kg_codegen_output {
    const char *ptx; // arena memory, ends with a NUL
    size_t ptx_length;
    const char *llvm;     // NULL unless asked for
    unsigned ptx_version; // times ten
    bool local_memory;    // some value did not stay in registers
} kg_codegen_output;

// Emits one kernel of level SYNCED into one PTX module. Results are in `arena`, findings in
// `diags`. false when there was a finding. Allocation failure of the arena jumps to its recovery
// point.
bool kg_codegen_emit(kg_codegen *codegen, kg_kernel *kernel, kg_arena *arena, kg_diags *diags,
                     const kg_codegen_options *options, kg_codegen_output *out);

// Whether a region of warps does nothing that one thread cannot do alone: then it does, in a
// branch.
bool kg_codegen_one_thread(const kg_op *region);
// And behind it that thread's warp gathers, for it has a meeting ahead that a warp goes to as one.
bool kg_codegen_gathers(const kg_op *region);

// Holds emitted PTX against the kernel: every synchronizing, asynchronous, atomic and tensor-core
// instruction of the text must be one that an op of the kernel asks for, in the order of the ops.
// Findings (KG-C604) go to `diags`. `allocator` may be NULL.
bool kg_codegen_check(kg_kernel *kernel, const char *ptx, size_t length,
                      const kg_allocator *allocator, kg_arena *arena, kg_diags *diags);
