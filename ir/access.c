// SPDX-License-Identifier: MIT
// Who touches which bytes of shared memory, thread by thread.
#include "ir/access.h"
#include <string.h>

enum { MOST_GATHERED = 256 }; // rows of one gather that are looked at one by one

typedef void (*visit_fn)(int thread, int64_t offset, int bytes, void *user);

// An access being enumerated: the view with its constant starts folded in, and the run of bytes not
// yet reported.
typedef struct walker {
    const kg_access *access;
    kg_view_info info;
    kg_shared_layout shared;
    int bytes; // of an element
    int root_rank;
    const int32_t *root_dims;
    int32_t origin[KG_MAX_RANK]; // in the root
    int64_t first_row, first_column;
    int64_t rows_per[KG_MAX_RANK], bytes_per[KG_MAX_RANK]; // by operand dimension
    int gathers;                                           // operand dimension, -1: none
    int32_t gathered[MOST_GATHERED];                       // where each of its elements lies
    const kg_value *mask;                                  // of a store that gathers
    kg_region region;
    visit_fn visit;
    void *user;
    int thread;
    bool warp_wide; // report each run for `lanes` lanes from `thread` on, in each warp of `warps`
    uint32_t warps; // counted from that of `thread`
    int64_t run_start;
    int run_bytes;
    int lanes;
} walker;

kg_region kg_op_region(const kg_op *op)
{
    const kg_block *block = op->parent;
    for (; block->owner; block = block->owner->parent)
        if (block->owner->code == KG_OP_WARPS) {
            int32_t first = (int32_t)kg_op_int(block->owner, KG_A_FIRST, 0);
            int32_t last = (int32_t)kg_op_int(block->owner, KG_A_LAST, first + 1);
            return (kg_region){first, last - first};
        }
    return (kg_region){0, block->kernel->warps};
}

uint32_t kg_barrier_warps(const kg_op *barrier, int warp)
{
    const kg_attr *ids = kg_op_attr(barrier, KG_A_IDS);
    kg_region region = kg_op_region(barrier);
    uint32_t warps = 0;
    for (int w = region.first_warp; w < region.first_warp + region.n_warps; w++)
        if (!ids || (w < ids->count && warp < ids->count && ids->ints[w] == ids->ints[warp]))
            warps |= UINT32_C(1) << w;
    return warps;
}

static bool constant_or_none(const kg_value *value)
{
    int64_t ignored;
    return !value || kg_const_int(value, &ignored);
}

// Coordinates of the n-th element of the operand in row-major order.
static void unflatten(const kg_type *type, int64_t n, int32_t *coord)
{
    for (int d = type->rank - 1; d >= 0; d--) {
        coord[d] = (int32_t)(n % type->dims[d]);
        n /= type->dims[d];
    }
}

// Is each row that operand dimension d gathers known, and in bounds?
static bool known_gather(const kg_view_info *info, int d, int32_t *rows)
{
    int32_t extent = info->gather[d]->type.dims[0];
    if (extent > MOST_GATHERED) return false;
    for (int32_t i = 0; i < extent; i++) {
        int64_t row;
        if (!kg_known_element(info->gather[d], &i, &row) || row < 0 ||
            row >= info->root->type.dims[info->dim[d]])
            return false;
        rows[i] = (int32_t)row;
    }
    return true;
}

static const kg_value *mask_of_store(const kg_op *op)
{
    return !op->n_results && op->n_operands > 2 ? op->operands[2] : NULL;
}

// A load or store of a fragment that gathers along one dimension, all of it known. What it touches
// is then as exact as anything; a store needs its mask for that, lest one element have two writers.
static bool known_gathers(const kg_op *op, const kg_view_info *info)
{
    int32_t rows[MOST_GATHERED];
    int found = 0;
    for (int d = 0; d < info->rank; d++) {
        if (!info->gather[d]) continue;
        if (found++ || !known_gather(info, d, rows)) return false;
    }
    if (!found) return true;
    const kg_value *mask = mask_of_store(op);
    bool moves_fragment = op->n_results || op->operands[1]->type.home == KG_HOME_FRAG;
    bool matrix = kg_op_info_of(op->code)->cls == KG_CLASS_D;
    return !matrix && moves_fragment && (!mask || kg_known_tile(mask));
}

static bool constant_starts(const kg_view_info *info)
{
    for (int d = 0; d < info->rank; d++)
        if (!constant_or_none(info->start[d])) return false;
    for (int d = 0; d < info->root->type.rank; d++)
        if (!constant_or_none(info->fixed[d])) return false;
    return true;
}

int kg_op_accesses(const kg_op *op, kg_access *out)
{
    const kg_op_info *table = kg_op_info_of(op->code);
    int count = 0;
    for (int i = 0; i < table->n_effects; i++) {
        const kg_effect *effect = &table->effects[i];
        kg_access access = {.op = op, .effect = effect};
        if (effect->operand == KG_OPERAND_ALL) {
            out[count++] = access;
            continue;
        }
        if (effect->operand >= op->n_operands) continue;
        access.operand = op->operands[effect->operand];
        if (access.operand->type.home == KG_HOME_FRAG) continue;
        kg_view_info info;
        kg_view_resolve(access.operand, &info);
        access.root = info.root;
        access.slot = info.slot;
        access.exact = info.root->type.home == KG_HOME_SHARED && constant_starts(&info) &&
                       known_gathers(op, &info);
        out[count++] = access;
    }
    return count;
}

bool kg_updates_commute(const kg_op *a, const kg_op *b)
{
    const kg_attr *x = kg_op_attr(a, KG_A_BY), *y = kg_op_attr(b, KG_A_BY);
    return a->code == b->code && (!x || !y || !strcmp(x->name, y->name));
}

bool kg_touches_global(const kg_op *op)
{
    kg_access found[KG_MAX_EFFECTS];
    int n = kg_op_info_of(op->code)->n_effects ? kg_op_accesses(op, found) : 0;
    for (int i = 0; i < n; i++)
        if (!found[i].root || found[i].root->type.home == KG_HOME_GLOBAL) return true;
    return false;
}

// ---- bytes --------------------------------------------------------------------------------------

static int64_t byte_of(const walker *w, const int32_t *coord)
{
    int64_t row = w->first_row, column = w->first_column;
    for (int d = 0; d < w->info.rank; d++) {
        int32_t at = d == w->gathers ? w->gathered[coord[d]] : coord[d];
        row += at * w->rows_per[d];
        column += at * w->bytes_per[d];
    }
    return kg_shared_byte(&w->shared, row, column, w->bytes);
}

// What a step along each operand dimension adds to the row number and to the byte within the row.
static void find_steps(walker *w)
{
    int64_t rows[KG_MAX_RANK] = {0}, at = 1;
    int last = w->root_rank - 1;
    for (int d = last - 1; d >= 0; d--) {
        rows[d] = at;
        at *= w->root_dims[d];
        w->first_row += w->origin[d] * rows[d];
    }
    if (last >= 0) w->first_column = (int64_t)w->origin[last] * w->bytes;
    for (int d = 0; d < w->info.rank; d++) {
        w->rows_per[d] = rows[w->info.dim[d]];
        w->bytes_per[d] = w->info.dim[d] == last ? w->bytes : 0;
    }
}

static void flush(walker *w)
{
    if (!w->run_bytes) return;
    if (!w->warp_wide) w->visit(w->thread, w->run_start, w->run_bytes, w->user);
    for (uint32_t warps = w->warp_wide ? w->warps : 0; warps; warps &= warps - 1)
        for (int lane = 0; lane < w->lanes; lane++)
            w->visit(w->thread + 32 * __builtin_ctz(warps) + lane, w->run_start, w->run_bytes,
                     w->user);
    w->run_bytes = 0;
}

// `count` elements that lie side by side.
static void touch_some(walker *w, const int32_t *coord, int count)
{
    int64_t offset = byte_of(w, coord);
    if (w->run_bytes && offset == w->run_start + w->run_bytes) {
        w->run_bytes += count * w->bytes;
        return;
    }
    flush(w);
    w->run_start = offset;
    w->run_bytes = count * w->bytes;
}

static void touch(walker *w, const int32_t *coord)
{
    touch_some(w, coord, 1);
}

static void next_thread(walker *w, int thread)
{
    flush(w);
    w->thread = thread;
}

static int64_t elements(const walker *w)
{
    return kg_type_elements(&w->access->operand->type);
}

// Do `count` neighbours, a power of two, along that dimension lie side by side, from each multiple?
static bool neighbours(const walker *w, int dim, int count)
{
    bool contiguous = w->info.dim[dim] == w->root_rank - 1 && w->gathers != dim;
    bool whole = (!w->shared.bits || count * w->bytes <= 1 << w->shared.chunk_log2) &&
                 w->shared.panel % count == 0;
    int32_t extent = w->access->operand->type.dims[dim], origin = w->origin[w->root_rank - 1];
    return contiguous && whole && extent % count == 0 && origin % count == 0;
}

// A row of a panel, all of it: it is as many bytes in a row whatever order swizzling gives them, so
// nobody has to know that order. Returns its elements; 0: from a multiple of them on the operand
// does not have all along the dimension, or a swizzle goes beyond them.
static int whole_row(const walker *w, int dim)
{
    int32_t row = w->shared.panel ? w->shared.panel : w->root_dims[w->root_rank - 1];
    int32_t extent = w->access->operand->type.dims[dim], origin = w->origin[w->root_rank - 1];
    int64_t swizzled = INT64_C(1) << (w->shared.bits ? w->shared.bits + w->shared.chunk_log2 : 0);
    bool contiguous = w->info.dim[dim] == w->root_rank - 1 && w->gathers != dim;
    bool whole = contiguous && row == w->shared.pitch && extent % row == 0 && origin % row == 0 &&
                 row * w->bytes % swizzled == 0;
    return whole ? row : 0;
}

static void touch_all(walker *w)
{
    int32_t coord[KG_MAX_RANK] = {0};
    int64_t count = elements(w);
    int whole = w->info.rank ? whole_row(w, w->info.rank - 1) : 0, step = whole ? whole : 8;
    if (whole) w->shared.bits = 0;
    while (!whole && step > 1 && !(w->info.rank && neighbours(w, w->info.rank - 1, step)))
        step /= 2;
    for (int64_t n = 0; n < count; n += step) {
        unflatten(&w->access->operand->type, n, coord);
        touch_some(w, coord, step);
    }
}

static bool masked_off(const walker *w, const int32_t *coord)
{
    int64_t on = 1;
    return w->mask && kg_known_element(w->mask, coord, &on) && !on;
}

// ---- a fragment's layout ------------------------------------------------------------------------

// Register parts of coordinates, kept for a batch so that each element costs one XOR a dimension.
enum { BATCH = 256 };

static void touch_registers(walker *w, const kg_layout *layout, int first, int count, bool owners)
{
    int32_t part[BATCH][KG_MAX_RANK];
    bool owned[BATCH];
    for (int i = 0; i < count; i++) {
        kg_layout_coord(layout, first + i, 0, 0, part[i]);
        owned[i] = !owners || kg_layout_is_owner(layout, first + i, 0, 0);
    }
    for (int warp = 0; warp < w->region.n_warps; warp++)
        for (int lane = 0; lane < 32; lane++) {
            int32_t base[KG_MAX_RANK], coord[KG_MAX_RANK];
            if (owners && !kg_layout_is_owner(layout, 0, lane, warp)) continue;
            kg_layout_coord(layout, 0, lane, warp, base);
            next_thread(w, (w->region.first_warp + warp) * 32 + lane);
            for (int i = 0; i < count; i++) {
                if (!owned[i]) continue;
                for (int d = 0; d < layout->rank; d++) coord[d] = part[i][d] ^ base[d];
                if (!masked_off(w, coord)) touch(w, coord);
            }
        }
}

static void touch_layout(walker *w, const kg_layout *layout, bool owners)
{
    int registers = kg_layout_registers(layout);
    for (int first = 0; first < registers; first += BATCH)
        touch_registers(w, layout, first, registers - first < BATCH ? registers - first : BATCH,
                        owners);
}

// Rows of 16 bytes, each by the lane that gives its address.
static void touch_matrices(walker *w, const kg_layout *layout, const kg_matrix_store *s)
{
    int registers = kg_layout_registers(layout), within = s->pair | s->matrix[3] | s->matrix[1];
    for (int warp = 0; warp < w->region.n_warps; warp++)
        for (int lane = 0; lane < 8 * s->count; lane++) {
            int32_t base[KG_MAX_RANK], coord[KG_MAX_RANK];
            kg_layout_coord(layout, 0, 0, warp, base);
            for (int bit = 0; bit < 5; bit++)
                for (int d = 0; lane >> bit & 1 && d < 2; d++) base[d] ^= s->lane[bit][d];
            next_thread(w, (w->region.first_warp + warp) * 32 + lane);
            for (int r = 0; r < registers; r++) {
                if (r & within) continue;
                kg_layout_coord(layout, r, 0, 0, coord);
                for (int d = 0; d < 2; d++) coord[d] ^= base[d];
                touch_some(w, coord, 8);
            }
        }
}

// The fragment that an access by each thread moves: a load's result, a store's or atomic's value.
static const kg_value *moved_fragment(const kg_op *op)
{
    return op->n_results ? op->results[0] : op->operands[1];
}

static void touch_by_threads(walker *w)
{
    bool object = w->access->effect->mode == KG_MODE_S; // by all threads, whole
    const kg_value *moved = object ? NULL : moved_fragment(w->access->op);
    bool owners = w->access->effect->mode != KG_MODE_R && !object;
    kg_matrix_store matrices;
    if (kg_op_attr(w->access->op, KG_A_MATRIX) && kg_matrix_store_of(w->access->op, &matrices)) {
        touch_matrices(w, moved->layout, &matrices);
        return;
    }
    if (moved && moved->type.rank && moved->layout) {
        touch_layout(w, moved->layout, owners);
        return;
    }
    int threads =
        owners ? 1 : w->region.n_warps * 32; // a scalar: read by all, written by the first
    for (int t = 0; t < threads; t++) {
        next_thread(w, w->region.first_warp * 32 + t);
        touch_all(w);
    }
}

// ---- copies -------------------------------------------------------------------------------------

static void touch_chunks(walker *w)
{
    const kg_op *op = w->access->op;
    const kg_type *type = &w->access->operand->type;
    int64_t vec = kg_op_int(op, KG_A_VEC, kg_op_int(op, KG_A_ASYNC, w->bytes) / w->bytes);
    int64_t count = elements(w), threads = (int64_t)w->region.n_warps * 32;
    int32_t coord[KG_MAX_RANK] = {0};
    if (vec < 1) vec = 1;
    bool together = w->info.rank && !(vec & (vec - 1)) && neighbours(w, w->info.rank - 1, (int)vec);
    for (int64_t t = 0; t < threads && t * vec < count; t++) {
        next_thread(w, w->region.first_warp * 32 + (int)t);
        for (int64_t chunk = t; chunk * vec < count; chunk += threads) {
            unflatten(type, chunk * vec, coord);
            if (together) touch_some(w, coord, (int)vec);
            for (int64_t e = 0; e < vec && !together; e++) {
                touch(w, coord);
                coord[type->rank ? type->rank - 1 : 0]++;
            }
        }
    }
}

bool kg_layout_copy(const kg_type *view, int vec, int warps, kg_layout *out)
{
    int axes[KG_MAX_RANK], n = 0;
    int64_t inner = 1;
    int last = view->rank - 1;
    for (int d = last; d >= 0; d--) axes[n++] = d;
    for (int d = last; d > 0; d--) inner *= view->dims[d] & -view->dims[d];
    if (last < 0 || (warps & (warps - 1)) || (vec & (vec - 1)) || view->dims[last] % vec)
        return false;
    for (int d = last; d > 0; d--)
        if (view->dims[d] & (view->dims[d] - 1)) return false;
    if ((view->dims[0] & (view->dims[0] - 1)) &&
        inner * (view->dims[0] & -view->dims[0]) < (int64_t)vec * warps * 32)
        return false;
    kg_layout_spread(view->rank, view->dims, last, vec, axes, n, 5, axes, n, warps, out);
    return true;
}

// ---- matmul operands ----------------------------------------------------------------------------

// Which coordinates along the operand's row (A) or column (B) dimension a warp needs: those whose
// bits outside the register and lane bits equal the warp's.
typedef struct warp_rows {
    int dim;
    int32_t core, free_bits, own;
} warp_rows;

// With `together` the warps of a warpgroup need what any of them needs.
static warp_rows rows_of_warp(const kg_layout *layout, int dim, int warp, bool together)
{
    warp_rows rows = {.dim = dim, .core = layout->core[dim]};
    int32_t at[KG_MAX_RANK];
    kg_layout_coord(layout, 0, 0, warp, at);
    rows.own = at[dim];
    for (int in = KG_IN_REG; in <= KG_IN_LANE; in++)
        for (int bit = 0; bit < layout->bits[in]; bit++)
            rows.free_bits |= layout->basis[in][bit][dim];
    for (int bit = 0; together && bit < 2 && bit < layout->bits[KG_IN_WARP]; bit++)
        rows.free_bits |= layout->basis[KG_IN_WARP][bit][dim];
    rows.own &= ~rows.free_bits;
    return rows;
}

static bool needs(const warp_rows *rows, const int32_t *coord)
{
    return (((coord[rows->dim] & (rows->core - 1)) ^ rows->own) & ~rows->free_bits) == 0;
}

// Eight neighbours along `inner` lie side by side and are needed together: one touch for all.
static int side_by_side(const walker *w, const warp_rows *rows, int inner)
{
    bool together = rows->dim != inner || (rows->free_bits & 7) == 7;
    return together && neighbours(w, inner, 8) ? 8 : 1;
}

// The same of a whole row; 0: it is not needed together.
static int row_together(const walker *w, const warp_rows *rows, int inner)
{
    int whole = whole_row(w, inner);
    bool power = !(whole & (whole - 1));
    bool together =
        rows->dim != inner || (power && !((whole - 1) & (rows->core - 1) & ~rows->free_bits));
    return together ? whole : 0;
}

// The rows or columns of the operand that each warp of its region needs.
static void rows_of_warps(const walker *w, warp_rows *rows)
{
    const kg_op *dot = w->access->op;
    const kg_type *type = &w->access->operand->type;
    const kg_layout *acc = dot->results[0]->layout;
    bool is_a = w->access->effect->operand == 0;
    kg_layout layout;
    if (acc && is_a)
        kg_layout_dot_a(kg_dot_kind_of(dot), acc, type->dims[1], &layout);
    else if (acc)
        kg_layout_dot_b(kg_dot_kind_of(dot), acc, type->dims[0], &layout);
    for (int warp = 0; warp < w->region.n_warps; warp++)
        rows[warp] = acc ? rows_of_warp(&layout, is_a ? 0 : 1, warp,
                                        w->access->effect->agent == KG_AGENT_TENSOR)
                         : (warp_rows){.free_bits = -1, .core = 1};
}

// Warps that need the same are gone through as one.
static void touch_operand(walker *w)
{
    const kg_type *type = &w->access->operand->type;
    int inner = w->info.dim[1] == w->root_rank - 1 ? 1 : 0, outer = 1 - inner;
    warp_rows rows[32];
    uint32_t done = 0;
    int32_t bits = w->shared.bits;
    rows_of_warps(w, rows);
    w->warp_wide = true;
    for (int warp = 0; warp < w->region.n_warps; warp++) {
        int32_t coord[KG_MAX_RANK] = {0};
        if (done >> warp & 1) continue;
        w->shared.bits = bits;
        int whole = row_together(w, &rows[warp], inner);
        int step = whole ? whole : side_by_side(w, &rows[warp], inner);
        next_thread(w, (w->region.first_warp + warp) * 32);
        if (whole) w->shared.bits = 0;
        w->warps = 0;
        for (int other = warp; other < w->region.n_warps; other++)
            if (rows[other].own == rows[warp].own) w->warps |= UINT32_C(1) << (other - warp);
        done |= w->warps << warp;
        for (coord[outer] = 0; coord[outer] < type->dims[outer]; coord[outer]++)
            for (coord[inner] = 0; coord[inner] < type->dims[inner]; coord[inner] += step)
                if (needs(&rows[warp], coord)) touch_some(w, coord, step);
    }
}

static void start_walk(walker *w, const kg_access *access)
{
    memset(w, 0, sizeof *w);
    w->access = access;
    kg_view_resolve(access->operand, &w->info);
    w->shared = kg_shared_layout_of(access->root);
    w->bytes = kg_dtype_bytes(access->root->type.dtype);
    w->root_rank = access->root->type.rank;
    w->root_dims = access->root->type.dims;
    w->region = kg_op_region(access->op);
    w->gathers = -1;
    for (int d = 0; d < w->info.rank; d++)
        if (w->info.gather[d] && known_gather(&w->info, d, w->gathered)) w->gathers = d;
    if (w->gathers >= 0) w->mask = mask_of_store(access->op);
    for (int d = 0; d < w->info.rank; d++) {
        int64_t start = 0;
        if (w->info.start[d] && kg_const_int(w->info.start[d], &start))
            w->origin[w->info.dim[d]] = (int32_t)start;
    }
    for (int d = 0; d < w->root_rank; d++) {
        int64_t at = 0;
        if (w->info.fixed[d] && kg_const_int(w->info.fixed[d], &at)) w->origin[d] = (int32_t)at;
    }
    find_steps(w);
}

static void walk(const kg_access *access, int lanes, visit_fn visit, void *user)
{
    walker w;
    if (!access->root || access->root->type.home != KG_HOME_SHARED || !access->exact) return;
    start_walk(&w, access);
    w.lanes = lanes;
    w.visit = visit;
    w.user = user;
    if (access->effect->agent == KG_AGENT_ELECTED || access->effect->agent == KG_AGENT_BULK) {
        next_thread(&w, w.region.first_warp * 32);
        touch_all(&w);
    } else if (access->effect->agent == KG_AGENT_WARP || access->effect->agent == KG_AGENT_TENSOR) {
        touch_operand(&w);
    } else if (access->op->n_operands == 2 && !access->op->n_results &&
               access->op->operands[1]->type.home != KG_HOME_FRAG) {
        touch_chunks(&w); // the value is a view: a copy
    } else {
        touch_by_threads(&w);
    }
    flush(&w);
}

int kg_access_unit(const kg_access *access)
{
    walker w;
    start_walk(&w, access);
    if (access->effect->agent != KG_AGENT_WARP && access->effect->agent != KG_AGENT_TENSOR)
        return w.bytes;
    warp_rows rows[32];
    int inner = w.info.dim[1] == w.root_rank - 1 ? 1 : 0, least = 8;
    rows_of_warps(&w, rows);
    for (int warp = 0; warp < w.region.n_warps; warp++) {
        int step = side_by_side(&w, &rows[warp], inner);
        least = step < least ? step : least;
    }
    int64_t bits = (int64_t)w.shared.pitch * w.bytes | (int64_t)least * w.bytes;
    return (int)(bits & -bits);
}

void kg_access_bytes(const kg_access *access, visit_fn visit, void *user)
{
    walk(access, 32, visit, user);
}

void kg_access_sharers(const kg_access *access, visit_fn visit, void *user)
{
    walk(access, 2, visit, user);
}
