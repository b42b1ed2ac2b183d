// SPDX-License-Identifier: MIT
// Pass place: a byte offset for every shared buffer.
//
// Needs: level laid_out (slot sizes, pitches and swizzles are final).
// Guarantees: buffers that are alive at the same time have bytes of their own; the arena fits the
// target. Never: shares bytes where that saves nothing that matters, because sharing costs
// synchronization.
//
// A buffer lives from its first access to its last one; a loop that it is declared outside of
// counts as a whole, since what one trip leaves the next may read. What a trip declares, it does
// not hand on. Roles side by side count as one, but for what one fills once and another uses from
// then on: that ends with its last access there. Asynchronous copies may still be in flight after
// the last access: the sync pass sees the shared bytes, and orders their completion before the new
// owner's first write.
//
//   shared sa: bf16[128, 32] ring 3        shared sa: bf16[128, 32] ring 3 {offset=0, ...}
//   ... loop over the ring ...             ...
//   shared tile: f32[64, 64]               shared tile: f32[64, 64] {offset=0, ...}
//
// How much to share is a question of cost (repair.h): nothing, or buffers of SHARE_WORTH bytes and
// more whose lifetimes meet outside of loops, or (to fit the target, or the wished CTAs) such ones
// anywhere, or whatever may. Bytes saved are held against the synchronization that their new owner
// has to wait for.
#include "passes/pass_list.h"
#include "passes/repair.h"
#include "passes/sync/lifetime.h"
#include "passes/sync/program.h"

enum { SHARE_WORTH = 1024, CTA_RESERVED = 1024, LARGEST_NOTED = 3, SHARERS_NAMED = 4 };

typedef enum sharing {
    SHARE_NOTHING,
    SHARE_LARGE,    // of at least SHARE_WORTH bytes, where no loop pays for it
    SHARE_IN_LOOPS, // of at least SHARE_WORTH bytes
    SHARE_ALL
} sharing;

typedef struct buffer {
    kg_value *value;
    int64_t slot_bytes, align;
    int ring;
    int first, last;   // nodes between which it lives
    const kg_op *role; // the region of warps that it is declared in; NULL: none
    const kg_op *end;  // the one that it is handed over to, and ends in
    int64_t offset;
} buffer;

typedef struct placer {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_sync_program *program;
    kg_footprints *known;
    bool exact; // prices count waits as the sync pass will
    struct {
        buffer *items;
        int count, capacity;
    } buffers;
} placer;

// ---- buffers ------------------------------------------------------------------------------------
static int64_t alignment(const kg_value *value, int64_t bytes)
{
    kg_shared_layout layout = kg_shared_layout_of(value);
    int64_t align = kg_op_int(value->op, KG_A_ALIGN, 16);
    if (bytes >= 128 && align < 128) align = 128;
    if (layout.bits) {
        int64_t period = (int64_t)layout.pitch * kg_dtype_bytes(value->type.dtype)
                         << (layout.bits + layout.shift);
        while (align < period && align < 1024) align *= 2;
    }
    return align < 16 ? 16 : align;
}

static const kg_op *role_of(const kg_op *op)
{
    while (op && op->code != KG_OP_WARPS) op = op->parent->owner;
    return op;
}

static bool add_buffer(kg_op *op, void *user)
{
    placer *l = user;
    if (op->code != KG_OP_SHARED) return true;
    buffer b = {.value = op->results[0]};
    b.slot_bytes = kg_shared_slot_bytes(b.value);
    b.ring = (int)kg_op_int(op, KG_A_RING, 1);
    b.align = alignment(b.value, b.slot_bytes * b.ring);
    b.role = role_of(op);
    b.end = kg_sync_handed_to(l->program, b.value);
    kg_sync_lifetime(l->program, b.value, &b.first, &b.last);
    KG_PUSH(l->context->arena, &l->buffers, b);
    return true;
}

// ---- offsets ------------------------------------------------------------------------------------
static int64_t bytes_of(const buffer *b, int max_ring)
{
    return b->first < 0 ? 0 : b->slot_bytes * (b->ring < max_ring ? b->ring : max_ring);
}

// Other roles may be anywhere in their regions.
static bool alive_together(const buffer *a, const buffer *b)
{
    if (a->first < 0 || b->first < 0) return false;
    const kg_op *x = a->end ? a->end : a->role, *y = b->end ? b->end : b->role;
    bool apart = a->end || b->end ? x == y : !x || !y || x == y;
    return !apart || (a->first <= b->last && b->first <= a->last);
}

// Sharing would put its synchronization into a loop.
static bool meet_in_loop(const placer *l, const buffer *a, const buffer *b)
{
    return kg_sync_block_at(l->program, kg_sync_common(l->program, a->first, b->first))->loops > 0;
}

// Bytes of an mbarrier stay one: threads may still ask for its phase.
static bool is_mbarrier(const buffer *b)
{
    return kg_op_attr(b->value->op, KG_A_ARRIVALS) != NULL;
}

static bool may_overlap(const placer *l, const buffer *a, const buffer *b, sharing mode)
{
    if (mode == SHARE_NOTHING || alive_together(a, b)) return false;
    if (is_mbarrier(a) || is_mbarrier(b)) return false;
    if (mode == SHARE_ALL) return true;
    return a->slot_bytes * a->ring >= SHARE_WORTH && b->slot_bytes * b->ring >= SHARE_WORTH &&
           (mode == SHARE_IN_LOOPS || !meet_in_loop(l, a, b));
}

static int64_t aligned(int64_t at, int64_t align)
{
    return (at + align - 1) / align * align;
}

// The lowest place that is free for as long as the buffer lives.
static int64_t find_place(const placer *l, buffer *const *order, int placed, const buffer *b,
                          sharing mode, int max_ring)
{
    int64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < placed; i++) {
            const buffer *o = order[i];
            if (may_overlap(l, o, b, mode) || at >= o->offset + bytes_of(o, max_ring) ||
                o->offset >= at + bytes_of(b, max_ring))
                continue;
            at = aligned(o->offset + bytes_of(o, max_ring), b->align);
            moved = true;
        }
    }
    return at;
}

// Largest first; returns the bytes of the arena. max_ring: rings deeper than that are cut, to try
// them out.
static int64_t place_all(placer *l, sharing mode, int max_ring)
{
    buffer **order = KG_NEW_ARRAY(l->context->arena, buffer *, l->buffers.count + 1);
    int64_t peak = 0;
    for (int i = 0; i < l->buffers.count; i++) {
        buffer *b = &l->buffers.items[i];
        int k = i;
        for (; k > 0 && bytes_of(order[k - 1], max_ring) < bytes_of(b, max_ring); k--)
            order[k] = order[k - 1];
        order[k] = b;
    }
    for (int i = 0; i < l->buffers.count; i++) {
        buffer *b = order[i];
        b->offset = bytes_of(b, max_ring) ? find_place(l, order, i, b, mode, max_ring) : 0;
        int64_t end = b->offset + bytes_of(b, max_ring);
        peak = end > peak ? end : peak;
    }
    return peak;
}

// ---- policy -------------------------------------------------------------------------------------
static int64_t limit_of(const placer *l)
{
    return l->context->machine ? l->context->machine->shared_limit : INT64_MAX;
}

// Bytes that leave room for the wished number of CTAs; an SM has one reserve a CTA beside what one
// may have.
static int64_t wish_of(const placer *l)
{
    int64_t limit = limit_of(l);
    if (l->kernel->min_ctas <= 1 || limit == INT64_MAX) return limit;
    return (limit + CTA_RESERVED) / l->kernel->min_ctas - CTA_RESERVED;
}

static void set_offsets(placer *l)
{
    for (int i = 0; i < l->buffers.count; i++)
        kg_op_set_int(l->kernel, l->buffers.items[i].value->op, KG_A_OFFSET,
                      l->buffers.items[i].offset);
}

static int64_t place_and_set(placer *l, sharing mode)
{
    int64_t bytes = place_all(l, mode, INT32_MAX);
    set_offsets(l);
    return bytes;
}

static kg_cost cost_of(placer *l, sharing mode)
{
    kg_cost cost = {.bytes = place_and_set(l, mode)};
    cost.sync = kg_sync_price_of(l->context->arena, l->kernel, l->known, l->exact);
    cost.total = cost.sync.cost + kg_memory_cost(l->context->machine, l->kernel, cost.bytes);
    return cost;
}

// The most that may be shared: in loops only where it must be.
static sharing most_sharing(placer *l, int64_t alone, int64_t large)
{
    if (l->context->no_share) return SHARE_NOTHING;
    int64_t wish = wish_of(l);
    if (alone <= wish || large <= wish) return SHARE_LARGE;
    int64_t all = place_all(l, SHARE_ALL, INT32_MAX);
    return all <= wish || large > limit_of(l) ? SHARE_ALL : SHARE_LARGE;
}

static const char *name_of(const placer *l, const kg_value *value)
{
    return value->name ? value->name : kg_arena_printf(l->context->arena, "%%%d", value->id);
}

static void note_largest(placer *l, kg_diag *d)
{
    bool *told = KG_NEW_ARRAY(l->context->arena, bool, l->buffers.count + 1);
    for (int n = 0; n < LARGEST_NOTED && n < l->buffers.count; n++) {
        int best = -1;
        for (int i = 0; i < l->buffers.count; i++)
            if (!told[i] && (best < 0 || bytes_of(&l->buffers.items[i], INT32_MAX) >
                                             bytes_of(&l->buffers.items[best], INT32_MAX)))
                best = i;
        const buffer *b = &l->buffers.items[best];
        told[best] = true;
        if (b->ring > 1)
            kg_diag_note(l->context->diags, d, b->value->loc, "'%s' has %d slots of %lld bytes",
                         name_of(l, b->value), b->ring, (long long)b->slot_bytes);
        else
            kg_diag_note(l->context->diags, d, b->value->loc, "'%s' has %lld bytes",
                         name_of(l, b->value), (long long)b->slot_bytes);
    }
}

static void report_too_big(placer *l, int64_t bytes)
{
    kg_diags *diags = l->context->diags;
    kg_diag *d = kg_error(diags, KG_D_M401, l->kernel->loc,
                          "shared memory of '%s' takes %lld bytes, and a CTA on %s may have %lld",
                          l->kernel->name, (long long)bytes, l->context->machine->target,
                          (long long)limit_of(l));
    note_largest(l, d);
    int deepest = 1;
    for (int i = 0; i < l->buffers.count; i++)
        deepest = l->buffers.items[i].ring > deepest ? l->buffers.items[i].ring : deepest;
    sharing mode = l->context->no_share ? SHARE_NOTHING : SHARE_ALL;
    for (int ring = deepest - 1; ring >= 1; ring--) {
        int64_t need = place_all(l, mode, ring);
        if (need > limit_of(l)) continue;
        kg_diag_help(diags, d, "with %d stage%s it would take %lld bytes and fit", ring,
                     ring == 1 ? "" : "s", (long long)need);
        return;
    }
    kg_diag_help(diags, d, "even one stage takes %lld bytes: make the tiles smaller",
                 (long long)place_all(l, mode, 1));
}

// ---- what was considered ------------------------------------------------------------------------
static bool overlap(const buffer *a, const buffer *b)
{
    return a->offset < b->offset + bytes_of(b, INT32_MAX) &&
           b->offset < a->offset + bytes_of(a, INT32_MAX);
}

// "'tile' on the bytes of 'sa'", for the placement as it stands; the later buffer first.
static const char *sharers(const placer *l, kg_loc *loc)
{
    kg_arena *arena = l->context->arena;
    const char *text = NULL;
    int named = 0;
    for (int i = 0; i < l->buffers.count; i++)
        for (int k = 0; k < i; k++) {
            const buffer *a = &l->buffers.items[k], *b = &l->buffers.items[i];
            if (!overlap(a, b) || ++named > SHARERS_NAMED) continue;
            const buffer *late = a->first > b->first ? a : b, *early = late == a ? b : a;
            if (named == SHARERS_NAMED)
                text = kg_arena_printf(arena, "%s, and others", text);
            else
                text = kg_arena_printf(arena, "%s%s'%s' on the bytes of '%s'", text ? text : "",
                                       text ? ", " : "", name_of(l, late->value),
                                       name_of(l, early->value));
            if (named == 1) *loc = late->value->op->loc;
        }
    return text ? text : "bytes shared";
}

static void note_sharing(placer *l, kg_repairs *notes, const kg_cost *apart, const kg_cost *shared,
                         kg_repair_verdict verdict)
{
    kg_repair_note note = {.verdict = verdict,
                           .cost_before = apart->total,
                           .cost_after = shared->total,
                           .bytes = shared->bytes - apart->bytes};
    if (!notes) return;
    note.what = sharers(l, &note.loc);
    note.text = kg_arena_printf(l->context->arena,
                                "%lld bytes fewer; barriers %d -> %d (in loops %d -> %d), waits "
                                "%d -> %d",
                                (long long)-note.bytes, apart->sync.barriers, shared->sync.barriers,
                                apart->sync.loop_barriers, shared->sync.loop_barriers,
                                apart->sync.waits, shared->sync.waits);
    KG_PUSH(l->context->arena, notes, note);
}

// ---- the choice ---------------------------------------------------------------------------------
static void find_buffers(placer *l)
{
    l->program = kg_sync_program_build(l->context->arena, l->kernel, false);
    kg_walk(l->kernel->body, add_buffer, l);
}

// The cheapest of the ways to share; with equal costs the one that shares less.
static kg_cost choose(placer *l, sharing most, kg_repairs *notes)
{
    sharing best = SHARE_NOTHING;
    kg_cost apart = cost_of(l, SHARE_NOTHING), cost = apart;
    for (sharing mode = SHARE_LARGE; mode <= most; mode++) {
        if (place_all(l, mode, INT32_MAX) >= cost.bytes) continue;
        kg_cost shared = cost_of(l, mode);
        bool cheaper = shared.total < cost.total;
        note_sharing(l, notes, &apart, &shared, cheaper ? KG_REPAIR_TAKEN : KG_REPAIR_REJECTED);
        if (!cheaper) continue;
        best = mode;
        cost = shared;
    }
    place_and_set(l, best);
    return cost;
}

kg_cost kg_place_and_price(kg_pass_context *context, kg_kernel *kernel, kg_footprints *known)
{
    placer l = {.context = context, .kernel = kernel, .known = known};
    find_buffers(&l);
    int64_t alone = place_all(&l, SHARE_NOTHING, INT32_MAX);
    int64_t large = place_all(&l, SHARE_LARGE, INT32_MAX);
    return choose(&l, most_sharing(&l, alone, large), NULL);
}

// What can be said of the result: how near it is to the fewest barriers that there can be.
static void summarize(placer *l)
{
    kg_arena *arena = l->context->arena;
    kg_sync_price p = kg_sync_price_of(arena, l->kernel, l->known, true);
    if (!p.between_warps)
        l->context->repairs->summary = "nothing passes from warp to warp: no barrier is needed";
    else if (!p.barriers)
        l->context->repairs->summary = "the barriers that the author wrote are enough";
    else if (p.barriers == 1)
        l->context->repairs->summary =
            kg_arena_printf(arena, "1 barrier, for %d obligation%s between warps", p.between_warps,
                            p.between_warps == 1 ? "" : "s");
    else if (p.apart == p.barriers)
        l->context->repairs->summary =
            kg_arena_printf(arena,
                            "%d barriers, and fewer cannot do: %d obligations have pairwise no "
                            "point in common",
                            p.barriers, p.apart);
    else
        l->context->repairs->summary =
            kg_arena_printf(arena, "%d barriers; %d obligations have pairwise no point in common",
                            p.barriers, p.apart);
}

int64_t kg_place_bytes_apart(kg_arena *arena, kg_kernel *kernel)
{
    kg_pass_context context = {.arena = arena};
    placer l = {.context = &context, .kernel = kernel};
    find_buffers(&l);
    return place_all(&l, SHARE_NOTHING, INT32_MAX);
}

bool kg_pass_place(kg_pass_context *context, kg_kernel *kernel)
{
    kg_footprints own = {0}, *known = context->footprints ? context->footprints : &own;
    placer l = {.context = context, .kernel = kernel, .known = known, .exact = true};
    find_buffers(&l);
    int64_t alone = place_all(&l, SHARE_NOTHING, INT32_MAX);
    int64_t large = place_all(&l, SHARE_LARGE, INT32_MAX), bytes = alone;
    sharing most = most_sharing(&l, alone, large);
    if (place_all(&l, most, INT32_MAX) < alone)
        bytes = choose(&l, most, context->repairs).bytes;
    else
        place_and_set(&l, SHARE_NOTHING);
    if (bytes > limit_of(&l)) {
        report_too_big(&l, bytes);
        return false;
    }
    kernel->shared_bytes = bytes;
    if (context->repairs) summarize(&l);
    return true;
}
