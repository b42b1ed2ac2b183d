// SPDX-License-Identifier: MIT
// Blocks: mutable fragments, regions of warps, loops, branches, and the dispatch of each op to its
// emitter. The order of the ops is the order of the text; nothing is moved, merged or dropped here.
#include "codegen/emit.h"

// -- mutable fragments ----------------------------------------------------------------------------

static void set_fragment(kg_emit *e, kg_value *target, kg_value *from)
{
    int count = emit_register_count(target);
    cg_value *now = emit_read_as(e, from, target->layout, count);
    for (int i = 0; i < count && now; i++) cg_set(e->m, e->values[target->id][i], now[i]);
    emit_flight_assigned(e, target);
}

static void declare_fragment(kg_emit *e, kg_op *op)
{
    kg_value *value = op->results[0];
    int count = emit_register_count(value);
    cg_value *variables = emit_new_registers(e, count);
    for (int i = 0; i < count; i++)
        variables[i] =
            cg_variable(e->m, emit_type(value->type.dtype), value->name ? value->name : "frag");
    emit_define(e, value, variables);
    set_fragment(e, value, op->operands[0]);
}

// -- regions and control flow ---------------------------------------------------------------------

void emit_enter_region(kg_emit *e, kg_region region)
{
    struct cg_module *m = e->m;
    e->region = region;
    e->region_warp = region.first_warp ? cg_sub(m, e->warp, cg_i32(m, region.first_warp)) : e->warp;
    e->region_thread =
        region.first_warp ? cg_sub(m, e->thread, cg_i32(m, 32 * region.first_warp)) : e->thread;
    e->first_thread = cg_eq(m, e->thread, cg_i32(m, 32 * region.first_warp));
    e->first_lane = NULL;
    e->region_start = cg_block_current(m);
    memset(e->policies, 0, sizeof e->policies);
}

static cg_value between(kg_emit *e, int first, int last)
{
    struct cg_module *m = e->m;
    return cg_ult(m, cg_sub(m, e->warp, cg_i32(m, first)), cg_i32(m, last - first));
}

// The region's warpgroups change their registers, warps beside the region too: the instruction is
// for all four warps of a warpgroup.
static void change_registers(kg_emit *e, int registers)
{
    cg_value count = cg_i32(e->m, registers);
    bool fewer = registers <= emit_launch_registers(e->kernel);
    cg_template(e->m, fewer ? CG_PTX_SETMAXNREG_DEC : CG_PTX_SETMAXNREG_INC, &count, 1, NULL, NULL);
}

// Ops of which the region's first thread does all that others can see. (It may be that all threads
// compute scalars and wait.)
static bool by_first_thread(kg_op *op, void *user)
{
    bool *alone = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    bool waits = op->code == KG_OP_MBARRIER_WAIT;
    if (info->cls == KG_CLASS_Y && !waits && op->code != KG_OP_MBARRIER_EXPECT &&
        op->code != KG_OP_BULK_COMMIT && op->code != KG_OP_BULK_WAIT)
        *alone = false;
    for (int i = 0; i < info->n_effects; i++) {
        kg_agent agent = info->effects[i].agent;
        if (!waits && agent != KG_AGENT_ELECTED && agent != KG_AGENT_BULK) *alone = false;
    }
    for (int i = 0; i < op->n_results; i++)
        if (op->results[i]->type.home == KG_HOME_FRAG && op->results[i]->type.rank) *alone = false;
    return *alone;
}

// A region that one thread can do alone: a producer. Then it does, for lanes that wait beside it
// may come so late that they find another phase. They go on to the kernel's end, where nobody waits
// for them; or all CTAs of a cluster do, and then the warp gathers before.
bool kg_codegen_one_thread(const kg_op *region)
{
    bool alone = !region->parent->owner;
    kg_walk(region->blocks[0], by_first_thread, &alone);
    for (kg_op *op = region->next; op && alone; op = op->next)
        if (op->code != KG_OP_WARPS && op->code != KG_OP_CLUSTER_BARRIER)
            by_first_thread(op, &alone);
    return alone;
}

bool kg_codegen_gathers(const kg_op *region)
{
    for (const kg_op *op = region->next; op; op = op->next)
        if (op->code == KG_OP_CLUSTER_BARRIER) return kg_codegen_one_thread(region);
    return false;
}

static void emit_region(kg_emit *e, const kg_op *op, kg_region region)
{
    struct cg_if branch;
    bool alone = kg_codegen_one_thread(op);
    emit_enter_region(e, region);
    if (alone) {
        cg_if_begin(e->m, &branch, e->first_thread);
        e->first_thread = NULL;
    }
    emit_block(e, op->blocks[0]);
    if (alone) cg_if_end(e->m, &branch);
    cg_value all = cg_i32(e->m, -1);
    if (kg_codegen_gathers(op)) cg_template(e->m, CG_PTX_BAR_WARP_SYNC, &all, 1, NULL, NULL);
}

static void emit_warps(kg_emit *e, kg_op *op)
{
    struct cg_module *m = e->m;
    struct cg_if branch, groups;
    kg_emit outer = *e;
    int first = (int)kg_op_int(op, KG_A_FIRST, 0), last = (int)kg_op_int(op, KG_A_LAST, 0);
    int registers = (int)kg_op_int(op, KG_A_REGISTERS, 0);
    bool wider = registers && (first % 4 || last % 4);
    if (wider) {
        cg_if_begin(m, &groups, between(e, first / 4 * 4, (last + 3) / 4 * 4));
        change_registers(e, registers);
    }
    cg_if_begin(m, &branch, between(e, first, last));
    if (registers && !wider) change_registers(e, registers);
    emit_region(e, op, (kg_region){first, last - first});
    cg_if_end(m, &branch);
    if (wider) cg_if_end(m, &groups);
    e->region = outer.region;
    e->region_warp = outer.region_warp;
    e->region_thread = outer.region_thread;
    e->first_thread = outer.first_thread;
    e->first_lane = outer.first_lane;
    e->region_start = outer.region_start;
    memcpy(e->policies, outer.policies, sizeof e->policies);
    e->parts.count = outer.parts.count;
    e->bases.count = outer.bases.count;
    e->steps.count = outer.steps.count;
    e->uniform.count = outer.uniform.count;
}

static cg_value to_width(kg_emit *e, cg_value value, cg_type type)
{
    return cg_type_of(e->m, value) == type ? value : cg_sext(e->m, value, type);
}

static void define_index(kg_emit *e, kg_op *loop, cg_value index)
{
    cg_value *held = emit_new_registers(e, 1);
    held[0] = index;
    emit_define(e, loop->blocks[0]->arg, held);
}

// Will the trip take one of the branches that its loop is split at?
static cg_value takes_branch(kg_emit *e, const kg_op *loop)
{
    cg_value any = cg_integer(e->m, CG_I1, 0);
    for (kg_op *op = loop->blocks[0]->first; op; op = op->next) {
        if (kg_decides_split(loop, op)) emit_op(e, op);
        if (kg_splits_loop(loop, op)) any = cg_or(e->m, any, emit_scalar(e, op->operands[0]));
    }
    return any;
}

// The trips of a split loop that come before any such branch; returns the index of the next one.
static cg_value emit_plain_trips(kg_emit *e, kg_op *op, cg_value lower, cg_value upper,
                                 cg_value step)
{
    struct cg_module *m = e->m;
    struct cg_while loop = {.keep_rolled = true};
    const kg_op *outer = e->unbranched;
    cg_value variable = cg_variable(m, cg_type_of(m, lower), "index");
    cg_set(m, variable, lower);
    cg_while_begin(m, &loop);
    cg_value index = cg_get(m, variable);
    define_index(e, op, index);
    cg_value plain = cg_not(m, takes_branch(e, op));
    cg_while_test(m, &loop, cg_undecided(m, cg_and(m, cg_slt(m, index, upper), plain)));
    e->unbranched = op;
    emit_block(e, op->blocks[0]);
    e->unbranched = outer;
    cg_line(m, (unsigned)op->loc.line, (unsigned)op->loc.column);
    cg_set(m, variable, cg_add(m, index, step));
    cg_while_end(m, &loop);
    return cg_get(m, variable);
}

// A loop that only counts: its counter goes on by the number of trips.
static bool emit_count(kg_emit *e, const kg_op *op, cg_value lower, cg_value upper)
{
    struct cg_module *m = e->m;
    int64_t step;
    kg_value *counter = kg_counted_by(op);
    cg_type type = cg_type_of(m, lower);
    if (!counter || !kg_const_int(op->operands[2], &step) || step != 1 ||
        emit_type(counter->type.dtype) != type)
        return false;
    cg_value variable = e->values[counter->id][0];
    cg_value trips =
        cg_select(m, cg_slt(m, lower, upper), cg_sub(m, upper, lower), cg_integer(m, type, 0));
    cg_set(m, variable, cg_add(m, cg_get(m, variable), trips));
    return true;
}

static void emit_for(kg_emit *e, kg_op *op)
{
    struct cg_loop loop = {.keep_rolled = true};
    cg_type type = emit_type(op->blocks[0]->arg->type.dtype);
    cg_value lower = to_width(e, emit_scalar(e, op->operands[0]), type);
    cg_value upper = to_width(e, emit_scalar(e, op->operands[1]), type);
    cg_value step = to_width(e, emit_scalar(e, op->operands[2]), type);
    if (emit_count(e, op, lower, upper)) return;
    if (kg_is_split(op)) lower = emit_plain_trips(e, op, lower, upper, step);
    cg_loop_begin(e->m, &loop, lower, upper, step);
    define_index(e, op, loop.index);
    emit_block(e, op->blocks[0]);
    cg_line(e->m, (unsigned)op->loc.line, (unsigned)op->loc.column);
    cg_loop_end(e->m, &loop);
}

static void emit_while(kg_emit *e, kg_op *op)
{
    struct cg_while loop = {0};
    cg_while_begin(e->m, &loop);
    emit_block(e, op->blocks[0]);
    kg_op *yield = op->blocks[0]->last;
    if (!yield || yield->code != KG_OP_YIELD) {
        emit_error(e, KG_D_V203, "the condition of a while yields nothing");
        return;
    }
    cg_while_test(e->m, &loop, cg_undecided(e->m, emit_scalar(e, yield->operands[0])));
    emit_block(e, op->blocks[1]);
    cg_while_end(e->m, &loop);
}

// Can the op stand under a predicate instead of a branch: nothing happens but guarded copies and
// loads, and what is computed in vain does no harm?
static bool guardable(const kg_op *op)
{
    int64_t divisor;
    switch (op->code) {
    case KG_OP_VIEW:
    case KG_OP_COPY_ASYNC:
        return true;
    case KG_OP_LOAD:
        return true;
    case KG_OP_DIV:
    case KG_OP_MOD:
        return kg_const_int(op->operands[1], &divisor) && divisor > 0;
    default:
        break;
    }
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_P:
    case KG_CLASS_U:
    case KG_CLASS_B:
    case KG_CLASS_C:
        return true;
    default:
        return false;
    }
}

// A branch around asynchronous copies alone: as a rule the one in front of a pipelined loop's
// stage, which would cut the loop's body in three.
static bool only_copies(const kg_op *op)
{
    int copies = 0;
    for (const kg_op *inner = op->blocks[0]->first; inner; inner = inner->next) {
        if (!guardable(inner)) return false;
        copies += inner->code == KG_OP_COPY_ASYNC;
    }
    return copies > 0 && !op->blocks[1]->first;
}

static void emit_guarded(kg_emit *e, kg_op *op)
{
    cg_value outer = e->guard;
    e->guard = emit_and(e, outer, emit_scalar(e, op->operands[0]));
    emit_block(e, op->blocks[0]);
    e->guard = outer;
}

static void emit_if(kg_emit *e, kg_op *op)
{
    struct cg_if branch;
    if (e->unbranched && kg_splits_loop(e->unbranched, op)) return;
    if (only_copies(op)) {
        emit_guarded(e, op);
        return;
    }
    cg_if_begin(e->m, &branch, cg_undecided(e->m, emit_scalar(e, op->operands[0])));
    emit_block(e, op->blocks[0]);
    if (op->blocks[1]->first) {
        cg_if_else(e->m, &branch);
        emit_block(e, op->blocks[1]);
    }
    cg_if_end(e->m, &branch);
}

// -- dispatch -------------------------------------------------------------------------------------

static void emit_structure(kg_emit *e, kg_op *op)
{
    switch (op->code) {
    case KG_OP_SHARED:
    case KG_OP_VIEW:
    case KG_OP_YIELD:
        return; // addresses are made where they are used
    case KG_OP_FRAG:
        declare_fragment(e, op);
        return;
    case KG_OP_ASSIGN:
        set_fragment(e, op->operands[0], op->operands[1]);
        return;
    case KG_OP_FOR:
        emit_for(e, op);
        return;
    case KG_OP_WHILE:
        emit_while(e, op);
        return;
    case KG_OP_IF:
        emit_if(e, op);
        return;
    case KG_OP_WARPS:
        emit_warps(e, op);
        return;
    case KG_OP_TRANSPOSE:
        if (op->results[0]->type.home == KG_HOME_FRAG) emit_fragment_op(e, op);
        return;
    default:
        emit_error(e, KG_D_C601, "no emitter for op %s", kg_op_info_of(op->code)->name);
        return;
    }
}

static void emit_memory(kg_emit *e, kg_op *op)
{
    switch (op->code) {
    case KG_OP_LOAD:
        emit_load(e, op);
        return;
    case KG_OP_STORE:
        emit_store(e, op);
        return;
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC:
        emit_copy(e, op);
        return;
    case KG_OP_COPY_BULK:
    case KG_OP_STORE_BULK:
    case KG_OP_REDUCE_BULK:
        emit_bulk_copy(e, op);
        return;
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN:
        emit_atomic(e, op);
        return;
    default:
        emit_elected(e, op);
        return;
    }
}

void emit_op(kg_emit *e, kg_op *op)
{
    e->op = op;
    cg_line(e->m, (unsigned)op->loc.line, (unsigned)op->loc.column);
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_S:
        emit_structure(e, op);
        return;
    case KG_CLASS_R:
        emit_reduce(e, op);
        return;
    case KG_CLASS_N:
        emit_scan(e, op);
        return;
    case KG_CLASS_M:
        emit_memory(e, op);
        return;
    case KG_CLASS_D:
        if (op->code == KG_OP_WGMMA)
            emit_wgmma(e, op);
        else
            emit_dot(e, op);
        return;
    case KG_CLASS_Y:
        emit_sync(e, op);
        return;
    default:
        break;
    }
    if (!emit_fragment_op(e, op) && !emit_elementwise(e, op))
        emit_error(e, KG_D_C601, "no emitter for op %s", kg_op_info_of(op->code)->name);
}

void emit_block(kg_emit *e, kg_block *block)
{
    int led = e->led.count;
    for (kg_op *op = block->first; op && !e->failed && !cg_module_status(e->m); op = op->next) {
        kg_op *last = emit_strips(e, op);
        if (last)
            op = last;
        else
            emit_op(e, op);
    }
    e->led.count = led;
}
