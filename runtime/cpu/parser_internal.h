// SPDX-License-Identifier: MIT
// What parser.c (module level) and parse_body.c (function bodies) share.
#ifndef PTXM_PARSER_INTERNAL_H
#define PTXM_PARSER_INTERNAL_H

#include "module.h"

#define TOKEN_ARG(t) ((int)((t)->length > 60 ? 60 : (t)->length)), (t)->text
enum { SYMBOL_BUCKETS = 1024 };

enum symbol_kind { SYMBOL_REG, SYMBOL_REG_RANGE, SYMBOL_REG_VECTOR, SYMBOL_VARIABLE,
                   SYMBOL_FUNCTION, SYMBOL_LABEL,
                   SYMBOL_TARGETS, SYMBOL_PROTOTYPE };

struct symbol {
    const char *name;
    size_t length;
    enum symbol_kind kind;
    unsigned scope;
    uint32_t bucket;
    int32_t index;    // register, or first register of a range; op of a label
    uint32_t count;   // registers of a range
    struct variable *variable;
    struct function *function;
    struct token *targets;
    struct symbol *next, *older;
};

struct fixup {
    struct token name;
    uint32_t op;
    int entry;
};

struct parser {
    struct lexer lexer;
    struct token token, last;
    struct ptxm_module *module;
    struct function *function;
    ptxm_diagnostic_fn *diagnostic;
    void *diagnostic_user;
    unsigned errors, max_errors;
    bool failed;
    unsigned scope;
    struct symbol *buckets[SYMBOL_BUCKETS], *newest;
    const char **files;
    size_t file_count, file_capacity;
    uint32_t location;
    struct fixup *fixups;
    size_t fixup_count, fixup_capacity;
};

void ptxm_advance(struct parser *p);
bool ptxm_at_punct(const struct parser *p, char c);
bool ptxm_accept(struct parser *p, char c);
bool ptxm_expect(struct parser *p, char c);
bool ptxm_accept_dot(struct parser *p, const char *word);
bool ptxm_integer(struct parser *p, int64_t *value);
bool ptxm_name(struct parser *p, struct token *name);
void ptxm_skip_statement(struct parser *p);
struct symbol *ptxm_symbol_find(struct parser *p, const char *text, size_t length);
struct symbol *ptxm_symbol_add(struct parser *p, const struct token *name, enum symbol_kind kind);
void ptxm_scope_leave(struct parser *p);
bool ptxm_function_declare(struct parser *p, struct function *f, const struct token *name,
                           bool (*add)(struct parser *, struct function *, const struct token *));
// parse_variable.c
struct variable_head {
    enum type type;
    uint32_t align;
    unsigned vector;
    bool pointer, opaque; // opaque: of a texture, a sampler or a surface
};
bool ptxm_variable_head(struct parser *p, struct variable_head *head);
struct variable *ptxm_variable(struct parser *p, enum space space, const struct variable_head *head,
                               bool is_extern);
void ptxm_place_in_frame(struct function *f, struct variable *v);
void ptxm_variables(struct parser *p, enum space space, bool is_extern);
int32_t ptxm_new_registers(struct parser *p, enum type type, uint32_t count);
// register_params.c
struct variable *ptxm_register_param(struct parser *p, struct function *f);
bool ptxm_register_params_load(struct parser *p, struct function *f);
void ptxm_body(struct parser *p, struct function *f);
void ptxm_parse(struct parser *p);

#endif
