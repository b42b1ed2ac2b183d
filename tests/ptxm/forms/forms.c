// SPDX-License-Identifier: MIT
#include "forms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct value_type types[] = {
    {"u8", 8, 'u', NULL, NULL},
    {"s8", 8, 's', NULL, NULL},
    {"u16", 16, 'u', NULL, NULL},
    {"s16", 16, 's', NULL, NULL},
    {"b16", 16, 'b', NULL, NULL},
    {"u32", 32, 'u', NULL, NULL},
    {"s32", 32, 's', NULL, NULL},
    {"b32", 32, 'b', NULL, NULL},
    {"u64", 64, 'u', NULL, NULL},
    {"s64", 64, 's', NULL, NULL},
    {"b64", 64, 'b', NULL, NULL},
    {"f16", 16, 'f', &format_f16, NULL},
    {"bf16", 16, 'f', &format_bf16, NULL},
    {"tf32", 32, 'f', &format_tf32, NULL},
    {"f32", 32, 'f', &format_f32, NULL},
    {"f64", 64, 'f', &format_f64, NULL},
    {"u16x2", 32, 'x', NULL, "u16"},
    {"s16x2", 32, 'x', NULL, "s16"},
    {"f16x2", 32, 'x', NULL, "f16"},
    {"bf16x2", 32, 'x', NULL, "bf16"},
    {"e4m3x2", 16, 'b', NULL, NULL},
    {"e5m2x2", 16, 'b', NULL, NULL},
    {"pred", 32, 'p', NULL, NULL},
    {"count", 32, 'c', NULL, NULL},
};

const struct value_type *value_type_named(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].name) == length && !memcmp(types[i].name, name, length))
            return &types[i];
    return NULL;
}

unsigned value_register_bits(const struct value_type *type)
{
    return type->bits == 8 ? 32 : type->bits;
}

bool form_has(const struct form *form, const char *word)
{
    size_t length = strlen(word), opcode = strcspn(form->text, " ");
    for (size_t i = 0; i + length <= opcode; i++)
        if (!memcmp(form->text + i, word, length) &&
            (i + length == opcode || form->text[i + length] == '.'))
            return true;
    return false;
}

// ---- from rows to forms ------------------------------------------------------------------------

static const struct value_type *by_letter(char letter, const struct value_type *last,
                                          const struct value_type *before)
{
    static const struct { char letter; const char *name; } fixed[] = {
        {'i', "u32"}, {'j', "s32"}, {'l', "u64"}, {'h', "u16"},
        {'c', "count"}, {'p', "pred"}, {'q', "pred"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (fixed[i].letter == letter)
            return value_type_named(fixed[i].name, strlen(fixed[i].name));
    if (letter == 'u')
        return before;
    if (letter != 'w')
        return last;
    char wide_name[8];
    int length = snprintf(wide_name, sizeof wide_name, "%c%u", last->kind, last->bits * 2);
    return value_type_named(wide_name, (size_t)length);
}

static void find_types(struct form *form)
{
    const struct value_type *last = NULL, *before = NULL;
    const char *letters = form->row->types, *at = form->text;
    if (letters[1] == ':') {
        for (int skip = letters[0] - '0'; skip; skip--) at = strstr(at, "; ") + 2;
        letters += 2;
    }
    while (*at && *at != ' ' && *at != ';') {
        size_t length = strcspn(at, ". ;");
        const struct value_type *type = value_type_named(at, length);
        before = type ? last : before;
        last = type ? type : last;
        at += length;
        at += *at == '.';
    }
    form->sources = (unsigned)strlen(letters) - 1;
    for (unsigned k = 0; k <= form->sources; k++) {
        const struct value_type *type = by_letter(letters[k], last, before);
        form->held[k] = form->type[k] = type;
        if (type->half)
            form->type[k] = value_type_named(type->half, strlen(type->half));
    }
    form->two_predicates = letters[0] == 'q';
}

static void find_modifiers(struct form *form)
{
    static const struct { const char *word; enum rounding rounding; } roundings[] = {
        {".rz", TO_ZERO}, {".rzi", TO_ZERO}, {".rm", DOWN}, {".rmi", DOWN},
        {".rp", UP}, {".rpi", UP}, {".rna", AWAY},
    };
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++)
        if (form_has(form, roundings[i].word))
            form->rounding = roundings[i].rounding;
    form->ftz = form_has(form, ".ftz");
    form->sat = form_has(form, ".sat");
    form->satfinite = form_has(form, ".satfinite");
    form->relu = form_has(form, ".relu");
    form->keeps_nan = form_has(form, ".NaN");
    form->xorsign = form_has(form, ".xorsign");
}

// Form `index` of the pattern, the alternatives counted like digits. False: there is no such.
static bool expand(struct form *form, const struct form_row *row, size_t index)
{
    size_t out = 0;
    unsigned words = 0;
    memset(form, 0, sizeof *form);
    form->row = row;
    for (const char *at = row->pattern; *at; at++) {
        if (*at != '<') {
            form->text[out++] = *at;
            continue;
        }
        const char *end = strchr(at, '>'), *word = at + 1;
        size_t count = 1;
        for (const char *c = at; c < end; c++) count += *c == '|';
        form->choice[words] = (unsigned)(index % count);
        index /= count;
        for (unsigned skip = form->choice[words]; skip; skip--) word = strchr(word, '|') + 1;
        form->word[words++] = word;
        size_t length = strcspn(word, "|>");
        memcpy(form->text + out, word, length);
        out += length;
        at = end;
    }
    if (index)
        return false;
    find_types(form);
    find_modifiers(form);
    return true;
}

struct form *forms_of(const struct form_row *row, size_t *count)
{
    struct form *forms = NULL, one;
    for (*count = 0; expand(&one, row, *count); ++*count) {
        struct form *more = realloc(forms, (*count + 1) * sizeof *forms);
        if (!more) {
            free(forms);
            return NULL;
        }
        forms = more;
        forms[*count] = one;
    }
    return forms;
}

// ---- text --------------------------------------------------------------------------------------

static const char *const names[4] = {"d", "a", "b", "c"};

static void declare(FILE *out, const struct form *form)
{
    for (unsigned k = 0; k <= form->sources; k++) {
        unsigned bits = value_register_bits(form->held[k]);
        if (form->held[k]->kind == 'p')
            fprintf(out, " .reg .pred %%%s; .reg .b32 %%%s_bit;\n", names[k], names[k]);
        else
            fprintf(out, " .reg .b%u %%%s;\n", bits, names[k]);
    }
    if (form->two_predicates)
        fprintf(out, " .reg .pred %%e; .reg .b32 %%e_bit;\n");
}

static void kernel(FILE *out, const struct form *form, size_t index)
{
    fprintf(out,
            ".visible .entry k%zu(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3)\n"
            "{\n .reg .b64 %%x<6>; .reg .b32 %%y<3>; .reg .b32 %%r<8>; .reg .b64 %%l<8>;\n"
            " .reg .b16 %%h<8>; .reg .pred %%p<8>; .reg .b128 %%q<2>;\n", index);
    declare(out, form);
    fprintf(out, " mov.u32 %%y0, %%tid.x; mov.u32 %%y1, %%ctaid.x; mov.u32 %%y2, %%ntid.x;\n"
                 " mad.lo.u32 %%y0, %%y1, %%y2, %%y0; mul.wide.u32 %%x0, %%y0, 8;\n"
                 " ld.param.u64 %%x4, [p3]; add.s64 %%x4, %%x4, %%x0;\n");
    for (unsigned k = 1; k <= form->sources; k++) {
        bool predicate = form->held[k]->kind == 'p';
        fprintf(out, " ld.param.u64 %%x%u, [p%u]; add.s64 %%x%u, %%x%u, %%x0;\n"
                     " ld.global.b%u %%%s%s, [%%x%u];\n", k, k - 1, k, k,
                value_register_bits(form->held[k]), names[k], predicate ? "_bit" : "", k);
        if (predicate)
            fprintf(out, " setp.ne.u32 %%%s, %%%s_bit, 0;\n", names[k], names[k]);
    }
    fprintf(out, "%s\n", form->text);
    if (form->held[0]->kind == 'p') {
        fprintf(out, " selp.u32 %%d_bit, 1, 0, %%d;\n");
        if (form->two_predicates)
            fprintf(out, " selp.u32 %%e_bit, 2, 0, %%e; or.b32 %%d_bit, %%d_bit, %%e_bit;\n");
        fprintf(out, " st.global.b32 [%%x4], %%d_bit;\n ret;\n}\n");
    } else {
        fprintf(out, " st.global.b%u [%%x4], %%d;\n ret;\n}\n", value_register_bits(form->held[0]));
    }
}

char *forms_text(const struct form *forms, size_t count, const char *target)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fprintf(out, ".version 8.3\n.target %s\n.address_size 64\n", target);
    for (size_t i = 0; i < count; i++) kernel(out, &forms[i], i);
    bool good = !ferror(out);
    if (fclose(out) || !good) {
        free(text);
        return NULL;
    }
    return text;
}

// ---- expectations ------------------------------------------------------------------------------

__int128 form_integer(const struct form *form, unsigned operand, uint64_t bits)
{
    const struct value_type *type = form->type[operand];
    unsigned unused = 64 - type->bits;
    return type->kind == 's' ? (__int128)((int64_t)(bits << unused) >> unused)
                             : (__int128)(bits << unused >> unused);
}

struct exact form_float(const struct form *form, unsigned operand, uint64_t bits)
{
    const struct format *format = form->type[operand]->format;
    // cvt flushes f32 only.
    bool flush = form->ftz && format != &format_f64 &&
                 (format == &format_f32 || strncmp(form->text, "cvt", 3));
    return exact_unpack(bits, format, flush);
}

uint64_t form_result(const struct form *form, struct exact x)
{
    static const struct exact zero = {.kind = EXACT_ZERO};
    bool below = x.negative || x.kind == EXACT_ZERO;
    if (form->sat && (x.kind == EXACT_NAN || below))
        x = zero;
    else if (form->sat && exact_compare(x, exact_integer(false, 1)) > 0)
        x = exact_integer(false, 1);
    else if (form->relu && x.kind != EXACT_NAN && below)
        x = zero;
    return exact_round(x, form->type[0]->format, form->rounding,
                       form->ftz && (form->type[0]->format == &format_f32 ||
                                     (form->type[0]->bits == 16 && strncmp(form->text, "cvt", 3))));
}

void form_expect(const struct form *form, const uint64_t in[3], struct answer answer[2])
{
    memset(answer, 0, sizeof *answer);
    if (form->held[0]->kind != 'x') {
        form->row->reference(form, in, answer);
        return;
    }
    struct answer part[2] = {0};
    for (unsigned k = 0; k < 2; k++) {
        uint64_t halves[3];
        for (unsigned s = 0; s < 3; s++)
            halves[s] = s < form->sources && form->held[s + 1]->kind == 'x'
                            ? in[s] >> (16 * k) & 0xffff : in[s];
        form->row->reference(form, halves, &part[k]);
    }
    // One half at a time: the other's bits are taken as right when it is compared.
    answer[0] = part[0];
    answer[1] = part[1];
}

static bool is_nan(uint64_t bits, const struct format *format)
{
    return exact_unpack(bits, format, false).kind == EXACT_NAN;
}

static bool value_agrees(const struct value_type *type, uint64_t got, const struct answer *answer)
{
    unsigned unused = 64 - value_register_bits(type);
    if (answer->skip || (got ^ answer->bits) << unused == 0)
        return true;
    if (answer->any_nan && is_nan(got, type->format))
        return true;
    if (answer->error == 0 || is_nan(got, type->format))
        return false;
    struct exact x = exact_unpack(got, type->format, false);
    if (answer->flushed && x.kind != exact_unpack(got, type->format, true).kind)
        return false;
    return fabsl(exact_value(x) - answer->value) <= answer->error;
}

bool form_agrees(const struct form *form, uint64_t got, const struct answer answer[2])
{
    if (form->held[0]->kind != 'x')
        return value_agrees(form->held[0], got, answer);
    return value_agrees(form->type[0], got & 0xffff, &answer[0]) &&
           value_agrees(form->type[0], got >> 16 & 0xffff, &answer[1]);
}
