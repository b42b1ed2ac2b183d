// SPDX-License-Identifier: MIT
// Tokens of the text form, made on demand. Newlines are tokens where they end a statement: not
// inside ( ) or [ ], and not after a token that cannot end one (an operator, a comma, an opening
// brace).
#pragma once
#include "ir/diag.h"

typedef enum kg_token_kind {
    KG_T_END,
    KG_T_NEWLINE,  // also ';' outside of brackets
    KG_T_NAME,     // identifier or keyword, also name.3
    KG_T_NUMBERED, // %12
    KG_T_INT,
    KG_T_FLOAT,
    KG_T_BAD, // reported already
    // Punctuation is its own characters, packed: KG_T_PUNCT + first + second * 256.
    KG_T_PUNCT = 0x10000
} kg_token_kind;

#define KG_P1(a) (KG_T_PUNCT + (a))
#define KG_P2(a, b) (KG_T_PUNCT + (a) + (b)*256)

typedef struct kg_token {
    int kind; // kg_token_kind or punctuation
    kg_loc loc;
    const char *text; // NAME, NUMBERED: ended by NUL, in the arena
    int64_t i;        // INT
    double f;         // FLOAT
    bool too_large;   // INT: 2^63, legal only behind a minus
    bool spaced;      // white space stands before it
} kg_token;

typedef struct kg_lexer {
    kg_arena *arena;
    kg_diags *diags;
    const kg_source *source;
    const char *at, *end, *line_start;
    int line;
    int brackets;       // open ( and [
    bool continues;     // the last token cannot end a statement
    bool after_operand; // the last token ended an operand: % is the operator
} kg_lexer;

void kg_lexer_init(kg_lexer *lexer, kg_arena *arena, kg_diags *diags, const kg_source *source);
kg_token kg_lexer_next(kg_lexer *lexer);

// Words that cannot name a value: keywords.def.
bool kg_is_keyword(const char *name);

// Decimal text of a double that reads back as the same double, whatever the process's locale.
const char *kg_double_text(kg_arena *arena, double value);
