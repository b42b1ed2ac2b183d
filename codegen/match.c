// SPDX-License-Identifier: MIT
// Holds PTX against the kernel it was made from: what an op asks for by its meaning, not by what
// its emitter built. Barriers, waits, fences, cp.async, mma, atomics and ordered accesses must be
// there one by one, in the order of the ops, and nothing else of these kinds may be. Only ldmatrix
// is free in number, within its dot.
#include "codegen/codegen.h"
#include "codegen/reread.h"
#include "ir/cache.h"
#include "ir/split.h"
#include "ir/tensor_map.h"
#include <stdio.h>
#include <string.h>

// The finding is kept as text: diagnostics allocate from the arena, which must not happen while the
// list of instructions is held.
typedef struct matcher {
    const struct cg_reread *text;
    size_t next;
    bool fine, alone; // alone: in a region that one thread does, in a branch of its own
    kg_loc loc;
    char finding[256];
} matcher;

static bool mismatch(matcher *x, const kg_op *op, const char *wanted)
{
    const struct cg_instruction *found =
        x->next < x->text->count ? &x->text->instructions[x->next] : NULL;
    if (!x->fine) return false;
    x->fine = false;
    x->loc = op->loc;
    if (found)
        snprintf(x->finding, sizeof x->finding, "line %u of the PTX has '%.*s' where %s is due",
                 found->line, (int)found->text.length, found->text.start, wanted);
    else
        snprintf(x->finding, sizeof x->finding, "the PTX ends where %s is due", wanted);
    return false;
}

// Of a baton: for each warpgroup another barrier, or for one of them a known one.
static int barriers_named(const kg_op *op)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    int named = 0;
    for (int g = 0; g < ids->count; g++) named += ids->ints[g] != 0;
    return named;
}

// What one thread does for all stands under a predicate, what all do does not. A copy by cp.async
// may be either.
static bool guard_fits(const matcher *x, const kg_op *op, bool guarded)
{
    if (x->alone) return !guarded;
    switch (op->code) {
    case KG_OP_COPY_ASYNC:
        return true;
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
    case KG_OP_REDUCE_BULK:
    case KG_OP_BULK_COMMIT:
    case KG_OP_BULK_WAIT:
    case KG_OP_MBARRIER_INIT:
    case KG_OP_MBARRIER_EXPECT:
        return guarded;
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
        return guarded == (barriers_named(op) == 1 && kg_op_attr(op, KG_A_IDS)->count > 1);
    case KG_OP_MBARRIER_ARRIVE:
        return guarded == !kg_op_int(op, KG_A_BY_THREAD, 0);
    default:
        return !guarded;
    }
}

// Takes `count` instructions of one template; `immediates` of them are compared.
static bool take(matcher *x, const kg_op *op, enum cg_ptx_id id, int64_t count, int immediates,
                 const int64_t *values)
{
    for (int64_t i = 0; i < count; i++, x->next++) {
        const struct cg_instruction *found =
            x->next < x->text->count ? &x->text->instructions[x->next] : NULL;
        bool same = found && found->id == id && guard_fits(x, op, found->guarded);
        for (int k = 0; same && k < immediates; k++)
            same = (unsigned)k < found->immediate_count && found->immediates[k] == values[k];
        if (!same) return mismatch(x, op, cg_ptx_get(id)->name);
    }
    return true;
}

// -- what an op asks for --------------------------------------------------------------------------

static bool match_barrier(matcher *x, const kg_op *op)
{
    const int64_t values[] = {kg_op_int(op, KG_A_ID, 0), kg_op_int(op, KG_A_COUNT, 0)};
    if (kg_op_attr(op, KG_A_IDS)) return take(x, op, CG_PTX_BAR_SYNC_OF_WARP, 1, 1, values + 1);
    if (op->code == KG_OP_ARRIVE) return take(x, op, CG_PTX_BAR_ARRIVE, 1, 2, values);
    if (kg_op_attr(op, KG_A_COUNT)) return take(x, op, CG_PTX_BAR_SYNC_COUNT, 1, 2, values);
    return take(x, op, CG_PTX_BAR_SYNC, 1, 1, values);
}

static bool match_baton(matcher *x, const kg_op *op)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    bool waits = op->code == KG_OP_BATON_WAIT;
    int64_t values[] = {0, 2 * 128};
    for (int g = 0; g < ids->count; g++) values[0] += ids->ints[g];
    if (barriers_named(op) == 1)
        return take(x, op, waits ? CG_PTX_BAR_SYNC_COUNT : CG_PTX_BAR_ARRIVE, 1, 2, values);
    return take(x, op, waits ? CG_PTX_BAR_SYNC_OF_WARP : CG_PTX_BAR_ARRIVE_OF_WARP, 1, 1,
                values + 1);
}

static bool match_fence(matcher *x, const kg_op *op)
{
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    char first = scope ? scope->name[0] : 'g';
    return take(x, op,
                first == 'c'   ? CG_PTX_FENCE_ACQ_REL_CTA
                : first == 's' ? CG_PTX_FENCE_ACQ_REL_SYS
                               : CG_PTX_FENCE_ACQ_REL_GPU,
                1, 0, NULL);
}

static bool match_copy(matcher *x, const kg_op *op)
{
    const kg_type *type = &op->operands[0]->type;
    int64_t bytes = kg_op_int(op, KG_A_ASYNC, 0), element = kg_dtype_bytes(type->dtype);
    if (!bytes) bytes = kg_op_int(op, KG_A_VEC, 1) * element;
    int64_t threads = 32 * kg_op_region(op).n_warps;
    int64_t chunks = kg_type_elements(type) * element / (bytes > 0 ? bytes : 1);
    static const enum cg_ptx_id ids[2][3][2] = {
        {{CG_PTX_CP_ASYNC_CA_4, CG_PTX_CP_ASYNC_CA_4_ZFILL},
         {CG_PTX_CP_ASYNC_CA_8, CG_PTX_CP_ASYNC_CA_8_ZFILL},
         {CG_PTX_CP_ASYNC_CG_16, CG_PTX_CP_ASYNC_CG_16_ZFILL}},
        {{CG_PTX_CP_ASYNC_CA_4_HINTED, CG_PTX_CP_ASYNC_CA_4_ZFILL_HINTED},
         {CG_PTX_CP_ASYNC_CA_8_HINTED, CG_PTX_CP_ASYNC_CA_8_ZFILL_HINTED},
         {CG_PTX_CP_ASYNC_CG_16_HINTED, CG_PTX_CP_ASYNC_CG_16_ZFILL_HINTED}}};
    const enum cg_ptx_id *row = ids[kg_cache_of_l2(op) != NULL][bytes == 16  ? 2
                                                                : bytes == 8 ? 1
                                                                             : 0];
    enum cg_ptx_id plain = row[0], fill = row[1];
    for (int64_t i = 0; i < (chunks + threads - 1) / threads; i++) {
        bool fills = x->next < x->text->count && x->text->instructions[x->next].id == fill;
        if (!take(x, op, fills ? fill : plain, 1, 0, NULL)) return false;
    }
    return true;
}

static bool match_dot(matcher *x, const kg_op *op)
{
    kg_dot_kind kind = kg_dot_kind_of(op);
    const kg_type *a = &op->operands[0]->type;
    if (kind == KG_DOT_FMA) return true;
    int64_t step = kind == KG_DOT_MMA_I8 ? 32 : 16;
    int64_t left = kg_layout_registers(op->results[0]->layout) / 4 * (a->dims[1] / step);
    enum cg_ptx_id id = kind == KG_DOT_MMA_I8 ? CG_PTX_MMA_M16N8K32_S32_S8
                        : a->dtype == KG_BF16 ? CG_PTX_MMA_M16N8K16_F32_BF16
                                              : CG_PTX_MMA_M16N8K16_F32_F16;
    while (left > 0) {
        if (x->next < x->text->count &&
            x->text->instructions[x->next].class == CG_CLASS_MATRIX_LOAD)
            x->next++;
        else if (take(x, op, id, 1, 0, NULL))
            left--;
        else
            return false;
    }
    return true;
}

// A trap that is never taken may hold it at its place.
static bool match_wgmma_wait(matcher *x, const kg_op *op)
{
    int64_t groups = kg_op_int(op, KG_A_COUNT, 0);
    const struct cg_instruction *found =
        x->next < x->text->count ? &x->text->instructions[x->next] : NULL;
    if (found && found->id == CG_PTX_TRAP && found->guarded) x->next++;
    return take(x, op, CG_PTX_WGMMA_WAIT, 1, 1, &groups);
}

// Two registers for each matrix.
static bool match_store(matcher *x, const kg_op *op)
{
    kg_matrix_store s;
    int64_t matrices = kg_op_int(op, KG_A_MATRIX, 0);
    if (!matrices || !kg_matrix_store_of(op, &s)) return true;
    enum cg_ptx_id four = s.transposed ? CG_PTX_STMATRIX_X4_TRANS : CG_PTX_STMATRIX_X4;
    enum cg_ptx_id two = s.transposed ? CG_PTX_STMATRIX_X2_TRANS : CG_PTX_STMATRIX_X2;
    return take(x, op, matrices == 4 ? four : two,
                kg_layout_registers(op->operands[1]->layout) / (2 * matrices), 0, NULL);
}

// Blocks of 64 rows that a warpgroup has, times the steps of K; shape and types are in the text.
static bool match_wgmma(matcher *x, const kg_op *op)
{
    const kg_type *a = &op->operands[0]->type;
    const kg_layout *acc = op->results[0]->layout;
    const char *type = a->dtype == KG_BF16 ? "bf16" : "f16";
    int32_t coord[KG_MAX_RANK], rows = 0, columns = 0;
    char wanted[80];
    for (int r = 0; r < kg_layout_registers(acc); r++) {
        kg_layout_coord(acc, r, 0, 0, coord);
        rows += coord[0] % 64 == 0 && coord[1] == 0;
        columns += coord[0] == 0;
    }
    // A thread has two of the eight columns of a tile.
    snprintf(wanted, sizeof wanted, "wgmma.mma_async.sync.aligned.m64n%dk16.f32.%s.%s {",
             4 * columns, type, type);
    for (int64_t left = (int64_t)rows * (a->dims[1] / 16); left > 0; left--, x->next++) {
        const struct cg_instruction *found =
            x->next < x->text->count ? &x->text->instructions[x->next] : NULL;
        if (!found || found->guarded || found->text.length < strlen(wanted) ||
            memcmp(found->text.start, wanted, strlen(wanted)) != 0)
            return mismatch(x, op, wanted);
    }
    return true;
}

// Registers of a fragment that are no copies of another one in the same thread.
static int64_t own_registers(const kg_value *value)
{
    if (!value->type.rank) return 1;
    int64_t count = 0;
    for (int r = 0; r < kg_layout_registers(value->layout); r++)
        count += kg_layout_is_owner(value->layout, r, 0, 0);
    return count;
}

static bool match_atomic(matcher *x, const kg_op *op)
{
    for (int64_t left = own_registers(op->operands[1]); left > 0; left--, x->next++) {
        const struct cg_instruction *found =
            x->next < x->text->count ? &x->text->instructions[x->next] : NULL;
        const char *verb = op->code == KG_OP_ATOMIC_ADD   ? ".add."
                           : op->code == KG_OP_ATOMIC_MAX ? ".max."
                                                          : ".min.";
        if (!found || found->class != CG_CLASS_ATOMIC || found->id == CG_PTX_UNKNOWN ||
            strncmp(found->text.start, "red.relaxed.", 12) ||
            !strstr(cg_ptx_get(found->id)->text, verb))
            return mismatch(x, op, kg_op_info_of(op->code)->name);
    }
    return true;
}

// The instruction of one dimension: what it does, and whether it says something to L2.
static int bulk_template(const kg_op *op, bool shared)
{
    static const int reductions[] = {
        CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_ADD_1D, CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_MIN_1D,
        CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_MAX_1D, CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_AND_1D,
        CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_OR_1D,  CG_PTX_CP_ASYNC_BULK_TENSOR_REDUCE_XOR_1D};
    bool hinted = kg_cache_of_l2(op) != NULL;
    if (op->code == KG_OP_REDUCE_BULK)
        return reductions[kg_bulk_reduction_of(op)] + (hinted ? KG_MAX_RANK : 0);
    if (op->code == KG_OP_STORE_BULK)
        return hinted ? CG_PTX_CP_ASYNC_BULK_TENSOR_STORE_HINTED_1D
                      : CG_PTX_CP_ASYNC_BULK_TENSOR_STORE_1D;
    if (shared)
        return hinted ? CG_PTX_CP_ASYNC_BULK_TENSOR_MULTICAST_HINTED_1D
                      : CG_PTX_CP_ASYNC_BULK_TENSOR_MULTICAST_1D;
    return hinted ? CG_PTX_CP_ASYNC_BULK_TENSOR_LOAD_HINTED_1D
                  : CG_PTX_CP_ASYNC_BULK_TENSOR_LOAD_1D;
}

// One instruction for each box; the copy counts bytes, not what the emitter did.
static bool match_bulk_copy(matcher *x, const kg_op *op)
{
    kg_bulk_copy copy;
    char why[KG_BULK_WHY];
    if (!kg_bulk_copy_plan_of(op, &copy, why)) return mismatch(x, op, "a copy that is possible");
    int first = bulk_template(op, copy.shares > 1);
    int64_t box = copy.shares;
    for (int i = 0; i < copy.map.rank; i++) box *= copy.map.box[i];
    return take(x, op, (enum cg_ptx_id)(first + copy.map.rank - 1),
                kg_type_elements(&op->operands[0]->type) / box, 0, NULL);
}

static bool match_init(matcher *x, const kg_op *op)
{
    kg_view_info view;
    kg_view_resolve(op->operands[0], &view);
    int64_t slots = view.slot ? 1 : kg_op_int(view.root->op, KG_A_RING, 1);
    int64_t arrivals = kg_op_int(view.root->op, KG_A_ARRIVALS, 1);
    if (!take(x, op, CG_PTX_MBARRIER_INIT, slots, 1, &arrivals)) return false;
    bool shared = op->parent->kernel->cluster != 0;
    return !shared || take(x, op, CG_PTX_FENCE_MBARRIER_INIT, 1, 0, NULL);
}

static bool match_arrive(matcher *x, const kg_op *op)
{
    if (!kg_op_int(op, KG_A_CLUSTER, 0)) return take(x, op, CG_PTX_MBARRIER_ARRIVE, 1, 0, NULL);
    enum cg_ptx_id id =
        kg_op_attr(op, KG_A_SCOPE) ? CG_PTX_MBARRIER_ARRIVE_PEER : CG_PTX_MBARRIER_ARRIVE_CLUSTER;
    return take(x, op, id, op->parent->kernel->cluster, 0, NULL);
}

static bool match_phase_wait(matcher *x, const kg_op *op)
{
    bool cluster = kg_op_int(op, KG_A_CLUSTER, 0) != 0;
    return take(x, op,
                cluster ? CG_PTX_MBARRIER_TRY_WAIT_PARITY_CLUSTER : CG_PTX_MBARRIER_TRY_WAIT_PARITY,
                1, 0, NULL);
}

static bool match_bulk_group(matcher *x, const kg_op *op)
{
    int64_t left = kg_op_int(op, KG_A_COUNT, 0);
    if (op->code == KG_OP_BULK_COMMIT) return take(x, op, CG_PTX_CP_ASYNC_BULK_COMMIT, 1, 0, NULL);
    return take(x, op,
                kg_op_int(op, KG_A_READ, 0) ? CG_PTX_CP_ASYNC_BULK_WAIT_READ
                                            : CG_PTX_CP_ASYNC_BULK_WAIT,
                1, 1, &left);
}

static bool match_proxy_fence(matcher *x, const kg_op *op)
{
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    return take(x, op,
                scope && scope->name[0] == 'g' ? CG_PTX_FENCE_PROXY_ASYNC_GLOBAL
                                               : CG_PTX_FENCE_PROXY_ASYNC_SHARED_CTA,
                1, 0, NULL);
}

// The registers that a region's warpgroups change to, up or down.
static bool match_registers(matcher *x, const kg_op *op)
{
    int64_t registers = kg_op_int(op, KG_A_REGISTERS, 0);
    if (!registers) return true;
    bool more =
        x->next < x->text->count && x->text->instructions[x->next].id == CG_PTX_SETMAXNREG_INC;
    return take(x, op, more ? CG_PTX_SETMAXNREG_INC : CG_PTX_SETMAXNREG_DEC, 1, 1, &registers);
}

static void match_block(matcher *x, const kg_block *block);

static bool match_op(matcher *x, const kg_op *op)
{
    int64_t groups = kg_op_int(op, KG_A_COUNT, 0), bytes = kg_op_int(op, KG_A_BYTES, 0);
    bool wide = op->n_operands && op->operands[0]->type.dtype == KG_I64;
    switch (op->code) {
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
        return match_barrier(x, op);
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
        return match_baton(x, op);
    case KG_OP_CLUSTER_BARRIER:
        return take(x, op, CG_PTX_CLUSTER_ARRIVE, 1, 0, NULL) &&
               take(x, op, CG_PTX_CLUSTER_WAIT, 1, 0, NULL);
    case KG_OP_GRID_WAIT:
        return take(x, op, CG_PTX_GRID_WAIT, 1, 0, NULL);
    case KG_OP_LAUNCH_DEPENDENTS:
        return take(x, op, CG_PTX_GRID_LAUNCH_DEPENDENTS, 1, 0, NULL);
    case KG_OP_WARP_SYNC:
        return take(x, op, CG_PTX_BAR_WARP_SYNC, 1, 0, NULL);
    case KG_OP_COMMIT:
        return take(x, op, CG_PTX_CP_ASYNC_COMMIT, 1, 0, NULL);
    case KG_OP_WAIT:
        return take(x, op, CG_PTX_CP_ASYNC_WAIT, 1, 1, &groups);
    case KG_OP_FENCE:
        return match_fence(x, op);
    case KG_OP_COPY_ASYNC:
        return match_copy(x, op);
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
    case KG_OP_REDUCE_BULK:
        return match_bulk_copy(x, op);
    case KG_OP_BULK_COMMIT:
    case KG_OP_BULK_WAIT:
        return match_bulk_group(x, op);
    case KG_OP_PROXY_FENCE:
        return match_proxy_fence(x, op);
    case KG_OP_MBARRIER_INIT:
        return match_init(x, op);
    case KG_OP_MBARRIER_EXPECT:
        return take(x, op, CG_PTX_MBARRIER_ARRIVE_EXPECT_TX, 1, 1, &bytes);
    case KG_OP_MBARRIER_ARRIVE:
        return match_arrive(x, op);
    case KG_OP_MBARRIER_WAIT:
        return match_phase_wait(x, op);
    case KG_OP_STORE:
        return match_store(x, op);
    case KG_OP_DOT:
        return match_dot(x, op);
    case KG_OP_WGMMA:
        return match_wgmma(x, op);
    case KG_OP_WGMMA_FENCE:
        return take(x, op, CG_PTX_WGMMA_FENCE, 1, 0, NULL);
    case KG_OP_WGMMA_COMMIT:
        return take(x, op, CG_PTX_WGMMA_COMMIT, 1, 0, NULL);
    case KG_OP_WGMMA_WAIT:
        return match_wgmma_wait(x, op);
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN:
        return match_atomic(x, op);
    case KG_OP_FETCH_ADD:
        return take(x, op, CG_PTX_ATOM_ADD_S32_ACQ_REL_GPU, 1, 0, NULL);
    case KG_OP_SIGNAL:
        return take(x, op, wide ? CG_PTX_ST_RELEASE_GPU_B64 : CG_PTX_ST_RELEASE_GPU_B32, 1, 0,
                    NULL);
    case KG_OP_AWAIT:
        return take(x, op, wide ? CG_PTX_LD_ACQUIRE_GPU_B64 : CG_PTX_LD_ACQUIRE_GPU_B32, 1, 0,
                    NULL);
    case KG_OP_WARPS:
        if (!match_registers(x, op)) return false;
        x->alone = kg_codegen_one_thread(op);
        break;
    default:
        break;
    }
    if (kg_is_split(op)) match_block(x, op->blocks[0]); // without branches that have none of these
    for (int i = 0; i < op->n_blocks; i++) match_block(x, op->blocks[i]);
    if (op->code == KG_OP_WARPS) x->alone = false;
    if (op->code == KG_OP_WARPS && kg_codegen_gathers(op))
        take(x, op, CG_PTX_BAR_WARP_SYNC, 1, 0, NULL);
    return x->fine;
}

static void match_block(matcher *x, const kg_block *block)
{
    for (const kg_op *op = block->first; op && x->fine; op = op->next) match_op(x, op);
}

// -- the entry ------------------------------------------------------------------------------------

static void *resize(void *user, void *block, size_t size)
{
    const kg_allocator *allocator = user;
    if (!block) return allocator->allocate(allocator->user, size);
    allocator->release(allocator->user, block);
    return NULL;
}

bool kg_codegen_check(kg_kernel *kernel, const char *ptx, size_t length,
                      const kg_allocator *allocator, kg_arena *arena, kg_diags *diags)
{
    struct cg_reread text;
    struct cg_allocator memory = {allocator ? resize : NULL, (void *)allocator};
    kg_loc nowhere = {0};
    if (cg_reread(&memory, ptx, length, CG_CLASSES_SYNC, &text) != CG_OK) {
        kg_error(diags, KG_D_R707, nowhere, "out of memory");
        return false;
    }
    matcher x = {.text = &text, .fine = true, .loc = kernel->loc};
    match_block(&x, kernel->body);
    if (x.fine && x.next < text.count) {
        const struct cg_instruction *found = &text.instructions[x.next];
        x.fine = false;
        snprintf(x.finding, sizeof x.finding,
                 "line %u of the PTX has '%.*s', for which the kernel has no op", found->line,
                 (int)found->text.length, found->text.start);
    }
    cg_reread_free(&memory, &text);
    if (!x.fine) kg_error(diags, KG_D_C604, x.loc, "%s", x.finding);
    return x.fine;
}
