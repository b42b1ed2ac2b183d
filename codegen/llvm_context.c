// SPDX-License-Identifier: MIT
//
// Contexts: what LLVM keeps between modules, and the target machines.
#include "codegen/llvm.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

const char cg_llvm_triple[] = "nvptx64-nvidia-cuda";

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
    if (LLVMGetTargetFromTriple(cg_llvm_triple, &context->target, &message)) {
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

LLVMTargetMachineRef cg_llvm_machine(struct cg_context *context, const struct cg_target *target,
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
        LLVMCreateTargetMachine(context->target, cg_llvm_triple, cpu, feature, LLVMCodeGenLevelNone,
                                LLVMRelocDefault, LLVMCodeModelDefault);
    if (machine)
        context->machines[context->machine_count++] = (struct machine){cpu, ptx, machine};
    return machine;
}
