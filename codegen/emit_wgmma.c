// SPDX-License-Identifier: MIT
// Products of warpgroups: wgmma, with operands that the tensor core reads from shared memory
// itself.
//
// A descriptor says where a matrix lies: its start, the distance of one pattern of eight rows from
// the next, and of one panel from the next where the matrix is contiguous along M or N. What of the
// start depends on the thread is made once for a region, the slot of a ring once for an op; steps
// of K and blocks of 64 rows add constants.
//
// Buffers have rows (or panels) of 128, 64 or 32 bytes with the swizzle of that size, and start at
// a multiple of a pattern, as pass lower lays them out: then the swizzle leaves the first row of
// each pattern alone, and an address within that row is the row's start plus the column.
#include "codegen/emit.h"
#include "codegen/emit_dot.h"

enum { ROWS = 64, STEP = 16, SIZE = 2 }; // of an instruction: rows, K; bytes of an element

typedef struct matrix {
    kg_value *value;
    bool b;        // [K, N]; else [M, K]
    int k_dim;     // the dimension that is K
    bool along_mn; // contiguous along M or N, not along K
    int64_t width; // bytes of a row, or of a panel's
    uint32_t leading, high;
    cg_value slot; // in units of 16 bytes; NULL: 0
    emit_place place;
    struct {
        emit_place_address *items; // key: input; the address that it is for
        int count, capacity;
    } inputs;
} matrix;

typedef struct product {
    kg_emit *e;
    kg_op *op;
    const kg_layout *acc;
    emit_tiles tiles; // blocks of 64 rows, of 8 columns
    matrix a, b;
    struct {
        cg_value *items;
        int count, capacity;
    } inputs;
    struct {
        struct cg_wgmma_step *items;
        int count, capacity;
    } steps;
} product;

// ---- operands in shared memory ------------------------------------------------------------------

static bool refuse(kg_emit *e, const matrix *x, const char *why)
{
    const kg_value *root = x->place.root;
    return emit_error(e, KG_D_L303, "wgmma cannot read operand %d (%s) where it lies: %s", x->b,
                      root && root->name ? root->name : "a buffer", why);
}

// The swizzle that goes with rows of this width; 0: none does.
static uint32_t mode_of(const kg_shared_layout *s, int64_t width)
{
    static const struct {
        int32_t width, bits, shift;
        uint32_t mode;
    } modes[] = {{128, 3, 0, 1}, {64, 2, 1, 2}, {32, 1, 2, 3}};
    for (int i = 0; i < 3; i++)
        if (width == modes[i].width && s->chunk_log2 == 4 && s->bits == modes[i].bits &&
            s->shift == modes[i].shift)
            return modes[i].mode;
    return 0;
}

// Patterns of eight rows start at multiples of their size, wherever a slot or a panel starts.
static bool check_alignment(kg_emit *e, const matrix *x)
{
    const emit_place *p = &x->place;
    int64_t pattern = 8 * x->width, row = 0;
    int64_t panel = (int64_t)p->layout.rows * x->width;
    bool ring = kg_op_int(p->root->op, KG_A_RING, 1) > 1;
    for (int r = 0; r + 1 < p->rank; r++) row += p->constant[r] * p->multiplier[r];
    if (p->base % pattern || (ring && kg_shared_slot_bytes(p->root) % pattern) ||
        (p->layout.panel && panel % pattern))
        return refuse(e, x, "slots and panels must start at multiples of eight rows");
    if (row % 8 || p->row_mask & 7)
        return refuse(e, x, "a view must start at a multiple of eight rows");
    return true;
}

// Along K an instruction takes 32 bytes of a row. Along M or N it takes `extent` bytes: whole
// panels, or a part of one that does not cross into the next.
static bool check_columns(kg_emit *e, const matrix *x, int64_t extent)
{
    const emit_place *p = &x->place;
    int64_t start = p->constant[p->rank - 1] * SIZE, unit = x->width;
    if (!x->along_mn)
        unit = STEP * SIZE;
    else if (extent < x->width && !(extent & (extent - 1)))
        unit = extent;
    if (start % unit || p->column_mask & (uint32_t)(unit - 1))
        return refuse(e, x,
                      "a view must start at a multiple of what an instruction reads of a row");
    if (x->along_mn && extent > x->width && !p->layout.panel)
        return refuse(e, x, "the columns of a warpgroup are more than a row has");
    return true;
}

// The part once more as lane 0 has it. All lanes have the same, but ptxas cannot know; descriptors
// are wanted in uniform registers, and what it takes for different in the lanes it moves there each
// time.
static cg_value as_uniform(kg_emit *e, cg_value value)
{
    if (!value) return NULL;
    for (int i = 0; i < e->uniform.count; i++)
        if (e->uniform.items[i].key == value) return e->uniform.items[i].value;
    emit_cached_value entry = {value, NULL};
    cg_block here = cg_detour_begin(e->m, e->region_start);
    entry.value = emit_shuffle(e, CG_PTX_SHFL_IDX, value, cg_i32(e->m, 0));
    cg_detour_end(e->m, here);
    KG_PUSH(e->arena, &e->uniform, entry);
    return entry.value;
}

static bool open_place(product *x, matrix *o)
{
    emit_part parts[KG_MAX_RANK];
    int32_t nowhere[5] = {0}, warp[5] = {0};
    memset(parts, 0, sizeof parts);
    for (int i = 2; i < x->acc->bits[KG_IN_WARP] && i < 5; i++)
        warp[i] = x->acc->basis[KG_IN_WARP][i][o->b]; // the first two are within the instruction
    emit_part *part = &parts[1 - o->k_dim];
    *part = emit_linear_part(x->e, nowhere, 5, warp, 5);
    part->value = as_uniform(x->e, part->value);
    return emit_place_open(x->e, o->value, parts, &o->place);
}

// `extent`: rows or columns of an instruction.
static bool open_matrix(product *x, matrix *o, int extent)
{
    kg_emit *e = x->e;
    if (!open_place(x, o)) return false;
    emit_place *p = &o->place;
    if (!p->shared || p->rank < 2 || p->gathers)
        return refuse(e, o, "it must be a tile of a shared buffer, without a gather");
    int contiguous = p->operand_dim[p->rank - 1];
    if (contiguous < 0) return refuse(e, o, "its rows lie across the buffer's");
    o->along_mn = contiguous != o->k_dim;
    o->width = (int64_t)p->layout.pitch * SIZE;
    uint32_t mode = mode_of(&p->layout, o->width);
    int32_t columns = p->root->type.dims[p->rank - 1];
    if (!mode || (p->layout.panel ? p->layout.panel : columns) != p->layout.pitch)
        return refuse(e, o, "rows of 128, 64 or 32 bytes with the swizzle of that size are needed");
    if (!check_alignment(e, o) || !check_columns(e, o, (int64_t)extent * SIZE)) return false;
    o->high = (uint32_t)(8 * o->width / 16) | mode << 30;
    if (o->along_mn && p->layout.panel) o->leading = (uint32_t)(p->layout.rows * o->width / 16);
    p->slot = NULL;
    o->slot = emit_slot(e, p, kg_shared_slot_bytes(p->root) / 16);
    return true;
}

static uint32_t add_input(product *x, cg_value value)
{
    KG_PUSH(x->e->arena, &x->inputs, value);
    return (uint32_t)x->inputs.count - 1;
}

// The lower half of a descriptor for an address without its constant.
static cg_value lower_half(kg_emit *e, const matrix *o, cg_value address)
{
    struct cg_module *m = e->m;
    bool early = emit_is_thread_base(e, address);
    cg_block here = early ? cg_detour_begin(m, e->region_start) : NULL;
    cg_value out = cg_lshr(m, address, cg_i32(m, 4));
    if (o->leading) out = cg_add(m, out, cg_i32(m, (int32_t)(o->leading << 16)));
    if (early) cg_detour_end(m, here);
    return o->slot ? cg_add(m, out, o->slot) : out;
}

// Where a matrix starts: an input and what to add to it.
static uint32_t start_of(product *x, matrix *o, int32_t outer, int32_t inner, int32_t *add)
{
    int32_t coord[KG_MAX_RANK] = {0};
    coord[o->k_dim] = inner;
    coord[1 - o->k_dim] = outer;
    emit_element at = emit_place_at(x->e, &o->place, coord);
    *add = (int32_t)(at.offset / 16);
    for (int i = 0; i < o->inputs.count; i++)
        if (o->inputs.items[i].address == at.address) return (uint32_t)o->inputs.items[i].key[0];
    uint32_t input = add_input(x, lower_half(x->e, o, at.address));
    emit_place_address entry = {.key = {(int32_t)input}, .address = at.address};
    KG_PUSH(x->e->arena, &o->inputs, entry);
    return input;
}

// ---- A in registers -----------------------------------------------------------------------------

static cg_value pack_word(kg_emit *e, kg_dtype dtype, cg_value low, cg_value high)
{
    cg_value pair[] = {low, high};
    return cg_bitcast(e->m, cg_pack(e->m, CG_VECTOR(emit_type(dtype), 2), pair), CG_I32);
}

cg_value *emit_wgmma_words(kg_emit *e, const kg_op *op, int *count)
{
    kg_value *a = op->operands[0];
    kg_layout *layout = KG_NEW(e->arena, kg_layout);
    emit_tiles tiles;
    int used = 0;
    kg_layout_dot_a(KG_DOT_WGMMA, op->results[0]->layout, a->type.dims[1], layout);
    emit_tile_origins(e, layout, ROWS, STEP, &tiles);
    cg_value *registers = emit_read_as(e, a, layout, kg_layout_registers(layout));
    int *map = emit_coordinate_map(e, layout);
    *count = 4 * tiles.n_m * tiles.n_n;
    cg_value *out = emit_new_registers(e, *count);
    for (int k = 0; k < tiles.n_n; k++)
        for (int i = 0; i < tiles.n_m; i++)
            for (int j = 0; j < 4; j++) {
                int32_t row = tiles.m[i] + 8 * (j & 1), column = tiles.n[k] + 8 * (j >> 1);
                int low = emit_register_at(map, layout, row, column);
                int high = emit_register_at(map, layout, row, column + 1);
                if (low < 0 || high < 0 || !registers) {
                    emit_error(e, KG_D_L301, "the A operand of wgmma has no layout of wgmma");
                    return out;
                }
                out[used++] = pack_word(e, a->type.dtype, registers[low], registers[high]);
            }
    return out;
}

static uint32_t open_words(product *x)
{
    int count;
    const kg_value *a = x->op->operands[0];
    cg_value *words = emit_led_registers(x->e, a, true);
    if (!words) words = emit_wgmma_words(x->e, x->op, &count);
    count = 4 * x->tiles.n_m * (a->type.dims[1] / STEP);
    uint32_t first = (uint32_t)x->inputs.count;
    for (int i = 0; i < count; i++) add_input(x, words[i]);
    return first;
}

// ---- the instructions ---------------------------------------------------------------------------

// Registers of the accumulators of a block of 64 rows, in the order of the instruction.
static uint32_t *accumulators(product *x, const int *map, int32_t row)
{
    int count = 4 * x->tiles.n_n;
    uint32_t *out = KG_NEW_ARRAY(x->e->arena, uint32_t, count);
    for (int j = 0; j < count; j++) {
        int reg = emit_register_at(map, x->acc, row + 8 * (j >> 1 & 1), 8 * (j >> 2) + (j & 1));
        if (reg < 0) emit_error(x->e, KG_D_L301, "the accumulator of wgmma has no layout of wgmma");
        out[j] = reg < 0 ? 0 : (uint32_t)reg;
    }
    return out;
}

static void add_steps(product *x, uint32_t words, bool in_registers, bool fresh)
{
    int *map = emit_coordinate_map(x->e, x->acc), blocks = x->tiles.n_m;
    uint32_t **d = KG_NEW_ARRAY(x->e->arena, uint32_t *, blocks);
    for (int i = 0; i < blocks; i++) d[i] = accumulators(x, map, x->tiles.m[i]);
    for (int k = 0; k < x->op->operands[0]->type.dims[1] && !x->e->failed; k += STEP)
        for (int i = 0; i < blocks; i++) {
            struct cg_wgmma_step step = {.accumulators = d[i], .fresh = fresh && !k};
            step.b = start_of(x, &x->b, 0, k, &step.b_add);
            if (!in_registers) step.a[0] = start_of(x, &x->a, x->tiles.m[i], k, &step.a_add);
            for (int j = 0; in_registers && j < 4; j++)
                step.a[j] = words + (uint32_t)((k / STEP * blocks + i) * 4 + j);
            KG_PUSH(x->e->arena, &x->steps, step);
        }
}

static bool check_types(kg_emit *e, const kg_op *op)
{
    const kg_type *a = &op->operands[0]->type, *b = &op->operands[1]->type;
    bool halves = a->dtype == b->dtype && (a->dtype == KG_F16 || a->dtype == KG_BF16);
    if (halves && op->results[0]->type.dtype == KG_F32 && a->dims[1] % STEP == 0) return true;
    return emit_error(e, KG_D_L303,
                      "wgmma multiplies f16 or bf16 with f32 accumulators, K a multiple of %d",
                      STEP);
}

// The layout of kg_layout_dot_acc: blocks of 64 rows, and columns side by side.
static bool check_layout(product *x)
{
    kg_emit *e = x->e;
    bool fine = x->acc && x->acc->bits[KG_IN_WARP] >= 2;
    static const int32_t lanes[5][2] = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
    for (int i = 0; fine && i < 5; i++)
        fine = !memcmp(x->acc->basis[KG_IN_LANE][i], lanes[i], sizeof lanes[i]);
    for (int i = 0; fine && i < 2; i++)
        fine = x->acc->basis[KG_IN_WARP][i][0] == 16 << i && !x->acc->basis[KG_IN_WARP][i][1];
    if (fine) emit_tile_origins(e, x->acc, ROWS, 8, &x->tiles);
    for (int j = 0; fine && j < x->tiles.n_n; j++) fine = x->tiles.n[j] == 8 * j;
    if (fine && x->tiles.n_n && x->tiles.n_n <= 32 && x->tiles.n_m) return true;
    return emit_error(
        e, KG_D_L301,
        "no layout of wgmma fits: it takes 64 rows for each warpgroup, and at most 256 "
        "columns");
}

static void run(product *x, bool in_registers, bool fresh, cg_value *out)
{
    const kg_op *fence = x->e->fence;
    const struct cg_wgmma_run run = {.n = 8 * (unsigned)x->tiles.n_n,
                                     .bf16 = x->op->operands[0]->type.dtype == KG_BF16,
                                     .a_in_registers = in_registers,
                                     .a_transposed = x->a.along_mn,
                                     .b_transposed = x->b.along_mn,
                                     .fresh = fresh,
                                     .fenced = fence != NULL,
                                     .comment = fence ? emit_sync_comment(x->e, fence) : NULL,
                                     .a_high = x->a.high,
                                     .b_high = x->b.high,
                                     .steps = x->steps.items,
                                     .step_count = (unsigned)x->steps.count,
                                     .variables = out,
                                     .variable_count = (unsigned)kg_layout_registers(x->acc),
                                     .inputs = x->inputs.items,
                                     .input_count = (unsigned)x->inputs.count};
    cg_wgmma_emit(x->e->m, &run);
    x->e->fence = NULL;
}

static void multiply(product *x, cg_value *out)
{
    kg_emit *e = x->e;
    const kg_op *op = x->op;
    int count = kg_layout_registers(x->acc);
    bool in_registers = op->operands[0]->type.home == KG_HOME_FRAG;
    bool fresh = kg_wgmma_is_fresh(op);
    uint32_t words = 0;
    if (!open_matrix(x, &x->b, 8 * x->tiles.n_n)) return;
    if (in_registers)
        words = open_words(x);
    else if (!open_matrix(x, &x->a, ROWS))
        return;
    cg_value *start = fresh ? out : emit_led_registers(e, op->operands[2], false);
    if (!start) start = emit_read_as(e, op->operands[2], x->acc, count);
    if (!start) return;
    memcpy(out, start, sizeof *out * (size_t)count);
    add_steps(x, words, in_registers, fresh);
    if (!e->failed) run(x, in_registers, fresh, out);
}

void emit_wgmma(kg_emit *e, kg_op *op)
{
    kg_value *result = op->results[0];
    int count = emit_register_count(result);
    cg_value *variables = emit_new_registers(e, count), *out = emit_new_registers(e, count);
    product x = {.e = e, .op = op, .acc = result->layout};
    x.a = (matrix){.value = op->operands[0], .k_dim = 1};
    x.b = (matrix){.value = op->operands[1], .b = true, .k_dim = 0};
    for (int i = 0; i < count; i++)
        variables[i] = cg_variable(e->m, CG_F32, result->name ? result->name : "product");
    emit_define(e, result, variables);
    if (!check_types(e, op) || !check_layout(&x)) return;
    multiply(&x, out);
    for (int i = 0; i < count && !e->failed; i++) cg_set(e->m, variables[i], out[i]);
}
