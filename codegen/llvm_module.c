// SPDX-License-Identifier: MIT
//
// A module from its opening to its PTX, and the types and states that all of its parts ask for.
#include "codegen/llvm.h"

#include <stdio.h>
#include <string.h>

enum {
    DEBUG_DIRECTIVES_ONLY = 3, // emission kind of .loc without sections; the C enum stops before
};

// -- Types and states ---------------------------------------------------------------------------

struct cg_common *cg_common(struct cg_module *m)
{
    return &m->common;
}

static LLVMTypeRef scalar_type(LLVMContextRef llvm, enum cg_type_kind kind)
{
    switch (kind) {
    case CG_VOID: return LLVMVoidTypeInContext(llvm);
    case CG_I1: return LLVMInt1TypeInContext(llvm);
    case CG_I8: return LLVMInt8TypeInContext(llvm);
    case CG_I16: return LLVMInt16TypeInContext(llvm);
    case CG_I32: return LLVMInt32TypeInContext(llvm);
    case CG_I64: return LLVMInt64TypeInContext(llvm);
    case CG_F16: return LLVMHalfTypeInContext(llvm);
    case CG_BF16: return LLVMBFloatTypeInContext(llvm);
    case CG_F32: return LLVMFloatTypeInContext(llvm);
    case CG_F64: return LLVMDoubleTypeInContext(llvm);
    case CG_PTR: return LLVMPointerTypeInContext(llvm, 0);
    case CG_PTR_GLOBAL: return LLVMPointerTypeInContext(llvm, ADDRESS_SPACE_GLOBAL);
    }
    return LLVMVoidTypeInContext(llvm);
}

LLVMTypeRef cg_llvm_type(struct cg_module *m, cg_type type)
{
    LLVMTypeRef scalar = scalar_type(m->context->llvm, CG_KIND(type));
    return CG_LANES(type) ? LLVMVectorType(scalar, CG_LANES(type)) : scalar;
}

static enum cg_type_kind kind_of(LLVMTypeRef type)
{
    switch (LLVMGetTypeKind(type)) {
    case LLVMIntegerTypeKind:
        switch (LLVMGetIntTypeWidth(type)) {
        case 1: return CG_I1;
        case 8: return CG_I8;
        case 16: return CG_I16;
        case 32: return CG_I32;
        default: return CG_I64;
        }
    case LLVMHalfTypeKind: return CG_F16;
    case LLVMBFloatTypeKind: return CG_BF16;
    case LLVMFloatTypeKind: return CG_F32;
    case LLVMDoubleTypeKind: return CG_F64;
    case LLVMPointerTypeKind:
        return LLVMGetPointerAddressSpace(type) == ADDRESS_SPACE_GLOBAL ? CG_PTR_GLOBAL : CG_PTR;
    default: return CG_VOID;
    }
}

cg_type cg_type_of(struct cg_module *m, cg_value value)
{
    if (!value) return CG_VOID;
    LLVMTypeRef type = LLVMTypeOf(val(value));
    if (LLVMGetTypeKind(type) != LLVMVectorTypeKind) return (cg_type)kind_of(type);
    return CG_VECTOR(kind_of(LLVMGetElementType(type)), LLVMGetVectorSize(type));
}

bool cg_ready(struct cg_module *m)
{
    if (m->common.status) return false;
    if (m->finished || !m->function)
        return cg_fail(m, CG_ERROR_USAGE, "code is built outside of a kernel");
    if (!m->detour && ended(LLVMGetInsertBlock(m->builder)))
        return cg_fail(m, CG_ERROR_USAGE, "code is built after the branch that ends its block");
    return true;
}

bool cg_ready_with(struct cg_module *m, const cg_value *operands, unsigned count)
{
    if (!cg_ready(m)) return false;
    for (unsigned i = 0; i < count; i++)
        if (!operands[i]) return cg_fail(m, CG_ERROR_USAGE, "operand %u is missing", i);
    return true;
}

// -- Modules ------------------------------------------------------------------------------------

// A compile unit whose only product is `.file` and `.loc` directives.
static void open_debug(struct cg_module *m, const struct cg_module_options *options)
{
    const char *directory = options->directory ? options->directory : "";
    if (!options->file) return;
    m->debug = LLVMCreateDIBuilder(m->llvm);
    m->file = LLVMDIBuilderCreateFile(m->debug, options->file, strlen(options->file), directory,
                                      strlen(directory));
    m->unit = LLVMDIBuilderCreateCompileUnit(
        m->debug, LLVMDWARFSourceLanguageC11, m->file, "kgen", 4, true, "", 0, 0, "", 0,
        (LLVMDWARFEmissionKind)DEBUG_DIRECTIVES_ONLY, 0, false, false, "", 0, "", 0);
    LLVMValueRef version = LLVMConstInt(LLVMInt32TypeInContext(m->context->llvm),
                                        LLVMDebugMetadataVersion(), false);
    LLVMAddModuleFlag(m->llvm, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18,
                      LLVMValueAsMetadata(version));
}

enum cg_status cg_module_new(struct cg_context *context, const struct cg_module_options *options,
                             struct cg_module **out)
{
    *out = NULL;
    if (!options->target) return CG_ERROR_TARGET;
    LLVMTargetMachineRef machine = cg_llvm_machine(context, options->target, 0);
    if (!machine) return CG_ERROR_LLVM;
    struct cg_module *m = cg_allocate(&context->allocator, sizeof *m);
    if (!m) return CG_ERROR_MEMORY;
    memset(m, 0, sizeof *m);
    m->common.target = options->target;
    m->common.allocator = context->allocator;
    m->common.ptx = options->target->ptx;
    m->context = context;
    m->fast_math = CG_FAST_CONTRACT;
    m->llvm = LLVMModuleCreateWithNameInContext(options->name ? options->name : "kgen",
                                                context->llvm);
    m->builder = LLVMCreateBuilderInContext(context->llvm);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(m->llvm, layout);
    LLVMDisposeTargetData(layout);
    LLVMSetTarget(m->llvm, cg_llvm_triple);
    open_debug(m, options);
    *out = m;
    return CG_OK;
}

void cg_module_free(struct cg_module *m)
{
    if (!m) return;
    cg_variables_free(m);
    if (m->debug) LLVMDisposeDIBuilder(m->debug);
    LLVMDisposeBuilder(m->builder);
    LLVMDisposeModule(m->llvm);
    cg_release(&m->context->allocator, m);
}

// -- The end ------------------------------------------------------------------------------------

static enum cg_status llvm_failed(struct cg_module *m, const char *what, const char *why)
{
    cg_fail(m, CG_ERROR_LLVM, "%s: %s", what, why ? why : "no reason given");
    return m->common.status;
}

static enum cg_status verify(struct cg_module *m)
{
    char *message = NULL;
    if (m->debug) LLVMDIBuilderFinalize(m->debug);
    if (LLVMVerifyModule(m->llvm, LLVMReturnStatusAction, &message))
        llvm_failed(m, "the LLVM verifier refuses the module", message);
    LLVMDisposeMessage(message);
    return m->common.status;
}

static enum cg_status run_passes(struct cg_module *m, const char *passes,
                                 LLVMTargetMachineRef machine)
{
    char pipeline[512];
    if (!*passes) passes = CG_LEAST_PASSES;
    if (!cg_check_passes(m, passes)) return m->common.status;
    int length = snprintf(pipeline, sizeof pipeline, "function(%s)", passes);
    if (length < 0 || (size_t)length >= sizeof pipeline)
        return llvm_failed(m, "pass list", "too long");
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m->llvm, pipeline, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!error) return CG_OK;
    char *message = LLVMGetErrorMessage(error);
    llvm_failed(m, "the LLVM passes cannot run", message);
    LLVMDisposeErrorMessage(message);
    return m->common.status;
}

// Kernels that are left hold what LLVM does well: addresses, accesses, branches.
static enum cg_status spell(struct cg_module *m)
{
    for (LLVMValueRef f = LLVMGetFirstFunction(m->llvm); f; f = LLVMGetNextFunction(f))
        if (LLVMGetFirstBasicBlock(f) && !cg_spell_function(m, f)) break;
    return m->common.status;
}

static enum cg_status generate(struct cg_module *m, LLVMTargetMachineRef machine,
                               struct cg_output *out)
{
    char *message = NULL;
    LLVMMemoryBufferRef buffer = NULL;
    m->context->diagnostic[0] = '\0';
    bool failed = LLVMTargetMachineEmitToMemoryBuffer(machine, m->llvm, LLVMAssemblyFile, &message,
                                                      &buffer);
    if (failed) llvm_failed(m, "LLVM generates no code", message);
    LLVMDisposeMessage(message);
    if (m->context->diagnostic[0]) llvm_failed(m, "LLVM", m->context->diagnostic);
    if (!m->common.status) {
        size_t length = 0;
        char *clean = cg_clean_text(&m->common.allocator, LLVMGetBufferStart(buffer),
                                    LLVMGetBufferSize(buffer), m->common.target, out->ptx_version,
                                    m->cluster, m->spelled, &length, &out->local_memory);
        char *ordered =
            clean ? cg_order_blocks(&m->common.allocator, clean, length, &length) : NULL;
        if (ordered)
            out->ptx = cg_coalesce_copies(&m->common.allocator, ordered, length, &out->ptx_length);
        cg_release(&m->common.allocator, ordered);
        cg_release(&m->common.allocator, clean);
        if (!out->ptx) cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    }
    if (buffer) LLVMDisposeMemoryBuffer(buffer);
    return m->common.status;
}

static enum cg_status print_module(struct cg_module *m, struct cg_output *out)
{
    char *text = LLVMPrintModuleToString(m->llvm);
    size_t size = strlen(text) + 1;
    out->llvm = cg_allocate(&m->common.allocator, size);
    if (out->llvm)
        memcpy(out->llvm, text, size);
    else
        cg_fail(m, CG_ERROR_MEMORY, "out of memory");
    LLVMDisposeMessage(text);
    return m->common.status;
}

enum cg_status cg_finish(struct cg_module *m, const struct cg_finish_options *options,
                         struct cg_output *out)
{
    static const struct cg_finish_options defaults = {0};
    const struct cg_finish_options *chosen = options ? options : &defaults;
    *out = (struct cg_output){0};
    if (m->function || m->finished)
        cg_fail(m, CG_ERROR_USAGE, "the module is finished with a kernel open, or twice");
    m->finished = true;
    if (m->common.status || verify(m)) return m->common.status;
    out->ptx_version = chosen->ptx > m->common.ptx ? chosen->ptx : m->common.ptx;
    LLVMTargetMachineRef machine = cg_llvm_machine(m->context, m->common.target, out->ptx_version);
    if (!machine) return llvm_failed(m, "target", "LLVM makes no target machine");
    if (run_passes(m, chosen->passes ? chosen->passes : CG_DEFAULT_PASSES, machine) ||
        (chosen->want_llvm && print_module(m, out)) || spell(m) || generate(m, machine, out)) {
        cg_output_free(m->context, out);
        return m->common.status;
    }
    return CG_OK;
}

void cg_output_free(struct cg_context *context, struct cg_output *out)
{
    cg_release(&context->allocator, out->ptx);
    cg_release(&context->allocator, out->llvm);
    *out = (struct cg_output){0};
}
