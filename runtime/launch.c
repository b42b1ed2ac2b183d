// SPDX-License-Identifier: MIT
// Launches of programs: arguments by name are checked, packed in launch order, and the grid is
// computed.
#include "runtime/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct map_bytes {
    unsigned char bytes[KG_MAP_BYTES] __attribute__((aligned(KG_MAP_ALIGN)));
} map_bytes;

typedef struct binding {
    kgen_program *program;
    kgen_context *context;
    const kgen_arg **args; // by parameter
    int64_t *values;       // by parameter, integers
    kgen_raw_arg *raw;
    union {
        int64_t i;
        int32_t i32;
        int16_t i16;
        int8_t i8;
        float f32;
        double f64;
        uint16_t f16;
    } * scalars;
    map_bytes *maps; // in `room`, aligned
    void *room;
} binding;

static kgen_status bind_names(binding *b, const kgen_arg *args, size_t n_args, bool tensors_too)
{
    kg_kernel *kernel = b->program->kernel;
    for (size_t i = 0; i < n_args; i++) {
        const char *names[64];
        int n = 0, p = 0;
        for (; p < kernel->n_params; p++) {
            if (args[i].name && !strcmp(kernel->params[p]->name, args[i].name)) break;
            if (n < 64) names[n++] = kernel->params[p]->name;
        }
        if (p == kernel->n_params) {
            const char *near = args[i].name ? kg_nearest_name(args[i].name, names, n) : NULL;
            return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                                "kernel %s has no parameter '%s'%s%s%s", kernel->name,
                                args[i].name ? args[i].name : "(null)",
                                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (b->args[p])
            return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                                "parameter '%s' is given twice", args[i].name);
        b->args[p] = &args[i];
        b->values[p] = args[i].i;
    }
    for (int p = 0; p < kernel->n_params; p++)
        if (!b->args[p] && (kernel->params[p]->tensor ? tensors_too && b->program->used[p] : true))
            return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                                "parameter '%s' of kernel %s is not given", kernel->params[p]->name,
                                kernel->name);
    return KGEN_OK;
}

static kgen_status check_assumptions(binding *b)
{
    kg_kernel *kernel = b->program->kernel;
    for (int i = 0; i < kernel->n_assumes; i++) {
        int64_t holds;
        if (kg_sexpr_eval(kernel->assumes[i], b->values, &holds) && holds) continue;
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R704,
                            "compile another variant, or pad the tensors",
                            "%s:%d: an assumption of kernel %s does not hold for these arguments",
                            b->program->label, kernel->assumes[i]->loc.line, kernel->name);
    }
    return KGEN_OK;
}

static kgen_status pack_scalar(binding *b, int p)
{
    const kg_value *v = b->program->kernel->params[p];
    const kgen_arg *a = b->args[p];
    kg_dtype dtype = v->type.dtype;
    int bytes = kg_dtype_bytes(dtype);
    bool is_float = kg_dtype_info_of(dtype)->is_float;
    if (!is_float && bytes < 8 &&
        (a->i > (INT64_C(1) << (8 * bytes - 1)) - 1 || a->i < -(INT64_C(1) << (8 * bytes - 1))))
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "%s=%" PRId64 " does not fit %s", v->name, a->i,
                            kg_dtype_info_of(dtype)->name);
    if (dtype == KG_F32)
        b->scalars[p].f32 = (float)a->f;
    else if (dtype == KG_F64)
        b->scalars[p].f64 = a->f;
    else if (is_float)
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, "declare it f32",
                            "scalar parameter '%s' has type %s, which cannot be passed", v->name,
                            kg_dtype_info_of(dtype)->name);
    else
        b->scalars[p].i = a->i; // little endian: the low bytes come first
    b->raw[p] = (kgen_raw_arg){.value = &b->scalars[p], .bytes = (size_t)bytes};
    return KGEN_OK;
}

// The bytes that a tensor of these sizes and strides reaches; false when a size is not positive or
// all overflows.
static bool tensor_reach(const binding *b, const kg_value *v, int64_t *reach, int *bad_dim,
                         int64_t *bad)
{
    int64_t last = 0;
    for (int d = 0; d < v->type.rank; d++) {
        int64_t extent, stride, step;
        *bad_dim = d;
        if (!kg_sexpr_eval(v->tensor->dims[d], b->values, &extent)) return *bad = 0, false;
        if (extent < 1) return *bad = extent, false;
        if (!kg_sexpr_eval(v->tensor->strides[d], b->values, &stride) || stride < 0)
            return *bad = extent, false;
        if (__builtin_mul_overflow(extent - 1, stride, &step) ||
            __builtin_add_overflow(last, step, &last))
            return *bad = extent, false;
    }
    return !__builtin_add_overflow(last, 1, &last) &&
           !__builtin_mul_overflow(last, (int64_t)kg_dtype_bytes(v->type.dtype), reach);
}

static kgen_status pack_tensor(binding *b, kgen_device *device, int p)
{
    static const uint64_t null_address = 0;
    const kg_value *v = b->program->kernel->params[p];
    const kgen_arg *a = b->args[p];
    b->raw[p] = (kgen_raw_arg){.value = &null_address, .bytes = 8};
    if (!b->program->used[p]) return KGEN_OK;
    int64_t reach = 0, bad = 0;
    int dim = 0;
    if (!tensor_reach(b, v, &reach, &dim, &bad))
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "dimension %d of tensor '%s' is %" PRId64
                            ": not a legal size with its stride",
                            dim, v->name, bad);
    if (!a->buffer)
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "tensor '%s' needs a buffer", v->name);
    if (a->buffer->device != device)
        return context_fail(b->context, KGEN_ERROR_USAGE, KG_D_R703, NULL,
                            "the buffer of tensor '%s' belongs to another device", v->name);
    if (a->offset > a->buffer->bytes || (uint64_t)reach > a->buffer->bytes - a->offset)
        return context_fail(
            b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
            "tensor '%s' reaches %" PRId64 " bytes, its buffer has %zu after the offset", v->name,
            reach, a->offset > a->buffer->bytes ? (size_t)0 : a->buffer->bytes - a->offset);
    b->scalars[p].i = (int64_t)(a->buffer->address + a->offset);
    if (v->tensor->align > 0 && b->scalars[p].i % v->tensor->align)
        return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                            "tensor '%s' must start at a multiple of %d bytes", v->name,
                            v->tensor->align);
    b->raw[p].value = &b->scalars[p].i;
    return KGEN_OK;
}

// The maps of the tensors that the copy engine reads and writes, behind the other arguments.
static kgen_status pack_maps(binding *b, kgen_device *device)
{
    kgen_program *program = b->program;
    kgen_status status = KGEN_OK;
    for (int i = 0; !status && i < program->maps.count; i++) {
        const kg_tensor_map *map = &program->maps.items[i];
        uint64_t address = (uint64_t)b->scalars[map->tensor->index].i;
        kgen_tensor_map_info info;
        status = program_describe_map(b->context, map, b->values, &info);
        if (!status) status = device->ops->encode_map(device, &info, address, b->maps[i].bytes);
        b->raw[program->kernel->n_params + i] =
            (kgen_raw_arg){.value = b->maps[i].bytes, .bytes = sizeof b->maps[i].bytes};
    }
    return status;
}

static kgen_status compute_grid(binding *b, unsigned grid[3])
{
    kg_kernel *kernel = b->program->kernel;
    static const int64_t limits[3] = {INT32_MAX, 65535, 65535};
    for (int i = 0; i < 3; i++) {
        int64_t extent = 1;
        if (i < kernel->n_grid && !kg_sexpr_eval(kernel->grid[i].extent, b->values, &extent))
            extent = 0;
        if (extent < 1 || extent > limits[i])
            return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703, NULL,
                                "grid axis '%s' would have %" PRId64 " CTAs; 1 to %" PRId64
                                " are possible",
                                kernel->grid[i].value->name, extent, limits[i]);
        if (i == 0 && kernel->cluster && extent % kernel->cluster)
            return context_fail(b->context, KGEN_ERROR_INPUT, KG_D_R703,
                                "round the axis up in the header of the kernel: what lies beyond "
                                "the tensors is neither read nor written",
                                "grid axis '%s' would have %" PRId64 " CTAs, which is no multiple "
                                "of the %d of a cluster",
                                kernel->grid[i].value->name, extent, kernel->cluster);
        grid[i] = (unsigned)extent;
    }
    return KGEN_OK;
}

static kgen_status bind_and_launch(binding *b, kgen_device *device, const kgen_arg *args,
                                   size_t n_args, const kgen_launch_options *options, int repeats)
{
    kg_kernel *kernel = b->program->kernel;
    kgen_raw_launch launch = {.kernel = kernel->name,
                              .block = {32u * (unsigned)kernel->warps, 1, 1},
                              .shared_bytes = (size_t)kernel->shared_bytes,
                              .args = b->raw,
                              .dependent = b->program->info.dependent,
                              .n_args = (size_t)(kernel->n_params + b->program->maps.count)};
    kgen_status status = bind_names(b, args, n_args, true);
    if (!status) status = check_assumptions(b);
    for (int p = 0; !status && p < kernel->n_params; p++)
        status = kernel->params[p]->tensor ? pack_tensor(b, device, p) : pack_scalar(b, p);
    if (!status) status = pack_maps(b, device);
    if (!status) status = compute_grid(b, launch.grid);
    if (status) return status;
    pthread_mutex_lock(&device->lock);
    kgen_module *module;
    status = device_program_module(device, b->program, &module);
    if (!status) status = device->ops->launch(module, &launch, options, repeats);
    pthread_mutex_unlock(&device->lock);
    return status;
}

// Room for a program's parameters, in one piece that starts with the tensor maps, aligned.
static bool open_binding(binding *b, kgen_context *context, kgen_program *program)
{
    size_t maps = (size_t)program->maps.count;
    size_t n = (size_t)program->kernel->n_params + maps + 1;
    size_t each = sizeof *b->args + sizeof *b->values + sizeof *b->raw + sizeof *b->scalars;
    *b = (binding){.program = program, .context = context};
    b->room = context_alloc(context, KG_MAP_ALIGN + maps * sizeof *b->maps + n * each);
    if (!b->room) return false;
    b->maps = (map_bytes *)(((uintptr_t)b->room + KG_MAP_ALIGN - 1) & -(uintptr_t)KG_MAP_ALIGN);
    b->scalars = (void *)(b->maps + maps);
    b->values = (void *)(b->scalars + n);
    b->raw = (void *)(b->values + n);
    b->args = (void *)(b->raw + n);
    return true;
}

static void close_binding(binding *b)
{
    context_release(b->context, b->room);
}

kgen_status kgen_program_get_grid(kgen_program *program, const kgen_arg *args, size_t n_args,
                                  unsigned grid[3])
{
    binding b;
    if (!program || !program->ptx || (n_args && !args) || !grid) return KGEN_ERROR_USAGE;
    if (!open_binding(&b, program->context, program)) return KGEN_ERROR_MEMORY;
    kgen_status status = bind_names(&b, args, n_args, false);
    if (!status) status = check_assumptions(&b);
    if (!status) status = compute_grid(&b, grid);
    close_binding(&b);
    return status;
}

kgen_status kgen_program_get_map(kgen_program *program, int index, const kgen_arg *args,
                                 size_t n_args, kgen_tensor_map_info *out)
{
    binding b;
    if (!program || !program->ptx || (n_args && !args) || !out || index < 0 ||
        index >= program->maps.count)
        return KGEN_ERROR_USAGE;
    if (!open_binding(&b, program->context, program)) return KGEN_ERROR_MEMORY;
    kgen_status status = bind_names(&b, args, n_args, false);
    if (!status) status = check_assumptions(&b);
    if (!status)
        status = program_describe_map(program->context, &program->maps.items[index], b.values, out);
    close_binding(&b);
    return status;
}

kgen_status kgen_launch_repeated(kgen_device *device, kgen_program *program, const kgen_arg *args,
                                 size_t n_args, const kgen_launch_options *options, int repeats)
{
    static const kgen_launch_options defaults;
    if (!device || !program || !program->ptx || (n_args && !args) || repeats < 1)
        return KGEN_ERROR_USAGE;
    binding b;
    if (!open_binding(&b, device->context, program)) return KGEN_ERROR_MEMORY;
    kgen_status status =
        bind_and_launch(&b, device, args, n_args, options ? options : &defaults, repeats);
    close_binding(&b);
    return status;
}

kgen_status kgen_launch(kgen_device *device, kgen_program *program, const kgen_arg *args,
                        size_t n_args, const kgen_launch_options *options)
{
    return kgen_launch_repeated(device, program, args, n_args, options, 1);
}
