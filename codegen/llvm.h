// SPDX-License-Identifier: MIT
//
// The one file that includes llvm-c/, for the files llvm_*.c alone. They turn the calls of cg.h
// into LLVM IR, run a short list of passes, and have the NVPTX back end print PTX.
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
#ifndef KGEN_CODEGEN_LLVM_H
#define KGEN_CODEGEN_LLVM_H

#include "codegen/body.h"
#include "codegen/internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <llvm/Config/llvm-config.h>

enum {
    MACHINE_LIMIT = 32, // pairs of target and PTX version; above, the last one goes
    ADDRESS_SPACE_GLOBAL = 1,
    ADDRESS_SPACE_SHARED = 3,
};

// What the target machines are made for.
extern const char cg_llvm_triple[];

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
    unsigned cluster[3]; // of the kernel, 0: none; not all LLVMs can write it
    struct cg_context *context;
    LLVMModuleRef llvm;
    LLVMBuilderRef builder;
    LLVMDIBuilderRef debug; // NULL: no .loc lines
    LLVMMetadataRef file, unit, scope, location;
    LLVMValueRef function; // the open kernel
    LLVMValueRef shared;
    unsigned fast_math;
    bool finished;
    unsigned spelled[CG_SPELL_CLASSES]; // registers of the text
    bool detour; // the current block may have its branch already
};

// -- Handles ------------------------------------------------------------------------------------

static inline LLVMValueRef val(cg_value value)
{
    return (LLVMValueRef)value;
}

static inline cg_value handle(LLVMValueRef value)
{
    return (cg_value)value;
}

static inline LLVMBasicBlockRef block_of(cg_block block)
{
    return (LLVMBasicBlockRef)block;
}

static inline bool ended(LLVMBasicBlockRef block)
{
    return LLVMGetBasicBlockTerminator(block) != NULL;
}

LLVMTypeRef cg_llvm_type(struct cg_module *m, cg_type type);
LLVMAttributeRef cg_llvm_attribute(struct cg_module *m, const char *name, uint64_t value);
// The same value; an instruction gets the flags of cg_set_fast_math(), if it takes any.
cg_value cg_llvm_with_fast_math(struct cg_module *m, LLVMValueRef value);
// The context keeps what it gives; NULL if LLVM makes none.
LLVMTargetMachineRef cg_llvm_machine(struct cg_context *context, const struct cg_target *target,
                                     unsigned ptx);
// Inline assembly with these operands where the builder stands, whatever the module's state is.
LLVMValueRef cg_llvm_asm(struct cg_module *m, const char *text, const char *constraints,
                         uint32_t flags, LLVMTypeRef result, const LLVMValueRef *arguments,
                         LLVMTypeRef *types, unsigned argument_count);

// Turns what it can of a kernel into text, behind all passes (llvm_spell.h).
bool cg_spell_function(struct cg_module *m, LLVMValueRef function);

#endif
