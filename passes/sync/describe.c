// SPDX-License-Identifier: MIT
// Synchronizations, accesses and buffers in words. See report.h.
#include "passes/sync/groups.h"
#include "passes/sync/phases.h"
#include "passes/sync/report.h"

#include <stdlib.h>
#include <string.h>

static const char *op_name(const kg_op *op)
{
    switch (op->code) {
    case KG_OP_COPY_ASYNC:
        return "copy";
    case KG_OP_RMAX:
        return "max";
    case KG_OP_RMIN:
        return "min";
    default:
        return kg_op_info_of(op->code)->name;
    }
}

const char *kg_sync_op_text(kg_arena *arena, const kg_op *op)
{
    if (!op->loc.line) return op_name(op);
    return kg_arena_printf(arena, "%s (line %d)", op_name(op), op->loc.line);
}

// ---- buffers ------------------------------------------------------------------------------------
typedef struct user_search {
    const kg_value *buffer;
    const kg_op *dot, *ticket, *store;
} user_search;

static bool look_at_user(kg_op *op, void *user)
{
    user_search *s = user;
    for (int i = 0; i < op->n_operands; i++) {
        if (op->operands[i]->type.home != KG_HOME_SHARED || kg_root(op->operands[i]) != s->buffer)
            continue;
        if (op->code == KG_OP_DOT && !s->dot) s->dot = op;
        if (op->code == KG_OP_FETCH_ADD && !s->ticket) s->ticket = op;
        if (op->code == KG_OP_STORE && !s->store) s->store = op;
    }
    return true;
}

const char *kg_sync_buffer_name(kg_arena *arena, const kg_kernel *kernel, const kg_value *buffer)
{
    if (!buffer) return "global memory";
    if (buffer->name) return buffer->name;
    user_search s = {.buffer = buffer};
    kg_walk(kernel->body, look_at_user, &s);
    const kg_op *made = s.ticket ? s.ticket : s.dot;
    const char *role = s.ticket ? "result of" : "operand of";
    if (!made && s.store) {
        const kg_value *v = s.store->operands[1];
        if (v->name)
            return kg_arena_printf(arena, "scratch of %s, line %d", v->name, s.store->loc.line);
        made = v->kind == KG_VALUE_RESULT ? v->op : s.store;
        role = "scratch of";
    }
    if (!made) return kg_arena_printf(arena, "%%%d", buffer->id);
    return made->loc.line
               ? kg_arena_printf(arena, "%s %s, line %d", role, op_name(made), made->loc.line)
               : kg_arena_printf(arena, "%s %s", role, op_name(made));
}

// ---- places -------------------------------------------------------------------------------------
static bool touches_memory(const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    return info->n_effects || info->cls == KG_CLASS_Y;
}

// What the reader sees first when the op begins: a branch is known by what it guards.
static const kg_op *first_inside(const kg_op *op)
{
    for (int i = 0; i < op->n_blocks && op->code == KG_OP_IF; i++)
        for (const kg_op *inner = op->blocks[i]->first; inner; inner = inner->next) {
            const kg_op *found = inner->n_blocks ? first_inside(inner) : inner;
            if (found && (touches_memory(found) || found->n_blocks)) return found;
        }
    return op->n_blocks || touches_memory(op) ? op : NULL;
}

static const char *region_word(const kg_op *owner)
{
    if (!owner) return "kernel";
    return kg_is_loop(owner) ? "loop" : owner->code == KG_OP_WARPS ? "role" : "branch";
}

static const char *region_text(kg_arena *arena, const kg_op *owner)
{
    if (!owner || !owner->loc.line) return kg_arena_printf(arena, "the %s", region_word(owner));
    return kg_arena_printf(arena, "the %s at line %d", region_word(owner), owner->loc.line);
}

// The loop behind an op that the pipeline took out of it: a later loop whose line comes first.
static const kg_op *prologue_of(const kg_op *op)
{
    const kg_op *at = op;
    while (at->parent->owner && at->parent->owner->code == KG_OP_IF) at = at->parent->owner;
    for (at = at->next; at && !kg_is_loop(at); at = at->next) continue;
    return at && at->loc.line && at->loc.line <= op->loc.line ? at : NULL;
}

const char *kg_sync_place_text(kg_arena *arena, const kg_block *block, const kg_op *next)
{
    const kg_op *seen = NULL;
    for (; next && !seen; next = next->next) seen = first_inside(next);
    const kg_op *owner = block->owner, *loop = owner;
    while (loop && !kg_is_loop(loop)) loop = loop->parent->owner;
    if (seen && !seen->n_blocks && prologue_of(seen))
        return kg_arena_printf(arena, "in front of %s, in the prologue of %s",
                               kg_sync_op_text(arena, seen), region_text(arena, prologue_of(seen)));
    const char *where =
        !seen            ? kg_arena_printf(arena, "at the end of %s", region_text(arena, owner))
        : seen->n_blocks ? kg_arena_printf(arena, "in front of %s", region_text(arena, seen))
                         : kg_arena_printf(arena, "in front of %s", kg_sync_op_text(arena, seen));
    if (owner && owner->code == KG_OP_IF && seen)
        where = kg_arena_printf(arena, "%s, in its branch", where);
    if (!loop || (!seen && loop == owner)) return where;
    return kg_arena_printf(arena, "%s, in %s", where, region_text(arena, loop));
}

const char *kg_sync_where(kg_arena *arena, const kg_op *sync)
{
    const kg_op *next = sync->next;
    while (next && (kg_op_info_of(next->code)->cls == KG_CLASS_Y || !first_inside(next)))
        next = next->next;
    return kg_sync_place_text(arena, sync->parent, next);
}

const char *kg_sync_name(kg_arena *arena, const kg_op *op)
{
    const char *name = kg_op_info_of(op->code)->name;
    if (kg_sync_waits_for(op) != KG_GROUP_NONE)
        return kg_arena_printf(arena, "%s %lld%s", name, (long long)kg_op_int(op, KG_A_COUNT, 0),
                               kg_op_int(op, KG_A_READ, 0) ? " read" : "");
    if (op->code == KG_OP_PROXY_FENCE)
        return kg_arena_printf(arena, "%s %s", name, kg_op_attr(op, KG_A_SCOPE)->name);
    const kg_value *mbarrier = kg_sync_mbarrier(op);
    if (mbarrier)
        return kg_arena_printf(arena, "%s %s", name,
                               kg_sync_buffer_name(arena, op->parent->kernel, mbarrier));
    if (op->code == KG_OP_WARP_SYNC) return "warp sync";
    const kg_attr *baton = kg_op_attr(op, KG_A_BATON), *ids = kg_sync_group_ids(op);
    if (baton) return kg_arena_printf(arena, "%s %lld", name, (long long)baton->i);
    if (ids) {
        kg_ties groups = kg_ties_of_barrier(op, ids->count);
        return kg_arena_printf(arena, "barrier of warps %s", kg_ties_text(arena, &groups));
    }
    if (kg_op_attr(op, KG_A_ID))
        return kg_arena_printf(arena, "%s id %lld count %lld", name,
                               (long long)kg_op_int(op, KG_A_ID, 0),
                               (long long)kg_op_int(op, KG_A_COUNT, 0));
    return name;
}

// ---- one line -----------------------------------------------------------------------------------
static const char *done_by(const char *does)
{
    static const char *const words[][2] = {
        {"writes", "written by"},   {"reads", "read by"},      {"copies into", "written by"},
        {"copies from", "read by"}, {"updates", "updated by"}, {"acquires", "acquired by"},
        {"releases", "released by"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], does)) return words[i][1];
    return does;
}

// A line that the buffer's name tells already is not said again.
static const char *doer_text(kg_arena *arena, const char *buffer, const kg_op *op)
{
    const char *line = strstr(buffer, ", line ");
    if (line && atoi(line + strlen(", line ")) == op->loc.line) return op_name(op);
    return kg_sync_op_text(arena, op);
}

static const char *pair_text(kg_arena *arena, const kg_kernel *kernel, const kg_sync_reason *r)
{
    const char *first = kg_sync_buffer_name(arena, kernel, r->other ? r->other : r->buffer);
    const char *text = kg_arena_printf(
        arena, "%s %s %s, %s%s%s %s", first, done_by(r->a_does), doer_text(arena, first, r->a),
        r->other ? kg_sync_buffer_name(arena, kernel, r->buffer) : "",
        r->other ? " on its bytes " : "", done_by(r->b_does), doer_text(arena, first, r->b));
    if (!r->loop) return text;
    return kg_arena_printf(arena, "%s, +%lld trip%s", text, (long long)r->distance,
                           r->distance == 1 ? "" : "s");
}

static const char *group_text(kg_arena *arena, const kg_kernel *kernel, const kg_sync_entry *e)
{
    const char *text = "closes the group of";
    bool copies = kg_sync_commits(e->op) == KG_GROUP_COPY;
    if (!e->n_copies) return "closes a group without copies of its own";
    for (int i = 0; i < e->n_copies; i++) {
        const kg_op *op = e->copies[i];
        if (i && op == e->copies[i - 1]) continue; // two accesses of one op
        const char *what =
            copies ? kg_arena_printf(arena, "%s (line %d)",
                                     kg_sync_buffer_name(arena, kernel, kg_root(op->operands[0])),
                                     op->loc.line)
                   : kg_sync_op_text(arena, op);
        text = kg_arena_printf(arena, "%s%s %s", text, i ? "," : "", what);
    }
    return text;
}

static const char *wait_text(kg_arena *arena, const kg_kernel *kernel, const kg_sync_entry *e)
{
    int64_t count = kg_op_int(e->op, KG_A_COUNT, 0);
    const char *flying = count ? kg_arena_printf(arena, "%lld newer group%s in flight",
                                                 (long long)count, count == 1 ? "" : "s")
                               : "none in flight";
    if (!e->copy) return kg_arena_printf(arena, "copies complete, %s", flying);
    if (kg_sync_waits_for(e->op) != KG_GROUP_COPY)
        return kg_arena_printf(arena, "%s is complete before %s, %s",
                               kg_sync_op_text(arena, e->copy), kg_sync_op_text(arena, e->access),
                               flying);
    return kg_arena_printf(arena, "copy into %s (line %d) complete before %s, %s",
                           kg_sync_buffer_name(arena, kernel, kg_root(e->copy->operands[0])),
                           e->copy->loc.line, kg_sync_op_text(arena, e->access), flying);
}

static const char *cut_to(kg_arena *arena, const char *text, int room)
{
    int length = (int)strlen(text);
    if (length <= room || room < 4) return text;
    return kg_arena_printf(arena, "%.*s...", room - 3, text);
}

// Of a baton's ops: whose turn it is. What stands first in a role is the last warpgroup's pass.
static const char *baton_text(const kg_op *op)
{
    bool waits = op->code == KG_OP_BATON_WAIT;
    if (!kg_op_attr(op, KG_A_BATON)) return NULL;
    if (!waits && !op->prev) return "the first warpgroup's turn comes first";
    return waits ? "warpgroups issue what follows by turns; no memory is ordered by it"
                 : "the next warpgroup's turn, while this one computes";
}

const char *kg_sync_summary(kg_arena *arena, const kg_kernel *kernel, const kg_sync_report *report,
                            const kg_sync_entry *e, int room)
{
    const char *phase = kg_sync_phase_text(arena, kernel, e->op);
    if (!phase) phase = baton_text(e->op);
    if (phase) return cut_to(arena, phase, room);
    if (kg_sync_commits(e->op) != KG_GROUP_NONE)
        return cut_to(arena, group_text(arena, kernel, e), room);
    kg_group group = kg_sync_waits_for(e->op);
    if (group == KG_GROUP_COPY ? e->copy || e->n_reasons : group != KG_GROUP_NONE && e->copy)
        return cut_to(arena, wait_text(arena, kernel, e), room);
    if (!e->n_reasons) return e->by_hand ? "by hand" : "";
    const char *more =
        e->n_reasons > 1 ? kg_arena_printf(arena, "; %d more", e->n_reasons - 1) : "";
    const char *pair = pair_text(arena, kernel, &report->reasons[e->first]);
    return kg_arena_printf(arena, "%s%s", cut_to(arena, pair, room - (int)strlen(more)), more);
}
