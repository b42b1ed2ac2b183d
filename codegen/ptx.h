// SPDX-License-Identifier: MIT
//
// The PTX instructions that kgen writes itself: one immutable row each, from ptx.def.
// Everything here is pure and thread-safe.
#ifndef KGEN_CODEGEN_PTX_H
#define KGEN_CODEGEN_PTX_H

#include "codegen/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cg_ptx_id {
#define PTX(id, text, constraints, ptx, sm, feature, kind, class) CG_PTX_##id,
#include "codegen/ptx.def"
    CG_PTX_COUNT,
    CG_PTX_UNKNOWN = CG_PTX_COUNT, // re-reader: of a class that is ours, but in no row
};

// What LLVM may not do with an instruction.
enum cg_ptx_flag {
    CG_PTX_SIDE_EFFECT = 1u << 0, // drop or merge it
    CG_PTX_CONVERGENT = 1u << 1,  // duplicate it, or make it depend on more branches
    CG_PTX_MEMORY = 1u << 2,      // move a memory access across it
};

// What an instruction is for. The order is the one of ptx_class_names.
enum cg_ptx_class {
    CG_CLASS_BARRIER,      // CTA and cluster barriers
    CG_CLASS_WARP_SYNC,    // bar.warp.sync
    CG_CLASS_ASYNC_COPY,   // cp.async, bulk and tensor copies
    CG_CLASS_COMMIT,       // closes a group of asynchronous operations
    CG_CLASS_WAIT,         // waits for groups, or for a prerequisite grid
    CG_CLASS_FENCE,        // memory and proxy fences
    CG_CLASS_MBARRIER,     // everything on mbarrier objects
    CG_CLASS_MATRIX_LOAD,  // ldmatrix
    CG_CLASS_MATRIX_STORE, // stmatrix
    CG_CLASS_MMA,          // tensor cores
    CG_CLASS_SHUFFLE,      // values between lanes
    CG_CLASS_VOTE,         // predicates between lanes
    CG_CLASS_ATOMIC,       // atom and red
    CG_CLASS_STRONG_LOAD,  // ld with an order
    CG_CLASS_STRONG_STORE, // st with an order
    CG_CLASS_HINTED,       // weak accesses with cache hints
    CG_CLASS_MATH,         // approximate functions
    CG_CLASS_CONVERT,
    CG_CLASS_BITS,
    CG_CLASS_SPECIAL, // special registers
    CG_CLASS_CONTROL,
    CG_CLASS_COUNT,
};

enum { CG_PTX_OPERAND_LIMIT = 16 };

struct cg_ptx {
    const char *name;        // "BAR_SYNC", as in ptx.def
    const char *text;        // "bar.sync $0;"
    const char *constraints; // "n"
    unsigned ptx;            // lowest PTX version, times ten
    unsigned sm;             // lowest SM
    uint32_t feature;        // enum cg_feature that it needs besides, or 0
    uint32_t flags;          // enum cg_ptx_flag
    enum cg_ptx_class class;
};

// The operands of a template, read from its constraints: `letters[i]` is for `$i`.
struct cg_ptx_operands {
    unsigned results;   // $0 .. results-1
    unsigned arguments; // the rest
    char letters[CG_PTX_OPERAND_LIMIT];
};

// The row of an id, or NULL for a number that is none.
const struct cg_ptx *cg_ptx_get(enum cg_ptx_id id);
struct cg_ptx_operands cg_ptx_operands(const struct cg_ptx *row);
const char *cg_ptx_class_name(enum cg_ptx_class class);

// Does `target` have the instruction at all (at a PTX version high enough)?
bool cg_ptx_supported(const struct cg_ptx *row, const struct cg_target *target);

#endif
