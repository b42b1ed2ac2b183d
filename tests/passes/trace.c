// SPDX-License-Identifier: MIT
// See trace.h. Rules that are checked on the way:
// - a slot is read only when it was written in this life of the buffer;
// - what copy_async brings is committed before it is read, and nothing of it is left uncommitted at
// the end.
#include "tests/passes/trace.h"

#include <string.h>

enum { SLOTS = 8, PARTS = 4, STEPS = 1000000 };

typedef struct part { // of a slot that was written through one view
    uint64_t where, content;
    int group; // of the copy_async that wrote it; 0: another op
} part;

typedef struct slot {
    part parts[PARTS];
    int n_parts;
} slot;

typedef struct runner {
    kg_arena *arena;
    trace out;
    uint64_t *value;       // by value id: a number or a hash
    slot (*memory)[SLOTS]; // by value id of the buffer
    int open;              // copies since the last commit
    int steps;
} runner;

static uint64_t mix(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = mix(hash, (unsigned char)*text);
    return hash;
}

// Of a tile of integers one element stands for all.
static bool is_integer(const kg_value *v)
{
    return v->type.home == KG_HOME_FRAG && !kg_dtype_info_of(v->type.dtype)->is_float;
}

static int64_t number(const runner *r, const kg_value *v)
{
    return (int64_t)r->value[v->id];
}

// ---- views and memory --------------------------------------------------------------------------
// The place within its root (without ring slot) that an operand stands for.
static uint64_t place_of(const runner *r, const kg_value *operand)
{
    uint64_t hash = 1;
    for (int d = 0; d < operand->type.rank; d++)
        hash = mix(hash, (uint64_t)operand->type.dims[d]);
    if (operand->kind != KG_VALUE_RESULT ||
        (operand->op->code != KG_OP_VIEW && operand->op->code != KG_OP_TRANSPOSE))
        return hash;
    const kg_op *op = operand->op;
    if (op->code == KG_OP_TRANSPOSE)
        return mix(place_of(r, op->operands[0]), 77);
    const kg_attr *index = kg_op_attr(op, KG_A_INDEX);
    bool whole = true;
    for (int i = 0; i < index->count; i++)
        whole &= index->ints[i] == KG_INDEX_ALL;
    if (whole) // the same as the buffer itself
        return hash;
    for (int i = 0; i < index->count; i++)
        hash = mix(hash, (uint64_t)index->ints[i]);
    for (int i = 1 + (int)kg_op_int(op, KG_A_SLOT, 0); i < op->n_operands; i++)
        hash = mix(hash, r->value[op->operands[i]->id]);
    return hash;
}

static slot *slot_of(runner *r, const kg_value *operand)
{
    const kg_value *root = kg_root((kg_value *)operand);
    int64_t ring = kg_op_int(root->op, KG_A_RING, 1), at = 0;
    for (const kg_value *v = operand; v != root; v = v->op->operands[0])
        if (kg_op_int(v->op, KG_A_SLOT, 0))
            at = number(r, v->op->operands[1]);
    at = (at % ring + ring) % ring;
    if (at >= SLOTS)
        r->out.bad = "ring too large for the test";
    return &r->memory[root->id][at % SLOTS];
}

static void write_part(runner *r, const kg_value *operand, uint64_t content, int group)
{
    slot *s = slot_of(r, operand);
    uint64_t where = place_of(r, operand);
    int i = 0;
    while (i < s->n_parts && s->parts[i].where != where)
        i++;
    if (i == PARTS) {
        r->out.bad = "too many parts for the test";
        return;
    }
    if (i == s->n_parts)
        s->n_parts++;
    s->parts[i] = (part){where, content, group};
}

static uint64_t read_memory(runner *r, const kg_value *operand)
{
    const kg_value *root = kg_root((kg_value *)operand);
    if (root->type.home == KG_HOME_GLOBAL)
        return mix_text(mix(place_of(r, operand), 3), root->name);
    const slot *s = slot_of(r, operand);
    uint64_t hash = place_of(r, operand);
    if (s->n_parts == 0)
        r->out.bad = "read of a slot that was never written";
    for (int i = 0; i < s->n_parts; i++) {
        hash = mix(mix(hash, s->parts[i].where), s->parts[i].content);
        if (s->parts[i].group > r->out.commits)
            r->out.bad = "read of a copy that was not committed";
    }
    if (s->n_parts == 1 && s->parts[0].where == place_of(r, operand))
        return s->parts[0].content; // all of it: what a read of its source would give
    return hash;
}

static uint64_t operand_value(runner *r, const kg_value *v)
{
    return v->type.home == KG_HOME_FRAG ? r->value[v->id] : read_memory(r, v);
}

// ---- ops ---------------------------------------------------------------------------------------
static int64_t floor_div(int64_t a, int64_t b)
{
    return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool compute(runner *r, const kg_op *op, int64_t *out)
{
    for (int i = 0; i < op->n_operands; i++)
        if (!is_integer(op->operands[i]))
            return false;
    int64_t a = op->n_operands > 0 ? number(r, op->operands[0]) : 0;
    int64_t b = op->n_operands > 1 ? number(r, op->operands[1]) : 0;
    switch (op->code) {
    case KG_OP_CONST: *out = kg_op_int(op, KG_A_VALUE_INT, 0); return true;
    case KG_OP_CAST:
    case KG_OP_BROADCAST:
    case KG_OP_PART:
    case KG_OP_EXPAND: *out = a; return true;
    case KG_OP_IOTA: *out = 5; return true;
    case KG_OP_ADD: *out = a + b; return true;
    case KG_OP_SUB: *out = a - b; return true;
    case KG_OP_MUL: *out = a * b; return true;
    case KG_OP_DIV: *out = floor_div(a, b); return true;
    case KG_OP_MOD: *out = a - b * floor_div(a, b); return true;
    case KG_OP_MIN: *out = a < b ? a : b; return true;
    case KG_OP_MAX: *out = a > b ? a : b; return true;
    case KG_OP_AND: *out = a & b; return true;
    case KG_OP_OR: *out = a | b; return true;
    case KG_OP_EQ: *out = a == b; return true;
    case KG_OP_NE: *out = a != b; return true;
    case KG_OP_LT: *out = a < b; return true;
    case KG_OP_LE: *out = a <= b; return true;
    case KG_OP_GT: *out = a > b; return true;
    case KG_OP_GE: *out = a >= b; return true;
    case KG_OP_SELECT: *out = a ? b : number(r, op->operands[2]); return true;
    default: return false;
    }
}

static void make_value(runner *r, const kg_op *op)
{
    int64_t exact;
    kg_value *result = op->results[0];
    if (is_integer(result) && compute(r, op, &exact)) {
        r->value[result->id] = (uint64_t)exact;
        return;
    }
    uint64_t hash = mix(mix(5, (uint64_t)op->code), (uint64_t)result->type.dtype);
    for (const kg_attr *a = op->attrs; a; a = a->next)
        if (kg_attr_info_of(a->key)->kind == KG_ATTR_INT ||
            kg_attr_info_of(a->key)->kind == KG_ATTR_FLOAT)
            hash = mix(hash, (uint64_t)a->i);
    for (int i = 0; i < op->n_operands; i++)
        hash = mix(hash, operand_value(r, op->operands[i]));
    // A loaded number is small, so that loops over it end.
    r->value[result->id] = is_integer(result) ? hash % 8 : hash;
}

static void run_block(runner *r, kg_block *block);

static void run_for(runner *r, const kg_op *loop)
{
    int64_t hi = number(r, loop->operands[1]), step = number(r, loop->operands[2]);
    kg_block *body = loop->blocks[0];
    for (int64_t i = number(r, loop->operands[0]); i < hi && r->steps < STEPS; i += step) {
        r->value[body->arg->id] = (uint64_t)i;
        run_block(r, body);
    }
}

static void run_effect(runner *r, const kg_op *op)
{
    const kg_value *to = op->n_operands ? op->operands[0] : NULL;
    switch (op->code) {
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC:
        r->out.copies++;
        r->out.async += op->code == KG_OP_COPY_ASYNC;
        r->open += op->code == KG_OP_COPY_ASYNC;
        write_part(r, to, read_memory(r, op->operands[1]),
                   op->code == KG_OP_COPY_ASYNC ? r->out.commits + 1 : 0);
        break;
    case KG_OP_STORE:
        if (kg_root((kg_value *)to)->type.home == KG_HOME_SHARED) {
            write_part(r, to, r->value[op->operands[1]->id], 0);
            break;
        }
        KG_PUSH(r->arena, &r->out.events,
                mix(read_memory(r, to), operand_value(r, op->operands[1])));
        break;
    case KG_OP_COMMIT:
        r->out.commits++;
        r->open = 0;
        break;
    default: break;
    }
}

static void run_op(runner *r, kg_op *op)
{
    r->steps++;
    switch (op->code) {
    case KG_OP_FOR: run_for(r, op); return;
    case KG_OP_IF: run_block(r, op->blocks[number(r, op->operands[0]) ? 0 : 1]); return;
    case KG_OP_WARPS: run_block(r, op->blocks[0]); return;
    case KG_OP_SHARED: memset(r->memory[op->results[0]->id], 0, sizeof *r->memory); return;
    case KG_OP_FRAG: r->value[op->results[0]->id] = r->value[op->operands[0]->id]; return;
    case KG_OP_ASSIGN: r->value[op->operands[0]->id] = r->value[op->operands[1]->id]; return;
    case KG_OP_VIEW: return; // looked at where it is used: tests assign no index in between
    case KG_OP_TRANSPOSE:
        if (op->results[0]->type.home == KG_HOME_FRAG)
            make_value(r, op);
        return;
    default:
        if (op->n_results)
            make_value(r, op);
        else
            run_effect(r, op);
    }
}

static void run_block(runner *r, kg_block *block)
{
    for (kg_op *op = block->first; op && r->steps < STEPS; op = op->next)
        run_op(r, op);
}

trace trace_run(kg_arena *arena, kg_kernel *kernel, const int64_t *scalars)
{
    int n = kg_kernel_number(kernel, NULL);
    runner r = {.arena = arena,
                .value = KG_NEW_ARRAY(arena, uint64_t, n),
                .memory = kg_arena_alloc(arena, sizeof(slot[SLOTS]) * (size_t)n)};
    for (int i = 0; i < kernel->n_params; i++)
        r.value[kernel->params[i]->id] = (uint64_t)scalars[i];
    run_block(&r, kernel->body);
    if (r.open)
        r.out.bad = "copies were left without a commit";
    if (r.steps >= STEPS)
        r.out.bad = "the program does not end";
    return r.out;
}

bool trace_equal(const trace *a, const trace *b)
{
    return a->events.count == b->events.count &&
           (a->events.count == 0 || memcmp(a->events.items, b->events.items,
                                           sizeof(uint64_t) * (size_t)a->events.count) == 0);
}
