// SPDX-License-Identifier: MIT
// How two accesses meet: at which iteration distances, and how far apart the threads are.
//
// Shared accesses with constant places are compared byte by byte (footprints); the ring slot
// decides the distances. Everything else is compared by its view: dimensions that never overlap
// separate them, equal views under equal thread maps give the same thread, the rest may meet
// between any two threads.
#include "passes/sync/obligation.h"
#include "passes/sync/phases.h"

#include <string.h>

enum { DISTANCES = 64 };
static const uint64_t any_distance = ~UINT64_C(0);

static int64_t residue(int64_t x, int64_t modulus)
{
    x %= modulus;
    return x < 0 ? x + modulus : x;
}

static int64_t lowest(uint64_t distances)
{
    return distances ? __builtin_ctzll(distances) + 1 : 0;
}

// ---- rings --------------------------------------------------------------------------------------
// Distances at which the two slots of one ring are the same; without a carrier bit 0 says "yes".
static uint64_t slot_distances(const kg_sync_program *p, const kg_sync_access *a,
                               const kg_sync_access *b, const kg_op *carrier)
{
    if (a->ring <= 1) return any_distance;
    kg_difference d =
        kg_affine_difference(&p->assigns, &a->slot, a->at.op, &b->slot, b->at.op, carrier, a->ring);
    if (!d.exact) return any_distance;
    int64_t slot = residue(d.base, a->ring), slope = residue(d.slope, a->ring);
    if (!carrier) return slot == 0 ? any_distance : 0;
    uint64_t set = 0;
    int period = a->ring < DISTANCES ? a->ring : DISTANCES;
    for (int i = 0; i < period; i++) {
        slot += slope;
        if (slot >= a->ring) slot -= a->ring;
        set |= (uint64_t)(slot == 0) << i;
    }
    for (; period < DISTANCES; period *= 2) set |= set << period;
    return set;
}

// ---- views --------------------------------------------------------------------------------------
typedef struct axis_difference {
    bool exact;
    bool tiled; // where they overlap at all, they are the same
    int64_t base, slope, a_extent, b_extent;
} axis_difference;

// Start and extent of a view along a dimension of its root.
static void axis_of(const kg_view_info *view, const kg_type *type, int root_dim, kg_value **start,
                    int64_t *extent, bool *gathered)
{
    *start = view->fixed[root_dim];
    *extent = 1;
    *gathered = false;
    for (int d = 0; d < view->rank; d++) {
        if (view->dim[d] != root_dim) continue;
        *start = view->start[d];
        *extent = type->dims[d];
        *gathered = view->gather[d] != NULL;
    }
}

// Whatever the two starts are, they differ by a multiple of the extent: tiles of a row of tiles.
static bool multiples_apart(const kg_sync_program *p, const kg_sync_access *a, kg_value *sa,
                            const kg_sync_access *b, kg_value *sb, int64_t extent)
{
    if (extent == 1) return true;
    kg_affine fa = kg_affine_of(&p->assigns, sa, a->at.op, extent),
              fb = kg_affine_of(&p->assigns, sb, b->at.op, extent);
    if (!fa.known || !fb.known || residue(fa.constant - fb.constant, extent)) return false;
    for (int i = 0; i < fa.n; i++)
        if (fa.term[i].factor % extent) return false;
    for (int i = 0; i < fb.n; i++)
        if (fb.term[i].factor % extent) return false;
    return true;
}

static axis_difference compare_axis(const kg_sync_program *p, const kg_sync_access *a,
                                    const kg_view_info *va, const kg_sync_access *b,
                                    const kg_view_info *vb, const kg_op *carrier, int dim)
{
    kg_value *sa, *sb;
    bool ga, gb;
    axis_difference out = {0};
    axis_of(va, &a->at.operand->type, dim, &sa, &out.a_extent, &ga);
    axis_of(vb, &b->at.operand->type, dim, &sb, &out.b_extent, &gb);
    kg_affine fa = kg_affine_of(&p->assigns, sa, a->at.op, 0),
              fb = kg_affine_of(&p->assigns, sb, b->at.op, 0);
    kg_difference d = kg_affine_difference(&p->assigns, &fa, a->at.op, &fb, b->at.op, carrier, 0);
    out.exact = d.exact && !ga && !gb;
    out.base = d.base;
    out.slope = d.slope;
    out.tiled = !ga && !gb && out.a_extent == out.b_extent &&
                multiples_apart(p, a, sa, b, sb, out.a_extent);
    return out;
}

static bool overlaps(const axis_difference *x, int64_t distance)
{
    int64_t d = x->base + x->slope * distance;
    return !x->exact || (d < x->b_extent && d > -x->a_extent);
}

// Once apart and moving away, never together again.
static bool gone(const axis_difference *x, int64_t distance)
{
    int64_t d = x->base + x->slope * distance;
    return x->exact &&
           ((d >= x->b_extent && x->slope >= 0) || (d <= -x->a_extent && x->slope <= 0));
}

static bool same_sexpr(const kg_sexpr *a, const kg_sexpr *b)
{
    if (a == b) return true;
    if (!a || !b || a->kind != b->kind || a->value != b->value || a->param != b->param)
        return false;
    return same_sexpr(a->a, b->a) && same_sexpr(a->b, b->b);
}

static bool same_shape(const kg_value *a, const kg_value *b)
{
    if (a == b) return true;
    if (!a->tensor || !b->tensor || a->type.rank != b->type.rank || a->type.dtype != b->type.dtype)
        return false;
    for (int d = 0; d < a->type.rank; d++)
        if (!same_sexpr(a->tensor->dims[d], b->tensor->dims[d]) ||
            !same_sexpr(a->tensor->strides[d], b->tensor->strides[d]))
            return false;
    return true;
}

// A stride of 0 lets different coordinates be one element: coordinates then separate nothing.
static bool strides_separate(const kg_value *root)
{
    for (int d = 0; root->tensor && d < root->type.rank; d++) {
        const kg_sexpr *s = root->tensor->strides[d];
        if (!root->tensor->row_major && (!s || (s->kind == KG_SX_INT && s->value == 0)))
            return false;
    }
    return true;
}

// ---- threads of a view --------------------------------------------------------------------------
static bool same_region(const kg_sync_access *a, const kg_sync_access *b)
{
    return a->region.first_warp == b->region.first_warp && a->region.n_warps == b->region.n_warps;
}

// Both act by one and the same thread.
static bool first_threads(const kg_sync_access *a, const kg_sync_access *b)
{
    return a->elected && b->elected && a->region.first_warp == b->region.first_warp;
}

// The fragment whose layout spreads the access over the threads; NULL for copies and elected ops.
static const kg_value *moved(const kg_sync_access *a)
{
    const kg_op *op = a->at.op;
    if (a->at.effect->agent != KG_AGENT_THREAD) return NULL;
    const kg_value *v = op->n_results ? op->results[0] : op->operands[1];
    return v->type.home == KG_HOME_FRAG ? v : NULL;
}

static bool moves_nowhere(const kg_layout *layout, kg_layout_in in)
{
    for (int bit = 0; bit < layout->bits[in]; bit++) {
        bool zero = true;
        for (int d = 0; d < layout->rank; d++) zero &= layout->basis[in][bit][d] == 0;
        if (zero) return true;
    }
    return false;
}

// Which threads of two equal views touch the same element.
static kg_apart threads_of_same_view(const kg_sync_access *a, const kg_sync_access *b)
{
    if (!same_region(a, b)) return KG_APART_CTA;
    const kg_value *x = moved(a), *y = moved(b);
    if (x && y) {
        if (x->type.rank == 0 || y->type.rank == 0)
            return a->region.n_warps == 1 ? KG_APART_WARP : KG_APART_CTA;
        if (!x->layout || !y->layout || !kg_layout_equal(x->layout, y->layout))
            return a->region.n_warps == 1 ? KG_APART_WARP : KG_APART_CTA;
        if (kg_op_int(a->at.op, KG_A_MATRIX, 0) != kg_op_int(b->at.op, KG_A_MATRIX, 0))
            return moves_nowhere(x->layout, KG_IN_WARP) ? KG_APART_CTA : KG_APART_WARP;
        if (a->writes && b->writes) return KG_APART_THREAD; // owners both
        return moves_nowhere(x->layout, KG_IN_WARP)   ? KG_APART_CTA
               : moves_nowhere(x->layout, KG_IN_LANE) ? KG_APART_WARP
                                                      : KG_APART_THREAD;
    }
    const kg_op *p = a->at.op, *q = b->at.op;
    bool copies = !x && !y && !a->elected && !b->elected && a->at.effect->agent != KG_AGENT_WARP &&
                  b->at.effect->agent != KG_AGENT_WARP;
    int bytes = kg_dtype_bytes(a->at.operand->type.dtype);
    if (copies && kg_op_int(p, KG_A_VEC, kg_op_int(p, KG_A_ASYNC, bytes) / bytes) ==
                      kg_op_int(q, KG_A_VEC, kg_op_int(q, KG_A_ASYNC, bytes) / bytes))
        return KG_APART_THREAD;
    return a->region.n_warps == 1 ? KG_APART_WARP : KG_APART_CTA;
}

// The views name the elements of the root in the same order: dimension by dimension.
static bool same_dims(const kg_view_info *a, const kg_view_info *b)
{
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d]) return false;
    return true;
}

typedef struct view_pair {
    int axes;
    axis_difference axis[KG_MAX_RANK];
    bool comparable; // the same coordinates mean the same bytes
    bool aligned;    // and the views run through them in the same order
} view_pair;

static view_pair compare_views(const kg_sync_program *p, const kg_sync_access *a,
                               const kg_sync_access *b, const kg_op *carrier)
{
    view_pair pair = {0};
    kg_view_info va, vb;
    if (!same_shape(a->at.root, b->at.root) || !strides_separate(a->at.root)) return pair;
    kg_view_resolve(a->at.operand, &va);
    kg_view_resolve(b->at.operand, &vb);
    pair.comparable = true;
    pair.aligned = same_dims(&va, &vb);
    pair.axes = a->at.root->type.rank;
    for (int d = 0; d < pair.axes; d++) pair.axis[d] = compare_axis(p, a, &va, b, &vb, carrier, d);
    return pair;
}

static bool meet_at(const view_pair *pair, int64_t distance)
{
    for (int d = 0; d < pair->axes; d++)
        if (!overlaps(&pair->axis[d], distance)) return false;
    return true;
}

// If they meet at all.
static bool equal_at(const view_pair *pair, int64_t distance)
{
    for (int d = 0; d < pair->axes; d++) {
        const axis_difference *x = &pair->axis[d];
        if (x->tiled) continue;
        if (!x->exact || x->base + x->slope * distance || x->a_extent != x->b_extent) return false;
    }
    return pair->aligned;
}

static bool apart_forever(const view_pair *pair, int64_t distance)
{
    for (int d = 0; d < pair->axes; d++)
        if (gone(&pair->axis[d], distance)) return true;
    return false;
}

// ---- one tile a trip ----------------------------------------------------------------------------
// Numbers that follow from where a view lies: if t / n and t mod n are among them, so is t, where n
// follows from them too. A loop over numbered tiles takes another tile with each trip when they
// lead to its index.
enum { NUMBERS = 2 * KG_MAX_RANK + 8, DEEPEST = 12 };
typedef struct numbers {
    const kg_value *items[NUMBERS];
    int count;
} numbers;

static bool has_number(const numbers *known, const kg_value *value)
{
    for (int i = 0; i < known->count; i++)
        if (known->items[i] == value || kg_same_value(known->items[i], value)) return true;
    return false;
}

static void note_number(numbers *known, const kg_value *value)
{
    if (known->count < NUMBERS && !has_number(known, value)) known->items[known->count++] = value;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

typedef struct start {
    kg_affine form;
    int64_t extent;
    bool gathered;
} start;

static start start_of(const kg_sync_program *p, const kg_sync_access *a, int dim)
{
    kg_view_info view;
    kg_value *value;
    start s;
    kg_view_resolve(a->at.operand, &view);
    axis_of(&view, &a->at.operand->type, dim, &value, &s.extent, &s.gathered);
    s.form = kg_affine_of(&p->assigns, value, a->at.op, 0);
    s.gathered |= !value;
    return s;
}

static int64_t size_of(int64_t factor)
{
    return factor < 0 ? -factor : factor;
}

static void sort_by_factor(kg_affine *form)
{
    for (int i = 1; i < form->n; i++)
        for (int k = i; k > 0 && size_of(form->term[k].factor) < size_of(form->term[k - 1].factor);
             k--) {
            struct kg_affine_term term = form->term[k];
            form->term[k] = form->term[k - 1];
            form->term[k - 1] = term;
        }
}

static bool same_operand(const kg_op *x, const kg_op *y, int i)
{
    return x->operands[i] == y->operands[i] || kg_same_value(x->operands[i], y->operands[i]);
}

// It is the same in two trips of the loop in which the known numbers are.
static bool follows(const kg_value *value, const numbers *known, const kg_op *loop, int depth)
{
    int64_t number;
    if (kg_const_int(value, &number) || has_number(known, value)) return true;
    if (kg_is_mutable(value) || depth == DEEPEST) return false;
    if (!value->op || !kg_op_inside(value->op, loop)) return value->op != loop;
    if (value->kind != KG_VALUE_RESULT) return false;
    kg_op_class cls = kg_op_info_of(value->op->code)->cls;
    bool pure = cls == KG_CLASS_P || cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C;
    for (int i = 0; i < value->op->n_operands && pure; i++)
        pure = follows(value->op->operands[i], known, loop, depth + 1);
    return pure;
}

// Both begin at sums of the same numbers, each times a factor that leaves room for all that the
// smaller ones can come to, as 16 * i + j does where j is 0 to 15: the place says what they are.
// Numbers that stay what they are all through the loop only move it.
static void note_start(const start *x, const start *y, const kg_op *loop, numbers *known)
{
    kg_affine a = x->form, b = y->form;
    numbers none = {{NULL}, 0};
    if (x->gathered || y->gathered || !a.known || !b.known || a.n != b.n) return;
    int64_t low = lesser(a.constant, b.constant),
            room = greater(a.constant + x->extent, b.constant + y->extent) - low;
    int moving = 0;
    sort_by_factor(&a);
    sort_by_factor(&b);
    for (int i = 0; i < a.n; i++) {
        if (b.term[i].value != a.term[i].value || b.term[i].factor != a.term[i].factor) return;
        if (!follows(a.term[i].value, &none, loop, 0)) a.term[moving++] = a.term[i];
    }
    for (int i = 0; i < moving; i++) {
        const kg_value *value = a.term[i].value;
        int64_t factor = size_of(a.term[i].factor), most;
        kg_bounds of = kg_bounds_of(value);
        if (kg_is_mutable(value) || factor < room) return;
        if (i + 1 < moving && (of.least == INT64_MIN || of.most == INT64_MAX ||
                               __builtin_sub_overflow(of.most, of.least, &most) ||
                               __builtin_mul_overflow(most, factor, &most) ||
                               __builtin_add_overflow(room, most, &room)))
            return;
    }
    for (int i = 0; i < moving; i++) note_number(known, a.term[i].value);
}

// t of t / n and t mod n; NULL for two other numbers.
static const kg_value *put_together(const kg_value *x, const kg_value *y, const numbers *known,
                                    const kg_op *loop)
{
    bool digits = x->kind == KG_VALUE_RESULT && y->kind == KG_VALUE_RESULT &&
                  x->op->code == KG_OP_DIV && y->op->code == KG_OP_MOD &&
                  same_operand(x->op, y->op, 0) && same_operand(x->op, y->op, 1);
    return digits && follows(x->op->operands[1], known, loop, 0) ? x->op->operands[0] : NULL;
}

static void put_all_together(numbers *known, const kg_op *loop)
{
    for (int before = 0; before < known->count;) {
        before = known->count;
        for (int i = 0; i < before; i++)
            for (int k = 0; k < before; k++) {
                const kg_value *t = put_together(known->items[i], known->items[k], known, loop);
                if (t) note_number(known, t);
            }
    }
}

// The index of the loop times something, plus what stays as it is in all trips.
static bool counts_trips(const kg_sync_program *p, const kg_value *value, const kg_op *loop,
                         const kg_op *user)
{
    numbers none = {{NULL}, 0};
    if (value == loop->blocks[0]->arg) return true;
    if (!kg_is_scalar(value) || kg_is_mutable(value)) return false;
    kg_affine form = kg_affine_of(&p->assigns, (kg_value *)value, user, 0);
    bool index = false;
    for (int i = 0; form.known && i < form.n; i++) {
        bool own = form.term[i].value == loop->blocks[0]->arg && form.term[i].factor;
        if (!own && !follows(form.term[i].value, &none, loop, 0)) return false;
        index |= own;
    }
    return form.known && index;
}

static bool another_tile_each_trip(const kg_sync_program *p, const kg_sync_access *a,
                                   const kg_sync_access *b, const kg_op *carrier)
{
    numbers known = {{NULL}, 0};
    if (!carrier || carrier->code != KG_OP_FOR || !same_shape(a->at.root, b->at.root) ||
        !strides_separate(a->at.root))
        return false;
    for (int d = 0; d < a->at.root->type.rank; d++) {
        start x = start_of(p, a, d), y = start_of(p, b, d);
        note_start(&x, &y, carrier, &known);
    }
    put_all_together(&known, carrier);
    for (int i = 0; i < known.count; i++)
        if (counts_trips(p, known.items[i], carrier, a->at.op)) return true;
    return false;
}

static kg_relation relate_views(const kg_sync_program *p, const kg_sync_access *a,
                                const kg_sync_access *b, const kg_op *carrier, uint64_t slots)
{
    kg_relation r = {.byte = -1};
    view_pair pair = compare_views(p, a, b, carrier);
    bool all_equal = pair.comparable;
    int first = carrier ? 1 : 0, last = carrier ? DISTANCES : 0;
    if (!pair.comparable) {
        r.distances = slots;
    } else {
        for (int d = first; d <= last; d++) {
            uint64_t bit = UINT64_C(1) << (d ? d - 1 : 0);
            if (!(slots & bit) || !meet_at(&pair, d)) continue;
            r.distances |= bit;
            all_equal &= equal_at(&pair, d);
        }
        if (carrier && !apart_forever(&pair, DISTANCES) && slots && !r.distances) {
            r.distances = UINT64_C(1) << (DISTANCES - 1); // far away at least, perhaps
            all_equal = false;
        }
        // Beyond the window only views that stay equal or stay apart are understood.
        if (carrier && all_equal && r.distances && !apart_forever(&pair, DISTANCES) &&
            !equal_at(&pair, DISTANCES + 1))
            all_equal = false;
    }
    r.meets = r.distances != 0;
    r.distance = carrier ? lowest(r.distances) : 0;
    r.apart = first_threads(a, b)                           ? KG_APART_THREAD
              : all_equal                                   ? threads_of_same_view(a, b)
              : a->region.n_warps == 1 && same_region(a, b) ? KG_APART_WARP
                                                            : KG_APART_CTA;
    return r;
}

// ---- pairs --------------------------------------------------------------------------------------
bool kg_sync_may_alias(const kg_value *a, const kg_value *b)
{
    for (int i = 0; a->tensor && a->tensor->alias && i < 16; i++) a = a->tensor->alias;
    for (int i = 0; b->tensor && b->tensor->alias && i < 16; i++) b = b->tensor->alias;
    return a == b;
}

static kg_relation relate_all(const kg_sync_access *a, const kg_sync_access *b, bool carried)
{
    kg_relation r = {.meets = true, .distance = carried, .distances = any_distance, .byte = -1};
    r.apart = first_threads(a, b)                           ? KG_APART_THREAD
              : same_region(a, b) && a->region.n_warps == 1 ? KG_APART_WARP
                                                            : KG_APART_CTA;
    return r;
}

static kg_relation relate_by_thread(kg_apart apart, uint64_t distances, bool carried)
{
    return (kg_relation){.meets = true,
                         .apart = apart,
                         .distance = carried ? lowest(distances) : 0,
                         .distances = distances,
                         .byte = -1};
}

bool kg_sync_lie_apart(const kg_sync_access *a, const kg_sync_access *b)
{
    return a->offset + a->ring * a->slot_bytes <= b->offset ||
           b->offset + b->ring * b->slot_bytes <= a->offset;
}

// The worst that the bytes of any two slots tell, and where.
static kg_apart compare_bytes(const kg_sync_access *a, const kg_sync_access *b, int64_t *byte)
{
    bool one_root = a->at.root == b->at.root;
    kg_apart worst = KG_APART_NOT;
    // Another copy into the slot is a phase more of its mbarrier, for which all warps must have
    // seen the end of the one before: whoever asks for it meets them, whatever the product has
    // read.
    bool by_group = a->group == KG_GROUP_WGMMA && b->at.effect->proxy == KG_PROXY_GENERIC;
    for (int i = 0; i < (one_root ? 1 : a->ring); i++)
        for (int j = 0; j < (one_root ? 1 : b->ring); j++) {
            int64_t at = -1;
            kg_apart here = (by_group ? kg_footprint_conflict_by_group : kg_footprint_conflict)(
                a->bytes, a->offset + i * a->slot_bytes, b->bytes, b->offset + j * b->slot_bytes,
                &at);
            if (here <= worst) continue;
            worst = here;
            *byte = at;
        }
    return worst;
}

static kg_relation relate_bytes(const kg_sync_program *p, const kg_sync_access *a,
                                const kg_sync_access *b, uint64_t distances, bool carried)
{
    kg_relation r = {.byte = -1};
    kg_sync_compared *last = p->compared;
    if (a->at.root != b->at.root && kg_sync_lie_apart(a, b)) distances = 0;
    if (distances && (last->a != a || last->b != b)) {
        *last = (kg_sync_compared){a, b, KG_APART_NOT, -1};
        last->apart = compare_bytes(a, b, &last->byte);
    }
    if (distances) {
        r.apart = last->apart;
        r.byte = last->byte;
    }
    r.meets = r.apart != KG_APART_NOT && distances;
    r.distances = distances;
    r.distance = carried ? lowest(distances) : 0;
    return r;
}

// The distances that a loop has trips for.
static uint64_t possible_distances(const kg_op *carrier)
{
    int64_t lo, hi, step;
    if (!carrier || carrier->code != KG_OP_FOR || !kg_const_int(carrier->operands[0], &lo) ||
        !kg_const_int(carrier->operands[1], &hi) || !kg_const_int(carrier->operands[2], &step))
        return any_distance;
    uint64_t span = hi > lo ? (uint64_t)hi - (uint64_t)lo : 0;
    uint64_t trips = span / (uint64_t)step + (span % (uint64_t)step != 0);
    if (trips > DISTANCES) return any_distance;
    return trips ? (UINT64_C(1) << (trips - 1)) - 1 : 0;
}

static kg_relation relate(const kg_sync_program *p, const kg_sync_access *a,
                          const kg_sync_access *b, const kg_op *carrier)
{
    kg_relation never = {.byte = -1}, other_slots = {.byte = -1, .by_ring = true};
    if (a->registers) return relate_by_thread(KG_APART_THREAD, any_distance, carrier != NULL);
    if (b->released) {
        bool one_ring = a->at.root == b->released;
        uint64_t slots = one_ring ? slot_distances(p, a, b, carrier) : any_distance;
        if (!slots) return other_slots;
        return relate_by_thread(kg_sync_freed_by(a, b), slots, carrier != NULL);
    }
    if (!a->at.root || !b->at.root) return relate_all(a, b, carrier != NULL);
    if (a->global != b->global) return never;
    if (a->global) {
        if (!kg_sync_may_alias(a->at.root, b->at.root) || another_tile_each_trip(p, a, b, carrier))
            return never;
        return relate_views(p, a, b, carrier, any_distance);
    }
    if (a->at.root != b->at.root) return relate_bytes(p, a, b, any_distance, carrier != NULL);
    uint64_t slots = slot_distances(p, a, b, carrier);
    if (!slots) return other_slots;
    if (!a->at.exact || !b->at.exact) return relate_views(p, a, b, carrier, slots);
    return relate_bytes(p, a, b, slots, carrier != NULL);
}

kg_relation kg_sync_relate(const kg_sync_program *p, const kg_sync_access *a,
                           const kg_sync_access *b, const kg_op *carrier)
{
    kg_relation r = relate(p, a, b, carrier);
    r.distances &= possible_distances(carrier);
    r.meets = r.meets && r.distances;
    r.distance = carrier && r.meets ? lowest(r.distances) : 0;
    return r;
}
