// SPDX-License-Identifier: MIT
// Types and shapes: equality, broadcasting, limits, text.
#include "ir/infer.h"
#include <stdio.h>
#include <string.h>

kg_type kg_scalar_type(kg_dtype dtype)
{
    return (kg_type){.dtype = dtype, .home = KG_HOME_FRAG};
}

bool kg_extent_equal(int32_t a, int32_t b)
{
    return a == b || a == KG_OPEN || b == KG_OPEN;
}

bool kg_shape_equal(const kg_type *a, const kg_type *b)
{
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (!kg_extent_equal(a->dims[d], b->dims[d])) return false;
    return true;
}

bool kg_type_equal(const kg_type *a, const kg_type *b)
{
    return a->dtype == b->dtype && a->home == b->home && kg_shape_equal(a, b);
}

bool kg_shape_join(const kg_type *a, const kg_type *b, kg_type *out)
{
    const kg_type *longer = a->rank >= b->rank ? a : b, *shorter = longer == a ? b : a;
    int32_t dims[KG_MAX_RANK] = {0};
    int lead = longer->rank - shorter->rank;
    for (int d = 0; d < longer->rank; d++) {
        int32_t x = longer->dims[d], y = d < lead ? 1 : shorter->dims[d - lead];
        if (x != y && x != 1 && y != 1 && x != KG_OPEN && y != KG_OPEN) return false;
        if (x == 1 || y == 1)
            dims[d] = x == 1 ? y : x;
        else
            dims[d] = x == KG_OPEN ? y : x;
    }
    out->rank = longer->rank;
    memcpy(out->dims, dims, sizeof dims);
    return true;
}

const char *kg_shape_problem(kg_arena *arena, const kg_type *type, bool allow_open)
{
    if (type->rank < 0 || type->rank > KG_MAX_RANK)
        return kg_arena_printf(arena, "rank %d is above the limit of %d", type->rank, KG_MAX_RANK);
    int64_t elements = 1;
    for (int d = 0; d < type->rank; d++) {
        if (allow_open && type->dims[d] == KG_OPEN) continue;
        if (type->dims[d] <= 0)
            return kg_arena_printf(arena, "extent %d of dimension %d is not positive",
                                   type->dims[d], d);
        elements *= type->dims[d];
        if (elements > KG_TILE_ELEMENTS)
            return kg_arena_printf(arena, "a tile of %s has more than %d elements",
                                   kg_type_text(arena, type), (int)KG_TILE_ELEMENTS);
    }
    return NULL;
}

const char *kg_type_text(kg_arena *arena, const kg_type *type)
{
    char text[128];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", kg_dtype_info_of(type->dtype)->name);
    for (int d = 0; d < type->rank && d < KG_MAX_RANK; d++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", d ? ", " : "[");
        if (type->dims[d] == KG_OPEN)
            n += (size_t)snprintf(text + n, sizeof text - n, "?");
        else
            n += (size_t)snprintf(text + n, sizeof text - n, "%d", type->dims[d]);
    }
    return kg_arena_printf(arena, "%s%s", text, type->rank ? "]" : "");
}
