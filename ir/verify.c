// SPDX-License-Identifier: MIT
// The verifier: what holds in every legal kernel, so that no pass has to check it again. It never
// changes the kernel (but for numbering) and reports every finding.
//
// Checked here:
//   header     1 to 32 warps, at most 3 grid axes, parameters with sizes and strides, alias of a
//              tensor
//   values     an operand is defined before its use in this block or one around it; results belong
//              to their op
//   types      every op by the rules of infer.c; results have the inferred type, positive extents,
//              at most 2^20 elements; no open extent is left
//   regions    the number of blocks; `while` conditions end in their only yield; nothing else
//              yields
//   memory     views start at a parameter or buffer, never at a view; a ring is used through a view
//              with a slot, a buffer without ring through one without; constant starts lie within a
//              buffer
//   bulk       the copy engine can move this part of the tensor; its mbarrier is one
//   mutation   only `frag` is assigned to
//   roles      `warps` regions lie within the CTA and within the region around them; a barrier
//              inside of one names its barrier and count; hardware barriers 0 to 15 of whole warps
//   levels     what must be there and what must not, from each level on (see `level_rules`)
// In verify_attrs.c: attributes are legal for their op and in range; placement of buffers.
// In verify_roles.c: who uses a mutable scalar is among those that assign to it.
// In verify_layout.c: layouts fit their values, and agree where an op works register by register.
//
// Not checked: whether synchronization is right (passes/sync), whether indices are in bounds (loads
// and stores of global memory are guarded), whether a run-time index of a shared buffer is.
#include "ir/tensor_map.h"
#include "ir/verify.h"
#include <stdio.h>
#include <string.h>

void kg_verify_fail(kg_verifier *v, kg_diag_id id, const kg_op *op, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = kg_arena_vprintf(v->diags->arena, format, args);
    va_end(args);
    kg_error(v->diags, id, op ? op->loc : v->kernel->loc, "%s", text);
}

static const char *name_of(const kg_op *op)
{
    return kg_op_info_of(op->code)->name;
}

// ---- values ------------------------------------------------------------------------------------
static bool is_defined(const kg_verifier *v, const kg_value *value)
{
    return value && value->id >= 0 && value->id < v->n_values && v->defined[value->id] == value;
}

static bool check_operands(kg_verifier *v, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (op->n_operands < info->min_operands ||
        (info->max_operands >= 0 && op->n_operands > info->max_operands) ||
        op->n_operands > KG_INFER_OPERANDS) {
        kg_verify_fail(v, KG_D_T103, op, "wrong number of operands of %s: %d", info->name,
                       op->n_operands);
        return false;
    }
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *value = op->operands[i];
        if (is_defined(v, value)) continue;
        kg_verify_fail(v, KG_D_V202, op, "operand %d of %s is not defined here%s%s", i, info->name,
                       value && value->name ? ": " : "", value && value->name ? value->name : "");
        return false;
    }
    return true;
}

static bool check_results(kg_verifier *v, const kg_op *op)
{
    const kg_op_info *info = kg_op_info_of(op->code);
    if (op->n_results != info->results || op->n_blocks != info->blocks) {
        kg_verify_fail(v, KG_D_V203, op, "%s has %d results and %d blocks, not %d and %d",
                       info->name, info->results, info->blocks, op->n_results, op->n_blocks);
        return false;
    }
    for (int i = 0; i < op->n_results; i++) {
        const kg_value *value = op->results[i];
        if (value->kind == KG_VALUE_RESULT && value->op == op && value->index == i) continue;
        kg_verify_fail(v, KG_D_V203, op, "a result of %s does not belong to it", info->name);
        return false;
    }
    return true;
}

static bool check_types(kg_verifier *v, const kg_op *op)
{
    kg_infer q = {.arena = v->diags->arena};
    if (!kg_infer_op(&q, op)) {
        kg_verify_fail(v, q.id, op, "%s", q.text);
        return false;
    }
    if (!op->n_results) return true;
    const kg_type *type = &op->results[0]->type;
    const char *problem = kg_shape_problem(v->diags->arena, type, false);
    if (problem) {
        kg_verify_fail(v, KG_D_T106, op, "%s", problem);
        return false;
    }
    if (kg_type_equal(type, &q.result)) return true;
    kg_verify_fail(v, KG_D_T102, op, "the result of %s is %s, but its operands give %s",
                   name_of(op), kg_type_text(v->diags->arena, type),
                   kg_type_text(v->diags->arena, &q.result));
    return false;
}

// ---- memory ------------------------------------------------------------------------------------
static bool is_ring(const kg_value *root)
{
    return root->kind == KG_VALUE_RESULT && kg_op_attr(root->op, KG_A_RING);
}

static void check_starts(kg_verifier *v, const kg_op *op, const kg_value *root)
{
    const kg_attr *kinds = kg_op_attr(op, KG_A_INDEX), *extents = kg_op_attr(op, KG_A_EXTENT);
    int operand = kg_op_int(op, KG_A_SLOT, 0) ? 2 : 1;
    for (int d = 0; d < kinds->count; d++) {
        int64_t start;
        bool takes = kinds->ints[d] != KG_INDEX_ALL;
        bool known = takes && kinds->ints[d] != KG_INDEX_GATHER &&
                     kg_const_int(op->operands[operand], &start);
        if (takes) operand++;
        if (!known || (start >= 0 && start <= root->type.dims[d] - extents->ints[d])) continue;
        kg_verify_fail(v, KG_D_V203, op,
                       "index %lld is outside of dimension %d of the buffer, which has %d",
                       (long long)start, d, root->type.dims[d]);
    }
}

static void check_view(kg_verifier *v, const kg_op *op)
{
    const kg_value *root = op->operands[0];
    bool is_root = root->kind == KG_VALUE_PARAM ||
                   (root->kind == KG_VALUE_RESULT && root->op->code == KG_OP_SHARED);
    if (!is_root) {
        kg_verify_fail(v, KG_D_V203, op, "a view is taken of a tensor or buffer, not of a view");
        return;
    }
    bool slot = kg_op_int(op, KG_A_SLOT, 0) != 0;
    if (slot != is_ring(root))
        kg_verify_fail(v, KG_D_T103, op,
                       slot ? "the buffer is not a ring: it has no slots"
                            : "a ring takes its iteration number first");
    if (root->kind == KG_VALUE_RESULT) check_starts(v, op, root);
}

// Memory operands of other ops: tensors and rings come through a view.
static void check_memory_operands(kg_verifier *v, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++) {
        const kg_value *value = op->operands[i];
        if (value->kind == KG_VALUE_PARAM && value->tensor)
            kg_verify_fail(v, KG_D_T104, op, "operand %d of %s is a tensor and not a view of it", i,
                           name_of(op));
        else if (value->type.home == KG_HOME_SHARED && value->op->code == KG_OP_SHARED &&
                 is_ring(value) && op->code != KG_OP_MBARRIER_INIT)
            kg_verify_fail(v, KG_D_T103, op, "operand %d of %s is a ring and not a slot of it", i,
                           name_of(op));
    }
}

// ---- ops with rules of their own ---------------------------------------------------------------
static void check_warps(kg_verifier *v, const kg_op *op)
{
    int64_t first = kg_op_int(op, KG_A_FIRST, -1), last = kg_op_int(op, KG_A_LAST, -1);
    if (first < v->first_warp || last > v->last_warp || first >= last)
        kg_verify_fail(v, KG_D_V205, op,
                       "warps %lld .. %lld do not lie within %d .. %d around them",
                       (long long)first, (long long)last, v->first_warp, v->last_warp);
    if (!kg_op_attr(op, KG_A_REGISTERS)) return;
    first = first / 4 * 4;
    last = (last + 3) / 4 * 4;
    if (first < v->first_warp || last > v->last_warp)
        kg_verify_fail(v, KG_D_V205, op,
                       "registers are those of whole warpgroups, here of warps %lld to %lld, and "
                       "warps %d to %d come here",
                       (long long)first, (long long)last, v->first_warp, v->last_warp);
}

// The shared side is looked at where it is laid out; what the tensor lacks is the author's affair
// from the start.
static void check_bulk_copy(kg_verifier *v, const kg_op *op)
{
    bool load = op->code == KG_OP_COPY_BULK;
    const char *why =
        kg_bulk_copy_problem(v->diags->arena, v->kernel, op->operands[load], op->operands[!load]);
    if (why) kg_verify_fail(v, KG_D_L304, op, "the copy engine cannot do this copy: %s", why);
}

// What the copy engine combines elements by depends on their type.
static void check_reduction(kg_verifier *v, const kg_op *op)
{
    static const char *const names[] = {"add", "min", "max", "and", "or", "xor"};
    const kg_attr *by = kg_op_attr(op, KG_A_BY);
    if (!by || !by->name) {
        kg_verify_fail(v, KG_D_V203, op, "reduce_bulk needs {by=add} or another operation");
        return;
    }
    if (kg_bulk_reduction_of(op) == KG_BULK_NONE) {
        kg_diag *diag = kg_error(v->diags, KG_D_V203, op->loc,
                                 "reduce_bulk combines by add, min, "
                                 "max, and, or, xor, not by '%s'",
                                 by->name);
        const char *nearest = kg_nearest_name(by->name, names, 6);
        if (nearest) kg_diag_help(v->diags, diag, "did you mean '%s'?", nearest);
        return;
    }
    const char *types = kg_bulk_reduction_misfit(op);
    if (types)
        kg_verify_fail(v, KG_D_L303, op, "the copy engine knows %s of %s, not of %s", by->name,
                       types, kg_dtype_info_of(op->operands[0]->type.dtype)->name);
}

// A barrier of groups of warps: each warp has an id, and `count` threads have the same one.
static void check_groups(kg_verifier *v, const kg_op *op)
{
    const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
    int warps = v->kernel->warps, own = 0;
    if (v->first_warp != 0 || v->last_warp != warps || kg_op_attr(op, KG_A_ID)) {
        kg_verify_fail(
            v, KG_D_V205, op,
            "a barrier with `ids` is for all warps of the CTA: not inside of `warps`, and "
            "without `id`");
        return;
    }
    if (ids->count != warps) {
        kg_verify_fail(v, KG_D_V203, op, "ids has %d numbers for %d warps", ids->count, warps);
        return;
    }
    for (int w = 0; w < warps; w++) {
        if (ids->ints[w] < 1 || ids->ints[w] > 15) {
            kg_verify_fail(v, KG_D_V203, op,
                           "barrier %lld of warp %d: ids go from 1 to 15, 0 is the CTA's",
                           (long long)ids->ints[w], w);
            return;
        }
        own = 0;
        for (int u = 0; u < warps; u++) own += ids->ints[u] == ids->ints[w];
        if (32 * own == kg_op_int(op, KG_A_COUNT, 0)) continue;
        kg_verify_fail(v, KG_D_V203, op,
                       "barrier %lld counts %lld threads, but %d warps have this id",
                       (long long)ids->ints[w], (long long)kg_op_int(op, KG_A_COUNT, 0), own);
        return;
    }
}

static void check_barrier(kg_verifier *v, const kg_op *op)
{
    const kg_attr *id = kg_op_attr(op, KG_A_ID), *count = kg_op_attr(op, KG_A_COUNT);
    bool whole = v->first_warp == 0 && v->last_warp == v->kernel->warps;
    if (op->code == KG_OP_ARRIVE && (!id || !count))
        kg_verify_fail(v, KG_D_V203, op, "arrive needs the barrier's id and count");
    else if (!whole && (!id || !count))
        kg_verify_fail(v, KG_D_V205, op,
                       "a barrier of the whole CTA inside of `warps %d .. %d`: the other "
                       "warps never come; give it an id and a count",
                       v->first_warp, v->last_warp);
    if (id && (id->i < 0 || id->i > 15))
        kg_verify_fail(v, KG_D_V203, op, "barrier %lld does not exist: there are 0 to 15",
                       (long long)id->i);
    if (count && (count->i < 32 || count->i % 32 || count->i > 32 * v->kernel->warps))
        kg_verify_fail(v, KG_D_V203, op,
                       "a barrier counts whole warps of the CTA: %lld is not a multiple of "
                       "32 between 32 and %d",
                       (long long)count->i, 32 * v->kernel->warps);
    if (kg_op_attr(op, KG_A_IDS)) check_groups(v, op);
}

static bool is_one_of(const char *word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (word && !strcmp(word, words[i])) return true;
    return false;
}

static void check_fence(kg_verifier *v, const kg_op *op)
{
    static const char *const orders[] = {"relaxed", "acquire", "release", "acq_rel"};
    static const char *const scopes[] = {"cta", "gpu", "sys"};
    const kg_attr *order = kg_op_attr(op, KG_A_ORDER), *scope = kg_op_attr(op, KG_A_SCOPE);
    if (!order || !is_one_of(order->name, orders, 4))
        kg_verify_fail(v, KG_D_V203, op, "a fence is relaxed, acquire, release or acq_rel");
    if (!scope || !is_one_of(scope->name, scopes, 3))
        kg_verify_fail(v, KG_D_V203, op, "the scope of a fence is cta, gpu or sys");
}

static void check_for(kg_verifier *v, const kg_op *op)
{
    int64_t step;
    const kg_value *index = op->blocks[0]->arg;
    if (!index || index->kind != KG_VALUE_ARG || index->op != op || index->type.rank ||
        index->type.dtype != op->operands[0]->type.dtype)
        kg_verify_fail(v, KG_D_V203, op, "the index of a loop is a scalar of its bounds' type");
    if (kg_const_int(op->operands[2], &step) && step <= 0)
        kg_verify_fail(v, KG_D_T106, op, "the step of a loop must be positive");
}

static void check_while(kg_verifier *v, const kg_op *op)
{
    const kg_block *condition = op->blocks[0];
    if (!condition->last || condition->last->code != KG_OP_YIELD)
        kg_verify_fail(v, KG_D_V203, op, "the condition of a loop must end with a yield");
}

static void check_yield(kg_verifier *v, const kg_op *op)
{
    const kg_op *owner = op->parent->owner;
    if (!owner || owner->code != KG_OP_WHILE || owner->blocks[0] != op->parent || op->next)
        kg_verify_fail(v, KG_D_V203, op,
                       "yield ends the condition of a while and stands nowhere else");
}

static void check_assign(kg_verifier *v, const kg_op *op)
{
    if (!kg_is_mutable(op->operands[0]))
        kg_verify_fail(v, KG_D_T107, op, "only a mutable fragment can be assigned to");
}

static void check_await(kg_verifier *v, const kg_op *op)
{
    static const char *const compares[] = {"ge", "eq"};
    const kg_attr *compare = kg_op_attr(op, KG_A_COMPARE);
    if (!compare || !is_one_of(compare->name, compares, 2))
        kg_verify_fail(v, KG_D_V203, op, "await compares by ge or eq");
}

static void check_wait(kg_verifier *v, const kg_op *op)
{
    if (kg_op_int(op, KG_A_COUNT, -1) < 0)
        kg_verify_fail(v, KG_D_V203, op, "%s needs the number of groups that may stay in flight",
                       name_of(op));
}

static void check_proxy_fence(kg_verifier *v, const kg_op *op)
{
    static const char *const scopes[] = {"shared", "global"};
    const kg_attr *scope = kg_op_attr(op, KG_A_SCOPE);
    if (!scope || !is_one_of(scope->name, scopes, 2))
        kg_verify_fail(v, KG_D_V203, op, "a proxy fence is for shared or for global memory");
}

// What tensor cores do in the background is done by whole warpgroups: four warps, the first one's
// number divisible by four.
static void check_warpgroups(kg_verifier *v, const kg_op *op)
{
    if (v->first_warp % 4 || v->last_warp % 4)
        kg_verify_fail(v, KG_D_V205, op,
                       "%s is executed by warpgroups of four warps, and here are warps %d to %d",
                       name_of(op), v->first_warp, v->last_warp);
    if (op->code != KG_OP_WGMMA) return;
    if (op->operands[1]->type.home != KG_HOME_SHARED ||
        op->operands[0]->type.home == KG_HOME_GLOBAL)
        kg_verify_fail(v, KG_D_T104, op,
                       "wgmma reads its second operand from shared memory, the first from there or "
                       "from a fragment");
}

static void check_mbarrier(kg_verifier *v, const kg_op *op)
{
    int operand = op->code == KG_OP_COPY_BULK ? 2 : 0;
    if (operand >= op->n_operands) return;
    kg_value *root = kg_root(op->operands[operand]);
    if (!root || !kg_op_attr(root->op, KG_A_ARRIVALS))
        kg_verify_fail(v, KG_D_V203, op,
                       "%s needs an mbarrier: a shared i64[1] with the attribute `arrivals`",
                       name_of(op));
    if (op->code == KG_OP_MBARRIER_EXPECT && !kg_op_attr(op, KG_A_BYTES))
        kg_verify_fail(v, KG_D_V203, op, "mbarrier_expect needs the number of `bytes`");
}

static void check_special(kg_verifier *v, const kg_op *op)
{
    switch (op->code) {
    case KG_OP_VIEW:
        check_view(v, op);
        return; // its operand is the tensor or buffer itself
    case KG_OP_WARPS:
        check_warps(v, op);
        break;
    case KG_OP_BARRIER:
    case KG_OP_ARRIVE:
        check_barrier(v, op);
        break;
    case KG_OP_BATON_WAIT:
    case KG_OP_BATON_PASS:
        kg_verify_baton(v, op);
        break;
    case KG_OP_FENCE:
        check_fence(v, op);
        break;
    case KG_OP_FOR:
        check_for(v, op);
        break;
    case KG_OP_WHILE:
        check_while(v, op);
        break;
    case KG_OP_YIELD:
        check_yield(v, op);
        break;
    case KG_OP_ASSIGN:
        check_assign(v, op);
        break;
    case KG_OP_AWAIT:
        check_await(v, op);
        break;
    case KG_OP_WAIT:
    case KG_OP_BULK_WAIT:
    case KG_OP_WGMMA_WAIT:
        check_wait(v, op);
        break;
    case KG_OP_PROXY_FENCE:
        check_proxy_fence(v, op);
        break;
    case KG_OP_WGMMA:
    case KG_OP_WGMMA_FENCE:
    case KG_OP_WGMMA_COMMIT:
        check_warpgroups(v, op);
        break;
    case KG_OP_COPY_BULK:
        check_mbarrier(v, op);
        check_bulk_copy(v, op);
        break;
    case KG_OP_STORE_BULK:
        check_bulk_copy(v, op);
        break;
    case KG_OP_REDUCE_BULK:
        check_reduction(v, op);
        check_bulk_copy(v, op);
        break;
    case KG_OP_MBARRIER_INIT:
    case KG_OP_MBARRIER_EXPECT:
    case KG_OP_MBARRIER_ARRIVE:
    case KG_OP_MBARRIER_WAIT:
        check_mbarrier(v, op);
        break;
    default:
        break;
    }
    check_memory_operands(v, op);
    kg_verify_cluster(v, op);
}

// ---- levels ------------------------------------------------------------------------------------
static void level_rules(kg_verifier *v, const kg_op *op)
{
    kg_level level = v->kernel->level;
    if (level == KG_LEVEL_TILE && op->code == KG_OP_CONVERT)
        kg_verify_fail(v, KG_D_V201, op,
                       "convert changes layouts, and at level tile there are none");
    if (level == KG_LEVEL_TILE && op->n_results && op->results[0]->layout)
        kg_verify_fail(v, KG_D_V201, op, "layouts come with the layout pass, this is level tile");
    if (level >= KG_LEVEL_STAGED && op->code == KG_OP_DOT)
        for (int i = 0; i < 2; i++)
            if (op->operands[i]->type.home == KG_HOME_GLOBAL)
                kg_verify_fail(v, KG_D_V201, op,
                               "from level staged on dot reads shared memory or fragments");
    if (level >= KG_LEVEL_SYNCED && op->code == KG_OP_COPY_BULK && op->n_operands < 3)
        kg_verify_fail(v, KG_D_V201, op, "at level synced copy_bulk has its mbarrier");
    if (level >= KG_LEVEL_STAGED && kg_op_attr(op, KG_A_PIPELINE))
        kg_verify_fail(v, KG_D_V201, op, "pipelined loops are gone from level staged on");
    if (level >= KG_LEVEL_LAID_OUT && op->code == KG_OP_FETCH_ADD && op->n_operands < 3)
        kg_verify_fail(v, KG_D_V201, op, "from level laid_out on fetch_add has its cell");
    if (level >= KG_LEVEL_PLACED && op->code == KG_OP_SHARED && !kg_op_attr(op, KG_A_OFFSET))
        kg_verify_fail(v, KG_D_V201, op, "from level placed on every buffer has an offset");
}

// ---- walk --------------------------------------------------------------------------------------
static void check_block(kg_verifier *v, const kg_block *block, const kg_op *owner);

static void check_blocks(kg_verifier *v, const kg_op *op)
{
    int32_t first = v->first_warp, last = v->last_warp;
    if (op->code == KG_OP_WARPS) {
        v->first_warp = (int32_t)kg_op_int(op, KG_A_FIRST, first);
        v->last_warp = (int32_t)kg_op_int(op, KG_A_LAST, last);
    }
    for (int i = 0; i < op->n_blocks; i++) check_block(v, op->blocks[i], op);
    v->first_warp = first;
    v->last_warp = last;
}

static void check_op(kg_verifier *v, const kg_op *op)
{
    if (check_operands(v, op) && check_results(v, op) && check_types(v, op)) {
        check_special(v, op);
        level_rules(v, op);
        kg_verify_attrs(v, op);
        for (int i = 0; i < op->n_results; i++) kg_verify_layout(v, op, op->results[i]);
        if (v->has_layouts) kg_verify_layouts_agree(v, op);
        check_blocks(v, op);
    }
    for (int i = 0; i < op->n_results; i++)
        if (op->results[i]->id >= 0) v->defined[op->results[i]->id] = op->results[i];
}

static void check_block(kg_verifier *v, const kg_block *block, const kg_op *owner)
{
    if (block->owner != owner || block->kernel != v->kernel)
        kg_verify_fail(v, KG_D_V203, owner, "a block does not belong to its op");
    if (block->arg && (!owner || owner->code != KG_OP_FOR))
        kg_verify_fail(v, KG_D_V203, owner, "only the block of a for has an argument");
    if (block->arg) v->defined[block->arg->id] = block->arg;
    for (const kg_op *op = block->first; op; op = op->next) check_op(v, op);
    // What this block defines ends with it.
    if (block->arg) v->defined[block->arg->id] = NULL;
    for (const kg_op *op = block->first; op; op = op->next)
        for (int i = 0; i < op->n_results; i++)
            if (op->results[i]->id >= 0) v->defined[op->results[i]->id] = NULL;
}

static void check_param(kg_verifier *v, const kg_value *param)
{
    const kg_tensor *tensor = param->tensor;
    if ((param->type.home == KG_HOME_GLOBAL) != (tensor != NULL) ||
        (!tensor && param->type.rank != 0) || (tensor && param->type.rank < 1)) {
        kg_verify_fail(v, KG_D_V203, NULL, "parameter %s is neither a tensor nor a scalar",
                       param->name);
        return;
    }
    for (int d = 0; tensor && d < param->type.rank; d++)
        if (!tensor->dims[d] || !tensor->strides[d])
            kg_verify_fail(v, KG_D_V203, NULL, "dimension %d of %s has no size or stride", d,
                           param->name);
    if (tensor && tensor->alias && !tensor->alias->tensor)
        kg_verify_fail(v, KG_D_T104, NULL, "%s is an alias of something that is no tensor",
                       param->name);
}

static void check_header(kg_verifier *v)
{
    const kg_kernel *k = v->kernel;
    if (k->warps < 1 || k->warps > 32)
        kg_verify_fail(v, KG_D_T106, NULL, "warps must be 1 to 32, not %d", k->warps);
    if (k->n_grid < 0 || k->n_grid > 3)
        kg_verify_fail(v, KG_D_T103, NULL, "a grid has at most three axes");
    for (int i = 0; i < k->n_params; i++) {
        check_param(v, k->params[i]);
        v->defined[k->params[i]->id] = k->params[i];
    }
    for (int i = 0; i < k->n_grid; i++) {
        if (!k->grid[i].extent) kg_verify_fail(v, KG_D_V203, NULL, "a grid axis has no extent");
        v->defined[k->grid[i].value->id] = k->grid[i].value;
    }
}

static bool note_layout(kg_op *op, void *user)
{
    kg_verifier *v = user;
    for (int i = 0; i < op->n_results; i++) v->has_layouts |= op->results[i]->layout != NULL;
    return true;
}

bool kg_verify(kg_kernel *kernel, kg_diags *diags)
{
    int errors = diags->errors;
    kg_verifier v = {.kernel = kernel, .diags = diags, .last_warp = kernel->warps};
    v.n_values = kg_kernel_number(kernel, NULL);
    v.defined = KG_NEW_ARRAY(diags->arena, const kg_value *, v.n_values);
    v.has_layouts = kernel->level >= KG_LEVEL_LAID_OUT;
    kg_walk(kernel->body, note_layout, &v);
    check_header(&v);
    kg_verify_schedule(&v);
    check_block(&v, kernel->body, NULL);
    if (diags->errors == errors) kg_verify_grid_wait(&v);
    if (diags->errors == errors) kg_verify_roles(&v);
    return diags->errors == errors;
}
