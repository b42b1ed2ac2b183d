// SPDX-License-Identifier: MIT
// One entry point a pass, declared from pipeline.def: kg_pass_fold, kg_pass_home, ...
// Each lives in the file of its name. false: findings were reported, the kernel is not to be used.
#pragma once
#include "passes/passes.h"

#define KG_PASS(name, needs, gives, doc)                                                           \
    bool kg_pass_##name(kg_pass_context *context, kg_kernel *kernel);
#include "passes/pipeline.def"
#undef KG_PASS
