// SPDX-License-Identifier: MIT
// Layouts of shared buffers by counting bank conflicts, and widths of memory ops.
//
// For each buffer some layouts are tried: row-major, XOR swizzles by chunks of 32 to 4 bytes,
// padding by 32 to 4 bytes. The one with the fewest wavefronts over all accesses wins, weighted by
// loops; of equals the earlier, so that a buffer without conflicts stays plain and padding is the
// last resort.
#include "ir/tensor_map.h"
#include "passes/bank.h"
#include "passes/lower_internal.h"
#include <string.h>

enum { MAX_ACCESSES = 24, MAX_CANDIDATES = 20 };

// The accesses of one buffer.
typedef struct buffer {
    kg_value *value;
    kg_access access[MAX_ACCESSES];
    int32_t weight[MAX_ACCESSES];
    int n;
    int chunk;      // bytes that must stay together and aligned, for copies and ldmatrix
    bool by_engine; // the copy engine or wgmma reads or writes it, which know few layouts
    struct buffer *next;
} buffer;

typedef struct collector {
    kg_arena *arena;
    kg_kernel *kernel;
    bool matrices; // the target has stmatrix
    buffer *first, **end;
} collector;

static int32_t weight_of(const kg_op *op)
{
    int32_t weight = 1;
    for (const kg_block *b = op->parent; b->owner && weight < 4096; b = b->owner->parent)
        if (kg_is_loop(b->owner)) weight *= 8;
    return weight;
}

// What an access needs of the layout to work at all, not only to be fast.
static int needed_chunk(const kg_access *access)
{
    const kg_op *op = access->op;
    int bytes = kg_dtype_bytes(access->root->type.dtype);
    if (access->effect->agent == KG_AGENT_BULK || access->effect->agent == KG_AGENT_TENSOR)
        return 16;
    if (access->effect->agent == KG_AGENT_WARP)
        return kg_dot_kind_of(op) == KG_DOT_FMA ? bytes : 16;
    return (int)kg_op_int(op, KG_A_VEC, 1) * bytes;
}

static void add_access(collector *c, const kg_access *access)
{
    if (!access->root || access->root->type.home != KG_HOME_SHARED) return;
    buffer *b = access->root->note;
    int chunk = needed_chunk(access);
    if (!b) return;
    b->by_engine |=
        access->effect->agent == KG_AGENT_BULK || access->effect->agent == KG_AGENT_TENSOR;
    if (chunk > b->chunk) b->chunk = chunk;
    if (b->n == MAX_ACCESSES) return; // enough to see what matters
    b->weight[b->n] = weight_of(access->op);
    b->access[b->n++] = *access;
}

static bool collect(kg_op *op, void *user)
{
    collector *c = user;
    kg_access accesses[KG_MAX_EFFECTS];
    if (op->code == KG_OP_SHARED) {
        buffer *b = op->results[0]->note = KG_NEW(c->arena, buffer);
        b->value = op->results[0];
        *c->end = b;
        c->end = &b->next;
        return true;
    }
    if (kg_op_info_of(op->code)->n_effects == 0) return true;
    int n = kg_op_accesses(op, accesses);
    for (int i = 0; i < n; i++) add_access(c, &accesses[i]);
    return true;
}

// ---- candidates ---------------------------------------------------------------------------------

static int log2_of(int64_t n)
{
    return n > 0 ? 63 - __builtin_clzll((uint64_t)n) : 0;
}

// XOR of chunks of 1 << chunk_log2 bytes over a window of 128 bytes; rows shorter than that share a
// line of banks, so the row number is shifted until it counts lines.
static bool swizzle(const buffer *b, int chunk_log2, int shift, kg_shared_layout *out)
{
    const kg_type *type = &b->value->type;
    int64_t row_bytes = (int64_t)type->dims[type->rank - 1] * kg_dtype_bytes(type->dtype);
    int64_t line = row_bytes & -row_bytes; // the window must divide the row
    if (line > 128) line = 128;
    int bits = log2_of(line) - chunk_log2;
    if (bits < 1 || (1 << chunk_log2) < b->chunk) return false;
    *out = (kg_shared_layout){
        .pitch = type->dims[type->rank - 1], .chunk_log2 = chunk_log2, .bits = bits};
    out->shift = shift;
    for (int64_t rows = row_bytes; rows < 128; rows *= 2) out->shift++;
    return true;
}

static bool pad(const buffer *b, int bytes, kg_shared_layout *out)
{
    const kg_type *type = &b->value->type;
    int size = kg_dtype_bytes(type->dtype);
    int64_t row_bytes = (int64_t)type->dims[type->rank - 1] * size;
    if (bytes < b->chunk || bytes % size || row_bytes % bytes) return false;
    *out = (kg_shared_layout){.pitch = type->dims[type->rank - 1] + bytes / size};
    return true;
}

static int candidates(const buffer *b, kg_shared_layout *out)
{
    const kg_type *type = &b->value->type;
    int n = 0;
    out[n++] = (kg_shared_layout){.pitch = type->dims[type->rank - 1]};
    for (int shift = 0; shift < 3;
         shift++) // threads that take 2 or 4 rows at a time want the later ones
        for (int chunk_log2 = 5; chunk_log2 >= 2; chunk_log2--)
            n += swizzle(b, chunk_log2, shift, &out[n]);
    for (int bytes = 32; bytes >= 4; bytes /= 2) n += pad(b, bytes, &out[n]);
    return n;
}

static int64_t cost_of(const buffer *b, const kg_shared_layout *layout, int64_t *least)
{
    int64_t cost = 0;
    *least = 0;
    for (int i = 0; i < b->n; i++) {
        kg_bank_count count = kg_bank_of_access(&b->access[i], layout);
        cost += (count.wavefronts + count.issues) * b->weight[i];
        *least += (count.phases + count.issues) * b->weight[i];
    }
    return cost;
}

static void set_layout(collector *c, buffer *b, const kg_shared_layout *layout)
{
    kg_op *op = b->value->op;
    kg_op_set_int(c->kernel, op, KG_A_PITCH, layout->pitch);
    kg_op_unset(op, KG_A_SWIZZLE);
    kg_op_unset(op, KG_A_PANEL);
    if (layout->panel) kg_op_set_int(c->kernel, op, KG_A_PANEL, layout->panel);
    if (layout->bits)
        kg_op_set_ints(c->kernel, op, KG_A_SWIZZLE, 3,
                       (int64_t[]){layout->chunk_log2, layout->bits, layout->shift});
}

static void set_engine_layout(collector *c, buffer *b, int *align)
{
    kg_shared_layout layout = kg_bulk_layout(&b->value->type, align);
    set_layout(c, b, &layout);
}

static void choose(collector *c, buffer *b)
{
    kg_shared_layout tried[MAX_CANDIDATES];
    int n = candidates(b, tried), best = 0;
    int64_t least, cost = cost_of(b, &tried[0], &least);
    for (int i = 1; i < n && cost > least; i++) {
        int64_t phases, other = cost_of(b, &tried[i], &phases);
        if (other >= cost) continue;
        cost = other;
        best = i;
    }
    set_layout(c, b, &tried[best]);
}

// ---- widths -------------------------------------------------------------------------------------

// A mask that does not change along the last dimension lets a vector pass or stops it whole.
static bool constant_along_last(const kg_value *mask)
{
    if (mask->kind != KG_VALUE_RESULT || mask->op->code != KG_OP_BROADCAST) return false;
    const kg_type *from = &mask->op->operands[0]->type;
    return from->rank == 0 || from->dims[from->rank - 1] == 1;
}

static void set_width(collector *c, kg_op *op)
{
    const kg_value *moved = op->n_results ? op->results[0] : op->operands[1];
    const kg_value *mask = op->code == KG_OP_LOAD ? (op->n_operands > 1 ? op->operands[1] : NULL)
                                                  : (op->n_operands > 2 ? op->operands[2] : NULL);
    int bytes = kg_view_vector_bytes(c->kernel, op->operands[0], true);
    int vec = bytes / kg_dtype_bytes(op->operands[0]->type.dtype);
    if (!moved->layout || !moved->type.rank)
        vec = 1;
    else if (kg_layout_vector(moved->layout) < vec)
        vec = kg_layout_vector(moved->layout);
    if (mask && !constant_along_last(mask)) vec = 1;
    kg_op_set_int(c->kernel, op, KG_A_VEC, vec < 1 ? 1 : vec);
}

// The layout pass chose the width of copies from what the row-major buffer allows; it can only have
// shrunk where a buffer's rows are not whole chunks.
static void confirm_copy(collector *c, kg_op *op)
{
    int size = kg_dtype_bytes(op->operands[0]->type.dtype);
    int to = kg_view_vector_bytes(c->kernel, op->operands[0], true) / size;
    int vec = (int)kg_op_int(op, KG_A_VEC, 1);
    if (to < 1) to = 1;
    if (to < vec) vec = to;
    kg_op_set_int(c->kernel, op, KG_A_VEC, vec);
    if (op->code == KG_OP_COPY_ASYNC && kg_async_bytes_legal(vec * size)) {
        kg_op_set_int(c->kernel, op, KG_A_ASYNC, vec * size);
        return;
    }
    kg_op_unset(op, KG_A_ASYNC);
    op->code = KG_OP_COPY;
}

// By stmatrix where that takes no more of the memory port than what each thread has alone.
static void set_matrix(collector *c, kg_op *op)
{
    kg_matrix_store matrices;
    kg_access access[KG_MAX_EFFECTS];
    kg_op_unset(op, KG_A_MATRIX);
    if (!c->matrices || !kg_matrix_store_of(op, &matrices) || !kg_op_accesses(op, access)) return;
    kg_shared_layout layout = kg_shared_layout_of(access->root);
    kg_bank_count plain = kg_bank_of_access(access, &layout);
    kg_bank_count count = kg_bank_of_matrices(access, &matrices, &layout);
    if (count.wavefronts + count.issues <= plain.wavefronts + plain.issues)
        kg_op_set_int(c->kernel, op, KG_A_MATRIX, matrices.count);
}

static bool set_widths(kg_op *op, void *user)
{
    if (op->code == KG_OP_STORE) set_matrix(user, op);
    if (op->code == KG_OP_LOAD || op->code == KG_OP_STORE) set_width(user, op);
    if (op->code == KG_OP_COPY || op->code == KG_OP_COPY_ASYNC) confirm_copy(user, op);
    return true;
}

void kg_lower_shared(kg_pass_context *context, kg_kernel *kernel)
{
    collector c = {.arena = context->arena, .kernel = kernel};
    c.matrices = context->machine && context->machine->sm >= 90;
    c.end = &c.first;
    kg_walk(kernel->body, collect, &c);
    for (buffer *b = c.first; b; b = b->next) {
        int64_t align = kg_op_int(b->value->op, KG_A_ALIGN, 16);
        int least = 16;
        b->value->note = NULL;
        if (b->by_engine)
            set_engine_layout(&c, b, &least);
        else if (b->value->type.rank > 1)
            choose(&c, b);
        else if (b->value->type.rank == 1)
            kg_op_set_int(kernel, b->value->op, KG_A_PITCH, b->value->type.dims[0]);
        kg_op_set_int(kernel, b->value->op, KG_A_ALIGN, align > least ? align : least);
    }
    kg_walk(kernel->body, set_widths, &c);
}
