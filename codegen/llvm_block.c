// SPDX-License-Identifier: MIT
//
// Blocks, branches and phis.
#include "codegen/llvm.h"

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

void cg_branch_if(struct cg_module *m, cg_value condition, cg_block then, cg_block otherwise)
{
    if (!cg_ready_with(m, &condition, 1) || !cg_expect(m, condition, CG_I1)) return;
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
        LLVMAddCase(built, LLVMConstInt(cg_llvm_type(m, type), (uint64_t)cases[i], true),
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
    return handle(LLVMBuildPhi(m->builder, cg_llvm_type(m, type), ""));
}

void cg_phi_add(struct cg_module *m, cg_value phi, cg_value value, cg_block from)
{
    if (m->common.status || !phi || !value || !from) return;
    if (!LLVMIsAPHINode(val(phi)) || !cg_expect(m, value, cg_type_of(m, phi))) return;
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
    LLVMValueRef phi = LLVMBuildPhi(m->builder, cg_llvm_type(m, type), "");
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
