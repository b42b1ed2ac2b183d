// SPDX-License-Identifier: MIT
//
// Loads and stores as one instruction of our own, under a predicate if there is one. A branch
// around each would cut a tile's edge code into hundreds of blocks, and LLVM has no predicates of
// its own.
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
    if (element == CG_F32) out->word = CG_F32, out->letter = 'f';
    if (element == CG_F64) out->word = CG_F64, out->letter = 'd';
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
        say(text, "[$%u+%lld]", operand, (long long)access->offset);
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

// -- Both
// --------------------------------------------------------------------------------------------

struct access_text {
    struct text text, constraints;
    cg_value arguments[3 + WORD_LIMIT];
    unsigned count; // of the arguments
};

static void add_constraint(struct access_text *x, const char *prefix, char letter)
{
    say(&x->constraints, "%s%s%c", x->constraints.length ? "," : "", prefix, letter);
}

static void add_argument(struct access_text *x, cg_value value, char letter)
{
    add_constraint(x, "", letter);
    x->arguments[x->count++] = value;
}

static char address_letter(const struct cg_access *access)
{
    return access->space == CG_SPACE_SHARED ? 'r' : 'l';
}

// Operators that are newer than the targets raise the text's version; policies have done so.
static const char *cache_name(struct cg_module *m, const struct cg_access *access)
{
    if (access->policy) return ".L2::cache_hint";
    if (!access->cache) return "";
    struct cg_common *common = cg_common(m);
    if (!strncmp(access->cache, ".L1::", 5) && common->ptx < 74) common->ptx = 74;
    return access->cache;
}

// `results`: operands in front of the arguments.
static void say_policy(struct access_text *x, const struct cg_access *access, unsigned results)
{
    if (!access->policy) return;
    say(&x->text, ", $%u", results + x->count);
    add_argument(x, access->policy, 'l');
}

bool cg_load_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                cg_type element, unsigned count, cg_value *out)
{
    struct shape shape;
    struct access_text x = {.count = 0};
    cg_type types[WORD_LIMIT];
    memset(out, 0, count * sizeof *out);
    if (!cg_ready_with(m, &access->address, 1) || !shape_of(m, element, count, &shape))
        return false;
    bool constant = (access->flags & CG_ACCESS_NONCOHERENT) != 0;
    for (unsigned i = 0; i < shape.words; i++) {
        // Early clobber: the zero is written before the address is read.
        add_constraint(&x, inside ? "=&" : "=", shape.letter);
        if (inside) say(&x.text, "mov.b%u $%u, 0;\n\t", shape.bits < 16 ? 16 : shape.bits, i);
        types[i] = shape.word;
    }
    add_argument(&x, access->address, address_letter(access));
    if (inside) {
        say(&x.text, "@$%u ", shape.words + 1);
        add_argument(&x, inside, 'b');
    }
    say(&x.text, "ld.%s%s%s.b%u ", space_name(access), cache_name(m, access),
        vector_name(shape.words), shape.bits);
    say_words(&x.text, 0, shape.words);
    say(&x.text, ", ");
    say_address(&x.text, access, shape.words);
    say_policy(&x, access, shape.words);
    say(&x.text, ";");
    if (!constant) say(&x.constraints, ",~{memory}");
    cg_value call = cg_raw_asm(m, x.text.bytes, x.constraints.bytes,
                               constant ? 0 : CG_PTX_SIDE_EFFECT | CG_PTX_MEMORY, types,
                               shape.words, x.arguments, x.count);
    for (unsigned i = 0; i < shape.words; i++)
        from_word(m, &shape, element, cg_raw_result(m, call, i), out + i * shape.per_word);
    return !cg_module_status(m);
}

bool cg_store_if(struct cg_module *m, const struct cg_access *access, cg_value inside,
                 const cg_value *values, unsigned count)
{
    struct shape shape;
    struct access_text x = {.count = 0};
    if (!cg_ready_with(m, &access->address, 1) || !cg_ready_with(m, values, count)) return false;
    if (!shape_of(m, cg_type_of(m, values[0]), count, &shape)) return false;
    if (inside && cg_is_zero(m, inside)) return true;
    add_argument(&x, access->address, address_letter(access));
    for (unsigned i = 0; i < shape.words; i++)
        add_argument(&x, to_word(m, &shape, values + i * shape.per_word), shape.letter);
    if (inside) {
        say(&x.text, "@$%u ", x.count);
        add_argument(&x, inside, 'b');
    }
    say(&x.text, "st.%s%s%s.b%u ", access->space == CG_SPACE_SHARED ? "shared" : "global",
        cache_name(m, access), vector_name(shape.words), shape.bits);
    say_address(&x.text, access, 0);
    say(&x.text, ", ");
    say_words(&x.text, 1, shape.words);
    say_policy(&x, access, 0);
    say(&x.text, ";");
    say(&x.constraints, ",~{memory}");
    cg_raw_asm(m, x.text.bytes, x.constraints.bytes, CG_PTX_SIDE_EFFECT | CG_PTX_MEMORY, NULL, 0,
               x.arguments, x.count);
    return !cg_module_status(m);
}
