// SPDX-License-Identifier: MIT
//
// Instructions written as text, between llvm_spell*.c, which include llvm.h first. LLVM's time goes
// with its instructions, and above all with the operands of its calls. Nothing in a fragment's
// arithmetic needs LLVM: so behind the passes whole rows of such instructions become one inline
// assembly, and what they hand to each other are registers of the text (body.h) that LLVM never
// sees. It is left with addresses, accesses and branches.
#ifndef KGEN_CODEGEN_LLVM_SPELL_H
#define KGEN_CODEGEN_LLVM_SPELL_H

// -- Which they are (llvm_spell_choose.c) ---------------------------------------------------------
struct spelled {
    LLVMValueRef value; // an instruction
    LLVMBasicBlockRef block;
    LLVMValueRef multiply; // whose product it takes unrounded; NULL: none
    uint32_t names;        // where the names of its results start
    uint32_t results;
    uint32_t fused;    // uses by instructions that do its work, too
    uint32_t group;    // where it was written, from 1 on
    uint32_t taken;    // the last group that took it from LLVM,
    uint32_t operand;  // and as which input
    bool can;          // be written as text
    bool anchor;       // is, whatever becomes of the others
    bool chosen;       // is
    bool escapes;      // LLVM uses it all the same
    bool direct, seen; // of a phi: is written by the blocks before it; was found out
};

struct spelling {
    struct cg_module *m;
    struct spelled *items; // the instructions in their order
    uint32_t count;
    uint32_t *table;     // items by address, counted from 1
    size_t room;         // of the table, a power of two
    uint32_t *names;     // of results: numbers of registers, 0: none yet
    uint32_t name_count; // a phi has its own, and those that the blocks before it write
    uint32_t most;       // results and arguments of an assembly
};

struct spelled *cg_spell_find(const struct spelling *s, LLVMValueRef value); // NULL: not listed
// Lists the function's instructions and decides which become text.
bool cg_spell_choose(struct spelling *s, LLVMValueRef function);
void cg_spell_free(struct spelling *s);
// The letter of an operand in constraints; 'v': a vector of 32 bits, 0: none.
char cg_spell_letter(LLVMValueRef value);
uint32_t cg_spell_width(LLVMTypeRef type); // how many results that is
bool cg_spell_used_once(LLVMValueRef value);
// What an instruction is called that has a line of its own; NULL: it has none.
const char *cg_spell_mnemonic(LLVMValueRef instruction);
LLVMValueRef cg_spell_assembly(LLVMValueRef instruction); // that it calls; NULL: none

// -- Groups (llvm_spell_group.c) ------------------------------------------------------------------
struct buffer {
    char *bytes;
    size_t length, room;
};

struct output {
    struct spelled *item;
    char letter;
};

// The group in the making.
struct group {
    uint32_t number; // from 1 on
    bool open, effects, memory;
    struct buffer text;
    LLVMValueRef *inputs;
    size_t input_count, input_room;
    struct output *outputs;
    size_t output_count, output_room;
    LLVMMetadataRef location; // of its first member, in whose place LLVM sees it
    unsigned first_line, first_column, line, column;
};

// An operand of an assembly that is copied into the text.
struct operand {
    LLVMValueRef value; // an argument; NULL: the result of this number
    bool immediate;
};

struct speller {
    struct spelling s;
    struct cg_module *m;
    struct group group;
    struct operand *operands;
    struct buffer whole; // a group's text with its operands numbered, or its constraints
    bool failed;
};

bool cg_spell_out_of_memory(struct speller *w);
void cg_spell_put(struct speller *w, struct buffer *b, const char *text, size_t length);
void cg_spell_string(struct speller *w, const char *text); // into the group, as all that follow
// The name of an item's result, and a name for what is in no instruction.
uint32_t cg_spell_name(struct speller *w, struct spelled *item, uint32_t result);
uint32_t cg_spell_new_name(struct speller *w, uint32_t class);
void cg_spell_put_name(struct speller *w, uint32_t name);
// A register, an immediate, or an input. Only a constant has an immediate.
void cg_spell_put_value(struct speller *w, LLVMValueRef value);
void cg_spell_put_input(struct speller *w, LLVMValueRef value);
void cg_spell_put_immediate(struct speller *w, LLVMValueRef value);
struct spelled *cg_spell_chosen(struct speller *w, LLVMValueRef value); // NULL: it is LLVM's
// Opens a group if none is; and then a line of it for an instruction.
void cg_spell_open(struct speller *w, LLVMValueRef first);
void cg_spell_line(struct speller *w, LLVMValueRef of);
void cg_spell_move(struct speller *w, uint32_t to); // `mov %to, `
// The item is in the group: LLVM gets its result if it wants it.
void cg_spell_add(struct speller *w, struct spelled *item);
// Makes the assembly of the open group.
void cg_spell_close(struct speller *w, LLVMValueRef before);

#endif
