// SPDX-License-Identifier: MIT
// The pass pipeline: what a pass is, and how a kernel is lowered from one level to the next.
// pipeline.def is the whole pipeline; each pass lives in a file of its own name.
#pragma once
#include "ir/ir.h"

// What passes need to know of the target; the caller fills it from codegen's target table.
typedef struct kg_machine {
    const char *target;   // "sm_80"
    int32_t sm;           // 80
    int64_t shared_limit; // bytes a CTA may have, opt-in included
    int32_t registers;    // a thread may have
    int32_t threads_sm;   // resident threads of an SM, 0 = not known
    int32_t ctas_sm;      // resident CTAs of an SM, 0 = not known
    bool tma;             // a copy engine for tiles of tensors
    bool grid_dependency; // a kernel can wait for the one launched ahead of it
    bool wgmma;           // tensor cores that warpgroups feed from shared memory
} kg_machine;

typedef struct kg_pass_context {
    kg_arena *arena;
    kg_diags *diags;
    const kg_machine *machine;
    bool no_share;  // place: every buffer gets bytes of its own
    bool no_repair; // repair: the program's buffers and order stay as they are
    struct kg_sync_report
        *sync_report; // sync: filled with the reasons when not NULL (passes/sync/report.h)
    struct kg_repairs *repairs; // repair, place: what was considered (passes/repair.h), or NULL
    // The driver's: bytes that accesses touch (passes/sync/program.h). They stay as they are from
    // `repair` on, so the passes behind it find what it computed. Outside of a pipeline NULL.
    struct kg_footprints *footprints;
} kg_pass_context;

typedef struct kg_pass {
    const char *name;
    kg_level needs, gives;
    bool (*run)(kg_pass_context *context, kg_kernel *kernel); // false: findings were reported
    const char *doc;
} kg_pass;

extern const kg_pass kg_passes[];
extern const int kg_n_passes;

typedef struct kg_pipeline_options {
    const char
        *passes; // comma-separated names, NULL = the whole pipeline from the kernel's level on
    const char *stop_after; // or NULL
    // Called after each pass (and once before the first with pass == NULL); for dumps. May be NULL.
    void (*after)(const kg_pass *pass, kg_kernel *kernel, void *user);
    void *user;
} kg_pipeline_options;

// Runs passes on a verified kernel, verifying after each. false when a finding was reported.
bool kg_run_pipeline(kg_pass_context *context, kg_kernel *kernel,
                     const kg_pipeline_options *options);

// Shared memory that the kernel would take if no buffers shared bytes. Level laid_out and later.
int64_t kg_place_bytes_apart(kg_arena *arena, kg_kernel *kernel);
