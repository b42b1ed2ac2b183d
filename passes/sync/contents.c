// SPDX-License-Identifier: MIT
// Bytes of shared memory: read but never written, or written by several threads at once.
//
// A read is wrong when no write that can come before it covers one of its bytes. A write of the
// same buffer comes before it when it stands earlier in the program (other arms of one branch
// excepted), or when both stand in a loop and the read may be skipped on the first trip, so that a
// later trip is its first. Unknown slots and places count as written everywhere: what is reported
// is certain.
#include "passes/sync/checks.h"

#include <string.h>

static const char *name_of(const kg_sync_program *p, const kg_value *value)
{
    return value->name ? value->name : kg_arena_printf(p->arena, "%%%d", value->id);
}

// The read may be skipped on the loop's first trip.
static bool may_skip(const kg_sync_program *p, int node, int loop)
{
    for (int block = kg_sync_node_at(p, node)->block; block != loop;
         block = kg_sync_parent(p, block))
        if (kg_sync_block_at(p, block)->kind != KG_SB_WARPS) return true;
    return kg_sync_block_at(p, loop)->kind == KG_SB_WHILE &&
           kg_sync_node_at(p, kg_sync_lift(p, node, loop))->position >=
               kg_sync_block_at(p, loop)->condition_nodes;
}

static bool may_precede(const kg_sync_program *p, const kg_sync_access *w, const kg_sync_access *r)
{
    int common = kg_sync_common(p, w->node, r->node);
    bool exclusive =
        w->node != r->node && kg_sync_lift(p, w->node, common) == kg_sync_lift(p, r->node, common);
    if (w->node < r->node && !exclusive) return true;
    for (int block = common; block >= 0; block = kg_sync_parent(p, block))
        if (kg_sync_is_loop(kg_sync_block_at(p, block)) && may_skip(p, r->node, block)) return true;
    return false;
}

// Constant slot of an access, -1 when it moves.
static int64_t fixed_slot(const kg_sync_access *a)
{
    if (a->ring == 1) return 0;
    return a->slot.known && a->slot.n == 0 ? ((a->slot.constant % a->ring) + a->ring) % a->ring
                                           : -1;
}

static void mark(const kg_footprint *f, bool *written)
{
    for (int64_t i = 0; i < (f->bytes >> f->granule_log2); i++)
        if (!f->exact || f->owner[i] != KG_NOBODY)
            memset(written + (i << f->granule_log2), 1, (size_t)1 << f->granule_log2);
}

static bool same_slot(const kg_sync_access *w, const kg_sync_access *r)
{
    int64_t x = fixed_slot(w), y = fixed_slot(r);
    return x < 0 || y < 0 || x == y;
}

// First byte of the slot that the read touches and nothing wrote; -1 when there is none.
static int64_t unwritten(const kg_sync_access *r, const bool *written)
{
    const kg_footprint *f = r->bytes;
    if (!f->exact || r->masked) return 0; // nothing was
    for (int64_t g = f->first; g <= f->last; g++)
        for (int64_t i = g << f->granule_log2;
             f->owner[g] != KG_NOBODY && i < (g + 1) << f->granule_log2; i++)
            if (!written[i]) return i;
    return -1;
}

static void report_unwritten(const kg_sync_program *p, const kg_sync_access *r, int64_t byte,
                             bool nothing, kg_diags *diags)
{
    const kg_value *root = r->at.root;
    kg_diag *d;
    if (nothing)
        d = kg_error(diags, KG_D_M403, r->at.op->loc,
                     "'%s' is read before anything is written to it", name_of(p, root));
    else
        d = kg_error(diags, KG_D_M403, r->at.op->loc,
                     "byte %lld of '%s' is read, but nothing before this writes it",
                     (long long)byte, name_of(p, root));
    kg_diag_note(diags, d, root->loc, "declared here, %lld bytes a slot", (long long)r->slot_bytes);
}

static bool comes_before(const kg_sync_program *p, const kg_sync_access *w, const kg_sync_access *r)
{
    return !w->global && w->writes && w->at.root == r->at.root && same_slot(w, r) &&
           may_precede(p, w, r);
}

// The write has all that the read has, where granules of the read lie within those of the write;
// or has some of it at least, where no more is known of the read.
static bool covers(const kg_footprint *w, const kg_sync_access *read)
{
    const kg_footprint *r = read->bytes;
    if (!w->exact) return w->bytes > 0;
    if (!r->exact || read->masked) return w->first <= w->last;
    int coarser = w->granule_log2 - r->granule_log2;
    bool all = coarser >= 0;
    for (int64_t g = r->first; g <= r->last && all; g++)
        all = r->owner[g] == KG_NOBODY || w->owner[g >> coarser] != KG_NOBODY;
    return all;
}

static void check_read(const kg_sync_program *p, const kg_sync_access *r, kg_diags *diags)
{
    bool nothing = true;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *w = &p->accesses.items[i];
        if (!comes_before(p, w, r)) continue;
        if (covers(w->bytes, r)) return;
        nothing = false;
    }
    bool *written = KG_NEW_ARRAY(p->arena, bool, r->slot_bytes + 16);
    for (int i = 0; i < p->accesses.count && !nothing; i++) {
        const kg_sync_access *w = &p->accesses.items[i];
        if (comes_before(p, w, r)) mark(w->bytes, written);
    }
    int64_t byte = unwritten(r, written);
    if (byte >= 0) report_unwritten(p, r, byte, nothing, diags);
}

static bool reported(const kg_sync_program *p, int i)
{
    for (int k = 0; k < i; k++)
        if (p->accesses.items[k].bytes == p->accesses.items[i].bytes &&
            p->accesses.items[k].node == p->accesses.items[i].node)
            return true;
    return false;
}

// ---- several writers ----------------------------------------------------------------------------
static bool stretched(const kg_sync_access *a, int *axis)
{
    const kg_tensor *tensor = a->at.root->tensor;
    kg_view_info view;
    if (!tensor || tensor->row_major) return false;
    kg_view_resolve(a->at.operand, &view);
    for (int d = 0; d < view.rank; d++) {
        const kg_sexpr *stride = tensor->strides[view.dim[d]];
        *axis = view.dim[d];
        if (stride && stride->kind == KG_SX_INT && stride->value == 0 &&
            a->at.operand->type.dims[d] > 1)
            return true;
    }
    return false;
}

static void check_write(const kg_sync_program *p, const kg_sync_access *a, kg_diags *diags)
{
    int axis;
    if (a->atomic || a->elected || !a->at.root) return;
    if (a->global && stretched(a, &axis)) {
        kg_error(diags, KG_D_S504, a->at.op->loc,
                 "elements along axis %d of '%s' are one address (stride 0): threads write it with "
                 "different values",
                 axis, name_of(p, a->at.root));
        return;
    }
    if (a->global || !a->bytes->exact) return;
    for (int64_t i = a->bytes->first; i <= a->bytes->last; i++)
        if (a->bytes->owner[i] >= KG_ONE_WARP) {
            kg_error(diags, KG_D_S504, a->at.op->loc, "several threads write byte %lld of '%s'",
                     (long long)(i << a->bytes->granule_log2), name_of(p, a->at.root));
            return;
        }
}

void kg_sync_check_contents(const kg_sync_program *p, kg_diags *diags)
{
    int errors = diags->errors;
    for (int i = 0; i < p->accesses.count; i++) {
        const kg_sync_access *a = &p->accesses.items[i];
        if (a->writes) check_write(p, a, diags);
        if (!a->global && a->at.effect->mode != KG_MODE_W && !reported(p, i))
            check_read(p, a, diags);
    }
    if (diags->errors == errors) kg_sync_check_played(p, diags);
}
