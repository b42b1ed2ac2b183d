// SPDX-License-Identifier: MIT
// Addresses of a memory operand's elements: 64-bit in global memory, 32-bit in shared memory.
//
// An address is a run-time part, made once for an op, plus a constant that goes into the
// instruction. The XOR of a swizzle is taken apart the same way: bits that no run-time part can
// touch are plain offsets, and only the others need an instruction, once for each distinct value.
#include "codegen/emit.h"

kg_value *emit_root_of(kg_value *operand)
{
    return kg_root(operand);
}

cg_value emit_and(kg_emit *e, cg_value a, cg_value b)
{
    if (!a || !b) return a ? a : b;
    return cg_and(e->m, a, b);
}

static cg_value add_to(kg_emit *e, cg_value a, cg_value b)
{
    if (!a || !b) return a ? a : b;
    return cg_add(e->m, a, b);
}

static cg_value widen(kg_emit *e, cg_value value)
{
    return cg_type_of(e->m, value) == CG_I64 ? value : cg_sext(e->m, value, CG_I64);
}

// -- run-time parts of the indices ----------------------------------------------------------------

// Bits that the sum of two parts may have: a carry can reach everything above the lowest bit of
// both.
static uint32_t sum_mask(uint32_t a, uint32_t b)
{
    if (!(a & b)) return a | b;
    return ~UINT32_C(0) << __builtin_ctz(a | b);
}

void emit_place_add(kg_emit *e, emit_place *place, int r, kg_value *scalar, int64_t divisor)
{
    int64_t constant;
    emit_part *dyn = &place->dyn[r];
    if (kg_const_int(scalar, &constant)) {
        place->constant[r] += constant;
        return;
    }
    cg_value value = emit_scalar(e, scalar);
    if (place->shared && cg_type_of(e->m, value) == CG_I64)
        value = cg_trunc(e->m, value, CG_I32);
    else if (!place->shared && cg_type_of(e->m, value) != CG_I64 &&
             cg_type_of(e->m, value) != CG_I32)
        value = cg_sext(e->m, value, CG_I32);
    uint32_t mask = divisor > 1 ? ~(uint32_t)(divisor - 1) : ~UINT32_C(0);
    dyn->mask = dyn->value ? sum_mask(dyn->mask, mask) : mask;
    dyn->linear = false;
    if (dyn->value && cg_type_of(e->m, value) == CG_I64) dyn->value = widen(e, dyn->value);
    dyn->value = add_to(e, value, dyn->value);
}

static void open_indices(kg_emit *e, emit_place *place, const emit_part *thread)
{
    for (int r = 0; r < KG_MAX_RANK; r++) place->operand_dim[r] = -1;
    place->all_linear = true;
    for (int d = 0; d < place->view.rank; d++) {
        int r = place->view.dim[d];
        place->operand_dim[r] = d;
        place->thread[r] = thread[d];
        place->gather[r] = place->view.gather[d];
        if (!place->gather[r])
            place->dyn[r] = thread[d];
        else if (!emit_limited_gather(e, place, r))
            place->all_linear &= emit_linear_gather(e, place, r);
        place->gathers |= place->gather[r] != NULL;
        if (place->view.start[d])
            emit_place_add(e, place, r, place->view.start[d], place->view.divisor[d]);
    }
    for (int r = 0; r < place->rank; r++)
        if (place->view.fixed[r])
            emit_place_add(e, place, r, place->view.fixed[r], place->view.fixed_divisor[r]);
}

// The element of a fragment of rank 1 at this thread's coordinate and constant part c.
static cg_value element_of(kg_emit *e, const emit_place *place, int r, int64_t c,
                           kg_value *fragment)
{
    emit_wanted wanted = {.rank = 1, .count = 1};
    int32_t coord[1][KG_MAX_RANK] = {{(int32_t)c}};
    wanted.coord = coord;
    for (int i = 0; i < 5; i++) {
        wanted.lane[i][0] = place->thread[r].lane[i];
        wanted.warp[i][0] = place->thread[r].warp[i];
    }
    cg_value *found = NULL;
    if (place->thread[r].value && !place->thread[r].linear)
        emit_error(e, KG_D_L301, "a gather needs threads that divide the tile evenly");
    else
        found = emit_exchange(e, fragment->layout, emit_read(e, fragment), &wanted);
    return found ? found[0] : NULL;
}

// The gathered index for constant part c: the element of the index fragment.
static cg_value gathered_index(kg_emit *e, emit_place *place, int r, int64_t c)
{
    for (int i = 0; i < place->gathered.count; i++)
        if (place->gathered.items[i].d == r && place->gathered.items[i].c == c)
            return place->gathered.items[i].value;
    cg_value found = element_of(e, place, r, c, place->gather[r]);
    emit_place_test entry = {r, c, found ? found : cg_i32(e->m, 0)};
    KG_PUSH(e->arena, &place->gathered, entry);
    return entry.value;
}

// -- global ---------------------------------------------------------------------------------------

static bool proven_inside(const emit_place *place, int r)
{
    int d = place->operand_dim[r];
    return d >= 0 ? place->view.inbounds[d] : place->view.fixed_inbounds[r];
}

static cg_value compare_size(kg_emit *e, const kg_sexpr *dim, cg_value index)
{
    bool narrow = cg_type_of(e->m, index) == CG_I32;
    if (narrow && dim->kind == KG_SX_INT && dim->value <= INT32_MAX)
        return cg_ult(e->m, index, cg_i32(e->m, (int32_t)dim->value));
    if (narrow && dim->kind == KG_SX_PARAM && dim->param->type.dtype == KG_I32)
        return cg_ult(e->m, index, e->values[dim->param->id][0]);
    return cg_ult(e->m, widen(e, index), emit_sexpr(e, dim));
}

// Does the tensor's constant size hold every index that can come up?
static bool surely_inside(const emit_place *place, int r, int64_t c)
{
    const kg_sexpr *dim = place->root->tensor->dims[r];
    int64_t start = place->constant[r] + c;
    if (place->gather[r] || dim->kind != KG_SX_INT || start < 0) return false;
    return (int64_t)place->dyn[r].mask + start < dim->value;
}

static cg_value index_of(kg_emit *e, emit_place *place, int r, int64_t c)
{
    int64_t constant = place->constant[r] + c;
    cg_value index = place->dyn[r].value;
    if (place->gather[r]) return gathered_index(e, place, r, c);
    if (!index) return cg_i32(e->m, (int32_t)constant);
    if (!constant) return index;
    return cg_add(e->m, index, cg_integer(e->m, cg_type_of(e->m, index), constant));
}

// Predicate of one dimension for a constant part; NULL when it always holds.
static cg_value inside_dim(kg_emit *e, emit_place *place, int r, int64_t c)
{
    bool test = place->test[r] && !surely_inside(place, r, c);
    if (!test && !place->which[r]) return NULL;
    for (int i = 0; i < place->tests.count; i++)
        if (place->tests.items[i].d == r && place->tests.items[i].c == c)
            return place->tests.items[i].value;
    emit_place_test entry = {r, c, NULL};
    if (place->which[r]) entry.value = element_of(e, place, r, c, place->which[r]);
    if (test)
        entry.value =
            emit_and(e, entry.value,
                     compare_size(e, place->root->tensor->dims[r], index_of(e, place, r, c)));
    KG_PUSH(e->arena, &place->tests, entry);
    return entry.value;
}

static cg_value stride_bytes(kg_emit *e, const emit_place *place, int r)
{
    if (place->known[r]) return cg_i64(e->m, place->stride[r]);
    return cg_mul(e->m, emit_sexpr(e, place->root->tensor->strides[r]), cg_i64(e->m, place->size));
}

// index * stride in bytes. The element size is multiplied last: index and stride are 32 bits wide
// each, so their product is one instruction.
static cg_value scaled(kg_emit *e, const emit_place *place, int r, cg_value index)
{
    struct cg_module *m = e->m;
    if (place->known[r]) return cg_mul(m, widen(e, index), stride_bytes(e, place, r));
    cg_value elements = cg_mul(m, widen(e, index), emit_sexpr(e, place->root->tensor->strides[r]));
    return cg_mul(m, elements, cg_i64(m, place->size));
}

static void open_global(kg_emit *e, emit_place *place)
{
    struct cg_module *m = e->m;
    place->pointer = e->values[place->root->id][0];
    cg_value bytes = NULL;
    for (int r = 0; r < place->rank; r++) {
        const kg_sexpr *stride = place->root->tensor->strides[r];
        place->known[r] = stride->kind == KG_SX_INT;
        place->stride[r] = place->known[r] ? stride->value * place->size : 0;
        place->test[r] = !proven_inside(place, r);
        cg_value index = place->dyn[r].value;
        if (!place->known[r] && place->constant[r])
            index = index
                        ? cg_add(m, index, cg_integer(m, cg_type_of(m, index), place->constant[r]))
                        : cg_i32(m, (int32_t)place->constant[r]);
        if (index) bytes = add_to(e, bytes, scaled(e, place, r, index));
    }
    if (bytes) place->pointer = cg_advance(m, CG_SPACE_GLOBAL, place->pointer, bytes);
    for (int r = 0; r < place->rank; r++)
        if (place->operand_dim[r] < 0)
            place->inside = emit_and(e, place->inside, inside_dim(e, place, r, 0));
}

// `count` steps of a stride that is known at run time only, in bytes: the same in the whole region.
static cg_value stride_steps(kg_emit *e, const emit_place *place, int r, int64_t count)
{
    const kg_sexpr *stride = place->root->tensor->strides[r];
    for (int i = 0; i < e->steps.count; i++)
        if (e->steps.items[i].stride == stride && e->steps.items[i].bytes == count * place->size)
            return e->steps.items[i].value;
    emit_cached_step entry = {stride, count * place->size, NULL};
    cg_block here = cg_detour_begin(e->m, e->region_start);
    entry.value = cg_mul(e->m, emit_sexpr(e, stride), cg_i64(e->m, entry.bytes));
    cg_detour_end(e->m, here);
    KG_PUSH(e->arena, &e->steps, entry);
    return entry.value;
}

// The dimension in which two keys differ, if it is one alone and a plain one; -1 otherwise.
static int only_difference(const emit_place *place, const int32_t *from, const int32_t *to)
{
    int found = -1;
    for (int r = 0; r < place->rank; r++) {
        if (from[r] == to[r]) continue;
        if (found >= 0 || place->gather[r]) return -1;
        found = r;
    }
    return found;
}

// Where a key of constant parts is reached in one step from an address that exists, the step is
// taken from the nearest one: rows of a tile become a chain of additions.
static bool step_from_known(kg_emit *e, emit_place *place, const int32_t *key, cg_value *out)
{
    int64_t nearest = INT64_MAX;
    const emit_place_address *from = NULL;
    int along = -1;
    for (int i = 0; i < place->addresses.count; i++) {
        const emit_place_address *known = &place->addresses.items[i];
        int r = only_difference(place, known->key, key);
        if (r < 0) continue;
        int64_t distance = (int64_t)key[r] - known->key[r];
        if (distance > 0 && distance < nearest) nearest = distance, from = known, along = r;
    }
    if (!from) return false;
    *out = cg_advance(e->m, CG_SPACE_GLOBAL, from->address, stride_steps(e, place, along, nearest));
    return true;
}

// The run-time part of an address for these constants: gathered dimensions and strides known at run
// time only.
static cg_value global_address(kg_emit *e, emit_place *place, const int32_t *key)
{
    for (int i = 0; i < place->addresses.count; i++)
        if (!memcmp(place->addresses.items[i].key, key, sizeof place->addresses.items[i].key))
            return place->addresses.items[i].address;
    emit_place_address entry = {.address = place->pointer};
    memcpy(entry.key, key, sizeof entry.key);
    if (!step_from_known(e, place, key, &entry.address)) {
        cg_value bytes = NULL;
        for (int r = 0; r < place->rank; r++) {
            if (place->gather[r])
                bytes = add_to(e, bytes, scaled(e, place, r, gathered_index(e, place, r, key[r])));
            else if (key[r])
                bytes = add_to(e, bytes, stride_steps(e, place, r, key[r]));
        }
        if (bytes) entry.address = cg_advance(e->m, CG_SPACE_GLOBAL, place->pointer, bytes);
    }
    KG_PUSH(e->arena, &place->addresses, entry);
    return entry.address;
}

static emit_element global_at(kg_emit *e, emit_place *place, const int32_t *constant)
{
    emit_element out = {.inside = place->inside};
    int32_t key[KG_MAX_RANK] = {0}; // constants that take part in the run-time address
    for (int r = 0; r < place->rank; r++) {
        int d = place->operand_dim[r];
        int32_t c = d >= 0 ? constant[d] : 0;
        if (place->gather[r] || !place->known[r])
            key[r] = c;
        else
            out.offset += (place->constant[r] + c) * place->stride[r];
        if (d >= 0) out.inside = emit_and(e, out.inside, inside_dim(e, place, r, c));
    }
    out.address = global_address(e, place, key);
    return out;
}

// -- shared ---------------------------------------------------------------------------------------

static cg_value scaled32(kg_emit *e, cg_value value, int64_t factor)
{
    return value && factor != 1 ? cg_mul(e->m, value, cg_i32(e->m, (int32_t)factor)) : value;
}

static uint32_t scaled_mask(uint32_t mask, int64_t factor)
{
    if (!mask || factor <= 0) return 0;
    if (factor & (factor - 1))
        return ~UINT32_C(0) << (__builtin_ctz(mask) + __builtin_ctzll((uint64_t)factor));
    return mask << __builtin_ctzll((uint64_t)factor);
}

// The slot of a ring: iteration mod ring.
cg_value emit_slot(kg_emit *e, const emit_place *place, int64_t unit)
{
    struct cg_module *m = e->m;
    kg_value *iteration = place->view.slot;
    int64_t ring = kg_op_int(place->root->op, KG_A_RING, 1), constant;
    if (!iteration || ring <= 1) return NULL;
    if (kg_const_int(iteration, &constant))
        return cg_i32(m, (int32_t)((constant % ring + ring) % ring * unit));
    cg_value i = emit_scalar(e, iteration);
    if (cg_type_of(m, i) == CG_I64)
        i = ring & (ring - 1) ? cg_trunc(m, cg_urem(m, i, cg_i64(m, ring)), CG_I32)
                              : cg_trunc(m, i, CG_I32);
    i = ring & (ring - 1) ? cg_urem(m, i, cg_i32(m, (int32_t)ring))
                          : cg_and(m, i, cg_i32(m, (int32_t)ring - 1));
    return scaled32(e, i, unit);
}

static void open_shared(kg_emit *e, emit_place *place)
{
    int last = place->rank - 1;
    int64_t rows = 1;
    place->layout = kg_shared_layout_of(place->root);
    place->base = kg_op_int(place->root->op, KG_A_OFFSET, 0);
    place->slot = emit_slot(e, place, kg_shared_slot_bytes(place->root));
    for (int r = last - 1; r >= 0; r--) {
        place->multiplier[r] = rows;
        place->row_mask = sum_mask(place->row_mask, scaled_mask(place->dyn[r].mask, rows));
        rows *= place->root->type.dims[r];
    }
    if (last >= 0) {
        place->column_mask = scaled_mask(place->dyn[last].mask, place->size);
    }
}

static cg_value swizzle_of(kg_emit *e, const emit_place *place, cg_value row)
{
    struct cg_module *m = e->m;
    const kg_shared_layout *s = &place->layout;
    if (!row || s->bits == 0) return NULL;
    uint32_t field = ((UINT32_C(1) << s->bits) - 1) << s->shift;
    cg_value bits = cg_and(m, row, cg_i32(m, (int32_t)field));
    int left = s->chunk_log2 - s->shift;
    if (left == 0) return bits;
    return left > 0 ? cg_shl(m, bits, cg_i32(m, left)) : cg_lshr(m, bits, cg_i32(m, -left));
}

static uint32_t swizzle_bits(const kg_shared_layout *s, uint32_t row)
{
    return s->bits ? ((row >> s->shift) & ((UINT32_C(1) << s->bits) - 1)) << s->chunk_log2 : 0;
}

// Bytes from one panel's row 0 to the next panel's.
static int64_t panel_step(const emit_place *place)
{
    return (int64_t)place->layout.rows * place->layout.pitch * place->size;
}

// The bits of a column, in bytes, that stay within its panel (or its row).
static uint32_t within_panel(const emit_place *place)
{
    uint32_t width = (uint32_t)(place->layout.panel * place->size);
    return width ? width - 1 : ~UINT32_C(0);
}

// Does every part of the index that is known at run time only stand in bits of its own, so that
// panels can be counted and swizzles applied part by part?
static bool parts_are_apart(const emit_place *place, int64_t row, int64_t column)
{
    const kg_shared_layout *s = &place->layout;
    int64_t width = (int64_t)s->panel * place->size;
    bool columns_meet = place->column_mask & (uint32_t)column;
    if (width & (width - 1)) return !place->column_mask && !s->bits;
    if (s->panel && columns_meet) return false;
    return !s->bits || (!columns_meet && !(place->row_mask & (uint32_t)row));
}

// Where the panel of a column starts; the column becomes the one within its panel. NULL: at 0.
static cg_value panel_start(kg_emit *e, const emit_place *place, cg_value *column, bool known)
{
    struct cg_module *m = e->m;
    int32_t width = place->layout.panel * place->size;
    cg_value whole = *column, number;
    if (!width || !whole || (known && !(place->column_mask & ~within_panel(place)))) return NULL;
    if (width & (width - 1)) {
        number = cg_udiv(m, whole, cg_i32(m, width));
        *column = cg_urem(m, whole, cg_i32(m, width));
    } else {
        number = cg_lshr(m, whole, cg_i32(m, __builtin_ctz((unsigned)width)));
        *column = cg_and(m, whole, cg_i32(m, width - 1));
    }
    return scaled32(e, number, panel_step(place));
}

static cg_value shared_sum(kg_emit *e, const emit_place *place, cg_value row, cg_value column)
{
    int64_t pitch = (int64_t)place->layout.pitch * place->size;
    return add_to(e, e->shared_base, add_to(e, scaled32(e, row, pitch), column));
}

// Every step at run time: for gathers, and where a constant may carry into a swizzled bit.
static cg_value shared_slowly(kg_emit *e, emit_place *place, const int64_t *index)
{
    struct cg_module *m = e->m;
    cg_value row = NULL, column = NULL;
    for (int r = 0; r < place->rank; r++) {
        cg_value value = place->dyn[r].value;
        if (place->gather[r])
            value = gathered_index(e, place, r, index[r]);
        else if (index[r])
            value = add_to(e, value, cg_i32(m, (int32_t)index[r]));
        if (r == place->rank - 1)
            column = scaled32(e, value, place->size);
        else
            row = add_to(e, row, scaled32(e, value, place->multiplier[r]));
    }
    cg_value panel = panel_start(e, place, &column, false);
    cg_value swizzle = swizzle_of(e, place, row);
    if (swizzle) column = column ? cg_xor(m, column, swizzle) : swizzle;
    return add_to(e, add_to(e, shared_sum(e, place, row, column), panel), place->slot);
}

static cg_value flipped_sum(kg_emit *e, emit_place *place, uint32_t flip)
{
    struct cg_module *m = e->m;
    cg_value row = NULL, column = NULL;
    for (int r = 0; r < place->rank; r++) {
        cg_value value = place->dyn[r].value;
        if (r == place->rank - 1)
            column = scaled32(e, value, place->size);
        else
            row = add_to(e, row, scaled32(e, value, place->multiplier[r]));
    }
    cg_value panel = panel_start(e, place, &column, true);
    cg_value swizzle = swizzle_of(e, place, row);
    if (swizzle) column = column ? cg_xor(m, column, swizzle) : swizzle;
    if (flip)
        column = column ? cg_xor(m, column, cg_i32(m, (int32_t)flip)) : cg_i32(m, (int32_t)flip);
    return add_to(e, shared_sum(e, place, row, column), panel);
}

// What depends on the thread alone is built once, at the region's start.
static cg_value thread_base(kg_emit *e, emit_place *place, uint32_t flip)
{
    emit_cached_base entry;
    memset(&entry, 0, sizeof entry);
    entry.key.layout = place->layout;
    entry.key.rank = place->rank;
    entry.key.size = place->size;
    entry.key.flip = flip;
    for (int r = 0; r < place->rank; r++) {
        entry.key.index[r] = place->dyn[r].value;
        entry.key.multiplier[r] = place->multiplier[r];
    }
    for (int i = 0; i < e->bases.count; i++)
        if (!memcmp(&e->bases.items[i].key, &entry.key, sizeof entry.key))
            return e->bases.items[i].address;
    cg_block here = cg_detour_begin(e->m, e->region_start);
    entry.address = flipped_sum(e, place, flip);
    cg_detour_end(e->m, here);
    KG_PUSH(e->arena, &e->bases, entry);
    return entry.address;
}

bool emit_is_thread_base(const kg_emit *e, cg_value address)
{
    for (int i = 0; i < e->bases.count; i++)
        if (e->bases.items[i].address == address) return true;
    return false;
}

// Can the flip be applied to a whole address? If everything but the column leaves its bits alone.
static bool flips_address(const emit_place *place, uint32_t flip)
{
    const kg_shared_layout *s = &place->layout;
    uint32_t column =
        (place->column_mask & within_panel(place)) | swizzle_bits(s, place->row_mask) | flip;
    int64_t span = 1;
    while (span <= column) span *= 2;
    return span <= 1024 && (int64_t)s->pitch * place->size % span == 0 &&
           kg_shared_slot_bytes(place->root) % span == 0;
}

static cg_value shared_base_for(kg_emit *e, emit_place *place, uint32_t flip)
{
    bool thread_alone = true;
    cg_value base;
    for (int i = 0; i < place->addresses.count; i++)
        if ((uint32_t)place->addresses.items[i].key[0] == flip)
            return place->addresses.items[i].address;
    for (int r = 0; r < place->rank; r++)
        thread_alone &= !place->dyn[r].value || place->dyn[r].linear;
    if (flip && flips_address(place, flip)) {
        base = cg_xor(e->m, shared_base_for(e, place, 0), cg_i32(e->m, (int32_t)flip));
    } else {
        base = thread_alone ? thread_base(e, place, flip) : flipped_sum(e, place, flip);
        base = add_to(e, base, place->slot);
    }
    emit_place_address entry = {.key = {(int32_t)flip}, .address = base};
    KG_PUSH(e->arena, &place->addresses, entry);
    return entry.address;
}

static emit_element shared_at(kg_emit *e, emit_place *place, const int32_t *constant)
{
    const kg_shared_layout *s = &place->layout;
    int64_t index[KG_MAX_RANK] = {0}, row = 0, column = 0;
    bool apart = place->all_linear;
    for (int r = 0; r < place->rank; r++) {
        int64_t c = place->operand_dim[r] >= 0 ? constant[place->operand_dim[r]] : 0, at = c;
        index[r] = place->gather[r] ? c : place->constant[r] + c;
        if (place->linear[r]) {
            at = emit_gathered_constant(place->linear[r], c);
            apart &= !(place->thread[r].mask & (uint32_t)c);
        }
        if (r == place->rank - 1)
            column = (place->constant[r] + at) * place->size;
        else
            row += (place->constant[r] + at) * place->multiplier[r];
    }
    emit_element out = {.offset = place->base};
    if (!apart || !parts_are_apart(place, row, column)) {
        out.address = shared_slowly(e, place, index);
        return out;
    }
    int64_t width = s->panel ? (int64_t)s->panel * place->size : column + 1;
    uint32_t constant_column = (uint32_t)(column % width) ^ swizzle_bits(s, (uint32_t)row);
    uint32_t moving = place->column_mask & within_panel(place);
    uint32_t touched = s->bits ? moving | swizzle_bits(s, place->row_mask) : 0;
    out.address = shared_base_for(e, place, constant_column & touched);
    out.offset += column / width * panel_step(place) + row * s->pitch * place->size +
                  (int64_t)(constant_column & ~touched);
    return out;
}

// -- both -----------------------------------------------------------------------------------------

bool emit_place_open(kg_emit *e, kg_value *operand, const emit_part *thread, emit_place *out)
{
    memset(out, 0, sizeof *out);
    kg_view_resolve(operand, &out->view);
    out->root = out->view.root;
    out->shared = out->root->type.home == KG_HOME_SHARED;
    out->rank = out->root->type.rank;
    out->size = kg_dtype_bytes(out->root->type.dtype);
    if (!kg_dtype_info_of(out->root->type.dtype)->codegen)
        return emit_error(e, KG_D_C601, "elements of type %s are not supported yet",
                          kg_dtype_info_of(out->root->type.dtype)->name);
    open_indices(e, out, thread);
    if (out->shared)
        open_shared(e, out);
    else
        open_global(e, out);
    return !e->failed;
}

emit_element emit_place_at(kg_emit *e, emit_place *place, const int32_t *constant)
{
    return place->shared ? shared_at(e, place, constant) : global_at(e, place, constant);
}

cg_value emit_element_address(kg_emit *e, const emit_place *place, emit_element element)
{
    if (!element.offset) return element.address;
    enum cg_space space = place->shared ? CG_SPACE_SHARED : CG_SPACE_GLOBAL;
    cg_value offset =
        place->shared ? cg_i32(e->m, (int32_t)element.offset) : cg_i64(e->m, element.offset);
    return cg_advance(e->m, space, element.address, offset);
}
