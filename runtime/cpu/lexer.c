// SPDX-License-Identifier: MIT
// PTX text to tokens: comments and white space are skipped, numbers are converted here.
#include "lexer.h"

#include <stdlib.h>
#include <string.h>

void ptxm_lexer_init(struct lexer *lexer, const char *text, size_t length)
{
    const char *nul = length ? memchr(text, 0, length) : NULL;
    *lexer = (struct lexer){text, nul ? nul : text + length, text, 1};
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '$';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static char peek(const struct lexer *lexer, size_t ahead)
{
    return (size_t)(lexer->end - lexer->at) > ahead ? lexer->at[ahead] : 0;
}

static void newline(struct lexer *lexer)
{
    lexer->line++;
    lexer->line_start = lexer->at;
}

static void skip_block_comment(struct lexer *lexer)
{
    lexer->at += 2;
    while (lexer->at < lexer->end) {
        if (lexer->at[0] == '*' && peek(lexer, 1) == '/') {
            lexer->at += 2;
            return;
        }
        if (*lexer->at++ == '\n')
            newline(lexer);
    }
    lexer->open_comment = true;
}

static void skip_space(struct lexer *lexer)
{
    while (lexer->at < lexer->end) {
        char c = *lexer->at;
        if (c == '\n') {
            lexer->at++;
            newline(lexer);
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
            lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '/') {
            while (lexer->at < lexer->end && *lexer->at != '\n') lexer->at++;
        } else if (c == '/' && peek(lexer, 1) == '*') {
            skip_block_comment(lexer);
        } else {
            return;
        }
    }
}

static int digit_value(char c)
{
    if (digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

// Reads digits of `base` up to `most` of them; false when there is none or the value overflows.
static bool read_digits(struct lexer *lexer, int base, unsigned most, uint64_t *value)
{
    unsigned count = 0;
    *value = 0;
    while (count < most && digit_value(peek(lexer, 0)) < base) {
        uint64_t next = *value * (uint64_t)base + (uint64_t)digit_value(*lexer->at);
        if (*value > (UINT64_MAX - 15) / (uint64_t)base)
            return false;
        *value = next;
        lexer->at++;
        count++;
    }
    return count > 0;
}

static bool hex_number(struct lexer *lexer, uint64_t *value)
{
    unsigned count = 0;
    *value = 0;
    while (digit_value(peek(lexer, 0)) < 16) {
        *value = *value << 4 | (uint64_t)digit_value(*lexer->at++);
        if (++count > 16)
            return false;
    }
    return count > 0;
}

static bool decimal_float(struct lexer *lexer, const char *start, struct token *token)
{
    char buffer[64];
    while (digit(peek(lexer, 0)) || peek(lexer, 0) == '.') lexer->at++;
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        lexer->at++;
        if (peek(lexer, 0) == '+' || peek(lexer, 0) == '-')
            lexer->at++;
        while (digit(peek(lexer, 0))) lexer->at++;
    }
    size_t length = (size_t)(lexer->at - start);
    if (length >= sizeof buffer)
        return false;
    memcpy(buffer, start, length);
    buffer[length] = 0;
    double value = strtod(buffer, NULL);
    memcpy(&token->value, &value, 8);
    token->kind = TOKEN_F64;
    return true;
}

static bool fixed_hex(struct lexer *lexer, unsigned digits, struct token *token,
                      enum token_kind kind)
{
    lexer->at += 2;
    const char *start = lexer->at;
    token->kind = kind;
    return hex_number(lexer, &token->value) && lexer->at - start == (ptrdiff_t)digits;
}

static bool integer(struct lexer *lexer, struct token *token)
{
    const char *start = lexer->at;
    char second = peek(lexer, 1);
    bool fine;
    token->kind = TOKEN_INT;
    if (*start == '0' && (second == 'x' || second == 'X')) {
        lexer->at += 2;
        fine = hex_number(lexer, &token->value);
    } else if (*start == '0' && (second == 'b' || second == 'B')) {
        lexer->at += 2;
        fine = read_digits(lexer, 2, 64, &token->value);
    } else if (*start == '0' && digit(second)) {
        fine = read_digits(lexer, 8, 24, &token->value);
    } else {
        fine = read_digits(lexer, 10, 24, &token->value);
        if (fine && (peek(lexer, 0) == '.' || peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E'))
            return decimal_float(lexer, start, token);
    }
    if (fine && peek(lexer, 0) == 'U')
        lexer->at++;
    return fine;
}

static bool number(struct lexer *lexer, struct token *token)
{
    char second = peek(lexer, 1);
    bool fine;
    if (*lexer->at == '0' && (second == 'f' || second == 'F'))
        fine = fixed_hex(lexer, 8, token, TOKEN_F32);
    else if (*lexer->at == '0' && (second == 'd' || second == 'D'))
        fine = fixed_hex(lexer, 16, token, TOKEN_F64);
    else
        fine = integer(lexer, token);
    if (fine && !word_char(peek(lexer, 0)))
        return true;
    while (word_char(peek(lexer, 0))) lexer->at++;
    return false;
}

// .word, or .word::word::word, as .shared::cta and .L2::128B.
static bool dot_word(struct lexer *lexer, struct token *token)
{
    lexer->at++;
    token->text = lexer->at;
    while (word_char(peek(lexer, 0)) ||
           (peek(lexer, 0) == ':' && peek(lexer, 1) == ':' && word_char(peek(lexer, 2))))
        lexer->at += *lexer->at == ':' ? 2 : 1;
    token->kind = TOKEN_DOT;
    return lexer->at > token->text;
}

static bool string(struct lexer *lexer, struct token *token)
{
    token->text = ++lexer->at;
    token->kind = TOKEN_STRING;
    while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n')
        lexer->at += *lexer->at == '\\' && peek(lexer, 1) && peek(lexer, 1) != '\n' ? 2 : 1;
    token->length = (size_t)(lexer->at - token->text);
    if (peek(lexer, 0) != '"')
        return false;
    lexer->at++;
    return true;
}

struct token ptxm_lexer_next(struct lexer *lexer)
{
    skip_space(lexer);
    struct token token = {.text = lexer->at, .line = lexer->line};
    token.column = (unsigned)(lexer->at - lexer->line_start) + 1;
    if (lexer->at >= lexer->end)
        return token;
    char c = *lexer->at;
    bool fine = true;
    if (digit(c)) {
        fine = number(lexer, &token);
    } else if (c == '.') {
        fine = dot_word(lexer, &token);
    } else if (c == '"') {
        if (!string(lexer, &token))
            token.kind = TOKEN_BAD;
        return token;
    } else if (word_char(c) || c == '%') {
        lexer->at++;
        while (word_char(peek(lexer, 0))) lexer->at++;
        token.kind = TOKEN_NAME;
    } else {
        lexer->at++;
        token.kind = TOKEN_PUNCT;
        token.punct = c;
        fine = c && strchr("@!{}[]()<>,;:|+-=*&~", c);
    }
    if (!fine)
        token.kind = TOKEN_BAD;
    token.length = (size_t)(lexer->at - token.text);
    return token;
}

bool ptxm_token_is(const struct token *token, const char *text)
{
    return (token->kind == TOKEN_NAME || token->kind == TOKEN_DOT) &&
           strlen(text) == token->length && !memcmp(token->text, text, token->length);
}
