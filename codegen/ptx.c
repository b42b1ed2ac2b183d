// SPDX-License-Identifier: MIT
//
// The table of PTX instructions, and the reading of its constraint column.
#include "codegen/ptx.h"

static const struct cg_ptx rows[CG_PTX_COUNT] = {
#define PTX(id, text, constraints, ptx, sm, feature, kind, class)                                  \
    [CG_PTX_##id] = {#id, text, constraints, ptx, sm, feature, kind, CG_CLASS_##class},
#include "codegen/ptx.def"
};

static const char *const class_names[CG_CLASS_COUNT] = {
    "barrier",      "warp-sync",   "async-copy", "commit",  "wait",
    "fence",        "mbarrier",    "matrix-load", "matrix-store", "mma",
    "shuffle",      "vote",        "atomic",     "strong-load", "strong-store",
    "hinted",       "math",        "convert",    "bits",    "special",
    "control",
};

const struct cg_ptx *cg_ptx_get(enum cg_ptx_id id)
{
    return (unsigned)id < CG_PTX_COUNT ? &rows[id] : NULL;
}

struct cg_ptx_operands cg_ptx_operands(const struct cg_ptx *row)
{
    struct cg_ptx_operands found = {0};
    bool result = false;
    for (const char *at = row->constraints; *at; at++) {
        if (*at == ',') continue;
        if (*at == '=') {
            result = true;
            continue;
        }
        unsigned index = found.results + found.arguments;
        if (index == CG_PTX_OPERAND_LIMIT) break;
        found.letters[index] = *at;
        found.results += result;
        found.arguments += !result;
        result = false;
    }
    return found;
}

const char *cg_ptx_class_name(enum cg_ptx_class class)
{
    return (unsigned)class < CG_CLASS_COUNT ? class_names[class] : "unknown";
}

bool cg_ptx_supported(const struct cg_ptx *row, const struct cg_target *target)
{
    return target->sm >= row->sm && (target->features & row->feature) == row->feature;
}
