// SPDX-License-Identifier: MIT
// Products of tiles: mma.sync on fragments that ldmatrix brings from shared memory, or fused
// multiply-adds.
//
// An accumulator register of a thread stands for one element of each 16 x 8 tile; the loops here
// run over the tiles of a warp and over steps of the inner dimension, the outermost one, so that
// the operands of a step are loaded once for all tiles. Operand addresses are one thread part for
// each operand, plus constants. Products that only add to the one before, dot(c, d, dot(a, b)), are
// one run of instructions.
#include "codegen/emit.h"
#include "codegen/emit_dot.h"

// -- the tiles of a warp --------------------------------------------------------------------------

int *emit_coordinate_map(kg_emit *e, const kg_layout *layout)
{
    int32_t coord[KG_MAX_RANK];
    int32_t columns = layout->core[1] * layout->reps[1];
    int count = kg_layout_registers(layout), size = layout->core[0] * layout->reps[0] * columns;
    int *map = KG_NEW_ARRAY(e->arena, int, size); // register + 1, 0 = none
    for (int r = count - 1; r >= 0; r--) {
        kg_layout_coord(layout, r, 0, 0, coord);
        map[coord[0] * columns + coord[1]] = r + 1;
    }
    return map;
}

int emit_register_at(const int *map, const kg_layout *layout, int row, int column)
{
    return map[row * layout->core[1] * layout->reps[1] + column] - 1;
}

static void add_sorted(int32_t *list, int *count, int32_t value)
{
    int at = 0;
    while (at < *count && list[at] < value) at++;
    if (at < *count && list[at] == value) return;
    memmove(list + at + 1, list + at, sizeof *list * (size_t)(*count - at));
    list[at] = value;
    ++*count;
}

// Constant parts of rows and columns at which tiles of step_m x step_n start.
void emit_tile_origins(kg_emit *e, const kg_layout *acc, int step_m, int step_n, emit_tiles *out)
{
    int count = kg_layout_registers(acc);
    int32_t coord[KG_MAX_RANK];
    memset(out, 0, sizeof *out);
    out->m = KG_NEW_ARRAY(e->arena, int32_t, count + 1);
    out->n = KG_NEW_ARRAY(e->arena, int32_t, count + 1);
    for (int r = 0; r < count; r++) {
        kg_layout_coord(acc, r, 0, 0, coord);
        if (coord[0] % step_m == 0) add_sorted(out->m, &out->n_m, coord[0]);
        if (coord[1] % step_n == 0) add_sorted(out->n, &out->n_n, coord[1]);
    }
}

// -- operands of mma ------------------------------------------------------------------------------

typedef struct operand {
    kg_value *value;
    bool b;          // the second operand, [K, N]
    int k_dim;       // which dimension is the inner one
    int bytes, pack; // of an element; elements in a 32-bit word
    // fragment
    const kg_layout *layout;
    cg_value *registers;
    int *map;
    // shared
    bool matrix, transposed; // by ldmatrix; .trans
    bool words;              // without ldmatrix: a word is contiguous and aligned
    emit_place place;        // four matrices (of b: two tiles), or single elements
    emit_place two;          // of b: two matrices, for a tile left over
} operand;

typedef struct cg_run_operand word; // 32 bits of an operand, as the run knows them

// The run of ldmatrix and mma that a product, or a chain of them, becomes.
typedef struct emit_run {
    const kg_value *result; // of the last product so far
    cg_value *acc;
    struct {
        struct cg_run_step *items;
        int count, capacity;
    } steps;
    struct {
        cg_value *items;
        int count, capacity;
    } inputs;
    uint32_t temporaries;
} emit_run;

typedef struct dot {
    kg_emit *e;
    kg_op *op;
    kg_dot_kind kind;
    const kg_layout *acc;
    emit_tiles tiles;
    int k, step;
    operand a, b;
    emit_run *run;
} dot;

// A value that goes into the run; addresses come again and again.
static word run_input(dot *x, cg_value value)
{
    emit_run *run = x->run;
    int at = run->inputs.count - 1;
    while (at >= 0 && at > run->inputs.count - 32 && run->inputs.items[at] != value) at--;
    if (at < 0 || run->inputs.items[at] != value) {
        at = run->inputs.count;
        KG_PUSH(x->e->arena, &run->inputs, value);
    }
    return (word){.kind = CG_RUN_INPUT, .index = (uint32_t)at};
}

static struct cg_run_step *run_step(dot *x, enum cg_ptx_id id)
{
    struct cg_run_step step = {
        .id = id, .line = (unsigned)x->op->loc.line, .column = (unsigned)x->op->loc.column};
    KG_PUSH(x->e->arena, &x->run->steps, step);
    return &x->run->steps.items[x->run->steps.count - 1];
}

// Every row of 16 bytes that ldmatrix reads must be aligned: pitch, swizzle, offset and starts.
static bool aligned(const operand *o, int unit)
{
    const kg_value *root = o->place.root;
    const kg_shared_layout *s = &o->place.layout;
    int last = root->type.rank - 1;
    if (s->pitch * o->bytes % unit || s->panel * o->bytes % unit ||
        (s->bits && 1 << s->chunk_log2 < unit) || o->place.base % unit ||
        kg_shared_slot_bytes(root) % unit)
        return false;
    int64_t start = o->place.constant[last];
    int d = o->place.operand_dim[last];
    int64_t divisor = d < 0 ? o->place.view.fixed_divisor[last] : o->place.view.divisor[d];
    bool runs = d >= 0 ? o->place.view.start[d] != NULL : o->place.view.fixed[last] != NULL;
    return start * o->bytes % unit == 0 && (!runs || divisor * o->bytes % unit == 0);
}

static void warp_bases(const dot *x, int dim, int32_t *warp)
{
    for (int i = 0; i < x->acc->bits[KG_IN_WARP] && i < 5; i++)
        warp[i] = x->acc->basis[KG_IN_WARP][i][dim];
}

// Which row of which 8 x 8 matrix a lane points ldmatrix at. Bits 0 to 2 walk the rows of a matrix:
// along the outer dimension, or along K for .trans. Bits 3 and 4 choose the matrix: of A, row 8 and
// the second half of K; of B, the second half of K and the next tile.
static void matrix_parts(dot *x, const operand *o, bool pairs, emit_part *parts)
{
    int32_t outer[5] = {0}, inner[5] = {0}, warp[5] = {0}, nowhere[5] = {0};
    int half = 16 / o->bytes; // elements of K in one matrix row
    for (int i = 0; i < 3; i++) *(o->transposed ? &inner[i] : &outer[i]) = 1 << i;
    if (o->b) {
        inner[3] = half;
        outer[4] = pairs ? 8 : 0;
    } else {
        outer[3] = 8;
        inner[4] = half;
    }
    warp_bases(x, o->b ? 1 : 0, warp);
    parts[o->k_dim] = emit_linear_part(x->e, inner, 5, nowhere, 5);
    parts[1 - o->k_dim] = emit_linear_part(x->e, outer, 5, warp, 5);
}

static void element_parts(dot *x, const operand *o, emit_part *parts)
{
    for (int d = 0; d < 2; d++) parts[d] = emit_layout_part(x->e, o->layout, d);
}

static bool open_shared_operand(dot *x, operand *o)
{
    emit_part parts[KG_MAX_RANK];
    memset(parts, 0, sizeof parts);
    element_parts(x, o, parts);
    if (!emit_place_open(x->e, o->value, parts, &o->place)) return false;
    if (!o->place.shared)
        return emit_error(x->e, KG_D_L303, "a matmul operand is still in global memory");
    int contiguous = o->place.operand_dim[o->place.root->type.rank - 1];
    bool inner = contiguous == o->k_dim;
    o->transposed = !inner;
    o->matrix = contiguous >= 0 && (inner || o->bytes == 2) && aligned(o, 16);
    o->words = inner && aligned(o, 4);
    if (!o->matrix) return true;
    matrix_parts(x, o, true, parts);
    if (!emit_place_open(x->e, o->value, parts, &o->place)) return false;
    if (!o->b) return true;
    matrix_parts(x, o, false, parts);
    return emit_place_open(x->e, o->value, parts, &o->two);
}

static bool open_operand(dot *x, operand *o)
{
    kg_emit *e = x->e;
    kg_layout *layout = KG_NEW(e->arena, kg_layout);
    if (o->b)
        kg_layout_dot_b(x->kind, x->acc, x->k, layout);
    else
        kg_layout_dot_a(x->kind, x->acc, x->k, layout);
    o->layout = layout;
    o->bytes = kg_dtype_bytes(o->value->type.dtype);
    o->pack = 4 / o->bytes;
    if (o->value->type.home != KG_HOME_FRAG) return open_shared_operand(x, o);
    o->registers = emit_read_as(e, o->value, layout, kg_layout_registers(layout));
    o->map = emit_coordinate_map(e, layout);
    return o->registers != NULL;
}

// -- words of an operand --------------------------------------------------------------------------

static cg_value pack_word(dot *x, const operand *o, const cg_value *elements)
{
    cg_type type = CG_VECTOR(emit_type(o->value->type.dtype), o->pack);
    return cg_bitcast(x->e->m, cg_pack(x->e->m, type, elements), CG_I32);
}

static cg_value load_word(dot *x, operand *o, const int32_t *coord)
{
    struct cg_module *m = x->e->m;
    cg_value elements[4];
    cg_type type = emit_type(o->value->type.dtype);
    int run = o->words ? o->pack : 1;
    for (int i = 0; i < o->pack; i += run) {
        int32_t at[KG_MAX_RANK] = {coord[0], coord[1]};
        at[o->k_dim] += i;
        emit_element place = emit_place_at(x->e, &o->place, at);
        struct cg_access access = {.space = CG_SPACE_SHARED,
                                   .address = place.address,
                                   .offset = place.offset,
                                   .align = (unsigned)(run * o->bytes)};
        cg_load_if(m, &access, NULL, type, (unsigned)run, elements + i);
    }
    return pack_word(x, o, elements);
}

static cg_value fragment_word(dot *x, operand *o, const int32_t *coord)
{
    cg_value elements[4] = {NULL};
    for (int i = 0; i < o->pack; i++) {
        int32_t at[2] = {coord[0], coord[1]};
        at[o->k_dim] += i;
        int reg = emit_register_at(o->map, o->layout, at[0], at[1]);
        if (reg < 0) {
            emit_error(x->e, KG_D_L301, "a matmul operand lacks an element in its thread");
            return NULL;
        }
        elements[i] = o->registers[reg];
    }
    return pack_word(x, o, elements);
}

static word single_word(dot *x, operand *o, int32_t outer, int32_t inner)
{
    int32_t coord[2];
    coord[o->k_dim] = inner;
    coord[1 - o->k_dim] = outer;
    return run_input(x, o->registers ? fragment_word(x, o, coord) : load_word(x, o, coord));
}

static void load_matrices(dot *x, operand *o, emit_place *place, enum cg_ptx_id id, int32_t outer,
                          int32_t inner, word *out)
{
    int32_t coord[KG_MAX_RANK] = {0};
    coord[o->k_dim] = inner;
    coord[1 - o->k_dim] = outer;
    emit_element at = emit_place_at(x->e, place, coord);
    word address = run_input(x, at.address);
    address.offset = (int32_t)at.offset;
    struct cg_run_step *step = run_step(x, id);
    int count = (int)cg_ptx_operands(cg_ptx_get(id)).results;
    for (int i = 0; i < count; i++)
        out[i] = step->operands[i] =
            (word){.kind = CG_RUN_TEMPORARY, .index = x->run->temporaries++};
    step->operands[count] = address;
}

// Words of A: rows 0 and 8 for the first half of K, then for the second.
static void load_a(dot *x, int32_t row, int32_t inner, word *out)
{
    int half = x->step / 2;
    if (x->a.matrix) {
        load_matrices(x, &x->a, &x->a.place,
                      x->a.transposed ? CG_PTX_LDMATRIX_X4_TRANS : CG_PTX_LDMATRIX_X4, row, inner,
                      out);
        return;
    }
    for (int j = 0; j < 4; j++)
        out[j] = single_word(x, &x->a, row + 8 * (j & 1), inner + half * (j >> 1));
}

// Words of B for all tiles of a step: two a tile, the halves of K.
static void load_b(dot *x, int32_t inner, word (*out)[2])
{
    bool trans = x->b.transposed;
    int count = x->tiles.n_n;
    for (int i = 0; i < count && !x->e->failed; i++) {
        int32_t column = x->tiles.n[i];
        if (!x->b.matrix) {
            out[i][0] = single_word(x, &x->b, column, inner);
            out[i][1] = single_word(x, &x->b, column, inner + x->step / 2);
        } else if (i + 1 < count && x->tiles.n[i + 1] == column + 8 && column % 16 == 0) {
            load_matrices(x, &x->b, &x->b.place,
                          trans ? CG_PTX_LDMATRIX_X4_TRANS : CG_PTX_LDMATRIX_X4, column, inner,
                          out[i]); // the second tile's words follow
            i++;
        } else {
            load_matrices(x, &x->b, &x->b.two,
                          trans ? CG_PTX_LDMATRIX_X2_TRANS : CG_PTX_LDMATRIX_X2, column, inner,
                          out[i]);
        }
    }
}

// -- mma ------------------------------------------------------------------------------------------

static enum cg_ptx_id mma_template(const dot *x)
{
    if (x->kind == KG_DOT_MMA_I8) return CG_PTX_MMA_M16N8K32_S32_S8;
    return x->a.value->type.dtype == KG_BF16 ? CG_PTX_MMA_M16N8K16_F32_BF16
                                             : CG_PTX_MMA_M16N8K16_F32_F16;
}

static void multiply(dot *x, const word *a, const word *b, const int *regs)
{
    struct cg_run_step *step = run_step(x, mma_template(x));
    for (int j = 0; j < 4; j++) {
        word acc = {.kind = CG_RUN_VARIABLE, .index = (uint32_t)regs[j]};
        step->operands[j] = step->operands[10 + j] = acc;
        step->operands[4 + j] = a[j];
    }
    step->operands[8] = b[0];
    step->operands[9] = b[1];
}

// Registers of the four elements of a tile: two columns, rows 0 and 8.
static bool tile_registers(dot *x, const int *map, int32_t row, int32_t column, int *regs)
{
    for (int j = 0; j < 4; j++) {
        regs[j] = emit_register_at(map, x->acc, row + 8 * (j >> 1), column + (j & 1));
        if (regs[j] < 0) return emit_error(x->e, KG_D_L301, "the accumulator has no layout of mma");
    }
    return true;
}

static bool mma_layout(const kg_layout *acc)
{
    static const int32_t expected[5][2] = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
    for (int i = 0; i < 5; i++)
        if (acc->basis[KG_IN_LANE][i][0] != expected[i][0] ||
            acc->basis[KG_IN_LANE][i][1] != expected[i][1])
            return false;
    return true;
}

// Does the result go nowhere but into the sum of a later product, with nothing between the two that
// writes memory, waits, or branches? Then ldmatrix may as well stand there.
static bool goes_on(const dot *x)
{
    const kg_value *result = x->op->results[0];
    if (x->e->readers[result->id] != 1 || x->e->guard) return false;
    for (const kg_op *op = x->op->next; op; op = op->next) {
        if (op->code == KG_OP_DOT && op->operands[2] == result)
            return kg_dot_kind_of(op) == x->kind && kg_layout_equal(op->results[0]->layout, x->acc);
        kg_op_class cls = kg_op_info_of(op->code)->cls;
        if (op->code != KG_OP_VIEW && op->code != KG_OP_TRANSPOSE && op->code != KG_OP_LOAD &&
            cls != KG_CLASS_P && cls != KG_CLASS_U && cls != KG_CLASS_B && cls != KG_CLASS_C)
            return false;
    }
    return false;
}

static void emit_mma(dot *x, cg_value *acc)
{
    kg_emit *e = x->e;
    emit_tile_origins(e, x->acc, 16, 8, &x->tiles);
    int *map = emit_coordinate_map(e, x->acc), regs[4] = {0};
    word(*a)[4] = kg_arena_alloc(e->arena, sizeof *a * (size_t)x->tiles.n_m);
    word(*b)[2] = kg_arena_alloc(e->arena, sizeof *b * (size_t)(x->tiles.n_n + 1));
    if (!mma_layout(x->acc) || !open_operand(x, &x->a) || !open_operand(x, &x->b)) {
        emit_error(e, KG_D_L301, "the accumulator has no layout of mma");
        return;
    }
    for (int inner = 0; inner < x->k && !e->failed; inner += x->step) {
        for (int i = 0; i < x->tiles.n_m; i++) load_a(x, x->tiles.m[i], inner, a[i]);
        load_b(x, inner, b);
        for (int i = 0; i < x->tiles.n_m && !e->failed; i++)
            for (int j = 0; j < x->tiles.n_n; j++)
                if (tile_registers(x, map, x->tiles.m[i], x->tiles.n[j], regs))
                    multiply(x, a[i], b[j], regs);
    }
    emit_run *chain = x->run;
    const struct cg_run run = {.steps = chain->steps.items,
                               .step_count = (unsigned)chain->steps.count,
                               .variables = acc,
                               .variable_count = (unsigned)kg_layout_registers(x->acc),
                               .inputs = chain->inputs.items,
                               .input_count = (unsigned)chain->inputs.count,
                               .temporary_count = chain->temporaries};
    if (e->failed) return;
    chain->result = x->op->results[0];
    chain->acc = acc;
    if (goes_on(x))
        e->chained = chain;
    else
        cg_run_emit(e->m, &run);
}

// -- the op ---------------------------------------------------------------------------------------

void emit_dot(kg_emit *e, kg_op *op)
{
    kg_value *result = op->results[0];
    dot x = {.e = e, .op = op, .kind = kg_dot_kind_of(op), .acc = result->layout};
    int count = emit_register_count(result);
    cg_value *out = emit_new_registers(e, count);
    emit_define(e, result, out);
    x.k = op->operands[0]->type.dims[1];
    x.step = x.kind == KG_DOT_MMA_I8 ? 32 : 16;
    x.a = (operand){.value = op->operands[0], .k_dim = 1};
    x.b = (operand){.value = op->operands[1], .b = true, .k_dim = 0};
    if (!kg_dtype_info_of(op->operands[0]->type.dtype)->codegen || x.kind == KG_DOT_MMA_TF32) {
        emit_error(e, KG_D_C601, "matmul of %s is not supported yet",
                   kg_dtype_info_of(op->operands[0]->type.dtype)->name);
        return;
    }
    x.run = e->chained;
    e->chained = NULL;
    if (!x.run) x.run = KG_NEW(e->arena, emit_run);
    cg_value *start = NULL;
    if (x.run->result)
        start = x.run->acc;
    else if (x.acc)
        start = emit_read_as(e, op->operands[2], x.acc, count);
    if (!start) {
        emit_error(e, KG_D_L301, "a matmul without a layout");
        return;
    }
    memcpy(out, start, sizeof *out * (size_t)count);
    if (x.kind == KG_DOT_FMA)
        emit_dot_fma(e, op, out);
    else
        emit_mma(&x, out);
}
