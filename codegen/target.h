// SPDX-License-Identifier: MIT
//
// The GPUs that kgen compiles for: one immutable row each, from target.def.
// Everything here is pure and thread-safe.
#ifndef KGEN_CODEGEN_TARGET_H
#define KGEN_CODEGEN_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a target can do beyond the baseline that its SM number implies.
enum cg_feature {
    CG_FEATURE_CP_ASYNC = 1u << 0,
    CG_FEATURE_LDMATRIX = 1u << 1,
    CG_FEATURE_MMA_BF16 = 1u << 2,
    CG_FEATURE_MMA_FP8 = 1u << 3,
    CG_FEATURE_MBARRIER = 1u << 4,
    CG_FEATURE_TMA = 1u << 5,
    CG_FEATURE_CLUSTERS = 1u << 6,
    CG_FEATURE_STMATRIX = 1u << 7,
    CG_FEATURE_GRID_DEPENDENCY = 1u << 8,
    CG_FEATURE_ATOMIC_BF16 = 1u << 9,
    CG_FEATURE_WGMMA = 1u << 10,
    CG_FEATURE_SETMAXNREG = 1u << 11,
    CG_FEATURE_TCGEN05 = 1u << 12,
};

enum {
    CG_STATIC_SHARED_LIMIT = 48 * 1024, // shared memory that needs no opt-in at launch
    CG_REGISTERS_PER_SM = 65536,
    CG_REGISTERS_PER_THREAD = 255,
    CG_THREADS_PER_CTA = 1024,
};

struct cg_target {
    const char *name;       // "sm_80"
    unsigned sm;            // 80
    unsigned ptx;           // lowest PTX version that knows it, times ten
    unsigned llvm_major;    // first LLVM release that knows it
    const char *llvm_cpu;   // what an older LLVM is told
    uint32_t shared_cta;    // bytes of shared memory of one CTA, by opt-in
    uint32_t shared_sm;     // bytes of shared memory of one SM
    unsigned threads_sm;    // resident threads of one SM
    unsigned ctas_sm;       // resident CTAs of one SM
    uint32_t features;      // enum cg_feature
};

// All targets, in the order of target.def.
size_t cg_target_count(void);
const struct cg_target *cg_target_at(size_t index);

// The target of that exact name, or NULL.
const struct cg_target *cg_target_find(const char *name);

// The target whose name is nearest to a name that was not found, for "did you mean"; NULL when
// nothing is near enough to be worth suggesting.
const struct cg_target *cg_target_suggest(const char *name);

// What LLVM of that major version must be told to generate code that `target` can run, with at
// least PTX version `ptx` (times ten). `*llvm_ptx` is the version for its `+ptxNN` feature: never
// above what that LLVM knows, never below what it demands for the returned name.
const char *cg_target_llvm_cpu(const struct cg_target *target, unsigned llvm_major, unsigned ptx,
                               unsigned *llvm_ptx);

#endif
