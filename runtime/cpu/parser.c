// SPDX-License-Identifier: MIT
// PTX text to a module: directives, variables, functions, and statements handed to the decoder.
//
// Needs nothing but the text. Guarantees that a module it returns can be run: every name is
// resolved, every instruction decoded. After a complaint it goes on at the next statement, so that
// all complaints of a text come out in one run.
#include "parser_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- complaints and tokens ----------------------------------------------------------------------

static const char *line_text(struct parser *p, const struct token *at, char *buffer, size_t size)
{
    const char *start = at->text - (at->column - 1), *end = start;
    while (end < p->lexer.end && *end != '\n' && *end != '\r') end++;
    snprintf(buffer, size, "%.*s", (int)(end - start > 200 ? 200 : end - start), start);
    return buffer;
}

void ptxm_complain(struct parser *p, const struct token *at, const char *format, ...)
{
    p->failed = true;
    if (p->errors >= p->max_errors)
        return;
    p->errors++;
    if (!p->diagnostic)
        return;
    char message[512], text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    struct ptxm_diagnostic d = {at->line, at->column, message,
                                line_text(p, at, text, sizeof text)};
    p->diagnostic(p->diagnostic_user, &d);
}

struct ptxm_module *ptxm_parser_module(struct parser *p)
{
    return p->module;
}

uint32_t ptxm_parser_location(struct parser *p)
{
    return p->location;
}

void ptxm_advance(struct parser *p)
{
    p->last = p->token;
    p->token = ptxm_lexer_next(&p->lexer);
}

bool ptxm_at_punct(const struct parser *p, char c)
{
    return p->token.kind == TOKEN_PUNCT && p->token.punct == c;
}

bool ptxm_accept(struct parser *p, char c)
{
    if (!ptxm_at_punct(p, c))
        return false;
    ptxm_advance(p);
    return true;
}

bool ptxm_expect(struct parser *p, char c)
{
    if (ptxm_accept(p, c))
        return true;
    if (p->token.kind == TOKEN_END)
        ptxm_complain(p, &p->token, "the text ends where '%c' is expected", c);
    else
        ptxm_complain(p, &p->token, "expected '%c' before '%.*s'", c, TOKEN_ARG(&p->token));
    return false;
}

bool ptxm_accept_dot(struct parser *p, const char *word)
{
    if (p->token.kind != TOKEN_DOT || !ptxm_token_is(&p->token, word))
        return false;
    ptxm_advance(p);
    return true;
}

// An integer literal, with its sign.
bool ptxm_integer(struct parser *p, int64_t *value)
{
    bool minus = ptxm_accept(p, '-');
    if (p->token.kind != TOKEN_INT) {
        ptxm_complain(p, &p->token, "expected a number before '%.*s'", TOKEN_ARG(&p->token));
        return false;
    }
    *value = (int64_t)(minus ? 0 - p->token.value : p->token.value);
    ptxm_advance(p);
    return true;
}

bool ptxm_name(struct parser *p, struct token *name)
{
    *name = p->token;
    if (p->token.kind != TOKEN_NAME) {
        ptxm_complain(p, &p->token, "expected a name before '%.*s'", TOKEN_ARG(&p->token));
        return false;
    }
    ptxm_advance(p);
    return true;
}

// To the end of this statement, so that parsing can go on.
void ptxm_skip_statement(struct parser *p)
{
    while (p->token.kind != TOKEN_END && !ptxm_at_punct(p, ';') && !ptxm_at_punct(p, '}') &&
           !ptxm_at_punct(p, '{'))
        ptxm_advance(p);
    ptxm_accept(p, ';');
}

static void skip_braces(struct parser *p)
{
    unsigned depth = 0;
    do {
        if (ptxm_at_punct(p, '{'))
            depth++;
        else if (ptxm_at_punct(p, '}'))
            depth--;
        ptxm_advance(p);
    } while (depth && p->token.kind != TOKEN_END);
    if (depth)
        ptxm_complain(p, &p->token, "the text ends where '}' is expected");
}

// The rest of a function whose head is not understood: to its body's end, or to the next directive
// if it has none.
static void skip_function(struct parser *p)
{
    while (p->token.kind != TOKEN_END && !ptxm_at_punct(p, ';') && !ptxm_at_punct(p, '{'))
        ptxm_advance(p);
    if (ptxm_at_punct(p, '{'))
        skip_braces(p);
}

// ---- symbols ------------------------------------------------------------------------------------

static uint32_t hash(const char *text, size_t length)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < length; i++) h = (h ^ (uint8_t)text[i]) * 16777619u;
    return h % SYMBOL_BUCKETS;
}

struct symbol *ptxm_symbol_find(struct parser *p, const char *text, size_t length)
{
    for (struct symbol *s = p->buckets[hash(text, length)]; s; s = s->next)
        if (s->length == length && !memcmp(s->name, text, length))
            return s;
    return NULL;
}

// Declares a name in the innermost scope; NULL (after a complaint) if it is there already.
struct symbol *ptxm_symbol_add(struct parser *p, const struct token *name, enum symbol_kind kind)
{
    struct symbol *old = ptxm_symbol_find(p, name->text, name->length);
    if (old && old->scope == p->scope) {
        ptxm_complain(p, name, "'%.*s' is declared twice", TOKEN_ARG(name));
        return NULL;
    }
    struct symbol *s = ptxm_arena_alloc(&p->module->arena, sizeof *s);
    char *copy = ptxm_arena_string(&p->module->arena, name->text, name->length);
    if (!s || !copy)
        return NULL;
    uint32_t bucket = hash(name->text, name->length);
    *s = (struct symbol){.name = copy, .length = name->length, .kind = kind, .scope = p->scope,
                         .bucket = bucket, .next = p->buckets[bucket], .older = p->newest};
    p->buckets[bucket] = s;
    p->newest = s;
    return s;
}

void ptxm_scope_leave(struct parser *p)
{
    while (p->newest && p->newest->scope == p->scope) {
        p->buckets[p->newest->bucket] = p->newest->next;
        p->newest = p->newest->older;
    }
    p->scope--;
}

// ---- parameters and functions -------------------------------------------------------------------

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static bool parameter(struct parser *p, struct function *f, bool returns)
{
    struct variable_head h;
    bool as_register = ptxm_accept_dot(p, "reg");
    struct token at = p->token;
    struct variable *v = NULL;
    if (as_register)
        v = ptxm_register_param(p, f);
    else if (!ptxm_accept_dot(p, "param"))
        ptxm_complain(p, &at, "expected .param before '%.*s'", TOKEN_ARG(&at));
    else if (ptxm_variable_head(p, &h))
        v = ptxm_variable(p, f->is_entry ? SPACE_PARAM : SPACE_FRAME_PARAM, &h, false);
    if (!v)
        return false;
    if (f->is_entry) {
        f->param_bytes = round_up(f->param_bytes, v->align);
        v->offset = f->param_bytes;
        f->param_bytes += v->size;
    }
    size_t *count = returns ? &f->return_count : &f->param_count;
    size_t most = returns ? sizeof f->returns / sizeof *f->returns
                          : sizeof f->params / sizeof *f->params;
    if (*count >= most || f->param_bytes > 32764) {
        ptxm_complain(p, &at, "too many parameters");
        return false;
    }
    (returns ? f->returns : f->params)[(*count)++] = v;
    return true;
}

static bool parameters(struct parser *p, struct function *f, bool returns)
{
    if (!ptxm_accept(p, '('))
        return true;
    if (ptxm_accept(p, ')'))
        return true;
    do {
        if (!parameter(p, f, returns))
            return false;
    } while (ptxm_accept(p, ','));
    return ptxm_expect(p, ')');
}

static bool thread_limits(struct parser *p, uint32_t limits[3])
{
    limits[0] = limits[1] = limits[2] = 1;
    for (int i = 0; i < 3; i++) {
        int64_t n;
        if (!ptxm_integer(p, &n))
            return false;
        if (n < 0 || n > 65535) {
            ptxm_complain(p, &p->last, "bad number of threads");
            return false;
        }
        limits[i] = (uint32_t)n;
        if (!ptxm_accept(p, ','))
            break;
    }
    return true;
}

enum { MAX_CLUSTER_RANK = 16 };

// The directives between a function's head and its body.
static bool performance_directives(struct parser *p, struct function *f)
{
    int64_t n;
    while (p->token.kind == TOKEN_DOT) {
        if (ptxm_accept_dot(p, "maxntid")) {
            if (!thread_limits(p, f->max_threads))
                return false;
        } else if (ptxm_accept_dot(p, "reqntid")) {
            if (!thread_limits(p, f->required_threads))
                return false;
        } else if (ptxm_accept_dot(p, "reqnctapercluster")) {
            if (!thread_limits(p, f->required_cluster))
                return false;
        } else if (ptxm_accept_dot(p, "explicitcluster")) {
            f->explicit_cluster = true;
        } else if (ptxm_accept_dot(p, "maxclusterrank")) {
            if (!ptxm_integer(p, &n))
                return false;
            f->max_cluster_rank = n < 0 || n > MAX_CLUSTER_RANK ? MAX_CLUSTER_RANK : (uint32_t)n;
        } else if (ptxm_accept_dot(p, "minnctapersm") || ptxm_accept_dot(p, "maxnreg") ||
                   ptxm_accept_dot(p, "maxnctapersm")) {
            if (!ptxm_integer(p, &n))
                return false;
        } else if (ptxm_accept_dot(p, "noreturn")) {
            continue;
        } else if (ptxm_accept_dot(p, "pragma")) {
            ptxm_skip_statement(p);
        } else {
            ptxm_complain(p, &p->token, "unknown directive '.%.*s' on a function",
                          TOKEN_ARG(&p->token));
            return false;
        }
    }
    return true;
}

static struct function *new_function(struct parser *p, bool entry)
{
    struct ptxm_module *m = p->module;
    struct function *f = ptxm_arena_alloc(&m->arena, sizeof *f);
    if (!f || !PTXM_GROW(&m->allocator, m->functions, m->function_count, m->function_capacity)) {
        m->arena.failed = true;
        return NULL;
    }
    f->is_entry = entry;
    f->frame_align = 16;
    f->index = (uint32_t)m->function_count;
    m->functions[m->function_count++] = f;
    return f;
}

// A prototype may come before the body: the body then fills the same function.
static bool name_function(struct parser *p, struct function *f, const struct token *name)
{
    struct symbol *old = ptxm_symbol_find(p, name->text, name->length);
    if (old && old->kind == SYMBOL_FUNCTION && !old->function->has_body) {
        f->name = old->name;
        old->function = f;
        return true;
    }
    unsigned scope = p->scope;
    struct symbol *newest;
    p->scope = 0;
    newest = ptxm_symbol_add(p, name, SYMBOL_FUNCTION);
    p->scope = scope;
    if (!newest)
        return false;
    newest->function = f;
    f->name = newest->name;
    return true;
}

static bool function_head(struct parser *p, struct function *f, struct token *name)
{
    // Returns are declared before the function's name is known; both live in its scope.
    return (f->is_entry || parameters(p, f, true)) && ptxm_name(p, name) &&
           parameters(p, f, false) && performance_directives(p, f);
}

static void function(struct parser *p, bool entry)
{
    struct token name;
    struct function *f = new_function(p, entry);
    if (!f)
        return;
    f->line = p->token.line;
    p->function = f;
    p->scope++;
    bool fine = function_head(p, f, &name);
    // The name belongs to the module's scope: enter it beneath this function's scope.
    if (fine) {
        f->has_body = ptxm_at_punct(p, '{');
        fine = ptxm_function_declare(p, f, &name, name_function);
    }
    if (fine && f->has_body)
        ptxm_body(p, f);
    else if (fine)
        ptxm_expect(p, ';');
    else
        skip_function(p);
    ptxm_scope_leave(p);
    p->function = NULL;
}

// Symbols of the function's scope are on top of the list: lift them, add the name, put them back.
bool ptxm_function_declare(struct parser *p, struct function *f, const struct token *name,
                           bool (*add)(struct parser *, struct function *, const struct token *))
{
    struct symbol *lifted = NULL;
    while (p->newest && p->newest->scope == p->scope) {
        struct symbol *s = p->newest;
        p->newest = s->older;
        p->buckets[s->bucket] = s->next;
        s->older = lifted;
        lifted = s;
    }
    bool fine = add(p, f, name);
    while (lifted) {
        struct symbol *s = lifted;
        lifted = s->older;
        s->older = p->newest;
        s->next = p->buckets[s->bucket];
        p->buckets[s->bucket] = s;
        p->newest = s;
    }
    return fine;
}

// ---- module directives --------------------------------------------------------------------------

static void version(struct parser *p)
{
    // 7.8 comes as one decimal; its text is taken apart, since 7.10 is not 7.1.
    unsigned major = 0, minor = 0;
    char text[16];
    snprintf(text, sizeof text, "%.*s", TOKEN_ARG(&p->token));
    if (p->token.kind == TOKEN_F64 && sscanf(text, "%u.%u", &major, &minor) == 2)
        p->module->version = major * 100 + minor;
    else
        ptxm_complain(p, &p->token, "expected a version like 7.8");
    ptxm_advance(p);
}

static void target(struct parser *p)
{
    struct token name;
    if (ptxm_name(p, &name)) {
        if (name.length < 4 || memcmp(name.text, "sm_", 3))
            ptxm_complain(p, &name, "unknown target '%.*s'", TOKEN_ARG(&name));
        p->module->target = ptxm_arena_string(&p->module->arena, name.text, name.length);
    }
    while (ptxm_accept(p, ',')) ptxm_advance(p);
}

static void file(struct parser *p)
{
    int64_t index, ignored;
    if (!ptxm_integer(p, &index))
        return;
    if (p->token.kind != TOKEN_STRING || index < 0 || index > 65535) {
        ptxm_complain(p, &p->token, "expected .file NUMBER \"NAME\"");
        return;
    }
    while ((size_t)index >= p->file_count) {
        if (!PTXM_GROW(&p->module->allocator, p->files, p->file_count, p->file_capacity)) {
            p->module->arena.failed = true;
            return;
        }
        p->files[p->file_count++] = NULL;
    }
    p->files[index] = ptxm_arena_string(&p->module->arena, p->token.text, p->token.length);
    ptxm_advance(p);
    while (ptxm_accept(p, ',') && ptxm_integer(p, &ignored)) {
    }
}

// .alias NAME, FUNCTION;
static void alias(struct parser *p)
{
    struct token name, target;
    if (!ptxm_name(p, &name) || !ptxm_expect(p, ',') || !ptxm_name(p, &target))
        return ptxm_skip_statement(p);
    struct symbol *s = ptxm_symbol_find(p, name.text, name.length);
    struct symbol *t = ptxm_symbol_find(p, target.text, target.length);
    if (!s || s->kind != SYMBOL_FUNCTION || !t || t->kind != SYMBOL_FUNCTION)
        ptxm_complain(p, s && s->kind == SYMBOL_FUNCTION ? &target : &name,
                      "the names of an .alias are functions that were declared before");
    else
        s->function->alias = t->function->name;
    ptxm_expect(p, ';');
}

// .section .debug_info { ... }: for debuggers, not for us.
static void section(struct parser *p)
{
    while (p->token.kind != TOKEN_END && !ptxm_at_punct(p, '{')) ptxm_advance(p);
    if (p->token.kind != TOKEN_END)
        skip_braces(p);
}

static void directive(struct parser *p)
{
    bool is_extern = false;
    int64_t n;
    while (p->token.kind == TOKEN_DOT &&
           (ptxm_token_is(&p->token, "visible") || ptxm_token_is(&p->token, "weak") ||
            ptxm_token_is(&p->token, "extern") || ptxm_token_is(&p->token, "common"))) {
        is_extern |= ptxm_token_is(&p->token, "extern");
        ptxm_advance(p);
    }
    if (ptxm_accept_dot(p, "version"))
        version(p);
    else if (ptxm_accept_dot(p, "target"))
        target(p);
    else if (ptxm_accept_dot(p, "address_size")) {
        struct token at = p->token;
        if (ptxm_integer(p, &n) && n != 64)
            ptxm_complain(p, &at, "only .address_size 64 is supported");
    } else if (ptxm_accept_dot(p, "file"))
        file(p);
    else if (ptxm_accept_dot(p, "entry"))
        function(p, true);
    else if (ptxm_accept_dot(p, "func"))
        function(p, false);
    else if (ptxm_accept_dot(p, "global"))
        ptxm_variables(p, SPACE_GLOBAL, is_extern);
    else if (ptxm_accept_dot(p, "const"))
        ptxm_variables(p, SPACE_CONST, is_extern);
    else if (ptxm_accept_dot(p, "shared"))
        ptxm_variables(p, SPACE_SHARED, is_extern);
    else if (ptxm_accept_dot(p, "pragma"))
        ptxm_skip_statement(p);
    else if (ptxm_accept_dot(p, "alias"))
        alias(p);
    else if (ptxm_accept_dot(p, "section"))
        section(p);
    else {
        ptxm_complain(p, &p->token, "expected a directive before '%.*s'", TOKEN_ARG(&p->token));
        ptxm_advance(p);
        ptxm_skip_statement(p);
    }
}

void ptxm_parse(struct parser *p)
{
    ptxm_advance(p);
    while (p->token.kind != TOKEN_END && p->errors < p->max_errors && !p->module->arena.failed) {
        if (ptxm_accept(p, ';'))
            continue;
        if (p->token.kind == TOKEN_DOT) {
            directive(p);
        } else {
            ptxm_complain(p, &p->token, "expected a directive before '%.*s'",
                          TOKEN_ARG(&p->token));
            ptxm_advance(p);
            ptxm_skip_statement(p);
        }
    }
    if (p->lexer.open_comment)
        ptxm_complain(p, &p->token, "the text ends within a comment");
    if (!p->failed && !p->module->version)
        ptxm_complain(p, &p->token, "the text has no .version: this is not PTX");
    else if (!p->failed && !p->module->target)
        ptxm_complain(p, &p->token, "the text has no .target");
}
