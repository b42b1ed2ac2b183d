// SPDX-License-Identifier: MIT
//
// Between llvm_*.c and the files of this folder that build on it without seeing LLVM.
#ifndef KGEN_CODEGEN_INTERNAL_H
#define KGEN_CODEGEN_INTERNAL_H

#include "codegen/cg.h"

// The part of a module that is not LLVM's.
struct cg_common {
    const struct cg_target *target;
    struct cg_allocator allocator;
    enum cg_status status;
    char error[512];
    unsigned ptx; // lowest PTX version that the templates used so far need
    struct cg_variables *variables;
};

struct cg_common *cg_common(struct cg_module *m);

// May something be appended to the current block? Sets the error if only the emitter is to blame.
bool cg_ready(struct cg_module *m);
// The same, and all operands are there.
bool cg_ready_with(struct cg_module *m, const cg_value *operands, unsigned count);

// Checks (check.c). Those with a module set its error.
enum { CG_PARAMETER_LIMIT = 256 };
bool cg_check_kernel(struct cg_module *m, const struct cg_kernel *kernel);
// Passes that change control flow would copy or move barriers; instcombine with its default of
// verifying a fixpoint ends the process where it does not reach one.
bool cg_check_passes(struct cg_module *m, const char *passes);
// Does the conversion (no bit cast) go from one type to the other?
bool cg_converts(enum cg_convert_op op, cg_type from, cg_type to);
// Is the value of that type?
bool cg_expect(struct cg_module *m, cg_value value, cg_type type);

static inline bool cg_is_float(cg_type type)
{
    return CG_KIND(type) >= CG_F16 && CG_KIND(type) <= CG_F64;
}

static inline bool cg_is_integer(cg_type type)
{
    return CG_KIND(type) >= CG_I1 && CG_KIND(type) <= CG_I64;
}

static inline bool cg_is_pointer(cg_type type)
{
    return type == CG_PTR || type == CG_PTR_GLOBAL;
}

void *cg_allocate(const struct cg_allocator *allocator, size_t size);
void cg_release(const struct cg_allocator *allocator, void *block);

// Inline assembly, unchecked. The result is a scalar for one result type, and for more a value to
// ask with cg_raw_result().
cg_value cg_raw_asm(struct cg_module *m, const char *text, const char *constraints, uint32_t flags,
                    const cg_type *results, unsigned result_count, const cg_value *arguments,
                    unsigned argument_count);
cg_value cg_raw_result(struct cg_module *m, cg_value call, unsigned index);

// The text of a template with a comment behind it (NULL: none). `$` means an operand to LLVM, and a
// line is one instruction. From the module's allocator; NULL with its status set.
char *cg_annotate(struct cg_module *m, const char *text, const char *comment);

// The line and column that instructions get now; zeros where the text has no .loc lines.
void cg_raw_line(struct cg_module *m, unsigned *line, unsigned *column);

// One load or store of any type, vectors included.
cg_value cg_raw_load(struct cg_module *m, const struct cg_access *access, cg_type type);
void cg_raw_store(struct cg_module *m, const struct cg_access *access, cg_value value);

// A phi at the front of a block, for variables. Its operands come by cg_phi_add().
cg_value cg_raw_phi(struct cg_module *m, cg_block block, cg_type type);
bool cg_raw_drop_unused(struct cg_module *m, cg_value phi); // false: it is used
// The blocks that branch to a block, one by one, once for each branch; NULL behind the last.
cg_block cg_raw_predecessor(struct cg_module *m, cg_block block, unsigned index);
// Around the time that branches back to a loop's head are still to come (variables.c): before it is
// entered, and after the last of them.
void cg_head_open(struct cg_module *m, cg_block head);
void cg_head_close(struct cg_module *m, cg_block head);
void cg_variables_free(struct cg_module *m);

// Makes the latest branch of a loop say that nobody shall unroll it.
void cg_raw_keep_rolled(struct cg_module *m, cg_block latch);

// What LLVM printed, made into the text that kgen hands out: the header is the target's own, the
// comments that only LLVM needs are gone, the cluster (0: none) is stated, and so many registers of
// text (body.h) are declared besides. The result is from `allocator`; NULL without memory.
char *cg_clean_text(const struct cg_allocator *allocator, const char *raw, size_t length,
                    const struct cg_target *target, unsigned ptx, const unsigned *cluster,
                    const unsigned *registers, size_t *out_length, bool *local_memory);

// The same text with the blocks of each kernel in the order of building. From `allocator`, too.
char *cg_order_blocks(const struct cg_allocator *allocator, const char *text, size_t length,
                      size_t *out_length);

// The same text with fewer registers and hardly a copy between them. From `allocator`, too.
char *cg_coalesce_copies(const struct cg_allocator *allocator, const char *text, size_t length,
                         size_t *out_length);

#endif
