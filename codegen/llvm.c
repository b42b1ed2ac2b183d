// SPDX-License-Identifier: MIT
//
// The one file that includes llvm-c/. It turns the calls of cg.h into LLVM IR, runs a short list of
// passes, and has the NVPTX back end print PTX.
//
// LLVM's assertions are off in distributions, and a wrong call ends the process or worse; so each
// builder checks its operands first. What was found to matter:
//   - every function and every template that is not pure is `convergent`: without it barriers get
//     duplicated;
//   - the branches are the emitter's: no pass that changes control flow ever runs;
//   - code generation without optimization takes a third of the time and gives ptxas the same work;
//     what it leaves besides, copies between registers, coalesce.c removes;
//   - an unknown CPU is only a warning, a PTX version too low for one is fatal: target.def is asked
//     first, and the header of the text is ours (text.c);
//   - kernels are marked by their calling convention, which both releases read; launch bounds are
//     string attributes from LLVM 21 on and metadata before.
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm/Config/llvm-config.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PTX_KERNEL_CONVENTION = 71,
    DEBUG_DIRECTIVES_ONLY = 3, // emission kind of .loc without sections; the C enum stops before
    MACHINE_LIMIT = 32,        // pairs of target and PTX version; above, the last one goes
    ADDRESS_SPACE_GLOBAL = 1,
    ADDRESS_SPACE_SHARED = 3,
    MEMORY_NONE = 0,          // LLVM's coding of memory(none)
    MEMORY_INACCESSIBLE = 12, // and of memory(inaccessiblemem: readwrite)
};

static const char triple[] = "nvptx64-nvidia-cuda";
static const char shared_name[] = "shared_memory";

// A target machine is costly to make (a millisecond), so a context keeps those that it made.
struct machine {
    const char *cpu;
    unsigned ptx;
    LLVMTargetMachineRef machine;
};

struct cg_context {
    struct cg_allocator allocator;
    LLVMContextRef llvm;
    LLVMTargetRef target;
    struct machine machines[MACHINE_LIMIT];
    unsigned machine_count;
    char diagnostic[384]; // the first error that LLVM reported since it was last emptied
};

struct cg_module {
    struct cg_common common;
    struct cg_context *context;
    LLVMModuleRef llvm;
    LLVMBuilderRef builder;
    LLVMDIBuilderRef debug; // NULL: no .loc lines
    LLVMMetadataRef file, unit, scope, location;
    LLVMValueRef function; // the open kernel
    LLVMValueRef shared;
    unsigned fast_math;
    bool finished;
    bool detour; // the current block may have its branch already
};

// -- Handles ------------------------------------------------------------------------------------

static LLVMValueRef val(cg_value value)
{
    return (LLVMValueRef)value;
}

static cg_value handle(LLVMValueRef value)
{
    return (cg_value)value;
}

static LLVMBasicBlockRef block_of(cg_block block)
{
    return (LLVMBasicBlockRef)block;
}

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

static LLVMTypeRef type_of(struct cg_module *m, cg_type type)
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

static bool ended(LLVMBasicBlockRef block)
{
    return LLVMGetBasicBlockTerminator(block) != NULL;
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

// -- Contexts -----------------------------------------------------------------------------------

static void register_nvptx(void)
{
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
}

// Keeps the first error for the status of cg_finish(); warnings and remarks are dropped. Without a
// handler LLVM would print, and exit on an error.
static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user)
{
    struct cg_context *context = user;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || context->diagnostic[0]) return;
    char *text = LLVMGetDiagInfoDescription(info);
    snprintf(context->diagnostic, sizeof context->diagnostic, "%s", text ? text : "LLVM error");
    LLVMDisposeMessage(text);
}

unsigned cg_llvm_major(void)
{
    return LLVM_VERSION_MAJOR;
}

enum cg_status cg_context_new(const struct cg_allocator *allocator, struct cg_context **out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; // LLVM's registry of targets is process-wide
    struct cg_allocator chosen = allocator ? *allocator : (struct cg_allocator){0};
    *out = NULL;
    pthread_once(&once, register_nvptx);
    struct cg_context *context = cg_allocate(&chosen, sizeof *context);
    if (!context) return CG_ERROR_MEMORY;
    memset(context, 0, sizeof *context);
    context->allocator = chosen;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &context->target, &message)) {
        LLVMDisposeMessage(message);
        cg_release(&chosen, context);
        return CG_ERROR_LLVM;
    }
    context->llvm = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(context->llvm, on_diagnostic, context);
    *out = context;
    return CG_OK;
}

void cg_context_free(struct cg_context *context)
{
    if (!context) return;
    for (unsigned i = 0; i < context->machine_count; i++)
        LLVMDisposeTargetMachine(context->machines[i].machine);
    LLVMContextDispose(context->llvm);
    cg_release(&context->allocator, context);
}

static LLVMTargetMachineRef machine_for(struct cg_context *context, const struct cg_target *target,
                                        unsigned ptx)
{
    char feature[16];
    const char *cpu = cg_target_llvm_cpu(target, LLVM_VERSION_MAJOR, ptx, &ptx);
    for (unsigned i = 0; i < context->machine_count; i++)
        if (context->machines[i].ptx == ptx && !strcmp(context->machines[i].cpu, cpu))
            return context->machines[i].machine;
    if (context->machine_count == MACHINE_LIMIT)
        LLVMDisposeTargetMachine(context->machines[--context->machine_count].machine);
    snprintf(feature, sizeof feature, "+ptx%u", ptx);
    LLVMTargetMachineRef machine =
        LLVMCreateTargetMachine(context->target, triple, cpu, feature, LLVMCodeGenLevelNone,
                                LLVMRelocDefault, LLVMCodeModelDefault);
    if (machine)
        context->machines[context->machine_count++] = (struct machine){cpu, ptx, machine};
    return machine;
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
    LLVMTargetMachineRef machine = machine_for(context, options->target, 0);
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
    LLVMSetTarget(m->llvm, triple);
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

// -- Kernels ------------------------------------------------------------------------------------

static LLVMAttributeRef attribute(struct cg_module *m, const char *name, uint64_t value)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    return LLVMCreateEnumAttribute(m->context->llvm, kind, value);
}

// A launch bound: `nvvm.NAME` as a string attribute, or NAME in the old metadata, where the three
// dimensions have entries of their own.
static void launch_bound(struct cg_module *m, const char *name, const unsigned *numbers,
                         unsigned count)
{
#if LLVM_VERSION_MAJOR >= 21
    char key[32], text[48];
    int length = snprintf(text, sizeof text, "%u", numbers[0]);
    for (unsigned i = 1; i < count; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, ",%u", numbers[i]);
    int key_length = snprintf(key, sizeof key, "nvvm.%s", name);
    LLVMAddAttributeAtIndex(m->function, LLVMAttributeFunctionIndex,
                            LLVMCreateStringAttribute(m->context->llvm, key, (unsigned)key_length,
                                                      text, (unsigned)length));
#else
    LLVMContextRef llvm = m->context->llvm;
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        int length = snprintf(key, sizeof key, count > 1 ? "%s%c" : "%s", name, "xyz"[i]);
        LLVMMetadataRef entry[3] = {
            LLVMValueAsMetadata(m->function),
            LLVMMDStringInContext2(llvm, key, (size_t)length),
            LLVMValueAsMetadata(LLVMConstInt(LLVMInt32TypeInContext(llvm), numbers[i], false)),
        };
        LLVMMetadataRef node = LLVMMDNodeInContext2(llvm, entry, 3);
        LLVMAddNamedMetadataOperand(m->llvm, "nvvm.annotations", LLVMMetadataAsValue(llvm, node));
    }
#endif
}

static void cluster_bound(struct cg_module *m, const struct cg_kernel *kernel)
{
#if LLVM_VERSION_MAJOR >= 21
    launch_bound(m, "cluster_dim", kernel->cluster, 3);
#elif LLVM_VERSION_MAJOR >= 18
    launch_bound(m, "cluster_dim_", kernel->cluster, 3);
#else
    cg_fail(m, CG_ERROR_TARGET, "clusters need LLVM 18 or newer, not %d", LLVM_VERSION_MAJOR);
    (void)kernel;
#endif
}

static void launch_bounds(struct cg_module *m, const struct cg_kernel *kernel)
{
    unsigned most[3] = {kernel->max_threads, 1, 1};
    if (kernel->threads[0]) launch_bound(m, "reqntid", kernel->threads, 3);
    if (kernel->max_threads) launch_bound(m, "maxntid", most, 3);
    if (kernel->min_ctas) launch_bound(m, "minctasm", &kernel->min_ctas, 1);
    if (kernel->cluster[0]) cluster_bound(m, kernel);
    if (kernel->max_registers) launch_bound(m, "maxnreg", &kernel->max_registers, 1);
}

// Bytes of the parameters themselves.
static void pass_by_value(struct cg_module *m, const struct cg_parameter *parameter, unsigned index)
{
    LLVMContextRef llvm = m->context->llvm;
    LLVMTypeRef bytes = LLVMArrayType2(LLVMInt8TypeInContext(llvm), parameter->bytes);
    unsigned kind = LLVMGetEnumAttributeKindForName("byval", 5);
    LLVMAddAttributeAtIndex(m->function, index + 1, LLVMCreateTypeAttribute(llvm, kind, bytes));
#if LLVM_VERSION_MAJOR >= 21
    LLVMAddAttributeAtIndex(m->function, index + 1,
                            LLVMCreateStringAttribute(llvm, "nvvm.grid_constant", 18, "", 0));
#endif
}

// Without this mark LLVM would copy what is passed by value to local memory first. Before LLVM 21
// it is one list of metadata for all of a kernel's parameters, counted from 1.
static void mark_constants(struct cg_module *m, const struct cg_kernel *kernel)
{
#if LLVM_VERSION_MAJOR < 21
    LLVMContextRef llvm = m->context->llvm;
    LLVMTypeRef word = LLVMInt32TypeInContext(llvm);
    LLVMMetadataRef numbers[CG_PARAMETER_LIMIT];
    unsigned count = 0;
    for (unsigned i = 0; i < kernel->parameter_count; i++)
        if (kernel->parameters[i].flags & CG_PARAMETER_BY_VALUE)
            numbers[count++] = LLVMValueAsMetadata(LLVMConstInt(word, i + 1, false));
    if (!count) return;
    LLVMMetadataRef entry[3] = {LLVMValueAsMetadata(m->function),
                                LLVMMDStringInContext2(llvm, "grid_constant", 13),
                                LLVMMDNodeInContext2(llvm, numbers, count)};
    LLVMMetadataRef node = LLVMMDNodeInContext2(llvm, entry, 3);
    LLVMAddNamedMetadataOperand(m->llvm, "nvvm.annotations", LLVMMetadataAsValue(llvm, node));
#else
    (void)m;
    (void)kernel;
#endif
}

static void describe_argument(struct cg_module *m, const struct cg_parameter *parameter,
                              unsigned index)
{
    LLVMValueRef argument = LLVMGetParam(m->function, index);
    if (parameter->name) LLVMSetValueName2(argument, parameter->name, strlen(parameter->name));
    if (!cg_is_pointer(parameter->type)) return;
    if (parameter->align)
        LLVMAddAttributeAtIndex(m->function, index + 1, attribute(m, "align", parameter->align));
    if (parameter->flags & CG_PARAMETER_BY_VALUE) pass_by_value(m, parameter, index);
    if (parameter->flags & CG_PARAMETER_NOALIAS)
        LLVMAddAttributeAtIndex(m->function, index + 1, attribute(m, "noalias", 0));
    if (parameter->flags & CG_PARAMETER_READONLY)
        LLVMAddAttributeAtIndex(m->function, index + 1, attribute(m, "readonly", 0));
}

static void open_subprogram(struct cg_module *m, const struct cg_kernel *kernel)
{
    size_t length = strlen(kernel->name);
    if (!m->debug) return;
    LLVMMetadataRef type =
        LLVMDIBuilderCreateSubroutineType(m->debug, m->file, NULL, 0, LLVMDIFlagZero);
    m->scope = LLVMDIBuilderCreateFunction(m->debug, m->file, kernel->name, length, "", 0, m->file,
                                           kernel->line, type, false, true, kernel->line,
                                           LLVMDIFlagZero, true);
    LLVMSetSubprogram(m->function, m->scope);
}

bool cg_kernel_begin(struct cg_module *m, const struct cg_kernel *kernel)
{
    LLVMTypeRef types[CG_PARAMETER_LIMIT];
    if (m->common.status) return false;
    if (m->function || m->finished)
        return cg_fail(m, CG_ERROR_USAGE, "a kernel is opened inside another, or too late");
    if (!cg_check_kernel(m, kernel)) return false;
    if (LLVMGetNamedFunction(m->llvm, kernel->name))
        return cg_fail(m, CG_ERROR_USAGE, "there are two kernels '%s'", kernel->name);
    for (unsigned i = 0; i < kernel->parameter_count; i++)
        types[i] = type_of(m, kernel->parameters[i].type);
    LLVMTypeRef none = LLVMVoidTypeInContext(m->context->llvm);
    m->function = LLVMAddFunction(m->llvm, kernel->name,
                                  LLVMFunctionType(none, types, kernel->parameter_count, false));
    LLVMSetFunctionCallConv(m->function, PTX_KERNEL_CONVENTION);
    LLVMAddAttributeAtIndex(m->function, LLVMAttributeFunctionIndex,
                            attribute(m, "convergent", 0));
    LLVMAddAttributeAtIndex(m->function, LLVMAttributeFunctionIndex, attribute(m, "nounwind", 0));
    launch_bounds(m, kernel);
    for (unsigned i = 0; i < kernel->parameter_count; i++)
        describe_argument(m, &kernel->parameters[i], i);
    mark_constants(m, kernel);
    open_subprogram(m, kernel);
    LLVMBasicBlockRef entry =
        LLVMAppendBasicBlockInContext(m->context->llvm, m->function, "entry");
    LLVMPositionBuilderAtEnd(m->builder, entry);
    cg_line(m, kernel->line, 0);
    return true;
}

bool cg_kernel_end(struct cg_module *m)
{
    if (m->common.status || !m->function) return false;
    if (!ended(LLVMGetInsertBlock(m->builder))) LLVMBuildRetVoid(m->builder);
    LLVMSetCurrentDebugLocation2(m->builder, NULL);
    m->function = NULL;
    m->scope = m->location = NULL;
    return true;
}

cg_value cg_argument(struct cg_module *m, unsigned index)
{
    if (m->common.status || !m->function) return NULL;
    if (index < LLVMCountParams(m->function)) return handle(LLVMGetParam(m->function, index));
    cg_fail(m, CG_ERROR_USAGE, "the kernel has no argument %u", index);
    return NULL;
}

void cg_line(struct cg_module *m, unsigned line, unsigned column)
{
    if (!m->debug || !m->scope) return;
    m->location = line ? LLVMDIBuilderCreateDebugLocation(m->context->llvm, line, column, m->scope,
                                                          NULL)
                       : NULL;
    LLVMSetCurrentDebugLocation2(m->builder, m->location);
}

void cg_raw_line(struct cg_module *m, unsigned *line, unsigned *column)
{
    *line = m->location ? LLVMDILocationGetLine(m->location) : 0;
    *column = m->location ? LLVMDILocationGetColumn(m->location) : 0;
}

// -- Blocks -------------------------------------------------------------------------------------

cg_block cg_block_new(struct cg_module *m, const char *name)
{
    if (m->common.status || !m->function) return NULL;
    return (cg_block)LLVMAppendBasicBlockInContext(m->context->llvm, m->function, name);
}

void cg_block_enter(struct cg_module *m, cg_block block)
{
    if (m->common.status || !m->function || !block) return;
    LLVMBasicBlockRef last = LLVMGetLastBasicBlock(m->function);
    if (last != block_of(block)) LLVMMoveBasicBlockAfter(block_of(block), last);
    LLVMPositionBuilderAtEnd(m->builder, block_of(block));
}

cg_block cg_block_current(struct cg_module *m)
{
    return m->common.status || !m->function ? NULL : (cg_block)LLVMGetInsertBlock(m->builder);
}

bool cg_block_ended(struct cg_module *m)
{
    return m->common.status || !m->function || ended(LLVMGetInsertBlock(m->builder));
}

cg_block cg_detour_begin(struct cg_module *m, cg_block block)
{
    cg_block here = cg_block_current(m);
    if (!here || !block || m->detour) {
        cg_fail(m, CG_ERROR_USAGE, "a detour starts nowhere, or inside another");
        return NULL;
    }
    LLVMValueRef end = LLVMGetBasicBlockTerminator(block_of(block));
    if (end)
        LLVMPositionBuilderBefore(m->builder, end);
    else
        LLVMPositionBuilderAtEnd(m->builder, block_of(block));
    LLVMSetCurrentDebugLocation2(m->builder, m->location);
    m->detour = true;
    return here;
}

void cg_detour_end(struct cg_module *m, cg_block back)
{
    m->detour = false;
    if (m->common.status || !back) return;
    LLVMPositionBuilderAtEnd(m->builder, block_of(back));
    LLVMSetCurrentDebugLocation2(m->builder, m->location);
}

void cg_branch(struct cg_module *m, cg_block to)
{
    if (cg_ready(m) && to) LLVMBuildBr(m->builder, block_of(to));
}

static bool expect(struct cg_module *m, cg_value value, cg_type type)
{
    if (cg_type_of(m, value) == type) return true;
    return cg_fail(m, CG_ERROR_USAGE, "a value of another type is expected");
}

void cg_branch_if(struct cg_module *m, cg_value condition, cg_block then, cg_block otherwise)
{
    if (!cg_ready_with(m, &condition, 1) || !expect(m, condition, CG_I1)) return;
    if (then && otherwise)
        LLVMBuildCondBr(m->builder, val(condition), block_of(then), block_of(otherwise));
}

void cg_switch(struct cg_module *m, cg_value value, cg_block otherwise, const int64_t *cases,
               const cg_block *blocks, unsigned count)
{
    if (!cg_ready_with(m, &value, 1)) return;
    cg_type type = cg_type_of(m, value);
    if (!cg_is_integer(type) || CG_LANES(type) || !otherwise) {
        cg_fail(m, CG_ERROR_USAGE, "a switch needs an integer and a default");
        return;
    }
    LLVMValueRef built = LLVMBuildSwitch(m->builder, val(value), block_of(otherwise), count);
    for (unsigned i = 0; i < count; i++)
        LLVMAddCase(built, LLVMConstInt(type_of(m, type), (uint64_t)cases[i], true),
                    block_of(blocks[i]));
}

void cg_return(struct cg_module *m)
{
    if (cg_ready(m)) LLVMBuildRetVoid(m->builder);
}

cg_value cg_phi(struct cg_module *m, cg_type type)
{
    if (!cg_ready(m)) return NULL;
    LLVMValueRef last = LLVMGetLastInstruction(LLVMGetInsertBlock(m->builder));
    if (last && !LLVMIsAPHINode(last)) {
        cg_fail(m, CG_ERROR_USAGE, "a phi stands behind other instructions of its block");
        return NULL;
    }
    return handle(LLVMBuildPhi(m->builder, type_of(m, type), ""));
}

void cg_phi_add(struct cg_module *m, cg_value phi, cg_value value, cg_block from)
{
    if (m->common.status || !phi || !value || !from) return;
    if (!LLVMIsAPHINode(val(phi)) || !expect(m, value, cg_type_of(m, phi))) return;
    LLVMValueRef incoming = val(value);
    LLVMBasicBlockRef block = block_of(from);
    LLVMAddIncoming(val(phi), &incoming, &block, 1);
}

cg_value cg_raw_phi(struct cg_module *m, cg_block block, cg_type type)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(m->builder);
    LLVMValueRef first = LLVMGetFirstInstruction(block_of(block));
    if (first)
        LLVMPositionBuilderBefore(m->builder, first);
    else
        LLVMPositionBuilderAtEnd(m->builder, block_of(block));
    LLVMValueRef phi = LLVMBuildPhi(m->builder, type_of(m, type), "");
    LLVMPositionBuilderAtEnd(m->builder, here);
    LLVMSetCurrentDebugLocation2(m->builder, m->location);
    return handle(phi);
}

bool cg_raw_drop_unused(struct cg_module *m, cg_value phi)
{
    if (m->common.status || LLVMGetFirstUse(val(phi))) return false;
    LLVMInstructionEraseFromParent(val(phi));
    return true;
}

cg_block cg_raw_predecessor(struct cg_module *m, cg_block block, unsigned index)
{
    if (m->common.status) return NULL;
    LLVMUseRef use = LLVMGetFirstUse(LLVMBasicBlockAsValue(block_of(block)));
    while (use && index--) use = LLVMGetNextUse(use);
    return use ? (cg_block)LLVMGetInstructionParent(LLVMGetUser(use)) : NULL;
}

void cg_raw_keep_rolled(struct cg_module *m, cg_block latch)
{
    LLVMContextRef llvm = m->context->llvm;
    LLVMValueRef branch = latch ? LLVMGetBasicBlockTerminator(block_of(latch)) : NULL;
    if (m->common.status || !branch) return;
    static const char key[] = "llvm.loop.unroll.disable";
    LLVMMetadataRef text = LLVMMDStringInContext2(llvm, key, sizeof key - 1);
    LLVMMetadataRef disable = LLVMMDNodeInContext2(llvm, &text, 1);
    // The first operand of a loop's metadata is the node itself.
    LLVMMetadataRef place = LLVMTemporaryMDNode(llvm, NULL, 0);
    LLVMMetadataRef operands[2] = {place, disable};
    LLVMMetadataRef loop = LLVMMDNodeInContext2(llvm, operands, 2);
    LLVMMetadataReplaceAllUsesWith(place, loop);
    LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(llvm, "llvm.loop", 9),
                    LLVMMetadataAsValue(llvm, loop));
}

// -- Values -------------------------------------------------------------------------------------

cg_value cg_integer(struct cg_module *m, cg_type type, int64_t value)
{
    if (m->common.status) return NULL;
    if (!cg_is_integer(type) || CG_LANES(type)) {
        cg_fail(m, CG_ERROR_USAGE, "an integer constant needs an integer type");
        return NULL;
    }
    unsigned width = cg_type_bits(type);
    uint64_t bits = width < 64 ? (uint64_t)value & ((UINT64_C(1) << width) - 1) : (uint64_t)value;
    return handle(LLVMConstInt(type_of(m, type), bits, false));
}

cg_value cg_float(struct cg_module *m, cg_type type, double value)
{
    if (m->common.status) return NULL;
    if (cg_is_float(type) && !CG_LANES(type)) return handle(LLVMConstReal(type_of(m, type), value));
    cg_fail(m, CG_ERROR_USAGE, "a floating-point constant needs a floating-point type");
    return NULL;
}

cg_value cg_undefined(struct cg_module *m, cg_type type)
{
    return m->common.status || type == CG_VOID ? NULL : handle(LLVMGetUndef(type_of(m, type)));
}

bool cg_is_constant(struct cg_module *m, cg_value value, int64_t *out)
{
    if (m->common.status || !value || !LLVMIsAConstantInt(val(value))) return false;
    *out = LLVMConstIntGetSExtValue(val(value));
    return true;
}

bool cg_is_zero(struct cg_module *m, cg_value value)
{
    return !m->common.status && value && LLVMIsConstant(val(value)) && LLVMIsNull(val(value));
}

void cg_set_fast_math(struct cg_module *m, unsigned flags)
{
    m->fast_math = flags;
}

static cg_value with_fast_math(struct cg_module *m, LLVMValueRef value)
{
    static const LLVMFastMathFlags map[] = {
        LLVMFastMathAllowReassoc,   LLVMFastMathNoNaNs,         LLVMFastMathNoInfs,
        LLVMFastMathNoSignedZeros,  LLVMFastMathAllowReciprocal, LLVMFastMathAllowContract,
        LLVMFastMathApproxFunc,
    };
    unsigned flags = 0;
    for (unsigned i = 0; i < sizeof map / sizeof map[0]; i++)
        if (m->fast_math & 1u << i) flags |= map[i];
    // Constants fold away and carry no flags.
    if (LLVMIsAInstruction(value) && LLVMCanValueUseFastMathFlags(value))
        LLVMSetFastMathFlags(value, flags);
    return handle(value);
}

// An overloaded intrinsic of LLVM. Looked up, because an unknown name would become a call to
// nowhere without a word.
static cg_value intrinsic(struct cg_module *m, const char *name, cg_type type,
                          LLVMValueRef *operands, unsigned count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMTypeRef overload = type_of(m, type);
    if (!id) {
        cg_fail(m, CG_ERROR_LLVM, "this LLVM has no %s", name);
        return NULL;
    }
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(m->llvm, id, &overload, 1);
    LLVMTypeRef signature = LLVMIntrinsicGetType(m->context->llvm, id, &overload, 1);
    return with_fast_math(m, LLVMBuildCall2(m->builder, signature, callee, operands, count, ""));
}

// An operation is an opcode or, if named, an intrinsic.
struct operation {
    bool floating;
    LLVMOpcode opcode;
    const char *intrinsic;
};

static const struct operation binary_ops[CG_BINARY_COUNT] = {
    [CG_ADD] = {false, LLVMAdd},       [CG_SUB] = {false, LLVMSub},
    [CG_MUL] = {false, LLVMMul},       [CG_SDIV] = {false, LLVMSDiv},
    [CG_UDIV] = {false, LLVMUDiv},     [CG_SREM] = {false, LLVMSRem},
    [CG_UREM] = {false, LLVMURem},     [CG_SHL] = {false, LLVMShl},
    [CG_LSHR] = {false, LLVMLShr},     [CG_ASHR] = {false, LLVMAShr},
    [CG_AND] = {false, LLVMAnd},       [CG_OR] = {false, LLVMOr},
    [CG_XOR] = {false, LLVMXor},       [CG_FADD] = {true, LLVMFAdd},
    [CG_FSUB] = {true, LLVMFSub},      [CG_FMUL] = {true, LLVMFMul},
    [CG_FDIV] = {true, LLVMFDiv},      [CG_SMIN] = {false, 0, "llvm.smin"},
    [CG_SMAX] = {false, 0, "llvm.smax"}, [CG_UMIN] = {false, 0, "llvm.umin"},
    [CG_UMAX] = {false, 0, "llvm.umax"}, [CG_FMIN] = {true, 0, "llvm.minnum"},
    [CG_FMAX] = {true, 0, "llvm.maxnum"}, [CG_FMIN_NAN] = {true, 0, "llvm.minimum"},
    [CG_FMAX_NAN] = {true, 0, "llvm.maximum"}, [CG_COPYSIGN] = {true, 0, "llvm.copysign"},
};

// a + (x + constant) as (a + x) + constant: the registers of a tile, which differ by constants,
// then share a + x, and nobody keeps each x + constant for it.
static LLVMValueRef add_outward(struct cg_module *m, LLVMValueRef a, LLVMValueRef b)
{
    if (!LLVMIsAInstruction(b) || LLVMGetInstructionOpcode(b) != LLVMAdd || LLVMIsAConstant(a))
        return NULL;
    LLVMValueRef constant = LLVMGetOperand(b, 1);
    if (!LLVMIsAConstantInt(constant)) return NULL;
    LLVMValueRef sum = LLVMBuildAdd(m->builder, a, LLVMGetOperand(b, 0), "");
    return LLVMBuildAdd(m->builder, sum, constant, "");
}

cg_value cg_binary(struct cg_module *m, enum cg_binary_op op, cg_value a, cg_value b)
{
    cg_value operands[] = {a, b};
    if ((unsigned)op >= CG_BINARY_COUNT || !cg_ready_with(m, operands, 2)) return NULL;
    const struct operation *row = &binary_ops[op];
    cg_type type = cg_type_of(m, a);
    if (type != cg_type_of(m, b) || !(row->floating ? cg_is_float(type) : cg_is_integer(type))) {
        cg_fail(m, CG_ERROR_USAGE, "binary operation %d does not take these types", op);
        return NULL;
    }
    LLVMValueRef values[] = {val(a), val(b)};
    if (row->intrinsic) return intrinsic(m, row->intrinsic, type, values, 2);
    LLVMValueRef outward = op == CG_ADD ? add_outward(m, val(a), val(b)) : NULL;
    if (outward) return handle(outward);
    if (op == CG_AND && (cg_is_zero(m, a) || cg_is_zero(m, b))) return cg_is_zero(m, a) ? a : b;
    return with_fast_math(m, LLVMBuildBinOp(m->builder, row->opcode, val(a), val(b), ""));
}

static const struct operation unary_ops[CG_UNARY_COUNT] = {
    [CG_UNARY_NOT] = {false},
    [CG_UNARY_NEG] = {false},
    [CG_UNARY_FNEG] = {true},
    [CG_UNARY_FABS] = {true, 0, "llvm.fabs"},
    [CG_UNARY_SQRT] = {true, 0, "llvm.sqrt"},
    [CG_UNARY_FLOOR] = {true, 0, "llvm.floor"},
    [CG_UNARY_CEIL] = {true, 0, "llvm.ceil"},
    [CG_UNARY_TRUNC] = {true, 0, "llvm.trunc"},
    [CG_UNARY_ROUND] = {true, 0, "llvm.roundeven"},
    [CG_UNARY_POPCOUNT] = {false, 0, "llvm.ctpop"},
    [CG_UNARY_CLZ] = {false, 0, "llvm.ctlz"},
    [CG_UNARY_CTZ] = {false, 0, "llvm.cttz"},
    [CG_UNARY_REVERSE] = {false, 0, "llvm.bitreverse"},
};

cg_value cg_unary(struct cg_module *m, enum cg_unary_op op, cg_value a)
{
    if ((unsigned)op >= CG_UNARY_COUNT || !cg_ready_with(m, &a, 1)) return NULL;
    cg_type type = cg_type_of(m, a);
    if (!(unary_ops[op].floating ? cg_is_float(type) : cg_is_integer(type))) {
        cg_fail(m, CG_ERROR_USAGE, "unary operation %d does not take this type", op);
        return NULL;
    }
    if (op == CG_UNARY_NOT) return handle(LLVMBuildNot(m->builder, val(a), ""));
    if (op == CG_UNARY_NEG) return handle(LLVMBuildNeg(m->builder, val(a), ""));
    if (op == CG_UNARY_FNEG) return with_fast_math(m, LLVMBuildFNeg(m->builder, val(a), ""));
    // Counts of zeros take a second operand: zero is a legal input.
    bool counts = op == CG_UNARY_CLZ || op == CG_UNARY_CTZ;
    LLVMValueRef values[] = {val(a), LLVMConstInt(scalar_type(m->context->llvm, CG_I1), 0, false)};
    return intrinsic(m, unary_ops[op].intrinsic, type, values, counts ? 2 : 1);
}

cg_value cg_fma(struct cg_module *m, cg_value a, cg_value b, cg_value c)
{
    cg_value operands[] = {a, b, c};
    if (!cg_ready_with(m, operands, 3)) return NULL;
    cg_type type = cg_type_of(m, a);
    if (!cg_is_float(type) || !expect(m, b, type) || !expect(m, c, type)) {
        cg_fail(m, CG_ERROR_USAGE, "fma needs three floating-point values of one type");
        return NULL;
    }
    LLVMValueRef values[] = {val(a), val(b), val(c)};
    return intrinsic(m, "llvm.fma", type, values, 3);
}

// Bits of an integer that are surely 0, and surely 1.
struct known_bits {
    uint64_t zero, one;
};

static struct known_bits known_bits(LLVMValueRef value, unsigned depth);

static struct known_bits known_shifted(LLVMValueRef value, unsigned depth)
{
    LLVMValueRef amount = LLVMGetOperand(value, 1);
    if (!LLVMIsAConstantInt(amount)) return (struct known_bits){0, 0};
    uint64_t n = LLVMConstIntGetZExtValue(amount) & 63, low = (UINT64_C(1) << n) - 1;
    struct known_bits a = known_bits(LLVMGetOperand(value, 0), depth);
    LLVMOpcode opcode = LLVMGetInstructionOpcode(value);
    if (opcode == LLVMShl) return (struct known_bits){a.zero << n | low, a.one << n};
    unsigned width = LLVMGetIntTypeWidth(LLVMTypeOf(value));
    uint64_t inside = width < 64 ? (UINT64_C(1) << width) - 1 : ~UINT64_C(0);
    bool zeros = opcode == LLVMLShr || (a.zero >> (width - 1) & 1);
    if (!zeros) inside = 0; // copies of a sign that is not known: nothing is
    return (struct known_bits){zeros ? (a.zero & inside) >> n | ~(inside >> n) : 0,
                               (a.one & inside) >> n};
}

static struct known_bits known_bits(LLVMValueRef value, unsigned depth)
{
    if (LLVMIsAConstantInt(value)) {
        uint64_t bits = LLVMConstIntGetZExtValue(value);
        return (struct known_bits){~bits, bits};
    }
    if (!depth-- || !LLVMIsAInstruction(value)) return (struct known_bits){0, 0};
    LLVMOpcode opcode = LLVMGetInstructionOpcode(value);
    if (opcode == LLVMShl || opcode == LLVMLShr || opcode == LLVMAShr)
        return known_shifted(value, depth);
    if (opcode != LLVMAnd && opcode != LLVMOr && opcode != LLVMXor && opcode != LLVMAdd)
        return (struct known_bits){0, 0};
    struct known_bits a = known_bits(LLVMGetOperand(value, 0), depth);
    struct known_bits b = known_bits(LLVMGetOperand(value, 1), depth);
    if (opcode == LLVMAnd) return (struct known_bits){a.zero | b.zero, a.one & b.one};
    if (opcode == LLVMXor)
        return (struct known_bits){(a.zero & b.zero) | (a.one & b.one),
                                   (a.zero & b.one) | (a.one & b.zero)};
    // A sum without carries is an or.
    if (opcode == LLVMAdd && ~(a.zero | b.zero)) return (struct known_bits){0, 0};
    return (struct known_bits){a.zero & b.zero, a.one | b.one};
}

// Do the two differ in some bit whatever the thread is? Coordinates often do, and nobody but the
// emitter takes out a store under a predicate that never holds.
static bool surely_differ(LLVMValueRef a, LLVMValueRef b)
{
    enum { DEPTH = 6 };
    struct known_bits x = known_bits(a, DEPTH), y = known_bits(b, DEPTH);
    unsigned width = LLVMGetIntTypeWidth(LLVMTypeOf(a));
    uint64_t bits = width < 64 ? (UINT64_C(1) << width) - 1 : ~UINT64_C(0);
    return ((x.zero & y.one) | (x.one & y.zero)) & bits;
}

// value = *base + the result, none of them negative; false if that is not known.
static bool split_constant(LLVMValueRef value, LLVMValueRef *base, int64_t *constant)
{
    enum { DEPTH = 6 };
    *base = value;
    *constant = 0;
    if (LLVMIsAInstruction(value) && LLVMGetInstructionOpcode(value) == LLVMAdd &&
        LLVMIsAConstantInt(LLVMGetOperand(value, 1))) {
        *base = LLVMGetOperand(value, 0);
        *constant = LLVMConstIntGetSExtValue(LLVMGetOperand(value, 1));
    }
    uint64_t sign = UINT64_C(1) << 31;
    return !LLVMIsAConstant(*base) && *constant >= 0 && known_bits(value, DEPTH).zero & sign &&
           known_bits(*base, DEPTH).zero & sign;
}

// x + 8 < y + 16 as x - y < 8: of two coordinates only the difference is kept, for all registers.
static LLVMValueRef compare_difference(struct cg_module *m, enum cg_compare_op op, LLVMValueRef a,
                                       LLVMValueRef b, LLVMIntPredicate predicate)
{
    LLVMValueRef x, y;
    int64_t c, d;
    bool ordered = op == CG_COMPARE_SLT || op == CG_COMPARE_SLE || op == CG_COMPARE_SGT ||
                   op == CG_COMPARE_SGE;
    if (!ordered || LLVMTypeOf(a) != LLVMInt32TypeInContext(m->context->llvm) ||
        !split_constant(a, &x, &c) || !split_constant(b, &y, &d) || (!c && !d))
        return NULL;
    LLVMValueRef difference = LLVMBuildSub(m->builder, x, y, "");
    LLVMValueRef limit = LLVMConstInt(LLVMTypeOf(a), (uint64_t)(d - c), true);
    return LLVMBuildICmp(m->builder, predicate, difference, limit, "");
}

cg_value cg_compare(struct cg_module *m, enum cg_compare_op op, cg_value a, cg_value b)
{
    static const LLVMIntPredicate integers[] = {
        LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT, LLVMIntSLE, LLVMIntSGT,
        LLVMIntSGE, LLVMIntULT, LLVMIntULE, LLVMIntUGT, LLVMIntUGE,
    };
    static const LLVMRealPredicate floats[] = {
        LLVMRealOEQ, LLVMRealUNE, LLVMRealOLT, LLVMRealOLE, LLVMRealOGT, LLVMRealOGE, LLVMRealUNO,
    };
    cg_value operands[] = {a, b};
    if ((unsigned)op >= CG_COMPARE_COUNT || !cg_ready_with(m, operands, 2)) return NULL;
    cg_type type = cg_type_of(m, a);
    bool floating = op >= CG_COMPARE_FEQ;
    if (type != cg_type_of(m, b) || (floating ? !cg_is_float(type) : cg_is_float(type))) {
        cg_fail(m, CG_ERROR_USAGE, "comparison %d does not take these types", op);
        return NULL;
    }
    if ((op == CG_COMPARE_EQ || op == CG_COMPARE_NE) && !CG_LANES(type) && cg_is_integer(type) &&
        surely_differ(val(a), val(b)))
        return cg_integer(m, CG_I1, op == CG_COMPARE_NE);
    LLVMValueRef apart =
        floating ? NULL : compare_difference(m, op, val(a), val(b), integers[op]);
    if (apart) return handle(apart);
    if (!floating)
        return handle(LLVMBuildICmp(m->builder, integers[op], val(a), val(b), ""));
    LLVMRealPredicate predicate = floats[op - CG_COMPARE_FEQ];
    return with_fast_math(m, LLVMBuildFCmp(m->builder, predicate, val(a), val(b), ""));
}

cg_value cg_select(struct cg_module *m, cg_value condition, cg_value a, cg_value b)
{
    cg_value operands[] = {condition, a, b};
    if (!cg_ready_with(m, operands, 3) || !expect(m, condition, CG_I1)) return NULL;
    if (!expect(m, b, cg_type_of(m, a))) return NULL;
    if (LLVMIsAConstantInt(val(condition)))
        return LLVMConstIntGetZExtValue(val(condition)) ? a : b;
    return handle(LLVMBuildSelect(m->builder, val(condition), val(a), val(b), ""));
}

static LLVMValueRef bit_cast(struct cg_module *m, cg_value a, cg_type from, cg_type to)
{
    LLVMTypeRef type = type_of(m, to);
    if (from == to) return val(a);
    if (cg_type_bits(from) != cg_type_bits(to) || cg_type_bits(to) > 64) return NULL;
    if (cg_is_pointer(from) && to == CG_I64) return LLVMBuildPtrToInt(m->builder, val(a), type, "");
    if (cg_is_pointer(to) && from == CG_I64) return LLVMBuildIntToPtr(m->builder, val(a), type, "");
    if (cg_is_pointer(from) || cg_is_pointer(to)) return NULL;
    return LLVMBuildBitCast(m->builder, val(a), type, "");
}

cg_value cg_convert(struct cg_module *m, enum cg_convert_op op, cg_value a, cg_type to)
{
    if ((unsigned)op >= CG_CONVERT_COUNT || !cg_ready_with(m, &a, 1)) return NULL;
    static const LLVMOpcode opcodes[] = {
        LLVMZExt,   LLVMSExt,   LLVMTrunc,  LLVMFPExt,  LLVMFPTrunc,
        LLVMSIToFP, LLVMUIToFP, LLVMFPToSI, LLVMFPToUI,
    };
    cg_type from = cg_type_of(m, a);
    LLVMValueRef result = NULL;
    if (op == CG_CONVERT_BITCAST)
        result = bit_cast(m, a, from, to);
    else if (cg_converts(op, from, to))
        result = LLVMBuildCast(m->builder, opcodes[op], val(a), type_of(m, to), "");
    if (!result)
        cg_fail(m, CG_ERROR_USAGE, "conversion %d does not go from type %#x to type %#x", op, from,
                to);
    return handle(result);
}

static LLVMValueRef lane_index(struct cg_module *m, unsigned lane)
{
    return LLVMConstInt(LLVMInt32TypeInContext(m->context->llvm), lane, false);
}

cg_value cg_pack(struct cg_module *m, cg_type vector, const cg_value *lanes)
{
    if (!cg_ready_with(m, lanes, CG_LANES(vector))) return NULL;
    LLVMValueRef packed = LLVMGetUndef(type_of(m, vector));
    for (unsigned i = 0; i < CG_LANES(vector); i++) {
        if (!expect(m, lanes[i], CG_KIND(vector))) return NULL;
        packed = LLVMBuildInsertElement(m->builder, packed, val(lanes[i]), lane_index(m, i), "");
    }
    return handle(packed);
}

cg_value cg_lane(struct cg_module *m, cg_value vector, unsigned lane)
{
    if (!cg_ready_with(m, &vector, 1)) return NULL;
    if (lane < CG_LANES(cg_type_of(m, vector)))
        return handle(LLVMBuildExtractElement(m->builder, val(vector), lane_index(m, lane), ""));
    cg_fail(m, CG_ERROR_USAGE, "the vector has no lane %u", lane);
    return NULL;
}

// -- Memory -------------------------------------------------------------------------------------

cg_value cg_shared_base(struct cg_module *m)
{
    LLVMContextRef llvm = m->context->llvm;
    if (!cg_ready(m)) return NULL;
    if (!m->shared) {
        LLVMTypeRef bytes = LLVMArrayType2(LLVMInt8TypeInContext(llvm), 0);
        m->shared = LLVMAddGlobalInAddressSpace(m->llvm, bytes, shared_name, ADDRESS_SPACE_SHARED);
        LLVMSetLinkage(m->shared, LLVMExternalLinkage);
        LLVMSetAlignment(m->shared, 1024);
    }
    return handle(LLVMBuildPtrToInt(m->builder, m->shared, LLVMInt32TypeInContext(llvm), ""));
}

// A byte address without any promise that it stays inside an object: masked-off lanes may point
// anywhere.
static LLVMValueRef byte_address(struct cg_module *m, LLVMValueRef base, LLVMValueRef bytes)
{
    LLVMTypeRef byte = LLVMInt8TypeInContext(m->context->llvm);
    return LLVMBuildGEP2(m->builder, byte, base, &bytes, 1, "");
}

cg_value cg_advance(struct cg_module *m, enum cg_space space, cg_value address, cg_value bytes)
{
    cg_value operands[] = {address, bytes};
    if (space == CG_SPACE_SHARED) return cg_add(m, address, bytes);
    if (!cg_ready_with(m, operands, 2)) return NULL;
    if (!expect(m, address, CG_PTR_GLOBAL) || !expect(m, bytes, CG_I64)) return NULL;
    return handle(byte_address(m, val(address), val(bytes)));
}

static LLVMValueRef access_pointer(struct cg_module *m, const struct cg_access *access)
{
    LLVMContextRef llvm = m->context->llvm;
    LLVMValueRef pointer = val(access->address);
    if (!expect(m, access->address, access->space == CG_SPACE_SHARED ? CG_I32 : CG_PTR_GLOBAL))
        return NULL;
    if (access->space == CG_SPACE_SHARED) {
        LLVMTypeRef type = LLVMPointerTypeInContext(llvm, ADDRESS_SPACE_SHARED);
        pointer = LLVMBuildIntToPtr(m->builder, pointer, type, "");
    }
    if (!access->offset) return pointer;
    LLVMValueRef offset =
        LLVMConstInt(LLVMInt64TypeInContext(llvm), (uint64_t)access->offset, true);
    return byte_address(m, pointer, offset);
}

cg_value cg_raw_load(struct cg_module *m, const struct cg_access *access, cg_type type)
{
    LLVMContextRef llvm = m->context->llvm;
    if (!cg_ready_with(m, &access->address, 1)) return NULL;
    LLVMValueRef pointer = access_pointer(m, access);
    if (!pointer) return NULL;
    LLVMValueRef load = LLVMBuildLoad2(m->builder, type_of(m, type), pointer, "");
    LLVMSetAlignment(load, access->align);
    LLVMSetVolatile(load, (access->flags & CG_ACCESS_VOLATILE) != 0);
    if (access->space == CG_SPACE_GLOBAL && access->flags & CG_ACCESS_NONCOHERENT) {
        // The back end prints ld.global.nc for a load that is known not to change.
        LLVMMetadataRef empty = LLVMMDNodeInContext2(llvm, NULL, 0);
        LLVMSetMetadata(load, LLVMGetMDKindIDInContext(llvm, "invariant.load", 14),
                        LLVMMetadataAsValue(llvm, empty));
    }
    return handle(load);
}

void cg_raw_store(struct cg_module *m, const struct cg_access *access, cg_value value)
{
    cg_value operands[] = {access->address, value};
    if (!cg_ready_with(m, operands, 2)) return;
    LLVMValueRef pointer = access_pointer(m, access);
    if (!pointer) return;
    LLVMValueRef store = LLVMBuildStore(m->builder, val(value), pointer);
    LLVMSetAlignment(store, access->align);
    LLVMSetVolatile(store, (access->flags & CG_ACCESS_VOLATILE) != 0);
}

// -- Inline assembly ----------------------------------------------------------------------------

cg_value cg_raw_asm(struct cg_module *m, const char *text, const char *constraints, uint32_t flags,
                    const cg_type *results, unsigned result_count, const cg_value *arguments,
                    unsigned argument_count)
{
    LLVMTypeRef few[CG_PTX_OPERAND_LIMIT], *types = few;
    LLVMContextRef llvm = m->context->llvm;
    LLVMTypeRef result = LLVMVoidTypeInContext(llvm);
    if (!cg_ready_with(m, arguments, argument_count)) return NULL;
    unsigned most = result_count > argument_count ? result_count : argument_count;
    if (most > CG_PTX_OPERAND_LIMIT)
        types = cg_allocate(&m->common.allocator, most * sizeof *types);
    if (!types) {
        cg_fail(m, CG_ERROR_MEMORY, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < result_count; i++) types[i] = type_of(m, results[i]);
    if (result_count == 1) result = types[0];
    if (result_count > 1) result = LLVMStructTypeInContext(llvm, types, result_count, false);
    for (unsigned i = 0; i < argument_count; i++) types[i] = LLVMTypeOf(val(arguments[i]));
    LLVMTypeRef signature = LLVMFunctionType(result, types, argument_count, false);
    if (types != few) cg_release(&m->common.allocator, types);
    LLVMValueRef assembly =
        LLVMGetInlineAsm(signature, text, strlen(text), constraints, strlen(constraints),
                         (flags & CG_PTX_SIDE_EFFECT) != 0, false, LLVMInlineAsmDialectATT, false);
    LLVMValueRef call = LLVMBuildCall2(m->builder, signature, assembly, (LLVMValueRef *)arguments,
                                       argument_count, "");
    LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, attribute(m, "nounwind", 0));
    if (flags & CG_PTX_CONVERGENT)
        LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, attribute(m, "convergent", 0));
    // Pure ones touch no memory; those that only must stay in place touch some that we cannot see,
    // which keeps them from being merged or dropped.
    uint64_t effects = flags & CG_PTX_SIDE_EFFECT ? MEMORY_INACCESSIBLE : MEMORY_NONE;
    if (!(flags & CG_PTX_MEMORY))
        LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex,
                                 attribute(m, "memory", effects));
    return handle(call);
}

cg_value cg_raw_result(struct cg_module *m, cg_value call, unsigned index)
{
    if (!cg_ready_with(m, &call, 1)) return NULL;
    if (LLVMGetTypeKind(LLVMTypeOf(val(call))) != LLVMStructTypeKind) return call;
    return handle(LLVMBuildExtractValue(m->builder, val(call), index, ""));
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
                                    &length, &out->local_memory);
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
    LLVMTargetMachineRef machine = machine_for(m->context, m->common.target, out->ptx_version);
    if (!machine) return llvm_failed(m, "target", "LLVM makes no target machine");
    if (run_passes(m, chosen->passes ? chosen->passes : CG_DEFAULT_PASSES, machine) ||
        (chosen->want_llvm && print_module(m, out)) || generate(m, machine, out)) {
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
