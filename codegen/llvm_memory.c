// SPDX-License-Identifier: MIT
//
// Loads, stores and inline assembly.
#include "codegen/llvm.h"

#include <string.h>

enum {
    MEMORY_NONE = 0,          // LLVM's coding of memory(none)
    MEMORY_INACCESSIBLE = 12, // and of memory(inaccessiblemem: readwrite)
};

static const char shared_name[] = "shared_memory";

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
    if (!cg_expect(m, address, CG_PTR_GLOBAL) || !cg_expect(m, bytes, CG_I64)) return NULL;
    return handle(byte_address(m, val(address), val(bytes)));
}

static LLVMValueRef access_pointer(struct cg_module *m, const struct cg_access *access)
{
    LLVMContextRef llvm = m->context->llvm;
    LLVMValueRef pointer = val(access->address);
    if (!cg_expect(m, access->address, access->space == CG_SPACE_SHARED ? CG_I32 : CG_PTR_GLOBAL))
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
    LLVMValueRef load = LLVMBuildLoad2(m->builder, cg_llvm_type(m, type), pointer, "");
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

LLVMValueRef cg_llvm_asm(struct cg_module *m, const char *text, const char *constraints,
                         uint32_t flags, LLVMTypeRef result, const LLVMValueRef *arguments,
                         LLVMTypeRef *types, unsigned argument_count)
{
    for (unsigned i = 0; i < argument_count; i++) types[i] = LLVMTypeOf(arguments[i]);
    LLVMTypeRef signature = LLVMFunctionType(result, types, argument_count, false);
    LLVMValueRef assembly =
        LLVMGetInlineAsm(signature, text, strlen(text), constraints, strlen(constraints),
                         (flags & CG_PTX_SIDE_EFFECT) != 0, false, LLVMInlineAsmDialectATT, false);
    LLVMValueRef call = LLVMBuildCall2(m->builder, signature, assembly, (LLVMValueRef *)arguments,
                                       argument_count, "");
    LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, cg_llvm_attribute(m, "nounwind", 0));
    if (flags & CG_PTX_CONVERGENT)
        LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex,
                                 cg_llvm_attribute(m, "convergent", 0));
    // Pure ones touch no memory; those that only must stay in place touch some that we cannot see,
    // which keeps them from being merged or dropped.
    uint64_t effects = flags & CG_PTX_SIDE_EFFECT ? MEMORY_INACCESSIBLE : MEMORY_NONE;
    if (!(flags & CG_PTX_MEMORY))
        LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex,
                                 cg_llvm_attribute(m, "memory", effects));
    return call;
}

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
    for (unsigned i = 0; i < result_count; i++) types[i] = cg_llvm_type(m, results[i]);
    if (result_count == 1) result = types[0];
    if (result_count > 1) result = LLVMStructTypeInContext(llvm, types, result_count, false);
    LLVMValueRef call = cg_llvm_asm(m, text, constraints, flags, result,
                                    (const LLVMValueRef *)arguments, types, argument_count);
    if (types != few) cg_release(&m->common.allocator, types);
    return handle(call);
}

cg_value cg_raw_result(struct cg_module *m, cg_value call, unsigned index)
{
    if (!cg_ready_with(m, &call, 1)) return NULL;
    if (LLVMGetTypeKind(LLVMTypeOf(val(call))) != LLVMStructTypeKind) return call;
    return handle(LLVMBuildExtractValue(m->builder, val(call), index, ""));
}
