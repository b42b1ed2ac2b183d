// SPDX-License-Identifier: MIT
//
// Loads and stores under a predicate, as one guarded instruction. A branch around each would cut a
// tile's edge code into hundreds of blocks, and LLVM has no predicates of its own.
#include "codegen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_LIMIT = 320, WORD_LIMIT = 4 };

struct text {
    char bytes[TEXT_LIMIT];
    size_t length;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(text->bytes + text->length, TEXT_LIMIT - text->length, format, arguments);
    va_end(arguments);
    if (added > 0) text->length += (size_t)added;
    if (text->length >= TEXT_LIMIT) text->length = TEXT_LIMIT - 1;
}

// An access as words: what one register of it holds.
struct shape {
    unsigned words, per_word;
    unsigned bits; // of a word in memory
    cg_type word;  // register type
    char letter;   // constraint
};

static bool shape_of(struct cg_module *m, cg_type element, unsigned count, struct shape *out)
{
    unsigned bits = cg_type_bits(element), total = bits * count;
    bool legal = !CG_LANES(element) && bits >= 8 && total <= 128 && !(total & (total - 1)) && total;
    if (!legal)
        return cg_fail(m, CG_ERROR_USAGE, "%u elements of type %#x are no legal access", count,
                       element);
    out->bits = bits;
    if (bits < 32 && count > 1) out->bits = total < 32 ? total : 32;
    out->per_word = out->bits / bits;
    out->words = count / out->per_word;
    out->word = out->bits == 64 ? CG_I64 : out->bits == 32 ? CG_I32 : CG_I16;
    out->letter = out->bits == 64 ? 'l' : out->bits == 32 ? 'r' : 'h';
    return true;
}

static void say_words(struct text *text, unsigned first, unsigned count)
{
    if (count > 1) say(text, "{");
    for (unsigned i = 0; i < count; i++) say(text, "%s$%u", i ? ", " : "", first + i);
    if (count > 1) say(text, "}");
}

static void say_address(struct text *text, const struct cg_access *access, unsigned operand)
{
    if (access->offset)
        say(text, "[$%u%+lld]", operand, (long long)access->offset);
    else
        say(text, "[$%u]", operand);
}

static const char *space_name(const struct cg_access *access)
{
    if (access->space == CG_SPACE_SHARED) return "shared";
    return access->flags & CG_ACCESS_NONCOHERENT ? "global.nc" : "global";
}

static const char *vector_name(unsigned words)
{
    return words == 4 ? ".v4" : words == 2 ? ".v2" : "";
}

// The bits of an element as a register of its word, and back.
static cg_value to_word(struct cg_module *m, const struct shape *shape, const cg_value *elements)
{
    cg_type element = cg_type_of(m, elements[0]);
    if (shape->per_word > 1)
        return cg_bitcast(m, cg_pack(m, CG_VECTOR(element, shape->per_word), elements),
                          shape->word);
    if (shape->bits == 8) return cg_zext(m, elements[0], CG_I16);
    return element == shape->word ? elements[0] : cg_bitcast(m, elements[0], shape->word);
}

static void from_word(struct cg_module *m, const struct shape *shape, cg_type element,
                      cg_value word, cg_value *elements)
{
    if (shape->per_word > 1) {
        cg_value lanes = cg_bitcast(m, word, CG_VECTOR(element, shape->per_word));
        for (unsigned i = 0; i < shape->per_word; i++) elements[i] = cg_lane(m, lanes, i);
    } else if (shape->bits == 8) {
        elements[0] = cg_trunc(m, word, CG_I8);
    } else {
        elements[0] = element == shape->word ? word : cg_bitcast(m, word, element);
    }
}

bool cg_load_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                cg_type element, unsigned count, cg_value *out)
{
    struct shape shape;
    struct text text = {.length = 0}, constraints = {.length = 0};
    cg_type types[WORD_LIMIT];
    cg_value arguments[] = {inside, access->address};
    memset(out, 0, count * sizeof *out);
    if (!cg_ready_with(m, arguments, 2) || !shape_of(m, element, count, &shape)) return false;
    bool constant = (access->flags & CG_ACCESS_NONCOHERENT) != 0;
    for (unsigned i = 0; i < shape.words; i++) {
        // Early clobber: the zero is written before the address is read.
        say(&constraints, "=&%c,", shape.letter);
        say(&text, "mov.b%u $%u, 0;\n\t", shape.bits < 16 ? 16 : shape.bits, i);
        types[i] = shape.word;
    }
    say(&constraints, "b,%c%s", access->space == CG_SPACE_SHARED ? 'r' : 'l',
        constant ? "" : ",~{memory}");
    say(&text, "@$%u ld.%s%s.b%u ", shape.words, space_name(access), vector_name(shape.words),
        shape.bits);
    say_words(&text, 0, shape.words);
    say(&text, ", ");
    say_address(&text, access, shape.words + 1);
    say(&text, ";");
    cg_value call = cg_raw_asm(m, text.bytes, constraints.bytes,
                               constant ? 0 : CG_PTX_SIDE_EFFECT | CG_PTX_MEMORY, types,
                               shape.words, arguments, 2);
    for (unsigned i = 0; i < shape.words; i++)
        from_word(m, &shape, element, cg_raw_result(m, call, i), out + i * shape.per_word);
    return !cg_module_status(m);
}

bool cg_store_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                 const cg_value *values, unsigned count)
{
    struct shape shape;
    struct text text = {.length = 0}, constraints = {.length = 0};
    cg_value arguments[2 + WORD_LIMIT] = {inside, access->address};
    if (!cg_ready_with(m, arguments, 2) || !cg_ready_with(m, values, count)) return false;
    if (!shape_of(m, cg_type_of(m, values[0]), count, &shape)) return false;
    for (unsigned i = 0; i < shape.words; i++)
        arguments[2 + i] = to_word(m, &shape, values + i * shape.per_word);
    say(&constraints, "b,%c", access->space == CG_SPACE_SHARED ? 'r' : 'l');
    for (unsigned i = 0; i < shape.words; i++) say(&constraints, ",%c", shape.letter);
    say(&constraints, ",~{memory}");
    say(&text, "@$0 st.%s%s.b%u ", access->space == CG_SPACE_SHARED ? "shared" : "global",
        vector_name(shape.words), shape.bits);
    say_address(&text, access, 1);
    say(&text, ", ");
    say_words(&text, 2, shape.words);
    say(&text, ";");
    cg_raw_asm(m, text.bytes, constraints.bytes, CG_PTX_SIDE_EFFECT | CG_PTX_MEMORY, NULL, 0,
               arguments, 2 + shape.words);
    return !cg_module_status(m);
}
