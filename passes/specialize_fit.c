// SPDX-License-Identifier: MIT
// Whether the copy engine can fill the buffers of a kernel's pipelined loops and the tensor cores
// can read them from there. Nothing is changed here; the first thing that does not fit is noted.
#include "passes/specialize_internal.h"

#include <stdarg.h>

enum {
    SHORTEST_ROW = 32, // bytes, that the copy engine and wgmma know how to swizzle
    MOST_SLOTS = 64
};

void kg_misfit_at(kg_specializer *s, const kg_op *op, const char *help, const char *format, ...)
{
    if (s->misfit.reason) return;
    va_list args;
    va_start(args, format);
    s->misfit = (kg_misfit){kg_arena_vprintf(s->context->arena, format, args),
                            op ? op->loc : s->schedule.loc, help};
    va_end(args);
}

static const char *name_of(const kg_value *value)
{
    return value->name ? value->name : "(unnamed)";
}

// ---- the copy engine ---------------------------------------------------------------------------
static bool is_one(const kg_sexpr *e)
{
    return e->kind == KG_SX_INT && e->value == 1;
}

// Which dimension of a view is contiguous in memory, -1: none is known to be.
static int contiguous_dimension(const kg_view_info *info)
{
    for (int d = info->rank - 1; d >= 0; d--)
        if (is_one(info->root->tensor->strides[info->dim[d]])) return d;
    return -1;
}

// Strides of the other dimensions are whole chunks of 16 bytes.
static const char *stride_misfit(kg_specializer *s, const kg_value *root, int contiguous,
                                 const char **help)
{
    int bytes = kg_dtype_bytes(root->type.dtype);
    for (int d = 0; d < root->type.rank; d++) {
        if (d == contiguous) continue;
        int64_t divisor = kg_sexpr_divisor(s->kernel, root->tensor->strides[d]);
        if (divisor * bytes % 16 == 0) continue;
        *help =
            kg_arena_printf(s->context->arena,
                            "say what holds in an `assume`: the stride divides by %d", 16 / bytes);
        return kg_arena_printf(s->context->arena,
                               "the stride of dimension %d of '%s' is not known to be a multiple "
                               "of 16 bytes",
                               d, name_of(root));
    }
    if (root->tensor->align >= 16) return NULL;
    return kg_arena_printf(s->context->arena, "'%s' is not known to be aligned to 16 bytes",
                           name_of(root));
}

const char *kg_bulk_misfit(kg_specializer *s, kg_value *view, int *contiguous, const char **help)
{
    kg_arena *arena = s->context->arena;
    kg_view_info info;
    kg_view_resolve(view, &info);
    const char *name = name_of(info.root);
    *help = NULL;
    for (int d = 0; d < info.rank; d++)
        if (info.gather[d])
            return kg_arena_printf(arena, "rows of '%s' are gathered one by one", name);
    *contiguous = contiguous_dimension(&info);
    if (*contiguous < 0) return kg_arena_printf(arena, "no dimension of '%s' has stride 1", name);
    int64_t row = (int64_t)view->type.dims[*contiguous] * kg_dtype_bytes(view->type.dtype);
    if (row % SHORTEST_ROW) {
        *help = "rows of tiles are multiples of 32 bytes, best of 128";
        return kg_arena_printf(arena, "the tile of '%s' has rows of %lld bytes", name,
                               (long long)row);
    }
    return stride_misfit(s, info.root, info.dim[*contiguous], help);
}

// ---- the tensor cores --------------------------------------------------------------------------
static bool half_type(kg_dtype dtype)
{
    return dtype == KG_F16 || dtype == KG_BF16;
}

static bool divides(const kg_specializer *s, int m, int n)
{
    kg_layout ignored;
    for (int columns = 1; s->consumers / columns >= 4; columns *= 2)
        if (kg_layout_dot_acc(KG_DOT_WGMMA, m, n, s->consumers / columns, columns, &ignored))
            return true;
    return false;
}

static void check_product(kg_specializer *s, const kg_op *dot)
{
    const kg_value *a = dot->operands[0], *b = dot->operands[1];
    int m = a->type.dims[0], k = a->type.dims[1], n = b->type.dims[1];
    if (a->type.dtype != b->type.dtype || !half_type(a->type.dtype) ||
        dot->results[0]->type.dtype != KG_F32)
        kg_misfit_at(s, dot, NULL, "wgmma takes f16 or bf16 operands and adds in f32");
    else if (k % 16 || n % 8 || m % 64)
        kg_misfit_at(s, dot, NULL,
                     "wgmma makes tiles of 64 rows, 8 columns and 16 in K, this product is "
                     "%d x %d x %d",
                     m, n, k);
    else if (!divides(s, m, n))
        kg_misfit_at(s, dot,
                     "one, two, three or four warpgroups, each with 64 rows and up to 256 columns",
                     "a %d x %d tile does not divide over %d warps", m, n, s->consumers);
    else if (b->type.home != KG_HOME_SHARED || a->type.home == KG_HOME_GLOBAL)
        kg_misfit_at(s, dot, "fill a buffer in the loop's body",
                     "wgmma reads its second operand from shared memory");
}

// A buffer in the loop is read by products, whole, perhaps transposed.
static void check_readers(kg_specializer *s, const kg_candidate *ring, const kg_value *value)
{
    for (const kg_use *use = s->uses[value->id]; use; use = use->next) {
        kg_op *op = use->op;
        if (op == ring->copies.items[0]) continue;
        if (op->code == KG_OP_TRANSPOSE)
            check_readers(s, ring, op->results[0]);
        else if (op->code == KG_OP_DOT && use->operand < 2)
            check_product(s, op);
        else
            kg_misfit_at(s, op, NULL, "'%s' is read here by %s, not only by products",
                         name_of(ring->buffer), kg_op_info_of(op->code)->name);
    }
}

static void check_ring(kg_specializer *s, const kg_candidate *ring)
{
    kg_op *copy = ring->copies.items[0];
    const char *help;
    int contiguous;
    if (ring->copies.count != 1 || copy->operands[0] != ring->buffer) {
        kg_misfit_at(s, copy, NULL, "'%s' is filled in parts", name_of(ring->buffer));
        return;
    }
    const char *reason = kg_bulk_misfit(s, copy->operands[1], &contiguous, &help);
    if (reason)
        kg_misfit_at(s, copy, help, "the copy engine cannot fill '%s': %s", name_of(ring->buffer),
                     reason);
    if (kg_block_writes(s->kernel->body, kg_root(copy->operands[1])))
        kg_misfit_at(s, copy, NULL, "the kernel writes the tensor that '%s' is filled from",
                     name_of(ring->buffer));
    check_readers(s, ring, ring->buffer);
}

// ---- loops -------------------------------------------------------------------------------------
static bool counts_itself(const kg_specializer *s, const kg_op *loop)
{
    int64_t lo, step;
    return loop->parent == s->kernel->body && !s->schedule.persistent &&
           loop->blocks[0]->arg->type.dtype == KG_I32 && kg_const_int(loop->operands[0], &lo) &&
           lo == 0 && kg_const_int(loop->operands[2], &step) && step == 1;
}

static void check_loop(kg_specializer *s, kg_op *loop)
{
    kg_diags quiet = {.arena = s->context->arena};
    kg_staged_loop staged = {.arena = s->context->arena, .kernel = s->kernel, .loop = loop};
    staged.uses = s->uses;
    staged.n_values = s->n_values;
    staged.n_ops = s->n_ops;
    staged.sliced = KG_NEW_ARRAY(s->context->arena, bool, s->n_ops + 1);
    kg_find_candidates(&quiet, &staged, true);
    for (int i = 0; i < staged.refused.count; i++)
        kg_misfit_at(s, staged.refused.items[i].bad, NULL, "'%s' cannot be filled ahead: %s",
                     name_of(staged.refused.items[i].buffer), staged.refused.items[i].reason);
    if (!staged.found.count)
        kg_misfit_at(s, loop, NULL, "no buffer of this loop can be filled ahead");
    for (int i = 0; i < staged.found.count; i++) check_ring(s, &staged.found.items[i]);
    int64_t slots = kg_op_int(loop, KG_A_PIPELINE, 0);
    if (slots < 2 || slots > MOST_SLOTS)
        kg_misfit_at(s, loop, "`pipeline 2` to `pipeline 8` hide the latency of memory",
                     "a ring between roles has 2 to %d slots, not %lld", MOST_SLOTS,
                     (long long)slots);
    KG_PUSH(s->context->arena, &s->loops,
            ((kg_ring_loop){loop, slots, staged.found.items, staged.found.count,
                            !counts_itself(s, loop)}));
}

static bool find_loop(kg_op *op, void *user)
{
    kg_specializer *s = user;
    if (op->code == KG_OP_WARPS || kg_op_info_of(op->code)->cls == KG_CLASS_Y ||
        op->code == KG_OP_COPY_ASYNC || op->code == KG_OP_COPY_BULK) {
        kg_misfit_at(s, op, "leave roles and synchronization to the passes, or the schedule out",
                     "the kernel says by itself who does what ('%s')",
                     kg_op_info_of(op->code)->name);
        return false;
    }
    if (op->code == KG_OP_FOR && kg_op_attr(op, KG_A_PIPELINE)) check_loop(s, op);
    return true;
}

// ---- tiles that no loop fetches ----------------------------------------------------------------
// Every reader is a product that runs on wgmma: one whose other operand is a ring.
static bool only_products(const kg_specializer *s, const kg_value *value, const kg_op *copy)
{
    int readers = 0;
    for (const kg_use *use = s->uses[value->id]; use; use = use->next) {
        const kg_op *op = use->op;
        if (op == copy) continue;
        readers++;
        if (op->code == KG_OP_TRANSPOSE ? !only_products(s, op->results[0], copy)
                                        : op->code != KG_OP_DOT || op->note != s)
            return false;
    }
    return readers > 0;
}

// A note marks the products that rings feed.
static void note_products(kg_specializer *s, const kg_value *value)
{
    for (const kg_use *use = s->uses[value->id]; use; use = use->next) {
        if (use->op->code == KG_OP_TRANSPOSE) note_products(s, use->op->results[0]);
        if (use->op->code == KG_OP_DOT) use->op->note = s;
    }
}

static bool repeats(const kg_specializer *s, const kg_op *op)
{
    return s->schedule.persistent > 0 || kg_loops_around(op) > 0;
}

static void note_lone(kg_specializer *s, kg_op *copy, kg_value *buffer)
{
    kg_op **one = KG_NEW(s->context->arena, kg_op *);
    *one = copy;
    KG_PUSH(s->context->arena, &s->lone,
            ((kg_lone_copy){.copies = one,
                            .n_copies = 1,
                            .buffer = buffer,
                            .repeats = repeats(s, copy),
                            .slots = 1}));
}

static bool find_lone(kg_op *op, void *user)
{
    kg_specializer *s = user;
    const char *help;
    int contiguous;
    if (op->code != KG_OP_COPY || op->operands[0]->op->code != KG_OP_SHARED) return true;
    kg_value *buffer = op->operands[0], *source = op->operands[1];
    const kg_op *owner = op->parent->owner;
    bool fetched = owner && kg_op_attr(owner, KG_A_PIPELINE);
    if (!fetched && buffer->op->parent == op->parent && buffer->type.rank == 2 &&
        source->type.home == KG_HOME_GLOBAL && !kg_bulk_misfit(s, source, &contiguous, &help) &&
        !kg_block_writes(s->kernel->body, kg_root(source)) && only_products(s, buffer, op))
        note_lone(s, op, buffer);
    return true;
}

static void find_lone_copies(kg_specializer *s)
{
    for (int l = 0; l < s->loops.count; l++)
        for (int i = 0; i < s->loops.items[l].n_rings; i++)
            note_products(s, s->loops.items[l].rings[i].buffer);
    kg_walk(s->kernel->body, find_lone, s);
}

static bool forget(kg_op *op, void *user)
{
    op->note = NULL;
    return true;
}

bool kg_specialize_fits(kg_specializer *s)
{
    s->uses = kg_uses_collect(s->context->arena, s->kernel, &s->n_values);
    kg_kernel_number(s->kernel, &s->n_ops);
    kg_walk(s->kernel->body, find_loop, s);
    if (!s->loops.count)
        kg_misfit_at(s, NULL, "mark the loop that fetches tiles with `pipeline N`",
                     "no loop is marked `pipeline`");
    kg_walk(s->kernel->body, forget, NULL);
    if (!s->misfit.reason) find_lone_copies(s);
    return !s->misfit.reason;
}
