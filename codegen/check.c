// SPDX-License-Identifier: MIT
//
// Checks that need no LLVM: what would make it misbehave, or end the process, is refused before.
#include "codegen/internal.h"

#include <string.h>

static bool valid_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char later[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    if (!name || !*name || !strchr(first, *name)) return false;
    return name[strspn(name, later)] == '\0';
}

static bool possible_size(const struct cg_kernel *kernel)
{
    const unsigned *threads = kernel->threads;
    bool stated = threads[0] || threads[1] || threads[2];
    uint64_t product = 1;
    for (unsigned i = 0; i < 3; i++) {
        if (stated && (!threads[i] || threads[i] > CG_THREADS_PER_CTA)) return false;
        product *= threads[i];
    }
    return product <= CG_THREADS_PER_CTA && kernel->max_threads <= CG_THREADS_PER_CTA;
}

bool cg_check_kernel(struct cg_module *m, const struct cg_kernel *kernel)
{
    if (!valid_name(kernel->name))
        return cg_fail(m, CG_ERROR_USAGE, "'%s' is no name for a kernel",
                       kernel->name ? kernel->name : "");
    if (!possible_size(kernel))
        return cg_fail(m, CG_ERROR_USAGE, "kernel '%s' asks for an impossible CTA size",
                       kernel->name);
    if (kernel->parameter_count > CG_PARAMETER_LIMIT)
        return cg_fail(m, CG_ERROR_USAGE, "kernel '%s' has too many parameters", kernel->name);
    for (unsigned i = 0; i < kernel->parameter_count; i++) {
        const struct cg_parameter *parameter = &kernel->parameters[i];
        if (parameter->type == CG_VOID || CG_LANES(parameter->type) || parameter->type == CG_I1 ||
            parameter->align & (parameter->align - 1))
            return cg_fail(m, CG_ERROR_USAGE, "kernel '%s': parameter %u has no legal type",
                           kernel->name, i);
        if (parameter->flags & CG_PARAMETER_BY_VALUE &&
            (parameter->type != CG_PTR || !parameter->align || !parameter->bytes))
            return cg_fail(m, CG_ERROR_USAGE,
                           "kernel '%s': parameter %u by value has no size or alignment",
                           kernel->name, i);
    }
    return true;
}

bool cg_check_passes(struct cg_module *m, const char *passes)
{
    static const char *const never[] = {"simplifycfg", "jump-threading", "unroll", "default<",
                                        "dfa-jump"};
    for (unsigned i = 0; i < sizeof never / sizeof never[0]; i++)
        if (strstr(passes, never[i]))
            return cg_fail(m, CG_ERROR_USAGE, "pass list '%s': '%s' is not allowed", passes,
                           never[i]);
    for (const char *at = passes; (at = strstr(at, "instcombine")); at++)
        if (strncmp(at, "instcombine<no-verify-fixpoint", 30))
            return cg_fail(m, CG_ERROR_USAGE,
                           "pass list '%s': instcombine needs <no-verify-fixpoint>", passes);
    return true;
}

bool cg_converts(enum cg_convert_op op, cg_type from, cg_type to)
{
    bool wider = cg_type_bits(to) > cg_type_bits(from);
    bool narrower = cg_type_bits(to) < cg_type_bits(from);
    bool integers = cg_is_integer(from) && cg_is_integer(to);
    bool floats = cg_is_float(from) && cg_is_float(to);
    if (CG_LANES(from) != CG_LANES(to)) return false;
    switch (op) {
    case CG_CONVERT_ZEXT:
    case CG_CONVERT_SEXT: return integers && wider;
    case CG_CONVERT_TRUNC: return integers && narrower;
    case CG_CONVERT_FPEXT: return floats && wider;
    case CG_CONVERT_FPTRUNC: return floats && narrower;
    case CG_CONVERT_S2F:
    case CG_CONVERT_U2F: return cg_is_integer(from) && cg_is_float(to);
    case CG_CONVERT_F2S:
    case CG_CONVERT_F2U: return cg_is_float(from) && cg_is_integer(to);
    default: return false;
    }
}

bool cg_expect(struct cg_module *m, cg_value value, cg_type type)
{
    if (cg_type_of(m, value) == type) return true;
    return cg_fail(m, CG_ERROR_USAGE, "a value of another type is expected");
}
