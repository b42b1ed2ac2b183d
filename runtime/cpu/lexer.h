// SPDX-License-Identifier: MIT
// PTX text to tokens. Pull one at a time; nothing is allocated, tokens point into the text.
#ifndef PTXM_LEXER_H
#define PTXM_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,   // identifier, with its leading % or $
    TOKEN_DOT,    // .word, or .word::word; text excludes the dot
    TOKEN_INT,    // value
    TOKEN_F32,    // 0fXXXXXXXX: value holds the bits
    TOKEN_F64,    // 0dXXXXXXXXXXXXXXXX or a decimal: value holds the bits
    TOKEN_STRING, // without its quotes
    TOKEN_PUNCT,  // one character, in `punct`
    TOKEN_BAD,    // a character or number that PTX does not have
};

struct token {
    enum token_kind kind;
    char punct;
    const char *text;
    size_t length;
    uint64_t value;
    unsigned line, column;
};

struct lexer {
    const char *at, *end, *line_start;
    unsigned line;
    bool open_comment; // the text ended within a comment
};

void ptxm_lexer_init(struct lexer *lexer, const char *text, size_t length);
struct token ptxm_lexer_next(struct lexer *lexer);
bool ptxm_token_is(const struct token *token, const char *text); // NAME or DOT with this text

#endif
