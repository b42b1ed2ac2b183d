// SPDX-License-Identifier: MIT
// A whole kernel: parameters, the entry block, control flow, and the dispatch of each op to its
// emitter.
//
// Needs a verified kernel of level SYNCED. The order of the ops is the order of the text; nothing
// is moved, merged or dropped here.
#include "codegen/emit.h"
#include <stdarg.h>
#include <stdlib.h>

struct kg_codegen {
    kg_allocator allocator;
    struct cg_allocator resize;
    struct cg_context *context;
    struct cg_module *module; // of the compilation that runs, or was interrupted
    struct cg_output output;
};

// -- the object -----------------------------------------------------------------------------------

static void *default_allocate(void *user, size_t bytes)
{
    return malloc(bytes);
}
static void default_release(void *user, void *memory)
{
    free(memory);
}

// cg wants one function for both; it never grows a block.
static void *allocate_or_release(void *user, void *block, size_t size)
{
    const kg_allocator *allocator = user;
    if (!block) return allocator->allocate(allocator->user, size);
    allocator->release(allocator->user, block);
    return NULL;
}

kg_codegen *kg_codegen_new(const kg_allocator *allocator)
{
    kg_allocator chosen = {default_allocate, default_release, NULL};
    if (allocator) chosen = *allocator;
    kg_codegen *codegen = chosen.allocate(chosen.user, sizeof *codegen);
    if (!codegen) return NULL;
    memset(codegen, 0, sizeof *codegen);
    codegen->allocator = chosen;
    codegen->resize = (struct cg_allocator){allocate_or_release, &codegen->allocator};
    if (cg_context_new(&codegen->resize, &codegen->context) == CG_OK) return codegen;
    chosen.release(chosen.user, codegen);
    return NULL;
}

void kg_codegen_reset(kg_codegen *codegen)
{
    cg_output_free(codegen->context, &codegen->output);
    cg_module_free(codegen->module);
    codegen->module = NULL;
}

void kg_codegen_free(kg_codegen *codegen)
{
    if (!codegen) return;
    kg_codegen_reset(codegen);
    cg_context_free(codegen->context);
    codegen->allocator.release(codegen->allocator.user, codegen);
}

// -- errors, types, registers ---------------------------------------------------------------------

bool emit_error(kg_emit *e, kg_diag_id id, const char *format, ...)
{
    if (e->failed) return false;
    e->failed = true;
    va_list args;
    va_start(args, format);
    const char *text = kg_arena_vprintf(e->arena, format, args);
    va_end(args);
    kg_error(e->diags, id, e->op ? e->op->loc : e->kernel->loc, "%s", text);
    return false;
}

cg_type emit_type(kg_dtype dtype)
{
    switch (dtype) {
    case KG_I1:
        return CG_I1;
    case KG_I8:
        return CG_I8;
    case KG_I16:
        return CG_I16;
    case KG_I32:
        return CG_I32;
    case KG_I64:
        return CG_I64;
    case KG_F16:
        return CG_F16;
    case KG_BF16:
        return CG_BF16;
    case KG_F32:
        return CG_F32;
    case KG_F64:
        return CG_F64;
    default:
        return CG_VOID;
    }
}

cg_type emit_memory_type(kg_dtype dtype)
{
    return dtype == KG_I1 ? CG_I8 : emit_type(dtype);
}

int emit_register_count(const kg_value *value)
{
    return value->layout && value->type.rank > 0 ? kg_layout_registers(value->layout) : 1;
}

cg_value *emit_new_registers(kg_emit *e, int count)
{
    return KG_NEW_ARRAY(e->arena, cg_value, count > 0 ? count : 1);
}

bool emit_in_variables(const kg_value *value)
{
    return kg_is_mutable(value) ||
           (value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_WGMMA);
}

cg_value *emit_read(kg_emit *e, kg_value *value)
{
    int count = emit_register_count(value);
    cg_value *held = e->values[value->id];
    if (!held) {
        emit_error(e, KG_D_C604, "a value is used that no emitted op defines");
        return emit_new_registers(e, count);
    }
    if (!emit_in_variables(value)) return held;
    cg_value *now = emit_new_registers(e, count);
    for (int i = 0; i < count; i++) now[i] = cg_get(e->m, held[i]);
    return now;
}

cg_value emit_scalar(kg_emit *e, kg_value *value)
{
    return emit_read(e, value)[0];
}

void emit_define(kg_emit *e, kg_value *value, cg_value *registers)
{
    e->values[value->id] = registers;
}

// -- scalar expressions ---------------------------------------------------------------------------

static cg_value parameter_wide(kg_emit *e, const kg_value *param)
{
    cg_value value = e->values[param->id][0];
    return cg_type_of(e->m, value) == CG_I64 ? value : cg_sext(e->m, value, CG_I64);
}

static cg_value floor_divide(kg_emit *e, cg_value a, cg_value b)
{
    return emit_binary(e, KG_OP_DIV, KG_I64, a, b);
}

static cg_value sexpr_value(kg_emit *e, const kg_sexpr *x)
{
    struct cg_module *m = e->m;
    if (x->kind == KG_SX_INT) return cg_i64(m, x->value);
    if (x->kind == KG_SX_PARAM) return parameter_wide(e, x->param);
    cg_value a = emit_sexpr(e, x->a), b = emit_sexpr(e, x->b);
    switch (x->kind) {
    case KG_SX_ADD:
        return cg_add(m, a, b);
    case KG_SX_SUB:
        return cg_sub(m, a, b);
    case KG_SX_MUL:
        return cg_mul(m, a, b);
    case KG_SX_DIV:
        return floor_divide(e, a, b);
    case KG_SX_MOD:
        return emit_binary(e, KG_OP_MOD, KG_I64, a, b);
    case KG_SX_CEILDIV:
        return floor_divide(e, cg_add(m, a, cg_sub(m, b, cg_i64(m, 1))), b);
    case KG_SX_MIN:
        return cg_smin(m, a, b);
    case KG_SX_MAX:
        return cg_smax(m, a, b);
    case KG_SX_EQ:
        return cg_zext(m, cg_eq(m, a, b), CG_I64);
    case KG_SX_NE:
        return cg_zext(m, cg_ne(m, a, b), CG_I64);
    case KG_SX_LT:
        return cg_zext(m, cg_slt(m, a, b), CG_I64);
    case KG_SX_LE:
        return cg_zext(m, cg_sle(m, a, b), CG_I64);
    case KG_SX_GT:
        return cg_zext(m, cg_sgt(m, a, b), CG_I64);
    case KG_SX_GE:
        return cg_zext(m, cg_sge(m, a, b), CG_I64);
    case KG_SX_AND:
        return cg_and(m, a, b);
    case KG_SX_OR:
        return cg_or(m, a, b);
    default:
        return NULL;
    }
}

cg_value emit_sexpr(kg_emit *e, const kg_sexpr *expr)
{
    for (int i = 0; i < e->scalars.count; i++)
        if (e->scalars.items[i].key == expr) return e->scalars.items[i].value;
    emit_cached_value entry = {expr, sexpr_value(e, expr)};
    KG_PUSH(e->arena, &e->scalars, entry);
    return entry.value;
}

// -- the entry ------------------------------------------------------------------------------------

// An acquire may learn of writes to any tensor, by other CTAs or other kernels.
static bool note_uses(kg_op *op, void *user)
{
    kg_emit *e = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    for (int i = 0; i < op->n_operands; i++) e->readers[op->operands[i]->id]++;
    for (int i = 0; i < info->n_effects; i++) {
        const kg_effect *effect = &info->effects[i];
        if (effect->mode == KG_MODE_R || effect->operand >= op->n_operands) continue;
        if (effect->operand == KG_OPERAND_ALL) {
            memset(e->written, true, sizeof *e->written * (size_t)e->kernel->n_params);
            continue;
        }
        kg_value *root = kg_root(op->operands[effect->operand]);
        if (root && root->kind == KG_VALUE_PARAM) e->written[root->index] = true;
    }
    return true;
}

static const kg_value *alias_of(const kg_value *param)
{
    while (param->tensor && param->tensor->alias && param->tensor->alias != param)
        param = param->tensor->alias;
    return param;
}

// A parameter is written when it, or one that may be the same memory, is.
static void find_uses(kg_emit *e)
{
    kg_kernel *kernel = e->kernel;
    e->written = KG_NEW_ARRAY(e->arena, bool, kernel->n_params + 1);
    kg_walk(kernel->body, note_uses, e);
    for (int i = 0; i < kernel->n_params; i++)
        for (int j = 0; j < kernel->n_params; j++)
            if (e->written[j] && alias_of(kernel->params[i]) == alias_of(kernel->params[j]))
                e->written[i] = true;
}

static bool describe_parameter(kg_emit *e, const kg_value *param, struct cg_parameter *out)
{
    bool tensor = param->type.home == KG_HOME_GLOBAL;
    out->name = param->name;
    out->type = tensor ? CG_PTR_GLOBAL : emit_memory_type(param->type.dtype);
    out->align = tensor ? (uint32_t)param->tensor->align : 0;
    out->flags = 0;
    if (kg_dtype_info_of(param->type.dtype)->codegen) return true;
    return emit_error(e, KG_D_C601, "elements of type %s are not supported yet",
                      kg_dtype_info_of(param->type.dtype)->name);
}

enum { PARAMETER_BYTES = 4096 }; // of a kernel, before PTX 8.1

static bool begin_kernel(kg_emit *e)
{
    kg_kernel *kernel = e->kernel;
    kg_tensor_maps_collect(e->arena, kernel, &e->maps);
    int count = kernel->n_params + e->maps.count;
    int bytes = (8 * kernel->n_params + KG_MAP_ALIGN - 1) / KG_MAP_ALIGN * KG_MAP_ALIGN +
                KG_MAP_BYTES * e->maps.count;
    if (e->maps.count && bytes > PARAMETER_BYTES)
        return emit_error(e, KG_D_C605,
                          "%d parameters and %d tensor maps are more than the %d bytes that a "
                          "kernel can be given",
                          kernel->n_params, e->maps.count, PARAMETER_BYTES);
    struct cg_parameter *parameters = KG_NEW_ARRAY(e->arena, struct cg_parameter, count + 1);
    for (int i = 0; i < kernel->n_params; i++)
        if (!describe_parameter(e, kernel->params[i], &parameters[i])) return false;
    for (int i = kernel->n_params; i < count; i++)
        parameters[i] = (struct cg_parameter){.name = "map",
                                              .type = CG_PTR,
                                              .align = KG_MAP_ALIGN,
                                              .flags = CG_PARAMETER_BY_VALUE,
                                              .bytes = KG_MAP_BYTES};
    struct cg_kernel description = {
        .name = kernel->name,
        .parameters = parameters,
        .parameter_count = (unsigned)count,
        .threads = {32u * (unsigned)kernel->warps, 1, 1},
        // Without a bound ptxas presses registers for occupancy that nobody asked for, down to
        // spills.
        .min_ctas = kernel->min_ctas ? (unsigned)kernel->min_ctas : 1,
        .line = (unsigned)kernel->loc.line,
    };
    if (kernel->cluster) {
        description.cluster[0] = (unsigned)kernel->cluster;
        description.cluster[1] = description.cluster[2] = 1;
    }
    return cg_kernel_begin(e->m, &description);
}

static void define_parameter(kg_emit *e, kg_value *param)
{
    cg_value *held = emit_new_registers(e, 1);
    held[0] = cg_argument(e->m, (unsigned)param->index);
    if (param->type.home != KG_HOME_GLOBAL && param->type.dtype == KG_I1)
        held[0] = cg_ne(e->m, held[0], cg_integer(e->m, CG_I8, 0));
    emit_define(e, param, held);
}

static void define_thread(kg_emit *e)
{
    struct cg_module *m = e->m;
    e->thread = cg_special(m, CG_PTX_TID_X);
    e->lane = cg_and(m, e->thread, cg_i32(m, 31));
    e->warp = cg_lshr(m, e->thread, cg_i32(m, 5));
    if (e->kernel->shared_bytes > 0) e->shared_base = cg_shared_base(m);
}

// Sizes and strides of every tensor, where all blocks can see them.
static void define_tensors(kg_emit *e)
{
    for (int i = 0; i < e->kernel->n_params; i++) {
        const kg_value *param = e->kernel->params[i];
        for (int d = 0; param->tensor && d < param->type.rank; d++) {
            emit_sexpr(e, param->tensor->dims[d]);
            emit_sexpr(e, param->tensor->strides[d]);
        }
    }
}

static void emit_entry(kg_emit *e)
{
    static const enum cg_ptx_id ids[] = {CG_PTX_CTAID_X, CG_PTX_CTAID_Y, CG_PTX_CTAID_Z};
    kg_kernel *kernel = e->kernel;
    for (int i = 0; i < kernel->n_params; i++) define_parameter(e, kernel->params[i]);
    for (int i = 0; i < kernel->n_grid; i++) {
        cg_value *held = emit_new_registers(e, 1);
        held[0] = cg_special(e->m, ids[i]);
        emit_define(e, kernel->grid[i].value, held);
    }
    define_thread(e);
    define_tensors(e);
    emit_enter_region(e, (kg_region){0, kernel->warps});
    emit_maps(e);
}

int emit_launch_registers(const kg_kernel *kernel)
{
    int ctas = kernel->min_ctas > 0 ? kernel->min_ctas : 1;
    int share = CG_REGISTERS_PER_SM / (32 * kernel->warps * ctas) / 8 * 8;
    return share < 256 ? share : 256;
}

// Registers by warpgroup, where a region asks for them.
static bool note_registers(kg_op *op, void *user)
{
    int *by_group = user, registers = (int)kg_op_int(op, KG_A_REGISTERS, 0);
    if (op->code != KG_OP_WARPS || !registers) return true;
    int first = (int)kg_op_int(op, KG_A_FIRST, 0) / 4, last = (int)kg_op_int(op, KG_A_LAST, 0);
    for (int group = first; 4 * group < last && group < 8; group++) by_group[group] = registers;
    return true;
}

// What warpgroups take comes from what others have given away, or they wait for ever.
static bool check_registers(kg_emit *e)
{
    int by_group[8] = {0}, groups = (e->kernel->warps + 3) / 4, sum = 0;
    int launch = emit_launch_registers(e->kernel);
    kg_walk(e->kernel->body, note_registers, by_group);
    for (int i = 0; i < groups; i++) sum += by_group[i] ? by_group[i] : launch;
    if (sum <= groups * launch) return true;
    return emit_error(e, KG_D_C605,
                      "the warpgroups ask for %d registers a thread together, and the CTA starts "
                      "with %d for each of its %d",
                      sum, launch, groups);
}

static bool check_limits(kg_emit *e)
{
    const kg_kernel *kernel = e->kernel;
    if (kernel->level != KG_LEVEL_SYNCED)
        return emit_error(e, KG_D_V201, "code is generated from level synced only");
    if (kernel->shared_bytes > (int64_t)e->target->shared_cta)
        return emit_error(e, KG_D_C605,
                          "the kernel needs %lld bytes of shared memory, %s has %u for a CTA",
                          (long long)kernel->shared_bytes, e->target->name, e->target->shared_cta);
    if (kernel->min_ctas > (int32_t)e->target->ctas_sm ||
        (int64_t)kernel->min_ctas * kernel->warps * 32 > (int64_t)e->target->threads_sm)
        return emit_error(e, KG_D_C605, "%d CTAs of %d warps do not fit on an SM of %s",
                          kernel->min_ctas, kernel->warps, e->target->name);
    if (kernel->cluster && !(e->target->features & CG_FEATURE_CLUSTERS))
        return emit_error(e, KG_D_C605, "%s has no clusters of CTAs: leave out `cluster %d`",
                          e->target->name, kernel->cluster);
    return check_registers(e);
}

static bool report_module(kg_emit *e)
{
    enum cg_status status = cg_module_status(e->m);
    if (status == CG_OK || e->failed) return !e->failed;
    kg_diag_id id = status == CG_ERROR_TARGET   ? KG_D_C601
                    : status == CG_ERROR_MEMORY ? KG_D_R707
                                                : KG_D_C603;
    return emit_error(e, id, "%s", cg_module_error(e->m));
}

static bool build(kg_emit *e)
{
    kg_kernel *kernel = e->kernel;
    int n_values = kg_kernel_number(kernel, NULL);
    e->values = KG_NEW_ARRAY(e->arena, cg_value *, n_values + 1);
    e->readers = KG_NEW_ARRAY(e->arena, int, n_values + 1);
    find_uses(e);
    if (!check_limits(e) || !begin_kernel(e)) return report_module(e);
    emit_entry(e);
    emit_flight_open(e);
    emit_block(e, kernel->body);
    if (!e->failed) cg_kernel_end(e->m);
    return report_module(e);
}

static bool finish(kg_codegen *codegen, kg_emit *e, const kg_codegen_options *options,
                   kg_codegen_output *out)
{
    const char *passes = e->flight ? CG_WGMMA_PASSES : CG_DEFAULT_PASSES;
    struct cg_finish_options finishing = {.passes = options->no_optimization ? "" : passes,
                                          .want_llvm = options->want_llvm};
    e->op = NULL;
    cg_finish(codegen->module, &finishing, &codegen->output);
    if (!report_module(e)) return false;
    out->ptx = kg_arena_strndup(e->arena, codegen->output.ptx, codegen->output.ptx_length);
    out->ptx_length = codegen->output.ptx_length;
    out->ptx_version = codegen->output.ptx_version;
    out->local_memory = codegen->output.local_memory;
    if (codegen->output.llvm)
        out->llvm = kg_arena_strndup(e->arena, codegen->output.llvm, strlen(codegen->output.llvm));
    return options->no_check || kg_codegen_check(e->kernel, out->ptx, out->ptx_length,
                                                 &codegen->allocator, e->arena, e->diags);
}

bool kg_codegen_emit(kg_codegen *codegen, kg_kernel *kernel, kg_arena *arena, kg_diags *diags,
                     const kg_codegen_options *options, kg_codegen_output *out)
{
    const kg_source *source = kernel->loc.source;
    kg_emit e = {.kernel = kernel, .arena = arena, .diags = diags, .target = options->target};
    struct cg_module_options module = {.name = kernel->name, .target = options->target};
    e.sync_reasons = options->sync_reasons;
    e.n_sync_reasons = options->n_sync_reasons;
    *out = (kg_codegen_output){0};
    kg_codegen_reset(codegen);
    if (source && !options->no_lines) module.file = source->name;
    enum cg_status status = cg_module_new(codegen->context, &module, &codegen->module);
    if (status != CG_OK)
        return emit_error(&e, status == CG_ERROR_MEMORY ? KG_D_R707 : KG_D_C603,
                          "LLVM makes no module for %s", options->target->name);
    e.m = codegen->module;
    bool fine = build(&e) && finish(codegen, &e, options, out);
    kg_codegen_reset(codegen);
    return fine;
}
