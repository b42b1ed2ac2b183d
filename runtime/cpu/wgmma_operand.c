// SPDX-License-Identifier: MIT
// Operands of wgmma in shared memory: what a descriptor names, and the product itself.
//
// A descriptor holds, in units of 16 bytes, the start (bits 0-13), the leading offset (16-29) and
// the stride offset (32-45); a base offset (49-51) and the swizzle (62-63: none, 128, 64, 32
// bytes). Memory is read in chunks of 16 bytes, all of them of a line of k (K-major) or of m or n
// (MN-major). A swizzle of w bytes has lines of w bytes, eight to a pattern, and moves the chunks
// of a line by the line's number: bits 4 up of the address are xored with bits 7 up, less the base
// offset when the pattern starts at no multiple of its size.
#include "wgmma.h"
#include "profile.h"
#include "shadow.h"

#include <string.h>

enum { CHUNK = 16, K_BYTES = 32 };

struct view {
    uint32_t start, leading, stride, base;
    uint32_t line;      // bytes of a swizzle's line; CHUNK without one
    uint32_t extent;    // m or n
    uint32_t k;         // elements
    bool mn_major;
    enum type type;
};

static struct view view_of(uint64_t descriptor, uint32_t extent, uint32_t k, bool mn_major,
                           enum type type)
{
    static const uint32_t lines[4] = {CHUNK, 128, 64, 32};
    return (struct view){.start = (uint32_t)(descriptor & 0x3fff) * CHUNK,
                         .leading = (uint32_t)(descriptor >> 16 & 0x3fff) * CHUNK,
                         .stride = (uint32_t)(descriptor >> 32 & 0x3fff) * CHUNK,
                         .base = (uint32_t)(descriptor >> 49 & 7),
                         .line = lines[descriptor >> 62], .extent = extent, .k = k,
                         .mn_major = mn_major, .type = type};
}

static struct view view_a(const struct wgmma_record *r)
{
    return view_of(r->a, 64, r->op->immediate >> 16, r->op->flags & WGMMA_A_TRANSPOSED,
                   (enum type)r->op->type);
}

static struct view view_b(const struct wgmma_record *r)
{
    return view_of(r->b, r->op->immediate & 0xffff, r->op->immediate >> 16,
                   r->op->flags & WGMMA_B_TRANSPOSED, (enum type)r->op->type2);
}

static uint32_t chunk_count(const struct view *v)
{
    return v->extent * K_BYTES / CHUNK;
}

static uint32_t swizzled(const struct view *v, uint32_t address)
{
    if (v->line == CHUNK)
        return address;
    uint32_t line_number = (address >> 7) - v->base;
    return address ^ (line_number & (v->line / CHUNK - 1)) << 4;
}

// K-major: chunk i is half i % 2 of row i / 2. Eight rows make a pattern.
static uint32_t chunk_along_k(const struct view *v, uint32_t i)
{
    uint32_t row = i / 2, half = i % 2;
    uint32_t right = v->line == CHUNK ? half * v->leading : half * CHUNK;
    return swizzled(v, v->start + row % 8 * v->line + row / 8 * v->stride + right);
}

// MN-major, 16-bit elements only: chunk i is the (i % (extent / 8))-th of line i / (extent / 8) of
// k. Without a swizzle the stride leads along m or n and the leading offset along k.
static uint32_t chunk_along_mn(const struct view *v, uint32_t i)
{
    uint32_t chunks = v->extent / 8, k = i / chunks, chunk = i % chunks, wide = v->line / CHUNK;
    uint32_t down = v->line == CHUNK ? k / 8 * v->leading : k / 8 * v->stride;
    uint32_t right = v->line == CHUNK ? chunk * v->stride
                                      : chunk / wide * v->leading + chunk % wide * CHUNK;
    return swizzled(v, v->start + k % 8 * v->line + down + right);
}

static uint32_t chunk_address(const struct view *v, uint32_t i)
{
    return v->mn_major ? chunk_along_mn(v, i) : chunk_along_k(v, i);
}

static bool inside(const struct cta *cta, uint32_t address)
{
    return address >= SHARED_START && address < cta->shared_size &&
           CHUNK <= cta->shared_size - address;
}

// ---- checks ------------------------------------------------------------------------------------

static void check_view(struct warp *w, const struct op *op, const struct view *v, char name)
{
    for (uint32_t i = 0; i < chunk_count(v); i++) {
        uint32_t address = chunk_address(v, i);
        if (inside(w->cta, address))
            continue;
        struct place p = {.space = SPACE_SHARED, .address = address};
        ptxm_finding(w, op, 0, RULE_BOUNDS_SHARED, &p, CHUNK, ACCESS_READ,
                     "the descriptor of %c names 16 bytes at shared offset %lld; the launch has %u "
                     "bytes", name, (long long)address - SHARED_START,
                     w->cta->shared_size - SHARED_START);
        return;
    }
}

static void check_descriptor(struct warp *w, const struct op *op, uint64_t descriptor, char name)
{
    uint64_t reserved = (uint64_t)3 << 14 | (uint64_t)3 << 30 | (uint64_t)7 << 46 |
                        (uint64_t)0x3ff << 52;
    if (descriptor & reserved)
        ptxm_finding(w, op, 0, RULE_WGMMA_DESCRIPTOR, NULL, 0, ACCESS_READ,
                     "the descriptor of %c, 0x%016llx, has bits set that mean nothing (0x%016llx)",
                     name, (unsigned long long)descriptor,
                     (unsigned long long)(descriptor & reserved));
}

void ptxm_wgmma_check(struct warp *w, const struct wgmma_record *record)
{
    struct view b = view_b(record);
    if (!(record->op->flags & WGMMA_A_REGISTERS)) {
        struct view a = view_a(record);
        check_descriptor(w, record->op, record->a, 'A');
        check_view(w, record->op, &a, 'A');
    }
    check_descriptor(w, record->op, record->b, 'B');
    check_view(w, record->op, &b, 'B');
}

// ---- what the shadow sees ----------------------------------------------------------------------

// Chunks in an order in which neighbours in memory mostly follow each other.
static uint32_t chunk_in_order(const struct view *v, uint32_t i)
{
    bool halves_apart = !v->mn_major && v->line == CHUNK;
    return halves_apart ? i % v->extent * 2 + i / v->extent : i;
}

// First row or column that a chunk holds.
static uint32_t chunk_position(const struct view *v, uint32_t i)
{
    return v->mn_major ? i % (v->extent / 8) * 8 : i / 2;
}

struct range {
    uint32_t from, to;
};

static void show_range(struct warp *w, const struct op *op, uint32_t operation, struct range r)
{
    struct place p = {.host = w->cta->shared + r.from, .space = SPACE_SHARED, .address = r.from};
    if (r.to > r.from)
        ptxm_async_access(w, op, 0, operation, &p, r.to - r.from, ACCESS_ASYNC_READ);
}

// Rows `first` to `first + count`, as ranges of bytes.
static void show_view(struct warp *w, const struct op *op, uint32_t operation,
                      const struct view *v, uint32_t first, uint32_t count)
{
    struct range r = {0, 0};
    for (uint32_t i = 0; i < chunk_count(v); i++) {
        uint32_t chunk = chunk_in_order(v, i);
        if (chunk_position(v, chunk) - first >= count)
            continue;
        uint32_t address = chunk_address(v, chunk);
        if (!inside(w->cta, address))
            continue;
        if (address == r.to) {
            r.to += CHUNK;
        } else if (address + CHUNK == r.from) {
            r.from = address;
        } else {
            show_range(w, op, operation, r);
            r = (struct range){address, address + CHUNK};
        }
    }
    show_range(w, op, operation, r);
}

void ptxm_wgmma_read(struct warp *w, const struct wgmma_record *record, uint32_t operation)
{
    struct view b = view_b(record);
    if (!(record->op->flags & WGMMA_A_REGISTERS)) {
        struct view a = view_a(record);
        show_view(w, record->op, operation, &a, w->index % WARPGROUP_WARPS * 16, 16);
    }
    show_view(w, record->op, operation, &b, 0, b.extent);
}

// ---- what profiles count -----------------------------------------------------------------------

// Core matrices: eight rows of 16 bytes along k; MN-major, eight lines of k.
static void profile_view(struct warp *w, const struct op *op, const struct view *v)
{
    uint32_t step = v->mn_major ? v->extent / 8 : 2, count = chunk_count(v);
    uint64_t chunks[8];
    for (uint32_t i = 0; i < count / 8; i++) {
        uint32_t first = i / step * step * 8 + i % step;
        for (uint32_t k = 0; k < 8; k++) chunks[k] = chunk_address(v, first + k * step);
        ptxm_profile_matrix(w, op, chunks, i == 0);
    }
}

void ptxm_wgmma_profile(struct warp *w, const struct wgmma_record *record)
{
    struct view a = view_a(record), b = view_b(record);
    if (!(record->op->flags & WGMMA_A_REGISTERS))
        profile_view(w, record->op, &a);
    profile_view(w, record->op, &b);
}

// ---- reading -----------------------------------------------------------------------------------

static void read_chunks(const struct cta *cta, const struct view *v, uint8_t *out)
{
    uint32_t count = chunk_count(v);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = chunk_address(v, i);
        if (inside(cta, address))
            memcpy(out + i * CHUNK, cta->shared + address, CHUNK);
        else
            memset(out + i * CHUNK, 0, CHUNK);
    }
}

// K-major: out[row][k]; MN-major: out[k][row].
static void read_view(const struct cta *cta, const struct view *v, struct wgmma_scratch *s,
                      float *out)
{
    read_chunks(cta, v, s->raw);
    ptxm_lanes()->widen(out, s->raw, (int)(v->extent * v->k), v->type);
}

// As struct matrix_step wants it: k rows of n, columns 0 2 4 6 1 3 5 7 of every block.
static void arrange_b(const struct view *v, const float *flat, float *b)
{
    uint32_t n = v->extent, k = v->k;
    for (uint32_t block = 0; block < n; block += 8)
        for (uint32_t x = 0; x < k; x++)
            for (uint32_t j = 0; j < 8; j++) {
                uint32_t column = block + (j & 3) * 2 + (j >> 2);
                b[x * n + block + j] = v->mn_major ? flat[x * n + column] : flat[column * k + x];
            }
}

// ---- the product -------------------------------------------------------------------------------

// Fills all of the step that depends on A; returns the floats of it.
static uint32_t shape_a(const struct wgmma_record *r, struct wgmma_scratch *s,
                        struct matrix_step *step)
{
    const struct op *op = r->op;
    uint32_t k = op->immediate >> 16, parts = 32 / ptxm_type_bits((enum type)op->type);
    if (op->flags & WGMMA_A_REGISTERS) {
        ptxm_fragment_offsets(s->offsets, k, parts, 2);
        step->row_stride = 4;
        step->half_stride = (int)(parts * LANES);
        return 4 * parts * LANES;
    }
    bool transposed = op->flags & WGMMA_A_TRANSPOSED;
    for (uint32_t x = 0; x < k; x++) s->offsets[x] = (int)(transposed ? x * 64 : x);
    step->row_stride = transposed ? 1 : (int)k;
    step->half_stride = 8 * step->row_stride;
    return 64 * k;
}

static void negate(float *a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) a[i] = -a[i];
}

static void load_accumulators(struct warp *w, const struct wgmma_record *r,
                              struct wgmma_scratch *s, uint32_t registers)
{
    const struct op *op = r->op;
    bool integer = op->mode, half = op->vector == 16;
    for (uint32_t i = 0; i < registers; i++) {
        s->registers[i] = half || integer ? s->d[i] : ptxm_dst(w, op, i);
        if (!r->adds || integer)
            memset(s->registers[i], 0, LANES * 4);
    }
    for (uint32_t i = 0; half && r->adds && i < op->ndst; i++)
        ptxm_lanes()->spread(s->d[2 * i], ptxm_dst(w, op, i), T_F16);
}

static void store_accumulators(struct warp *w, const struct wgmma_record *r,
                               struct wgmma_scratch *s)
{
    const struct op *op = r->op;
    const struct lane_table *lanes = ptxm_lanes();
    for (uint32_t i = 0; i < op->ndst; i++) {
        uint32_t *d = ptxm_dst(w, op, i);
        if (op->vector == 16) {
            lanes->halves(d, s->d[2 * i], s->d[2 * i + 1]);
        } else if (op->mode) {
            if (!r->adds)
                memset(d, 0, LANES * 4);
            lanes->add_integers(d, s->d[i], op->flags & WGMMA_SATURATE);
        } else {
            lanes->canonical(s->registers[i]);
        }
    }
}

// ---- single bits -------------------------------------------------------------------------------

enum { BIT_WORDS = K_BYTES / 4 }; // of a row of A, a column of B

static uint32_t common_bits(const uint32_t *a, const uint32_t *b)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < BIT_WORDS; i++) sum += (uint32_t)__builtin_popcount(a[i] & b[i]);
    return sum;
}

// The 16 rows of A that a warp has, from its registers: lane 4 * row + t has words t and t + 4 of
// its row in registers 0 and 2, of the row 8 below in 1 and 3.
static void bits_of_registers(struct warp *w, const struct op *op, uint32_t rows[16][BIT_WORDS])
{
    for (unsigned k = 0; k < 4; k++) {
        const uint32_t *words = ptxm_src(w, op, k);
        for (unsigned lane = 0; lane < LANES; lane++)
            rows[lane / 4 + k % 2 * 8][lane % 4 + k / 2 * 4] = words[lane];
    }
}

// The number of bits that a row of A and a column of B have in common.
static void compute_bits(struct cta *cta, uint32_t warpgroup, struct wgmma_scratch *s,
                         const struct wgmma_record *r)
{
    const struct op *op = r->op;
    struct view a = view_a(r), b = view_b(r);
    uint32_t all[64][BIT_WORDS], rows[16][BIT_WORDS];
    const uint32_t (*columns)[BIT_WORDS] = (const void *)s->raw;
    bool registers = op->flags & WGMMA_A_REGISTERS;
    read_chunks(cta, &b, s->raw);
    if (!registers)
        read_chunks(cta, &a, (uint8_t *)all);
    for (uint32_t i = 0; i < WARPGROUP_WARPS; i++) {
        struct warp *w = &cta->warps[warpgroup * WARPGROUP_WARPS + i];
        if (registers)
            bits_of_registers(w, op, rows);
        else
            memcpy(rows, all[i * 16], sizeof rows);
        for (unsigned k = 0; k < op->ndst; k++) {
            uint32_t *d = ptxm_dst(w, op, k);
            for (unsigned lane = 0; lane < LANES; lane++)
                d[lane] = (r->adds ? d[lane] : 0) +
                          common_bits(rows[lane / 4 + k / 2 % 2 * 8],
                                      columns[k / 4 * 8 + lane % 4 * 2 + k % 2]);
        }
    }
}

void ptxm_wgmma_compute(struct cta *cta, uint32_t warpgroup, struct wgmma_scratch *s,
                        const struct wgmma_record *r)
{
    const struct op *op = r->op;
    if (op->type == T_B1)
        return compute_bits(cta, warpgroup, s, r);
    const struct lane_table *lanes = ptxm_lanes();
    struct view b = view_b(r);
    bool registers = op->flags & WGMMA_A_REGISTERS;
    struct matrix_step step = {.d = s->registers, .a = s->a, .b = s->b, .k_offset = s->offsets,
                               .rows = 16, .n = (int)b.extent, .k = (int)b.k};
    uint32_t floats = shape_a(r, s, &step), parts = 32 / ptxm_type_bits((enum type)op->type);
    if (!registers) {
        struct view a = view_a(r);
        read_view(cta, &a, s, s->a);
        if (op->flags & WGMMA_NEGATE)
            negate(s->a, floats);
    }
    read_view(cta, &b, s, s->flat);
    arrange_b(&b, s->flat, s->b);
    for (uint32_t i = 0; i < WARPGROUP_WARPS; i++) {
        struct warp *w = &cta->warps[warpgroup * WARPGROUP_WARPS + i];
        if (registers) {
            for (unsigned k = 0; k < 4; k++)
                lanes->spread(s->a + k * parts * LANES, ptxm_src(w, op, k), (enum type)op->type);
            if (op->flags & WGMMA_NEGATE)
                negate(s->a, floats);
        } else {
            step.a = s->a + (int)i * 16 * step.row_stride;
        }
        load_accumulators(w, r, s, b.extent / 2);
        lanes->multiply(&step);
        store_accumulators(w, r, s);
    }
}
