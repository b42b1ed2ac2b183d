// SPDX-License-Identifier: MIT
//
// Kernels: parameters, launch bounds, attributes, and the lines that instructions belong to.
#include "codegen/llvm.h"

#include <stdio.h>
#include <string.h>

enum { PTX_KERNEL_CONVENTION = 71 };

LLVMAttributeRef cg_llvm_attribute(struct cg_module *m, const char *name, uint64_t value)
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

static void launch_bounds(struct cg_module *m, const struct cg_kernel *kernel)
{
    unsigned most[3] = {kernel->max_threads, 1, 1};
    if (kernel->threads[0]) launch_bound(m, "reqntid", kernel->threads, 3);
    if (kernel->max_threads) launch_bound(m, "maxntid", most, 3);
    if (kernel->min_ctas) launch_bound(m, "minctasm", &kernel->min_ctas, 1);
    memcpy(m->cluster, kernel->cluster, sizeof m->cluster);
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
        LLVMAddAttributeAtIndex(m->function, index + 1,
                                cg_llvm_attribute(m, "align", parameter->align));
    if (parameter->flags & CG_PARAMETER_BY_VALUE) pass_by_value(m, parameter, index);
    if (parameter->flags & CG_PARAMETER_NOALIAS)
        LLVMAddAttributeAtIndex(m->function, index + 1, cg_llvm_attribute(m, "noalias", 0));
    if (parameter->flags & CG_PARAMETER_READONLY)
        LLVMAddAttributeAtIndex(m->function, index + 1, cg_llvm_attribute(m, "readonly", 0));
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
        types[i] = cg_llvm_type(m, kernel->parameters[i].type);
    LLVMTypeRef none = LLVMVoidTypeInContext(m->context->llvm);
    m->function = LLVMAddFunction(m->llvm, kernel->name,
                                  LLVMFunctionType(none, types, kernel->parameter_count, false));
    LLVMSetFunctionCallConv(m->function, PTX_KERNEL_CONVENTION);
    LLVMAddAttributeAtIndex(m->function, LLVMAttributeFunctionIndex,
                            cg_llvm_attribute(m, "convergent", 0));
    LLVMAddAttributeAtIndex(m->function, LLVMAttributeFunctionIndex,
                            cg_llvm_attribute(m, "nounwind", 0));
    launch_bounds(m, kernel);
    for (unsigned i = 0; i < kernel->parameter_count; i++)
        describe_argument(m, &kernel->parameters[i], i);
    mark_constants(m, kernel);
    open_subprogram(m, kernel);
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(m->context->llvm, m->function, "entry");
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
    m->location =
        line ? LLVMDIBuilderCreateDebugLocation(m->context->llvm, line, column, m->scope, NULL)
             : NULL;
    LLVMSetCurrentDebugLocation2(m->builder, m->location);
}

void cg_raw_line(struct cg_module *m, unsigned *line, unsigned *column)
{
    *line = m->location ? LLVMDILocationGetLine(m->location) : 0;
    *column = m->location ? LLVMDILocationGetColumn(m->location) : 0;
}
