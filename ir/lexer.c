// SPDX-License-Identifier: MIT
// The lexer: see lexer.h for what counts as the end of a statement.
#include "ir/lexer.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void kg_lexer_init(kg_lexer *lexer, kg_arena *arena, kg_diags *diags, const kg_source *source)
{
    *lexer = (kg_lexer){.arena = arena, .diags = diags, .source = source, .line = 1};
    lexer->at = source->text;
    lexer->end = source->text + source->length;
    if (source->length >= 3 && !memcmp(source->text, "\xEF\xBB\xBF", 3)) lexer->at += 3;
    lexer->line_start = lexer->at;
    lexer->continues = true;
}

static char peek(const kg_lexer *lexer, int ahead)
{
    return lexer->end - lexer->at > ahead ? lexer->at[ahead] : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static kg_loc place(const kg_lexer *lexer, const char *start)
{
    return (kg_loc){lexer->source, lexer->line, (int32_t)(start - lexer->line_start) + 1,
                    (int32_t)(lexer->at - start)};
}

bool kg_is_keyword(const char *name)
{
    static const char *const keywords[] = {
#define KG_KEYWORD(word) #word,
#include "ir/keywords.def"
#undef KG_KEYWORD
    };
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (keywords[i][0] == name[0] && !strcmp(keywords[i], name)) return true;
    return false;
}

// ---- numbers -----------------------------------------------------------------------------------
// strtod follows the process's locale; a library may not change it, so both spellings of the point
// are tried.
static bool read_double(const char *text, double *out)
{
    char copy[128], *end;
    snprintf(copy, sizeof copy, "%s", text);
    errno = 0;
    *out = strtod(copy, &end);
    if (*end == '.') {
        *end = ',';
        *out = strtod(copy, &end);
    }
    return *end == 0 && !(errno == ERANGE && isinf(*out));
}

const char *kg_double_text(kg_arena *arena, double value)
{
    char text[64];
    if (isnan(value)) return "nan";
    if (isinf(value)) return value < 0 ? "-inf" : "inf";
    for (int digits = 6; digits <= 17; digits++) {
        double back;
        snprintf(text, sizeof text, "%.*g", digits, value);
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.';
        if (read_double(text, &back) && back == value) break;
    }
    bool plain = !strpbrk(text, ".e");
    return kg_arena_printf(arena, "%s%s", text, plain ? ".0" : "");
}

static void lex_hex(kg_lexer *lexer, kg_token *token, const char *start)
{
    uint64_t value = 0;
    bool overflow = false;
    lexer->at += 2;
    const char *digits = lexer->at;
    for (;; lexer->at++) {
        char c = peek(lexer, 0);
        int digit = is_digit(c)                          ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0) break;
        overflow |= value >> 59 != 0;
        value = value << 4 | (uint64_t)digit;
    }
    token->kind = KG_T_INT;
    token->i = (int64_t)value;
    token->loc = place(lexer, start);
    if (lexer->at == digits)
        kg_error(lexer->diags, KG_D_P001, token->loc, "a hexadecimal number needs digits");
    else if (overflow)
        kg_error(lexer->diags, KG_D_P009, token->loc, "number does not fit 64 bits");
}

static void lex_integer(kg_lexer *lexer, kg_token *token, const char *start)
{
    uint64_t value = 0;
    bool overflow = false;
    for (const char *p = start; p < lexer->at; p++) {
        overflow |= __builtin_mul_overflow(value, 10u, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    token->kind = KG_T_INT;
    token->too_large = value == (uint64_t)1 << 63 && !overflow;
    if (overflow || value > (uint64_t)1 << 63) {
        kg_error(lexer->diags, KG_D_P009, token->loc, "number does not fit 64 bits");
        value = 1;
    }
    token->i = (int64_t)value;
}

static void lex_number(kg_lexer *lexer, kg_token *token)
{
    const char *start = lexer->at;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) | 32) == 'x') {
        lex_hex(lexer, token, start);
        return;
    }
    bool is_float = false;
    while (is_digit(peek(lexer, 0))) lexer->at++;
    if (peek(lexer, 0) == '.' && peek(lexer, 1) != '.') { // `0..` is a range
        is_float = true;
        lexer->at++;
        while (is_digit(peek(lexer, 0))) lexer->at++;
    }
    char sign = peek(lexer, 1);
    if ((peek(lexer, 0) | 32) == 'e' &&
        (is_digit(sign) || ((sign == '+' || sign == '-') && is_digit(peek(lexer, 2))))) {
        is_float = true;
        lexer->at += 2;
        while (is_digit(peek(lexer, 0))) lexer->at++;
    }
    token->loc = place(lexer, start);
    if (!is_float) {
        lex_integer(lexer, token, start);
        return;
    }
    token->kind = KG_T_FLOAT;
    char *text = kg_arena_strndup(lexer->arena, start, (size_t)(lexer->at - start));
    if (lexer->at - start > 100 || !read_double(text, &token->f))
        kg_error(lexer->diags, KG_D_P009, token->loc, "number does not fit a double");
}

// ---- names and punctuation ---------------------------------------------------------------------
static void lex_name(kg_lexer *lexer, kg_token *token)
{
    const char *start = lexer->at++;
    while (starts_name(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->at++;
    while (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) { // name.3: made by passes
        lexer->at++;
        while (is_digit(peek(lexer, 0))) lexer->at++;
    }
    token->kind = KG_T_NAME;
    token->text = kg_arena_strndup(lexer->arena, start, (size_t)(lexer->at - start));
    token->loc = place(lexer, start);
}

static void lex_numbered(kg_lexer *lexer, kg_token *token)
{
    const char *start = lexer->at++;
    while (is_digit(peek(lexer, 0))) lexer->at++;
    token->kind = KG_T_NUMBERED;
    token->text = kg_arena_strndup(lexer->arena, start, (size_t)(lexer->at - start));
    token->loc = place(lexer, start);
}

static void lex_punctuation(kg_lexer *lexer, kg_token *token)
{
    static const char pairs[][3] = {"..", "==", "!=", "<=", ">=", "<<",
                                    ">>", "+=", "-=", "*=", "/=", "@#"};
    static const char singles[] = "()[]{}<>,:?=+-*/%@&|^~#";
    const char *start = lexer->at;
    char c = peek(lexer, 0), d = peek(lexer, 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i][0] == c && pairs[i][1] == d) {
            lexer->at += 2;
            token->kind = KG_P2(c, d);
            token->loc = place(lexer, start);
            return;
        }
    lexer->at++;
    token->loc = place(lexer, start);
    token->kind = KG_P1(c);
    if (c == '(' || c == '[') lexer->brackets++;
    if ((c == ')' || c == ']') && lexer->brackets > 0) lexer->brackets--;
    if (c == ';') {
        token->kind = lexer->brackets ? KG_P1(';') : KG_T_NEWLINE;
    } else if (!c || !strchr(singles, c)) {
        while ((peek(lexer, 0) & 0x80) && (c & 0x80)) lexer->at++; // one finding a character
        token->loc = place(lexer, start);
        token->kind = KG_T_BAD;
        if ((unsigned char)c > 32 && (unsigned char)c < 127)
            kg_error(lexer->diags, KG_D_P001, token->loc, "unexpected character '%c'", c);
        else
            kg_error(lexer->diags, KG_D_P001, token->loc, "unexpected character");
    }
}

// Whether a newline after this token goes on with the statement.
static bool can_continue(const kg_token *token)
{
    if (token->kind == KG_T_NEWLINE) return true; // further newlines say nothing new
    if (token->kind < KG_T_PUNCT) return false;
    return token->kind != KG_P1(')') && token->kind != KG_P1(']') && token->kind != KG_P1('}');
}

// Whether a % behind this token is the operator: `k %8`, not `load %8`.
static bool ends_operand(const kg_token *token)
{
    switch (token->kind) {
    case KG_T_NAME: return !kg_is_keyword(token->text) && strcmp(token->text, "step");
    case KG_T_NUMBERED:
    case KG_T_INT:
    case KG_T_FLOAT:
    case KG_P1(')'):
    case KG_P1(']'): return true;
    default: return false;
    }
}

// Skips blanks and comments; true when a newline was passed that ends a statement.
static bool skip_blanks(kg_lexer *lexer, bool *spaced)
{
    for (;; *spaced = true) {
        char c = peek(lexer, 0);
        if (c == '\n') {
            if (!lexer->continues && !lexer->brackets) return true;
            lexer->at++;
            lexer->line++;
            lexer->line_start = lexer->at;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
            lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '/') {
            const char *newline = memchr(lexer->at, '\n', (size_t)(lexer->end - lexer->at));
            lexer->at = newline ? newline : lexer->end;
        } else {
            return false;
        }
    }
}

kg_token kg_lexer_next(kg_lexer *lexer)
{
    kg_token token = {.kind = KG_T_END};
    if (skip_blanks(lexer, &token.spaced)) {
        token.kind = KG_T_NEWLINE;
        token.loc = place(lexer, lexer->at);
        lexer->at++;
        lexer->line++;
        lexer->line_start = lexer->at;
    } else if (lexer->at >= lexer->end) {
        token.loc = place(lexer, lexer->at);
    } else if (starts_name(peek(lexer, 0))) {
        lex_name(lexer, &token);
    } else if (is_digit(peek(lexer, 0)) || (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1)))) {
        lex_number(lexer, &token);
    } else if (peek(lexer, 0) == '%' && is_digit(peek(lexer, 1)) && !lexer->after_operand) {
        lex_numbered(lexer, &token);
    } else {
        lex_punctuation(lexer, &token);
    }
    lexer->continues = can_continue(&token);
    lexer->after_operand = ends_operand(&token);
    return token;
}
