// SPDX-License-Identifier: MIT
// cp.async.bulk.tensor and cp.reduce.async.bulk.tensor in tile mode, and prefetches.
//
// A box is taken apart into rows along dimension 0. What of a row lies inside the tensor is copied;
// the rest reads as zero and is not written, though a store reads its shared memory all the same:
// the instruction names all of the box, and nothing says that the copy engine leaves a part out. In
// shared memory the rows follow each other without gaps, chunks of 16 bytes changing places as the
// swizzle says.
#include "engine.h"
#include "tensor_map.h"

struct box {
    struct warp *w;
    const struct op *op;
    unsigned lane;
    struct tensor_map map;
    int64_t start[TENSOR_MAX_RANK];
    bool store;
    enum access_kind global_kind, shared_kind;
};

// ---- the map ------------------------------------------------------------------------------------

static bool bad_map(const struct box *b, const struct place *p, const char *what)
{
    ptxm_finding(b->w, b->op, b->lane, RULE_TENSOR_MAP, p, sizeof(struct ptxm_tensor_map),
                 ACCESS_READ, "%s: %s", ptxm_rule_message(RULE_TENSOR_MAP), what);
    return false;
}

static bool read_map(struct box *b, const struct bulk_address *a, unsigned rank)
{
    struct place p = ptxm_resolve(b->w, b->op, b->lane, SPACE_GENERIC,
                                  ptxm_bulk_address(b->w, b->op, b->lane, a), 128, 64, ACCESS_READ);
    if (!p.host)
        return false;
    if (p.space != SPACE_GLOBAL && p.space != SPACE_PARAM)
        return bad_map(b, &p, "it lies neither in global, constant nor parameter memory");
    if (!ptxm_tensor_map_read(p.host, &b->map))
        return bad_map(b, &p, "these bytes are no tensor map");
    const char *wrong = ptxm_tensor_map_problem(&b->map);
    if (wrong || b->map.rank != rank)
        return bad_map(b, &p, wrong ? wrong : "its rank is not that of the instruction");
    if (p.space == SPACE_GLOBAL && b->w->cta->shadow)
        ptxm_map_use(b->w, b->op, b->lane, &p);
    return true;
}

// ---- rows ---------------------------------------------------------------------------------------

static uint64_t row_bytes(const struct tensor_map *m)
{
    return (uint64_t)m->box[0] * m->element_bytes;
}

static uint64_t box_bytes(const struct tensor_map *m)
{
    uint64_t bytes = row_bytes(m);
    for (unsigned i = 1; i < m->rank; i++) bytes *= ptxm_tensor_count(m, i);
    return bytes;
}

struct row {
    uint64_t address;         // of the first byte inside the tensor
    uint64_t before, inside;  // bytes outside before it, bytes inside
};

// Row number `index` of the box; inside is 0 if none of it lies in the tensor.
static struct row row_at(const struct box *b, uint64_t index)
{
    const struct tensor_map *m = &b->map;
    struct row r = {m->address, 0, 0};
    for (unsigned i = 1; i < m->rank; i++) {
        uint64_t count = ptxm_tensor_count(m, i);
        int64_t at = b->start[i] + (int64_t)(index % count) * m->steps[i];
        index /= count;
        if (at < 0 || (uint64_t)at >= m->dims[i])
            return (struct row){.before = row_bytes(m)};
        r.address += (uint64_t)at * m->strides[i];
    }
    int64_t first = b->start[0] < 0 ? 0 : b->start[0], end = b->start[0] + m->box[0];
    end = end > (int64_t)m->dims[0] ? (int64_t)m->dims[0] : end;
    if (end <= first)
        return (struct row){.before = row_bytes(m)};
    r.before = (uint64_t)(first - b->start[0]) * m->element_bytes;
    r.inside = (uint64_t)(end - first) * m->element_bytes;
    r.address += (uint64_t)first * m->element_bytes;
    return r;
}

// Of an offset of the box in shared memory: where it lies by the swizzle, and how many bytes of
// `left` lie there together.
static uint64_t swizzled(const struct box *b, const struct place *shared, uint64_t offset,
                         uint64_t left, uint32_t *part)
{
    uint64_t at = shared->address + offset;
    bool swizzles = b->map.swizzle != PTXM_TENSOR_SWIZZLE_NONE;
    *part = (uint32_t)(swizzles && left > 16 - at % 16 ? 16 - at % 16 : left);
    return ptxm_tensor_swizzle(&b->map, at) - shared->address;
}

// Bytes between global memory (NULL: none, zeros) and an offset of the box in shared memory.
static bool emit(const struct box *b, struct engine_job *job, const struct place *global,
                 const struct place *shared, uint64_t offset, uint64_t bytes, bool touch)
{
    for (uint64_t done = 0; done < bytes;) {
        uint32_t part;
        uint64_t to = swizzled(b, shared, offset + done, bytes - done, &part);
        bool fine = b->store ? ptxm_engine_piece(job, shared, global, to, done, part)
                             : ptxm_engine_piece(job, global, shared, done, to, part);
        if (!fine)
            return false;
        if (touch) {
            struct place p = *shared;
            p.address += to;
            ptxm_async_access(b->w, b->op, b->lane, job->operation, &p, part, b->shared_kind);
        }
        done += part;
    }
    return true;
}

// What a store reads of the box for nothing.
static void discard(const struct box *b, struct engine_job *job, const struct place *shared,
                    uint64_t offset, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint32_t part;
        struct place p = *shared;
        p.address += swizzled(b, shared, offset + done, bytes - done, &part);
        ptxm_async_discard(b->w, b->op, b->lane, job->operation, &p, part);
        done += part;
    }
}

static bool emit_row(const struct box *b, struct engine_job *job, const struct place *shared,
                     uint64_t index, bool touch)
{
    uint64_t size = row_bytes(&b->map), offset = index * size;
    struct row r = row_at(b, index);
    if (b->store)
        discard(b, job, shared, offset, r.before);
    else if (!emit(b, job, NULL, shared, offset, r.before, touch))
        return false;
    if (r.inside) {
        struct place g = ptxm_resolve(b->w, b->op, b->lane, SPACE_GLOBAL, r.address,
                                      (uint32_t)r.inside, 1, b->global_kind);
        if (!g.host || !emit(b, job, &g, shared, offset + r.before, r.inside, touch))
            return false;
        ptxm_async_access(b->w, b->op, b->lane, job->operation, &g, (uint32_t)r.inside,
                          b->global_kind);
    }
    uint64_t after = r.before + r.inside;
    if (b->store)
        discard(b, job, shared, offset + after, size - after);
    return b->store || emit(b, job, NULL, shared, offset + after, size - after, touch);
}

// All rows. Where the box fills whole lines and all of it is copied, shared memory is touched once.
static bool emit_box(const struct box *b, struct engine_job *job, const struct place *shared)
{
    uint64_t bytes = box_bytes(&b->map), rows = bytes / row_bytes(&b->map);
    bool whole = b->map.swizzle == PTXM_TENSOR_SWIZZLE_NONE || bytes % 128 == 0;
    for (uint64_t i = 0; b->store && whole && i < rows; i++)
        whole = row_at(b, i).inside == row_bytes(&b->map);
    if (whole)
        ptxm_async_access(b->w, b->op, b->lane, job->operation, shared, (uint32_t)bytes,
                          b->shared_kind);
    for (uint64_t i = 0; i < rows; i++)
        if (!emit_row(b, job, shared, i, !whole))
            return false;
    return true;
}

// ---- copies -------------------------------------------------------------------------------------

static enum type element_type(enum ptxm_tensor_type type)
{
    static const enum type types[] = {
        [PTXM_TENSOR_UINT8] = T_U8,      [PTXM_TENSOR_UINT16] = T_U16,
        [PTXM_TENSOR_UINT32] = T_U32,    [PTXM_TENSOR_INT32] = T_S32,
        [PTXM_TENSOR_UINT64] = T_U64,    [PTXM_TENSOR_INT64] = T_S64,
        [PTXM_TENSOR_FLOAT16] = T_F16,   [PTXM_TENSOR_FLOAT32] = T_F32,
        [PTXM_TENSOR_FLOAT64] = T_F64,   [PTXM_TENSOR_BFLOAT16] = T_BF16,
        [PTXM_TENSOR_TFLOAT32] = T_NONE,
    };
    return (unsigned)type < sizeof types / sizeof *types ? types[type] : T_NONE;
}

static bool can_reduce(enum atomic_op what, enum type type)
{
    bool real = ptxm_type_class(type) == 'f', half = type == T_F16 || type == T_BF16;
    if (type == T_NONE || type == T_U8 || type == T_U16)
        return false;
    if (what == ATOM_INC || what == ATOM_DEC)
        return type == T_U32;
    return what == ATOM_ADD || !real || (half && (what == ATOM_MIN || what == ATOM_MAX));
}

static enum step_result copy(struct box *b, enum space space, uint64_t address, uint64_t barrier)
{
    const struct bulk_form *form = ptxm_bulk_form(b->op);
    uint64_t bytes = box_bytes(&b->map);
    uint32_t room = (uint32_t)(b->map.swizzle == PTXM_TENSOR_SWIZZLE_NONE ? bytes
                                                                         : (bytes + 127) & ~127ull);
    if (bytes > b->w->cta->shared_size) {
        struct place p = {.space = SPACE_SHARED, .address = address};
        ptxm_finding(b->w, b->op, b->lane, RULE_BOUNDS_SHARED, &p, UINT32_MAX, b->shared_kind,
                     "a box of %llu bytes is larger than shared memory", (unsigned long long)bytes);
        return STEP_ABORT;
    }
    struct place shared = ptxm_resolve(b->w, b->op, b->lane, space, address, room, 128,
                                       b->shared_kind);
    if (!shared.host)
        return STEP_ABORT;
    struct engine_job *job = ptxm_engine_copy(b->w, b->op, b->lane);
    if (!job)
        return STEP_ABORT;
    job->reduces = b->global_kind == ACCESS_ASYNC_REDUCE;
    job->type = element_type(b->map.type);
    bool grouped = form->address[BULK_BARRIER].source < 0, fine = true;
    if (!grouped)
        fine = (job->barrier = ptxm_bulk_barrier(b->w, b->op, b->lane, space, barrier, &shared));
    if (job->reduces && !can_reduce((enum atomic_op)b->op->mode, job->type))
        fine = bad_map(b, NULL, "its elements cannot be reduced in this way");
    if (fine) {
        job->operation = ptxm_async_begin(b->w, b->op, b->lane);
        ptxm_async_counts_on(b->w, b->lane, job->operation, job->barrier);
        if (grouped)
            ptxm_bulk_join_group(b->w, b->lane, job);
        fine = emit_box(b, job, &shared);
    }
    if (!fine) {
        ptxm_engine_drop(job);
        return STEP_ABORT;
    }
    return ptxm_engine_issue(job) ? STEP_NEXT : STEP_ABORT;
}

static enum step_result tensor_lane(struct warp *w, const struct op *op, unsigned lane)
{
    const struct bulk_form *form = ptxm_bulk_form(op);
    const struct bulk_address *a = form->address;
    bool store = op->flags & OPF_STORES;
    struct box b = {.w = w, .op = op, .lane = lane, .store = store,
                    .shared_kind = store ? ACCESS_ASYNC_READ : ACCESS_ASYNC_WRITE,
                    .global_kind = op->flags & OPF_REDUCES ? ACCESS_ASYNC_REDUCE
                                 : store ? ACCESS_ASYNC_WRITE : ACCESS_ASYNC_READ};
    if (!read_map(&b, &a[store ? BULK_TO : BULK_FROM], (unsigned)form->rank))
        return STEP_ABORT;
    for (int8_t i = 0; i < form->rank; i++)
        b.start[i] = (int32_t)ptxm_bulk_word(w, op, lane, (int8_t)(form->coordinates + i));
    const struct bulk_address *shared = &a[store ? BULK_FROM : BULK_TO];
    if (shared->source < 0) // a prefetch
        return STEP_NEXT;
    uint64_t at = ptxm_bulk_address(w, op, lane, shared), barrier = 0;
    if (a[BULK_BARRIER].source >= 0)
        barrier = ptxm_bulk_address(w, op, lane, &a[BULK_BARRIER]);
    if (form->mask < 0)
        return copy(&b, (enum space)shared->space, at, barrier);
    uint32_t ranks = 0;
    if (!ptxm_bulk_ranks(w, op, lane, &ranks))
        return STEP_ABORT;
    FOR_LANES (rank, ranks)
        if (copy(&b, SPACE_CLUSTER, ptxm_bulk_at_rank(at, rank),
                 ptxm_bulk_at_rank(barrier, rank)) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}

enum step_result ptxm_step_tensor(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->counters.async_copies++;
    w->cta->stirred = w->cta->changed = true;
    FOR_LANES (lane, mask)
        if (tensor_lane(w, op, lane) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}

// prefetch.tensormap: the map is looked at, nothing else.
enum step_result ptxm_step_prefetch_map(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        struct box b = {.w = w, .op = op, .lane = lane};
        struct place p = ptxm_resolve(w, op, lane, (enum space)op->space,
                                      ptxm_address(w, op, lane), 128, 64, ACCESS_READ);
        if (p.host && !ptxm_tensor_map_read(p.host, &b.map))
            bad_map(&b, &p, "these bytes are no tensor map");
    }
    return STEP_NEXT;
}
