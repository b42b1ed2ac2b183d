// SPDX-License-Identifier: MIT
//
// A kernel's body as registers see it: statements, which registers each reads and writes, the
// blocks between labels and branches, and which registers are live where. Read from PTX text that
// this folder produced: labels stand alone on their lines, a statement does not span lines.
#ifndef KGEN_CODEGEN_BODY_H
#define KGEN_CODEGEN_BODY_H

#include "codegen/cg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// In front of the registers that are led through the instruction on the line before, which does not
// name them: read and written there. coalesce.c takes the line out again.
#define CG_LED "//led"

// Registers of text that LLVM does not see: words, predicates, and words that several blocks write,
// a phi's. The first two are written where values are made, by one statement each.
enum { CG_SPELL_WORD, CG_SPELL_PREDICATE, CG_SPELL_JOINED, CG_SPELL_CLASSES };
#define CG_SPELL_PREFIXES "%v", "%q", "%w"

enum { CG_BODY_CLASSES = 12, CG_NOWHERE = -1 };

// `.reg .b32 %r<40>;`: the registers %r1 .. %r39 have the indices first + 1 .. first + 39.
struct cg_register_class {
    const char *declaration; // the line
    size_t declaration_length;
    const char *name; // "%r"
    size_t name_length;
    unsigned first, count;
    bool joined;
    unsigned like; // the first class of registers of the same type: they may be one, by its name
};

// A register in the text. One that a guarded statement writes is also read: its lanes that do not
// run keep what it held.
struct cg_register_use {
    uint32_t offset; // from the start of the body
    uint16_t length;
    bool reads, writes;
    bool late; // read until a later statement retires it: a register that wgmma takes A from
    unsigned index;
};

struct cg_statement {
    uint32_t offset, length; // from its first character to its semicolon
    unsigned first_use, use_count;
    bool copy;    // `mov` from one register of a class to another, without a guard
    bool retires; // late reads end here: wgmma.wait_group 0
};

struct cg_body_block {
    unsigned first_statement, statement_count;
    int successors[2]; // blocks, or CG_NOWHERE
};

struct cg_body {
    const char *text;
    size_t length;
    struct cg_register_class classes[CG_BODY_CLASSES];
    unsigned class_count, register_count;
    struct cg_register_use *uses;
    struct cg_statement *statements;
    struct cg_body_block *blocks;
    unsigned use_count, statement_count, block_count;
    unsigned words;      // of a set of registers
    uint64_t *live_out;  // a set for each block
    uint64_t *flight_in; // a set for each block: what is still being read at its start
    void *memory;        // what the arrays stand in
};

enum cg_body_status {
    CG_BODY_OK,
    CG_BODY_UNKNOWN, // holds a statement whose reads and writes are not known
    CG_BODY_MEMORY,
};

// `text` is what stands between the braces of a kernel, and has to outlive `out`. Frees nothing of
// it; cg_body_free() frees what was allocated, whatever the status.
enum cg_body_status cg_body_read(const struct cg_allocator *allocator, const char *text,
                                 size_t length, struct cg_body *out);
// What is still being read behind a statement, from what was in front of it.
void cg_body_step_flight(const struct cg_body *body, const struct cg_statement *s,
                         uint64_t *flight);
void cg_body_free(const struct cg_allocator *allocator, struct cg_body *body);

static inline bool cg_in_set(const uint64_t *set, unsigned index)
{
    return set[index / 64] >> index % 64 & 1;
}

static inline void cg_put_in_set(uint64_t *set, unsigned index, bool in)
{
    uint64_t bit = UINT64_C(1) << index % 64;
    set[index / 64] = in ? set[index / 64] | bit : set[index / 64] & ~bit;
}

#endif
