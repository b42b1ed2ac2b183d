// SPDX-License-Identifier: MIT
// Inside of the verifier: the state its files share.
#pragma once
#include "ir/infer.h"
#include "ir/ir.h"

// A layout that is right for a tile; many values have the same one.
typedef struct kg_right_layout {
    const kg_layout *layout; // NULL: none yet
    int32_t dims[KG_MAX_RANK];
    int warps;
} kg_right_layout;

typedef struct kg_verifier {
    kg_kernel *kernel;
    kg_diags *diags;
    const kg_value **defined; // by value id: the value, where it is visible
    int n_values;
    int32_t first_warp, last_warp; // of the region around the current op
    bool has_layouts;              // some fragment has one: from pass layout on all must
    kg_right_layout right[8];      // found so lately, by address
} kg_verifier;

// Reports at an op; verify.c.
void kg_verify_fail(kg_verifier *v, kg_diag_id id, const kg_op *op, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void kg_verify_attrs(kg_verifier *v, const kg_op *op);                     // verify_attrs.c
void kg_verify_grid_wait(kg_verifier *v);                                 // verify_grid.c
void kg_verify_cluster(kg_verifier *v, const kg_op *op);                   // verify_cluster.c
void kg_verify_layout(kg_verifier *v, const kg_op *op, const kg_value *x); // verify_layout.c
void kg_verify_layouts_agree(kg_verifier *v, const kg_op *op);
void kg_verify_baton(kg_verifier *v, const kg_op *op);                     // verify_baton.c
void kg_verify_schedule(kg_verifier *v); // schedule.c
void kg_verify_roles(kg_verifier *v);                                       // verify_roles.c
