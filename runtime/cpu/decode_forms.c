// SPDX-License-Identifier: MIT
// Other forms of what the table has, and families of instructions that it has not.
#include "decode.h"

#include <string.h>

// Where a modifier of a memory access stands in the rows: order, scope, space, all others.
static unsigned rank_of(const struct token *modifier)
{
    static const struct { const char *word; unsigned rank; } known[] = {
        {"weak", 0}, {"volatile", 0}, {"mmio", 0}, {"relaxed", 0}, {"acquire", 0},
        {"release", 0}, {"acq_rel", 0}, {"cta", 1}, {"cluster", 1}, {"gpu", 1}, {"sys", 1},
        {"global", 2}, {"shared", 2}, {"shared::cta", 2}, {"shared::cluster", 2}, {"local", 2},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (ptxm_token_is(modifier, known[i].word))
            return known[i].rank;
    return 3;
}

// Compilers write atom.global.gpu.acq_rel.cas as well as atom.acq_rel.gpu.global.cas.
bool ptxm_d_sort_modifiers(const struct statement *s, struct statement *sorted)
{
    size_t next = 0;
    bool changed = false;
    if (!ptxm_token_is(&s->opcode, "atom") && !ptxm_token_is(&s->opcode, "red") &&
        !ptxm_token_is(&s->opcode, "ld") && !ptxm_token_is(&s->opcode, "st"))
        return false;
    *sorted = *s;
    for (unsigned rank = 0; rank <= 3; rank++)
        for (size_t i = 0; i < s->modifier_count; i++)
            if (rank_of(&s->modifiers[i]) == rank) {
                changed |= next != i;
                sorted->modifiers[next++] = s->modifiers[i];
            }
    return changed;
}

// What is known and not there, with the way out.
const char *ptxm_d_not_supported(const struct statement *s)
{
    static const struct { const char *start, *why; } families[] = {
        {"tex", "textures are not supported: read the data through a pointer"},
        {"tld4", "textures are not supported: read the data through a pointer"},
        {"txq", "textures are not supported: pass sizes as parameters"},
        {"suld", "surfaces are not supported: read the data through a pointer"},
        {"sust", "surfaces are not supported: write the data through a pointer"},
        {"sured", "surfaces are not supported: use atomics through a pointer"},
        {"suq", "surfaces are not supported: pass sizes as parameters"},
        {"istypep", "textures and surfaces are not supported"},
        {"alloca", "memory of a size known at run time only is not supported: use an array"},
        {"stacksave", "memory of a size known at run time only is not supported: use an array"},
        {"stackrestore", "memory of a size known at run time only is not supported: use an array"},
        {"vabsdiff", "video instructions are not supported: use ordinary arithmetic"},
        {"vadd", "video instructions are not supported: use ordinary arithmetic"},
        {"vsub", "video instructions are not supported: use ordinary arithmetic"},
        {"vavrg", "video instructions are not supported: use ordinary arithmetic"},
        {"vm", "video instructions are not supported: use ordinary arithmetic"}, // min, max, mad
        {"vs", "video instructions are not supported: use ordinary arithmetic"}, // set, shl, shr
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        size_t n = strlen(families[i].start);
        if (s->opcode.length >= n && !memcmp(s->opcode.text, families[i].start, n))
            return families[i].why;
    }
    return NULL;
}

