// SPDX-License-Identifier: MIT
// Tiles leave by the copy engine: `schedule bulk_store 1`.
//
//   store c[m*128.., n*128..] = cast(acc, bf16)      shared c.1: bf16[128, 128]
//                                               =>   store c.1 = cast(acc, bf16)
//                                                    store_bulk c[m*128.., n*128..] = c.1
//
// An atomic update of a tile leaves as reduce_bulk in the same way, where all that the kernel does
// to the tensor are such updates.
//
// A tile that the author has put into a buffer only to store it from there leaves from that buffer.
// A store that the copy engine cannot do stays as it is, and so does one to a tensor that the
// kernel reads.
#include "ir/cache.h"
#include "passes/specialize_internal.h"

typedef struct finder {
    kg_specializer *s;
    struct {
        kg_op **items;
        int count, capacity;
    } stores;
} finder;

typedef struct reader {
    kg_specializer *s;
    const kg_value *root;
    kg_opcode code; // what is to leave: stores, or one kind of atomic updates
    bool found;
} reader;

static const char *combines_by(kg_opcode code)
{
    switch (code) {
    case KG_OP_ATOMIC_ADD:
        return "add";
    case KG_OP_ATOMIC_MIN:
        return "min";
    case KG_OP_ATOMIC_MAX:
        return "max";
    default:
        return NULL;
    }
}

// A store or an update of a tile that the copy engine can do, whatever else there is.
static bool can_leave(kg_specializer *s, const kg_op *op)
{
    const char *help;
    int contiguous;
    if ((op->code != KG_OP_STORE && !combines_by(op->code)) || op->n_operands != 2) return false;
    if (kg_op_attr(op, KG_A_CACHE) && !kg_cache_of_l2(op)) return false; // of the threads' caches
    kg_value *view = op->operands[0];
    return view->type.home == KG_HOME_GLOBAL && view->type.rank == 2 &&
           op->operands[1]->type.rank == 2 && !kg_bulk_misfit(s, view, &contiguous, &help) &&
           contiguous == view->type.rank - 1;
}

// Somebody reads the tensor within the kernel (or, where it is updated, does anything else), or is
// told (by a signal) that it can be read.
static bool find_reader(kg_op *op, void *user)
{
    reader *r = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    r->found |= op->code == KG_OP_SIGNAL;
    for (int i = 0; i < info->n_effects && !r->found; i++) {
        int operand = info->effects[i].operand;
        bool store = info->effects[i].mode == KG_MODE_W && r->code == KG_OP_STORE;
        if (store || operand < 0 || operand >= op->n_operands) continue;
        const kg_value *root = kg_root(op->operands[operand]);
        r->found =
            root && kg_roots_alias(root, r->root) && !(op->code == r->code && can_leave(r->s, op));
    }
    return !r->found;
}

// What leaves by the copy engine is there when the kernel has ended: good for results, not for what
// goes from one CTA to another.
static bool is_result(kg_specializer *s, const kg_op *op)
{
    reader r = {.s = s, .root = kg_root(op->operands[0]), .code = op->code};
    kg_walk(s->kernel->body, find_reader, &r);
    return !r.found;
}

static bool find_store(kg_op *op, void *user)
{
    finder *f = user;
    if (can_leave(f->s, op) && is_result(f->s, op)) KG_PUSH(f->s->context->arena, &f->stores, op);
    return true;
}

// The buffer that a stored fragment was loaded from, whole, just before.
static kg_value *loaded_from(kg_specializer *s, const kg_op *store)
{
    const kg_value *value = store->operands[1];
    if (value->kind != KG_VALUE_RESULT || value->op->code != KG_OP_LOAD ||
        value->op->n_operands != 1 || value->op->parent != store->parent)
        return NULL;
    kg_value *buffer = value->op->operands[0];
    if (buffer->kind != KG_VALUE_RESULT || buffer->op->code != KG_OP_SHARED ||
        kg_op_attr(buffer->op, KG_A_RING) || s->uses[value->id]->next)
        return NULL;
    for (const kg_op *op = value->op->next; op != store; op = op->next)
        if (op->n_blocks || kg_op_writes(op)) return NULL;
    return buffer;
}

static kg_value *put_into_buffer(kg_specializer *s, kg_op *store)
{
    kg_place place = kg_place_before(s->kernel, store);
    kg_type type = store->operands[1]->type;
    type.home = KG_HOME_SHARED;
    kg_value *buffer = kg_op_result(s->kernel, kg_make(&place, KG_OP_SHARED, 0, NULL), type,
                                    kg_root(store->operands[0])->name);
    kg_make(&place, KG_OP_STORE, 2, (kg_value *[]){buffer, store->operands[1]});
    kg_op *view = store->operands[0]->op; // behind, where the text form has it
    if (view && view->parent == store->parent && !s->uses[store->operands[0]->id]->next) {
        kg_op_remove(view);
        kg_block_insert_before(store, view);
    }
    return buffer;
}

// Not through the author's buffer, whose only use this is: the store has the fragment itself.
static void pass_by_buffer(kg_specializer *s, kg_op *store, kg_value *buffer)
{
    kg_op *fill = NULL;
    int uses = 0;
    for (const kg_use *use = s->uses[buffer->id]; use; use = use->next, uses++)
        if (use->op->code == KG_OP_STORE && use->op->n_operands == 2 && use->operand == 0 &&
            use->op->parent == store->parent)
            fill = use->op;
    if (!fill || uses != 2) return;
    const kg_value *value = fill->operands[1];
    if (kg_is_mutable(value)) return; // it may have changed
    kg_op_set_operand(store, 1, fill->operands[1]);
    kg_op_remove(fill);
}

void kg_specialize_leave(kg_specializer *s, const kg_place *place, const kg_op *store,
                         kg_value *target, kg_value *buffer)
{
    const char *by = combines_by(store->code);
    kg_value *operands[] = {target, buffer};
    kg_op *made = kg_make(place, by ? KG_OP_REDUCE_BULK : KG_OP_STORE_BULK, 2, operands);
    if (by) kg_op_set_name(s->kernel, made, KG_A_BY, by);
    kg_keep_cache(s->kernel, made, store);
}

void kg_specialize_stores(kg_specializer *s)
{
    finder f = {.s = s};
    s->uses = kg_uses_collect(s->context->arena, s->kernel, &s->n_values);
    kg_walk(s->kernel->body, find_store, &f);
    for (int i = 0; i < f.stores.count; i++) {
        kg_op *store = f.stores.items[i];
        kg_value *buffer = loaded_from(s, store);
        if (buffer && s->schedule.store_columns) {
            pass_by_buffer(s, store, buffer);
            if (store->operands[1]->op->code != KG_OP_LOAD) buffer = NULL;
        }
        if (!buffer && kg_specialize_panels(s, store)) continue;
        if (!buffer) buffer = put_into_buffer(s, store);
        kg_place place = kg_place_before(s->kernel, store);
        kg_specialize_leave(s, &place, store, store->operands[0], buffer);
        kg_op_remove(store);
    }
}
