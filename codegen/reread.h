// SPDX-License-Identifier: MIT
//
// Reads emitted PTX again and lists, in the order of the text, the instructions that synchronize,
// move data asynchronously or use the tensor cores: to be held against the IR one to one, and to
// be what a PTX golden contains. It reads text that this folder produced: one instruction a line.
// Pure and thread-safe.
#ifndef KGEN_CODEGEN_REREAD_H
#define KGEN_CODEGEN_REREAD_H

#include "codegen/cg.h"

#define CG_CLASS_BIT(class) (UINT32_C(1) << (class))
// What has to match the IR one to one.
#define CG_CLASSES_SYNC                                                                            \
    (CG_CLASS_BIT(CG_CLASS_BARRIER) | CG_CLASS_BIT(CG_CLASS_WARP_SYNC) |                           \
     CG_CLASS_BIT(CG_CLASS_ASYNC_COPY) | CG_CLASS_BIT(CG_CLASS_COMMIT) |                           \
     CG_CLASS_BIT(CG_CLASS_WAIT) | CG_CLASS_BIT(CG_CLASS_FENCE) |                                  \
     CG_CLASS_BIT(CG_CLASS_MBARRIER) | CG_CLASS_BIT(CG_CLASS_MATRIX_LOAD) |                        \
     CG_CLASS_BIT(CG_CLASS_MATRIX_STORE) | CG_CLASS_BIT(CG_CLASS_MMA) |                            \
     CG_CLASS_BIT(CG_CLASS_ATOMIC) | CG_CLASS_BIT(CG_CLASS_STRONG_LOAD) |                          \
     CG_CLASS_BIT(CG_CLASS_STRONG_STORE) | CG_CLASS_BIT(CG_CLASS_CONTROL))
#define CG_CLASSES_ALL (CG_CLASS_BIT(CG_CLASS_COUNT) - 1)

enum { CG_IMMEDIATE_LIMIT = 4 };

// A piece of the PTX text; nothing is copied.
struct cg_span {
    const char *start;
    size_t length;
};

struct cg_instruction {
    enum cg_ptx_id id;       // CG_PTX_UNKNOWN: of such a class by its name, but in no row
    enum cg_ptx_class class;
    unsigned line;           // in the PTX text, from 1
    unsigned source_line;    // of the last .loc before it; 0: none
    bool guarded;            // stands under a predicate
    int64_t immediates[CG_IMMEDIATE_LIMIT]; // the `n` operands of the row, in order
    unsigned immediate_count;
    struct cg_span kernel;   // name of the entry that it stands in
    struct cg_span text;     // the statement, up to its semicolon
    struct cg_span comment;  // behind `// ` on its line; may be empty
    struct cg_span tag;      // the comment up to its first colon or blank: "S3"
};

struct cg_reread {
    struct cg_instruction *instructions;
    size_t count;
};

// Lists the instructions of the classes in `classes`, a union of CG_CLASS_BIT(). The list points
// into `ptx`. CG_OK or CG_ERROR_MEMORY.
enum cg_status cg_reread(const struct cg_allocator *allocator, const char *ptx, size_t length,
                         uint32_t classes, struct cg_reread *out);
void cg_reread_free(const struct cg_allocator *allocator, struct cg_reread *reread);

#endif
