// SPDX-License-Identifier: MIT
// Words for accesses, obligations and places. See phrase.h.
#include "passes/sync/phrase.h"
#include "passes/sync/groups.h"
#include "passes/sync/report.h"

const char *kg_say_deed(const kg_sync_access *a)
{
    if (a->registers) return a->async ? "product" : a->writes ? "write" : "read";
    if (a->released) return "release";
    if (!a->at.root) return a->writes ? "acquire" : "release";
    if (a->group == KG_GROUP_WGMMA) return "read by the tensor core";
    if (a->phase || a->group == KG_GROUP_BULK) return a->writes ? "bulk copy" : "bulk read";
    if (a->async) return a->writes ? "copy" : "read by a copy";
    return a->atomic ? "update" : a->writes ? "write" : "read";
}

const char *kg_say_root(const kg_sync_program *p, const kg_sync_access *a)
{
    if (a->registers || a->released) {
        const kg_value *of = a->registers ? a->registers : a->released;
        return kg_sync_buffer_name(p->arena, p->kernel, of);
    }
    if (!a->at.root) return "global memory";
    if (a->at.root->name) return kg_arena_printf(p->arena, "'%s'", a->at.root->name);
    return kg_arena_printf(p->arena, "'%%%d'", a->at.root->id);
}

const char *kg_say_trips(const kg_sync_program *p, const kg_obligation *o, const char *when)
{
    if (o->carrier < 0) return "";
    const kg_op *loop = kg_sync_node_at(p, kg_sync_block_at(p, o->carrier)->owner)->op;
    if (o->distance == 1)
        return kg_arena_printf(p->arena, ", one trip of the loop at line %d %s", loop->loc.line,
                               when);
    return kg_arena_printf(p->arena, ", %lld trips of the loop at line %d %s",
                           (long long)o->distance, loop->loc.line, when);
}

const char *kg_say_pair(const kg_sync_program *p, const kg_obligation *o)
{
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    const char *other =
        a->at.root != b->at.root ? kg_arena_printf(p->arena, " of %s", kg_say_root(p, b)) : "";
    return kg_arena_printf(p->arena, "the %s of %s at line %d and the %s%s at line %d%s",
                           kg_say_deed(a), kg_say_root(p, a), a->at.op->loc.line, kg_say_deed(b),
                           other, b->at.op->loc.line, kg_say_trips(p, o, "later"));
}

const char *kg_say_place(const kg_sync_program *p, int point)
{
    int position = p->points[point].position;
    const kg_sync_block *b = kg_sync_block_at(p, p->points[point].block);
    if (position < b->count) {
        const kg_op *op = kg_sync_node_at(p, b->items[position])->op;
        const kg_op *last = position > 0 ? kg_sync_node_at(p, b->items[position - 1])->op : NULL;
        if (op->code == KG_OP_YIELD)
            return kg_arena_printf(p->arena, "at the end of the condition of line %d",
                                   kg_sync_node_at(p, b->owner)->op->loc.line);
        if (last && last->loc.line && last->loc.line == op->loc.line && !last->n_blocks)
            return kg_arena_printf(p->arena, "inside of line %d, between its %s and its %s",
                                   op->loc.line, kg_op_info_of(last->code)->name,
                                   kg_op_info_of(op->code)->name);
        if (op->loc.line) return kg_arena_printf(p->arena, "in front of line %d", op->loc.line);
    }
    if (position > 0 && position == b->count && b->owner < 0)
        return kg_arena_printf(p->arena, "behind line %d",
                               kg_sync_node_at(p, b->items[position - 1])->op->loc.line);
    const kg_op *owner = b->owner >= 0 ? kg_sync_node_at(p, b->owner)->op : NULL;
    return kg_arena_printf(p->arena, "at the end of the block that begins in line %d",
                           owner ? owner->loc.line : p->kernel->loc.line);
}

const char *kg_say_groups(kg_arena *arena, const int8_t *ids, int warps)
{
    const char *list = "";
    for (int w = 0; w < warps; w++)
        list = kg_arena_printf(arena, "%s%s%d", list, w ? ", " : "", ids[w]);
    return kg_arena_printf(arena, "barrier count %d {ids=[%s]}", 32 * kg_group_size(ids, warps),
                           list);
}

const char *kg_say_sync(kg_arena *arena, const kg_op *op)
{
    const char *name = kg_op_info_of(op->code)->name;
    if (op->code == KG_OP_WAIT)
        return kg_arena_printf(arena, "wait %lld", (long long)kg_op_int(op, KG_A_COUNT, 0));
    const kg_attr *ids = kg_sync_group_ids(op);
    int8_t of_warp[KG_MOST_WARPS] = {0};
    for (int w = 0; ids && w < ids->count && w < KG_MOST_WARPS; w++)
        of_warp[w] = (int8_t)ids->ints[w];
    if (ids) return kg_say_groups(arena, of_warp, ids->count);
    if (!kg_op_attr(op, KG_A_ID)) return name;
    return kg_arena_printf(arena, "%s id %lld count %lld", name,
                           (long long)kg_op_int(op, KG_A_ID, 0),
                           (long long)kg_op_int(op, KG_A_COUNT, 0));
}

bool kg_find_witnesses(const kg_sync_program *p, const kg_obligation *o, int *thread_a,
                       int *thread_b)
{
    const kg_sync_access *a = &p->accesses.items[o->a], *b = &p->accesses.items[o->b];
    int ta[2], tb[2];
    bool found = false;
    if (o->byte < 0 || !a->bytes || !b->bytes) return false;
    int na = kg_footprint_threads(&a->at, a->bytes, (o->byte - a->offset) % a->slot_bytes, ta);
    int nb = kg_footprint_threads(&b->at, b->bytes, (o->byte - b->offset) % b->slot_bytes, tb);
    for (int i = 0; i < na; i++)
        for (int k = 0; k < nb; k++)
            if (!found || (*thread_a == *thread_b && ta[i] != tb[k])) {
                *thread_a = ta[i];
                *thread_b = tb[k];
                found = true;
            }
    return found;
}
