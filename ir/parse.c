// SPDX-License-Identifier: MIT
// The parser's entry: tokens, recovery, and the kernels of a file. parse.h says how its files work
// together.
#include "ir/parse.h"
#include <string.h>

// ---- tokens ------------------------------------------------------------------------------------
void kg_advance(kg_parser *p)
{
    p->token = p->ahead;
    if (p->ahead.kind != KG_T_END) p->ahead = kg_lexer_next(&p->lexer);
}

bool kg_accept(kg_parser *p, int kind)
{
    if (p->token.kind != kind) return false;
    kg_advance(p);
    return true;
}

bool kg_at_word(const kg_parser *p, const char *word)
{
    return p->token.kind == KG_T_NAME && p->token.text[0] == word[0] &&
           !strcmp(p->token.text, word);
}

bool kg_accept_word(kg_parser *p, const char *word)
{
    if (!kg_at_word(p, word)) return false;
    kg_advance(p);
    return true;
}

const char *kg_token_text(kg_parser *p, const kg_token *token)
{
    if (token->kind == KG_T_END) return "the end of the file";
    if (token->kind == KG_T_NEWLINE) return "the end of the line";
    if (token->text) return kg_arena_printf(p->arena, "'%.60s'", token->text);
    if (token->kind == KG_T_INT || token->kind == KG_T_FLOAT) return "a number";
    int a = (token->kind - KG_T_PUNCT) & 255, b = (token->kind - KG_T_PUNCT) >> 8;
    if (token->kind > KG_T_PUNCT)
        return b ? kg_arena_printf(p->arena, "'%c%c'", a, b) : kg_arena_printf(p->arena, "'%c'", a);
    return "this";
}

void kg_unexpected(kg_parser *p, const char *wanted)
{
    if (p->panic) return;
    p->panic = true;
    if (p->token.kind == KG_T_BAD) return; // the lexer has said it
    kg_diag_id id = p->token.kind == KG_T_END ? KG_D_P002 : KG_D_P001;
    kg_error(p->diags, id, p->token.loc, "unexpected %s, expected %s", kg_token_text(p, &p->token),
             wanted);
}

bool kg_expect(kg_parser *p, int kind, const char *what)
{
    if (p->panic) return false;
    if (kg_accept(p, kind)) return true;
    kg_unexpected(p, what);
    return false;
}

void kg_skip_newlines(kg_parser *p)
{
    while (p->token.kind == KG_T_NEWLINE) kg_advance(p);
}

// Skips to the end of the statement, over blocks that belong to it, and ends the panic.
void kg_recover(kg_parser *p)
{
    int depth = 0;
    p->lexer.brackets = 0;
    for (; p->token.kind != KG_T_END; kg_advance(p)) {
        if (p->token.kind == KG_P1('{')) depth++;
        if (depth == 0 && (p->token.kind == KG_T_NEWLINE || p->token.kind == KG_P1('}'))) break;
        if (p->token.kind == KG_P1('}')) depth--;
    }
    p->panic = false;
    p->nesting = 0;
}

// ---- kernels -----------------------------------------------------------------------------------
static void skip_to_kernel(kg_parser *p)
{
    p->lexer.brackets = 0;
    while (p->token.kind != KG_T_END && !kg_at_word(p, "kernel")) kg_advance(p);
    p->panic = false;
}

static void append_kernel(kg_parser *p)
{
    kg_kernel **end = &p->unit->kernels;
    for (; *end; end = &(*end)->next)
        if (!strcmp((*end)->name, p->kernel->name)) {
            kg_diag *d = kg_error(p->diags, KG_D_P007, p->kernel->loc,
                                  "kernel '%s' is defined twice", p->kernel->name);
            kg_diag_note(p->diags, d, (*end)->loc, "the first definition is here");
        }
    *end = p->kernel;
}

static void kernel(kg_parser *p)
{
    kg_scope scope;
    p->kernel = KG_NEW(p->arena, kg_kernel);
    p->kernel->unit = p->unit;
    p->kernel->warps = 4;
    p->kernel->body = KG_NEW(p->arena, kg_block);
    p->kernel->body->kernel = p->kernel;
    p->layouts = NULL;
    p->n_layouts = 0;
    p->n_buckets = 256;
    p->buckets = KG_NEW_ARRAY(p->arena, kg_symbol *, p->n_buckets);
    kg_scope_enter(p, &scope);
    if (kg_kernel_header(p)) {
        append_kernel(p);
        kg_block_read(p, p->kernel->body);
    }
    kg_scope_leave(p);
    if (p->panic || (p->token.kind != KG_T_NEWLINE && p->token.kind != KG_T_END)) {
        if (!p->panic) kg_unexpected(p, "the end of the kernel");
        skip_to_kernel(p);
    }
}

// The first few will do: a reader wants to see how they look.
static void help_with_constants(kg_parser *p, kg_diag *d)
{
    enum { MOST = 12 };
    const char *list = "";
    for (int i = 0; i < p->constants.count && i < MOST; i++)
        list = kg_arena_printf(p->arena, "%s%s%s", list, i ? ", " : "", p->constants.items[i]);
    if (!p->constants.count)
        kg_diag_help(p->diags, d, "a constant is defined in a kernel's header: const N = 1");
    else
        kg_diag_help(p->diags, d, "there are: %s%s", list, p->constants.count > MOST ? ", .." : "");
}

static void unused_defines(kg_parser *p)
{
    for (int i = 0; i < p->n_defines; i++) {
        if (p->define_used[i]) continue;
        const char *name = p->defines[i].name;
        kg_diag *d = kg_error(p->diags, KG_D_P012, (kg_loc){.source = p->lexer.source},
                              "-D %s names no constant or type of any kernel", name);
        const char *nearest = kg_nearest_name(name, p->constants.items, p->constants.count);
        if (nearest)
            kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
        else
            help_with_constants(p, d);
    }
}

static bool is_text(kg_parser *p, const kg_source *source)
{
    if (source->length > KG_LARGEST_SOURCE) {
        kg_error(p->diags, KG_D_P011, (kg_loc){.source = source},
                 "the file has %zu bytes, the limit is %d", source->length, KG_LARGEST_SOURCE);
        return false;
    }
    for (size_t i = 0; i < source->length; i++) {
        unsigned char c = (unsigned char)source->text[i];
        if ((c >= 32 && c != 127) || c == '\n' || c == '\t' || c == '\r' || c == '\f') continue;
        kg_diag *d = kg_error(p->diags, KG_D_P008, (kg_loc){.source = source},
                              "this is not a text file: byte 0x%02x at offset %zu", c, i);
        kg_diag_help(p->diags, d, "kernels are written in .kg text files");
        return false;
    }
    return true;
}

kg_unit *kg_parse(kg_arena *arena, kg_diags *diags, const kg_source *source,
                  const kg_define *defines, int n_defines)
{
    int errors = diags->errors;
    kg_parser *p = KG_NEW(arena, kg_parser);
    p->arena = arena;
    p->diags = diags;
    p->defines = defines;
    p->n_defines = n_defines;
    p->define_used = KG_NEW_ARRAY(arena, bool, n_defines);
    p->unit = KG_NEW(arena, kg_unit);
    *p->unit = (kg_unit){.arena = arena, .diags = diags, .source = source};
    if (!is_text(p, source)) return NULL;
    kg_lexer_init(&p->lexer, arena, diags, source);
    p->ahead = kg_lexer_next(&p->lexer);
    kg_advance(p);
    kg_skip_newlines(p);
    if (p->token.kind == KG_T_END)
        kg_error(diags, KG_D_P002, p->token.loc, "no kernel in this file");
    while (p->token.kind != KG_T_END) {
        if (!kg_accept_word(p, "kernel")) {
            kg_unexpected(p, "'kernel'");
            skip_to_kernel(p);
        } else {
            kernel(p);
        }
        kg_skip_newlines(p);
    }
    unused_defines(p);
    return diags->errors == errors ? p->unit : NULL;
}
