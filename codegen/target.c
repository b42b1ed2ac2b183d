// SPDX-License-Identifier: MIT
//
// Look-up in the table of targets, and the translation of a row into what LLVM understands.
#include "codegen/target.h"

#include <ctype.h>
#include <string.h>

static const struct cg_target targets[] = {
#define TARGET(name, sm, ptx, llvm, cpu, cta_kib, sm_kib, threads, ctas, features)                 \
    {name, sm, ptx, llvm, cpu, (cta_kib) * 1024, (sm_kib) * 1024, threads, ctas, features},
#include "codegen/target.def"
};

size_t cg_target_count(void)
{
    return sizeof targets / sizeof targets[0];
}

const struct cg_target *cg_target_at(size_t index)
{
    return index < cg_target_count() ? &targets[index] : NULL;
}

const struct cg_target *cg_target_find(const char *name)
{
    for (size_t i = 0; name && i < cg_target_count(); i++)
        if (!strcmp(targets[i].name, name)) return &targets[i];
    return NULL;
}

static unsigned smallest(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return least < c ? least : c;
}

enum { NAME_LIMIT = 16 }; // longer names are near to nothing

// Edits (insert, delete, replace; case does not count) that turn one short name into another.
static unsigned distance(const char *from, const char *to)
{
    unsigned row[NAME_LIMIT + 1];
    size_t width = strlen(to);
    for (unsigned j = 0; j <= width; j++) row[j] = j;
    for (unsigned i = 0; from[i]; i++) {
        unsigned diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            bool same = tolower((unsigned char)from[i]) == tolower((unsigned char)to[j]);
            unsigned replaced = diagonal + !same;
            diagonal = row[j + 1];
            row[j + 1] = smallest(row[j] + 1, row[j + 1] + 1, replaced);
        }
    }
    return row[width];
}

const struct cg_target *cg_target_suggest(const char *name)
{
    const struct cg_target *best = NULL;
    unsigned best_distance = 4; // three edits away is still a slip, four is another word
    if (!name || strlen(name) > NAME_LIMIT) return NULL;
    for (size_t i = 0; i < cg_target_count(); i++) {
        unsigned edits = distance(name, targets[i].name);
        if (edits >= best_distance) continue;
        best = &targets[i];
        best_distance = edits;
    }
    return best;
}

// The highest PTX version that an LLVM release can be asked for.
static unsigned llvm_ptx_limit(unsigned llvm_major)
{
    if (llvm_major >= 22) return 90;
    if (llvm_major >= 21) return 88;
    if (llvm_major >= 20) return 87;
    return 85;
}

const char *cg_target_llvm_cpu(const struct cg_target *target, unsigned llvm_major, unsigned ptx,
                               unsigned *llvm_ptx)
{
    bool known = llvm_major >= target->llvm_major;
    const char *cpu = known ? target->name : target->llvm_cpu;
    const struct cg_target *row = cg_target_find(cpu);
    unsigned lowest = row ? row->ptx : target->ptx;
    unsigned limit = llvm_ptx_limit(llvm_major);
    if (ptx < lowest) ptx = lowest;
    *llvm_ptx = ptx < limit ? ptx : limit;
    return cpu;
}
