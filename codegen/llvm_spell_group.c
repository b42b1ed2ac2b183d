// SPDX-License-Identifier: MIT
//
// A group of instructions that become one inline assembly (llvm_spell.h): its text, the registers
// in it, its inputs and results.
#include "codegen/llvm.h"
#include "codegen/llvm_spell.h"

#include <stdio.h>
#include <string.h>

enum { INPUT_MARK = 1 }; // in front of an input's number and behind it

// ---- text ---------------------------------------------------------------------------------------

bool cg_spell_out_of_memory(struct speller *w)
{
    w->failed = true;
    return cg_fail(w->m, CG_ERROR_MEMORY, "out of memory");
}

static bool reserve(struct speller *w, void **items, size_t *room, size_t count, size_t size)
{
    if (count <= *room) return true;
    size_t wanted = 2 * count + 64;
    void *larger = cg_allocate(&w->m->common.allocator, wanted * size);
    if (!larger) return cg_spell_out_of_memory(w);
    if (*room) memcpy(larger, *items, *room * size);
    cg_release(&w->m->common.allocator, *items);
    *items = larger;
    *room = wanted;
    return true;
}

void cg_spell_put(struct speller *w, struct buffer *b, const char *text, size_t length)
{
    if (!reserve(w, (void **)&b->bytes, &b->room, b->length + length + 1, 1)) return;
    memcpy(b->bytes + b->length, text, length);
    b->length += length;
    b->bytes[b->length] = '\0';
}

void cg_spell_string(struct speller *w, const char *text)
{
    cg_spell_put(w, &w->group.text, text, strlen(text));
}

static void put_number(struct speller *w, struct buffer *b, const char *prefix, uint32_t number)
{
    char digits[12];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    cg_spell_put(w, b, prefix, strlen(prefix));
    cg_spell_put(w, b, digits + at, sizeof digits - at);
}

// ---- names --------------------------------------------------------------------------------------

// Numbers count within a class.
uint32_t cg_spell_new_name(struct speller *w, uint32_t class)
{
    return ++w->m->spelled[class] << 2 | class;
}

static uint32_t class_of(LLVMValueRef x, uint32_t result)
{
    LLVMTypeRef type = LLVMTypeOf(x);
    if (LLVMIsAPHINode(x)) return CG_SPELL_JOINED;
    if (LLVMGetTypeKind(type) == LLVMStructTypeKind) type = LLVMStructGetTypeAtIndex(type, result);
    bool predicate = LLVMGetTypeKind(type) == LLVMIntegerTypeKind && LLVMGetIntTypeWidth(type) == 1;
    return predicate ? CG_SPELL_PREDICATE : CG_SPELL_WORD;
}

// Where the name of a result stands: what only renames has that of its operand.
static uint32_t *place_of_name(struct speller *w, struct spelled *item, uint32_t result)
{
    for (;;) {
        LLVMOpcode opcode = LLVMGetInstructionOpcode(item->value);
        if (opcode == LLVMExtractValue)
            result = LLVMGetIndices(item->value)[0];
        else if (opcode != LLVMBitCast)
            break;
        item = cg_spell_find(&w->s, LLVMGetOperand(item->value, 0));
    }
    uint32_t *name = &w->s.names[item->names + result];
    if (!*name) *name = cg_spell_new_name(w, class_of(item->value, result));
    return name;
}

uint32_t cg_spell_name(struct speller *w, struct spelled *item, uint32_t result)
{
    return *place_of_name(w, item, result);
}

void cg_spell_put_name(struct speller *w, uint32_t name)
{
    static const char *const prefixes[] = {CG_SPELL_PREFIXES};
    put_number(w, &w->group.text, prefixes[name & 3], name >> 2);
}

void cg_spell_move(struct speller *w, uint32_t to)
{
    bool predicate = (to & 3) == CG_SPELL_PREDICATE;
    cg_spell_string(w, predicate ? "mov.pred \t" : "mov.b32 \t");
    cg_spell_put_name(w, to);
    cg_spell_string(w, ", ");
}

// ---- operands -----------------------------------------------------------------------------------

static uint32_t add_input(struct speller *w, LLVMValueRef value)
{
    struct group *g = &w->group;
    struct spelled *item = LLVMIsAInstruction(value) ? cg_spell_find(&w->s, value) : NULL;
    if (item && item->taken == g->number) return item->operand;
    for (size_t i = 0; !item && i < g->input_count; i++)
        if (g->inputs[i] == value) return (uint32_t)i;
    if (!reserve(w, (void **)&g->inputs, &g->input_room, g->input_count + 1, sizeof *g->inputs))
        return 0;
    g->inputs[g->input_count] = value;
    if (item) {
        item->taken = g->number;
        item->operand = (uint32_t)g->input_count;
    }
    return (uint32_t)g->input_count++;
}

// An input's number waits for that of the results.
void cg_spell_put_input(struct speller *w, LLVMValueRef value)
{
    char mark[] = {INPUT_MARK, '\0'};
    put_number(w, &w->group.text, mark, add_input(w, value));
    cg_spell_put(w, &w->group.text, mark, 1);
}

void cg_spell_put_immediate(struct speller *w, LLVMValueRef value)
{
    char text[24];
    LLVMTypeRef word = LLVMInt32TypeInContext(w->m->context->llvm);
    if (LLVMIsAConstantInt(value)) {
        snprintf(text, sizeof text, "%lld", LLVMConstIntGetSExtValue(value));
    } else {
        LLVMValueRef bits = LLVMConstBitCast(value, word);
        snprintf(text, sizeof text, "0f%08llX", LLVMConstIntGetZExtValue(bits));
    }
    cg_spell_string(w, text);
}

struct spelled *cg_spell_chosen(struct speller *w, LLVMValueRef value)
{
    struct spelled *item = LLVMIsAInstruction(value) ? cg_spell_find(&w->s, value) : NULL;
    return item && item->chosen ? item : NULL;
}

static bool is_constant(LLVMValueRef value)
{
    return LLVMIsAConstantInt(value) || LLVMIsAConstantFP(value);
}

void cg_spell_put_value(struct speller *w, LLVMValueRef value)
{
    struct spelled *item = cg_spell_chosen(w, value);
    if (item)
        cg_spell_put_name(w, cg_spell_name(w, item, 0));
    else if (is_constant(value) && cg_spell_letter(value) != 'b')
        cg_spell_put_immediate(w, value);
    else
        cg_spell_put_input(w, value);
}

void cg_spell_open(struct speller *w, LLVMValueRef first)
{
    struct group *g = &w->group;
    if (g->open) return;
    g->open = true;
    g->number++;
    g->effects = g->memory = false;
    g->text.length = 0;
    g->input_count = g->output_count = 0;
    g->location = w->m->debug ? LLVMInstructionGetDebugLoc(first) : NULL;
    g->first_line = g->line = g->location ? LLVMGetDebugLocLine(first) : 0;
    g->first_column = g->column = g->location ? LLVMGetDebugLocColumn(first) : 0;
}

static void put_line_of(struct speller *w, unsigned line, unsigned column)
{
    struct group *g = &w->group;
    if (!g->location || !line || (line == g->line && column == g->column)) return;
    put_number(w, &g->text, g->text.length ? "\n\t.loc\t1 " : ".loc\t1 ", line);
    put_number(w, &g->text, " ", column);
    g->line = line;
    g->column = column;
}

// Opens a line of the text for an instruction.
void cg_spell_line(struct speller *w, LLVMValueRef of)
{
    struct group *g = &w->group;
    cg_spell_open(w, of);
    if (g->location && LLVMInstructionGetDebugLoc(of))
        put_line_of(w, LLVMGetDebugLocLine(of), LLVMGetDebugLocColumn(of));
    if (g->text.length) cg_spell_string(w, "\n\t");
}

void cg_spell_add(struct speller *w, struct spelled *item)
{
    struct group *g = &w->group;
    item->group = g->number;
    if (!item->escapes) return;
    if (!reserve(w, (void **)&g->outputs, &g->output_room, g->output_count + 1, sizeof *g->outputs))
        return;
    g->outputs[g->output_count++] = (struct output){item, cg_spell_letter(item->value)};
}

// ---- groups -------------------------------------------------------------------------------------

// Moves of what LLVM sees, and the numbers of the inputs behind those of the results.
static void finish_text(struct speller *w)
{
    struct group *g = &w->group;
    const char mark[] = {INPUT_MARK, '\0'};
    for (size_t i = 0; i < g->output_count; i++) {
        uint32_t name = cg_spell_name(w, g->outputs[i].item, 0);
        if (g->text.length) cg_spell_string(w, "\n\t");
        bool predicate = (name & 3) == CG_SPELL_PREDICATE;
        put_number(w, &g->text, predicate ? "mov.pred \t$" : "mov.b32 \t$", (uint32_t)i);
        cg_spell_string(w, ", ");
        cg_spell_put_name(w, name);
        cg_spell_string(w, ";");
    }
    w->whole.length = 0;
    cg_spell_put(w, &w->whole, "", 0);
    for (const char *at = g->text.bytes; !w->failed;) {
        size_t plain = strcspn(at, mark);
        cg_spell_put(w, &w->whole, at, plain);
        at += plain;
        if (!*at) return;
        uint32_t number = 0;
        for (at++; *at != INPUT_MARK; at++) number = 10 * number + (uint32_t)(*at - '0');
        at++;
        put_number(w, &w->whole, "$", number + (uint32_t)g->output_count);
    }
}

static void put_constraints(struct speller *w, struct buffer *out)
{
    struct group *g = &w->group;
    for (size_t i = 0; i < g->output_count; i++) {
        char letter = g->outputs[i].letter;
        char text[] = {'=', letter == 'v' ? 'r' : letter, ',', '\0'};
        cg_spell_put(w, out, text, 3);
    }
    for (size_t i = 0; i < g->input_count; i++) {
        char text[] = {cg_spell_letter(g->inputs[i]), ',', '\0'};
        cg_spell_put(w, out, text, 2);
    }
    if (g->memory)
        cg_spell_put(w, out, "~{memory}", 9);
    else if (out->length)
        out->bytes[--out->length] = '\0';
}

// LLVM's instructions get the result instead.
static void replace(struct speller *w, struct spelled *item, LLVMValueRef result)
{
    bool found = true;
    while (found) {
        found = false;
        LLVMUseRef next;
        for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = next) {
            LLVMValueRef user = LLVMGetUser(use);
            next = LLVMGetNextUse(use);
            struct spelled *other = cg_spell_find(&w->s, user);
            if (other && other->chosen) continue;
            int count = LLVMGetNumOperands(user);
            for (int i = 0; i < count; i++)
                if (LLVMGetOperand(user, (unsigned)i) == item->value)
                    LLVMSetOperand(user, (unsigned)i, result);
            found = true;
            break; // the list of uses is another one now
        }
    }
}

static LLVMTypeRef result_type(struct speller *w, LLVMTypeRef *types)
{
    struct group *g = &w->group;
    LLVMContextRef llvm = w->m->context->llvm;
    for (size_t i = 0; i < g->output_count; i++)
        types[i] = g->outputs[i].letter == 'v' ? LLVMInt32TypeInContext(llvm)
                                               : LLVMTypeOf(g->outputs[i].item->value);
    if (!g->output_count) return LLVMVoidTypeInContext(llvm);
    if (g->output_count == 1) return types[0];
    return LLVMStructTypeInContext(llvm, types, (unsigned)g->output_count, false);
}

static void give_results(struct speller *w, LLVMValueRef call)
{
    struct group *g = &w->group;
    LLVMBuilderRef builder = w->m->builder;
    for (size_t i = 0; i < g->output_count; i++) {
        LLVMValueRef result = call, was = g->outputs[i].item->value;
        if (g->output_count > 1) result = LLVMBuildExtractValue(builder, call, (unsigned)i, "");
        if (g->outputs[i].letter == 'v')
            result = LLVMBuildBitCast(builder, result, LLVMTypeOf(was), "");
        replace(w, g->outputs[i].item, result);
    }
}

static void build(struct speller *w)
{
    struct group *g = &w->group;
    const struct cg_allocator *allocator = &w->m->common.allocator;
    struct buffer constraints = {0};
    size_t most = g->input_count > g->output_count ? g->input_count : g->output_count;
    LLVMTypeRef *types = cg_allocate(allocator, (most + 1) * sizeof *types);
    if (!types) {
        cg_spell_out_of_memory(w);
        return;
    }
    finish_text(w);
    cg_spell_put(w, &constraints, "", 0);
    for (size_t i = 0; i < g->input_count; i++)
        if (cg_spell_letter(g->inputs[i]) == 'v')
            g->inputs[i] = LLVMBuildBitCast(w->m->builder, g->inputs[i],
                                            LLVMInt32TypeInContext(w->m->context->llvm), "");
    put_constraints(w, &constraints);
    if (!w->failed) {
        uint32_t flags = CG_PTX_SIDE_EFFECT | CG_PTX_CONVERGENT | (g->memory ? CG_PTX_MEMORY : 0);
        LLVMTypeRef result = result_type(w, types);
        give_results(w, cg_llvm_asm(w->m, w->whole.bytes, constraints.bytes, flags, result,
                                    g->inputs, types, (unsigned)g->input_count));
    }
    cg_release(allocator, constraints.bytes);
    cg_release(allocator, types);
}

void cg_spell_close(struct speller *w, LLVMValueRef before)
{
    struct group *g = &w->group;
    if (!g->open || w->failed) return;
    g->open = false;
    // LLVM takes it that all of the group is of one line.
    if (g->location && LLVMInstructionGetDebugLoc(before) &&
        LLVMGetDebugLocLine(before) == g->first_line)
        put_line_of(w, g->first_line, g->first_column);
    LLVMPositionBuilderBefore(w->m->builder, before);
    LLVMSetCurrentDebugLocation2(w->m->builder, g->location);
    build(w);
}
