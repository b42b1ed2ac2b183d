// SPDX-License-Identifier: MIT
// Reads of shared memory that nothing wrote before, found by stepping through the program.
//
// contents.c looks at the text: a read is wrong when no write that may come before it covers its
// bytes. That misses what only the trips tell: a ring whose first slots no prologue fills, a loop
// that writes all rows but the last. Here the program runs for small numbers with a mark an
// element; every element belongs to a byte range of its own, so this is exact to the byte.
// Uncertain writes count as done, uncertain reads and places that are not known are not looked at:
// what is reported happens for the number that is told.
#include "passes/sync/checks.h"
#include "passes/sync/phrase.h"
#include "passes/sync/steps.h"

#include <string.h>

enum { STEP_LIMIT = 3000, ELEMENT_LIMIT = 400000 };

// One shared buffer: a mark an element of each slot.
typedef struct buffer {
    const kg_value *root;
    int64_t elements; // of a slot
    bool *written, *full;
} buffer;

typedef struct watch {
    const kg_sync_program *p;
    kg_diags *diags;
    buffer *buffers;
    int n_buffers, number;
    int64_t work;
    bool found;
} watch;

// The elements of a slot that a view means now: `count` of them along each dimension of the root.
typedef struct box {
    int rank;
    int64_t start[KG_MAX_RANK], count[KG_MAX_RANK];
} box;

static buffer *buffer_of(watch *x, const kg_value *root)
{
    for (int i = 0; i < x->n_buffers; i++)
        if (x->buffers[i].root == root) return &x->buffers[i];
    return NULL;
}

static bool number_of(const kg_steps *steps, kg_value *value, int64_t *out)
{
    *out = 0;
    return !value || kg_scalars_eval(&steps->s, value, out);
}

// false: not known.
static bool box_of(const kg_steps *steps, const kg_sync_access *a, box *out)
{
    kg_view_info view;
    kg_view_resolve(a->at.operand, &view);
    out->rank = a->at.root->type.rank;
    for (int d = 0; d < out->rank; d++) {
        out->count[d] = 1;
        if (!number_of(steps, view.fixed[d], &out->start[d])) return false;
    }
    for (int d = 0; d < view.rank; d++) {
        int dim = view.dim[d];
        if (view.gather[d] || !number_of(steps, view.start[d], &out->start[dim])) return false;
        out->count[dim] = a->at.operand->type.dims[d];
    }
    for (int d = 0; d < out->rank; d++)
        if (out->start[d] < 0 || out->start[d] + out->count[d] > a->at.root->type.dims[d])
            return false;
    return true;
}

// Elements of a box that follow each other in memory: of its last dimension.
static int64_t row_of(const box *b)
{
    return b->rank ? b->count[b->rank - 1] : 1;
}

// Goes on to the next row; *at is the number of its first element in the slot. false behind the
// last one.
static bool next_row(const kg_type *type, const box *b, int64_t index[KG_MAX_RANK], int64_t *at)
{
    int d = b->rank - 2;
    while (d >= 0 && ++index[d] == b->count[d]) index[d--] = 0;
    *at = 0;
    for (int k = 0; k < b->rank; k++) *at = *at * type->dims[k] + b->start[k] + index[k];
    return d >= 0;
}

static bool whole(const kg_type *type, const box *b)
{
    for (int d = 0; d < b->rank; d++)
        if (b->count[d] != type->dims[d]) return false;
    return true;
}

static void first_row(const kg_type *type, const box *b, int64_t index[KG_MAX_RANK], int64_t *at)
{
    *at = 0;
    for (int d = 0; d < b->rank; d++) {
        index[d] = 0;
        *at = *at * type->dims[d] + b->start[d];
    }
}

static void mark(watch *x, const kg_steps *steps, const kg_sync_access *a)
{
    buffer *b = buffer_of(x, a->at.root);
    const kg_type *type = &a->at.root->type;
    int64_t slot, index[KG_MAX_RANK], at;
    box view;
    bool slot_known = kg_steps_slot(steps, a, &slot), known = box_of(steps, a, &view);
    for (int i = 0; i < a->ring; i++) {
        if (slot_known && i != slot) continue;
        b->full[i] |= !known || whole(type, &view);
        if (b->full[i]) continue;
        first_row(type, &view, index, &at);
        do {
            memset(&b->written[i * b->elements + at], true, (size_t)row_of(&view));
            x->work += row_of(&view);
        } while (next_row(type, &view, index, &at));
    }
}

static void report(watch *x, const kg_sync_access *a, int64_t slot, int64_t element)
{
    const kg_value *root = a->at.root;
    const kg_shared_layout layout = kg_shared_layout_of(root);
    int64_t columns = root->type.rank ? root->type.dims[root->type.rank - 1] : 1;
    int64_t row = element / columns, column = element % columns;
    int bytes = kg_dtype_bytes(root->type.dtype);
    int64_t byte = kg_shared_byte(&layout, row, column * bytes, bytes);
    const char *of =
        a->ring > 1 ? kg_arena_printf(x->p->arena, "slot %lld of ", (long long)slot) : "";
    kg_diag *d = kg_error(x->diags, KG_D_M403, a->at.op->loc,
                          "byte %lld of %s%s is read, but nothing before this writes it",
                          (long long)byte, of, kg_say_root(x->p, a));
    kg_diag_note(x->diags, d, root->loc, "declared here, %lld bytes a slot",
                 (long long)a->slot_bytes);
    if (x->p->kernel->n_params)
        kg_diag_help(x->diags, d, "write it first; this happens when the kernel's sizes are %d",
                     x->number);
    x->found = true;
}

static void look(watch *x, const kg_steps *steps, const kg_sync_access *a)
{
    const buffer *b = buffer_of(x, a->at.root);
    const kg_type *type = &a->at.root->type;
    int64_t slot, index[KG_MAX_RANK], at;
    box view;
    if (a->masked || !kg_steps_slot(steps, a, &slot) || b->full[slot] || !box_of(steps, a, &view))
        return;
    first_row(type, &view, index, &at);
    do {
        const bool *row = &b->written[slot * b->elements + at];
        const bool *open = memchr(row, false, (size_t)row_of(&view));
        x->work += row_of(&view);
        if (open) {
            report(x, a, slot, at + (open - row));
            return;
        }
    } while (next_row(type, &view, index, &at));
}

static void step(kg_steps *steps, int node)
{
    watch *x = steps->user;
    const kg_sync_node *n = kg_sync_node_at(x->p, node);
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &x->p->accesses.items[i];
        if (!a->global && a->at.effect->mode != KG_MODE_W && !steps->uncertain) look(x, steps, a);
    }
    for (int i = n->first_access; i < n->first_access + n->n_accesses; i++) {
        const kg_sync_access *a = &x->p->accesses.items[i];
        if (!a->global && a->writes) mark(x, steps, a);
    }
    steps->failed |= x->found || x->work > ELEMENT_LIMIT;
}

// ---- preparation --------------------------------------------------------------------------------
static bool in_arm(const kg_sync_program *p, int node)
{
    for (int b = kg_sync_node_at(p, node)->block; b >= 0; b = kg_sync_parent(p, b))
        if (kg_sync_block_at(p, b)->kind == KG_SB_ARM) return true;
    return false;
}

// A read that contents.c cannot decide: of a ring at a moving slot, or of a buffer that some write
// fills in parts or in one arm of a branch. Returns how many slots the deepest of them has, 0 when
// there is none.
static int worth_a_look(const kg_sync_program *p)
{
    int ring = 0;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->global) continue;
        bool parts = a->writes && (!a->at.exact || in_arm(p, a->node));
        if ((a->ring > 1 || parts) && a->ring > ring) ring = a->ring;
    }
    return ring;
}

static void find_buffers(watch *x)
{
    const kg_sync_program *p = x->p;
    x->buffers = KG_NEW_ARRAY(p->arena, buffer, p->accesses.count + 1);
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->global || buffer_of(x, a->at.root)) continue;
        buffer b = {.root = a->at.root, .elements = kg_type_elements(&a->at.root->type)};
        b.written = KG_NEW_ARRAY(p->arena, bool, b.elements * a->ring);
        b.full = KG_NEW_ARRAY(p->arena, bool, a->ring);
        x->buffers[x->n_buffers++] = b;
    }
}

static void forget_all(watch *x)
{
    for (int i = 0; i < x->n_buffers; i++) {
        int64_t ring = kg_op_int(x->buffers[i].root->op, KG_A_RING, 1);
        memset(x->buffers[i].written, 0, (size_t)(x->buffers[i].elements * ring));
        memset(x->buffers[i].full, 0, (size_t)ring);
    }
}

void kg_sync_check_played(const kg_sync_program *p, kg_diags *diags)
{
    int ring = worth_a_look(p);
    if (!ring || p->has_roles) return; // roles run side by side: nothing comes "before"
    watch x = {.p = p, .diags = diags};
    kg_steps steps = {.p = p,
                      .first_warp = 0,
                      .last_warp = p->kernel->warps,
                      .visit = step,
                      .user = &x,
                      .limit = STEP_LIMIT};
    find_buffers(&x);
    kg_steps_begin(&steps);
    for (int number = 1; number <= 2 * ring + 2 && !x.found && x.work < ELEMENT_LIMIT; number++) {
        if (!kg_steps_assumed(p, number)) continue;
        forget_all(&x);
        x.number = number;
        kg_steps_run(&steps, number);
    }
}
