// SPDX-License-Identifier: MIT
// Common subexpressions: a hash table of the ops that dominate the current point, scoped by block.
//
// Reuse is free of risk only while nothing that the op reads can have changed. Time is counted:
// `now` grows by one at each change. An entry is good when no mutable operand was assigned, and no
// memory that it loads was written, since it was entered. What only the loop's later part changes
// counts at the loop's head. Tiles are reused within their block only, so that no fragment lives
// across a region for this.
#include "passes/fold_internal.h"

#include <string.h>

enum { BUCKETS = 1024 };

typedef struct entry {
    kg_op *op;
    uint32_t hash;
    int when;
    struct entry *next; // in the bucket
} entry;

typedef struct scope {
    int entries; // of the stack, when the block was entered
    struct scope *outer;
} scope;

typedef struct change {
    const kg_value *what; // a mutable fragment or the root of memory
    int when;
} change;

struct kg_available {
    kg_arena *arena;
    entry *bucket[BUCKETS];
    struct {
        entry **items;
        int count, capacity;
    } stack;
    struct {
        change *items;
        int count, capacity;
    } changes;
    struct {
        const kg_value **items;
        int count, capacity;
    } written; // parameters that the kernel writes
    scope *scope;
    int now;
    int everything; // when all written memory and all mutable fragments last counted as changed
    int memory;     // when all written memory did
};

static bool note_written(kg_op *op, void *user)
{
    kg_available *table = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        int operand = info->effects[i].operand;
        if (info->effects[i].mode == KG_MODE_R || operand == KG_OPERAND_ALL ||
            operand >= op->n_operands)
            continue;
        const kg_value *root = kg_root(op->operands[operand]);
        bool known = !root || root->kind != KG_VALUE_PARAM;
        for (int r = 0; r < table->written.count && !known; r++)
            known = table->written.items[r] == root;
        if (!known)
            KG_PUSH(table->arena, &table->written, root);
    }
    return true;
}

kg_available *kg_available_new(kg_arena *arena, kg_kernel *kernel)
{
    kg_available *table = KG_NEW(arena, kg_available);
    table->arena = arena;
    kg_walk(kernel->body, note_written, table);
    return table;
}

static void changed(kg_available *table, const kg_value *what)
{
    table->now++;
    for (int i = 0; i < table->changes.count; i++)
        if (table->changes.items[i].what == what) {
            table->changes.items[i].when = table->now;
            return;
        }
    KG_PUSH(table->arena, &table->changes, ((change){what, table->now}));
}

void kg_available_passed(kg_available *table, const kg_op *op)
{
    if (op->code == KG_OP_ASSIGN) {
        changed(table, op->operands[0]);
        return;
    }
    if (kg_op_info_of(op->code)->cls == KG_CLASS_Y)
        table->memory = ++table->now;
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < info->n_effects; i++) {
        int operand = info->effects[i].operand;
        if (info->effects[i].mode == KG_MODE_R)
            continue;
        if (operand == KG_OPERAND_ALL)
            table->memory = ++table->now;
        else if (operand < op->n_operands && kg_root(op->operands[operand]))
            changed(table, kg_root(op->operands[operand]));
    }
}

void kg_available_enter(kg_available *table, const kg_op *owner)
{
    scope *inner = KG_NEW(table->arena, scope);
    *inner = (scope){table->stack.count, table->scope};
    table->scope = inner;
    // A loop's head also follows its end; in a role other warps run meanwhile.
    if (owner && owner->code != KG_OP_IF)
        table->everything = ++table->now;
}

void kg_available_leave(kg_available *table)
{
    while (table->stack.count > table->scope->entries) {
        entry *last = table->stack.items[--table->stack.count];
        table->bucket[last->hash % BUCKETS] = last->next;
    }
    table->scope = table->scope->outer;
}

// ---- equality ----------------------------------------------------------------------------------
static bool same_attr(const kg_attr *a, const kg_attr *b)
{
    if (a->key != b->key)
        return false;
    switch (kg_attr_info_of(a->key)->kind) {
    case KG_ATTR_INT: return a->i == b->i;
    case KG_ATTR_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0; // -0 is not 0
    case KG_ATTR_DTYPE: return a->dtype == b->dtype;
    case KG_ATTR_NAME: return strcmp(a->name, b->name) == 0;
    case KG_ATTR_INTS:
    case KG_ATTR_LIST:
        return a->count == b->count &&
               memcmp(a->ints, b->ints, sizeof *a->ints * (size_t)a->count) == 0;
    }
    return false;
}

// Views move no data, so they are not shared for themselves; what reads them is compared with them.
// One with a mutable index was made at a time of its own.
static bool is_view(const kg_value *value)
{
    if (value->kind != KG_VALUE_RESULT || value->type.home == KG_HOME_FRAG ||
        (value->op->code != KG_OP_VIEW && value->op->code != KG_OP_TRANSPOSE))
        return false;
    for (int i = 0; i < value->op->n_operands; i++)
        if (kg_is_mutable(value->op->operands[i]))
            return false;
    return true;
}

static bool same_op(const kg_op *a, const kg_op *b);

// The same value, or two literals of one value, or two views of the same part.
static bool same_operand(const kg_value *a, const kg_value *b)
{
    kg_constant x, y;
    if (a == b)
        return true;
    if (is_view(a) && is_view(b))
        return same_op(a->op, b->op);
    if (!kg_is_literal_value(a) || !kg_is_literal_value(b) || !kg_type_equal(&a->type, &b->type))
        return false;
    kg_constant_of(a, &x);
    kg_constant_of(b, &y);
    return x.i == y.i && memcmp(&x.f, &y.f, sizeof x.f) == 0;
}

static bool same_op(const kg_op *a, const kg_op *b)
{
    if (a->code != b->code || a->n_operands != b->n_operands ||
        !kg_type_equal(&a->results[0]->type, &b->results[0]->type))
        return false;
    for (int i = 0; i < a->n_operands; i++)
        if (!same_operand(a->operands[i], b->operands[i]))
            return false;
    const kg_attr *x = a->attrs, *y = b->attrs;
    for (; x && y; x = x->next, y = y->next)
        if (!same_attr(x, y))
            return false;
    return !x && !y;
}

bool kg_same_view(const kg_value *a, const kg_value *b)
{
    return same_operand(a, b);
}

static uint32_t mix(uint32_t hash, uint64_t x)
{
    x ^= x >> 29;
    return (hash ^ (uint32_t)(x * 0x9e3779b97f4a7c15u >> 32)) * 16777619u;
}

static uint32_t hash_op(const kg_op *op);

static uint32_t hash_operand(uint32_t hash, const kg_value *value)
{
    kg_constant c = {0};
    if (is_view(value))
        return mix(hash, hash_op(value->op));
    if (kg_is_literal_value(value) && kg_constant_of(value, &c))
        return mix(mix(hash, (uint64_t)c.i), (uint64_t)c.dtype);
    return mix(hash, (uint64_t)(uintptr_t)value);
}

static uint32_t hash_op(const kg_op *op)
{
    uint32_t hash = mix(2166136261u, (uint64_t)op->code);
    for (int i = 0; i < op->n_operands; i++)
        hash = hash_operand(hash, op->operands[i]);
    for (const kg_attr *a = op->attrs; a; a = a->next)
        if (kg_attr_info_of(a->key)->kind == KG_ATTR_INT ||
            kg_attr_info_of(a->key)->kind == KG_ATTR_FLOAT)
            hash = mix(hash, (uint64_t)a->i); // the bits of either
    return mix(hash, (uint64_t)op->results[0]->type.dtype);
}

// ---- time --------------------------------------------------------------------------------------
// Memory that is no parameter always is: it is made by ops, and unrolling makes more of them.
static bool is_written(const kg_available *table, const kg_value *root)
{
    if (root->kind != KG_VALUE_PARAM)
        return true;
    for (int i = 0; i < table->written.count; i++)
        if (kg_roots_alias(table->written.items[i], root))
            return true;
    return false;
}

static int last_change(const kg_available *table, const kg_value *what)
{
    int when = 0;
    for (int i = 0; i < table->changes.count; i++)
        if (table->changes.items[i].when > when &&
            kg_roots_alias(table->changes.items[i].what, what))
            when = table->changes.items[i].when;
    return when;
}

static int later(int a, int b)
{
    return a > b ? a : b;
}

// When the op's result could last have changed: an entry from before that is stale.
static int changed_at(const kg_available *table, const kg_op *op)
{
    int when = 0;
    for (int i = 0; i < op->n_operands; i++)
        if (kg_is_mutable(op->operands[i]))
            when = later(when, later(table->everything, last_change(table, op->operands[i])));
    if (kg_op_info_of(op->code)->n_effects == 0)
        return when;
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *root = kg_root(op->operands[i]);
        if (root && is_written(table, root))
            when = later(when,
                         later(later(table->everything, table->memory), last_change(table, root)));
    }
    return when;
}

kg_value *kg_available_find(kg_available *table, kg_op *op)
{
    if (kg_is_literal_value(op->results[0]) || is_view(op->results[0]))
        return NULL;
    uint32_t hash = hash_op(op);
    int when = changed_at(table, op);
    bool scalar = kg_is_scalar(op->results[0]) || op->results[0]->type.home != KG_HOME_FRAG;
    for (entry *e = table->bucket[hash % BUCKETS]; e; e = e->next)
        if (e->hash == hash && e->when >= when && (scalar || e->op->parent == op->parent) &&
            same_op(e->op, op))
            return e->op->results[0];
    entry *mine = KG_NEW(table->arena, entry);
    *mine = (entry){op, hash, table->now, table->bucket[hash % BUCKETS]};
    table->bucket[hash % BUCKETS] = mine;
    KG_PUSH(table->arena, &table->stack, mine);
    return NULL;
}

kg_op *kg_gather_view(const kg_value *operand)
{
    while (operand->kind == KG_VALUE_RESULT && operand->op->code == KG_OP_TRANSPOSE)
        operand = operand->op->operands[0];
    if (operand->type.home == KG_HOME_FRAG || operand->kind != KG_VALUE_RESULT ||
        operand->op->code != KG_OP_VIEW)
        return NULL;
    const kg_attr *index = kg_op_attr(operand->op, KG_A_INDEX);
    for (int d = 0; index && d < index->count; d++)
        if (index->ints[d] == KG_INDEX_GATHER) return operand->op;
    return NULL;
}
