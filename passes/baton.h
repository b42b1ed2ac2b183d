// SPDX-License-Identifier: MIT
// Batons: which warpgroups use one, and the hardware barriers by which they hand it on.
#pragma once
#include "passes/passes.h"

static inline bool kg_is_baton(const kg_op *op)
{
    return op->code == KG_OP_BATON_WAIT || op->code == KG_OP_BATON_PASS;
}

// Gives each baton that has none its barriers: ids on its ops, and a first pass. false
// when a finding was reported.
bool kg_give_barriers(kg_pass_context *context, kg_kernel *kernel);
