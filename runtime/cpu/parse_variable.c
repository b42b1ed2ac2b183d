// SPDX-License-Identifier: MIT
// Declarations of variables: heads, array sizes, initial values, places in a function's frame.
#include "parser_internal.h"

#include <string.h>

struct initialiser {
    struct variable *variable;
    unsigned bytes;
    uint64_t at;
    enum type type;
};

static bool initial_symbol(struct parser *p, struct initialiser *in)
{
    bool generic = ptxm_token_is(&p->token, "generic");
    struct token name;
    if (generic) {
        ptxm_advance(p);
        if (!ptxm_expect(p, '('))
            return false;
    }
    if (!ptxm_name(p, &name))
        return false;
    struct symbol *s = ptxm_symbol_find(p, name.text, name.length);
    if (!s || (s->kind != SYMBOL_VARIABLE && s->kind != SYMBOL_FUNCTION)) {
        ptxm_complain(p, &name, "'%.*s' is not a variable", TOKEN_ARG(&name));
        return false;
    }
    int64_t addend = 0;
    if (generic && !ptxm_expect(p, ')'))
        return false;
    if (ptxm_accept(p, '+') && !ptxm_integer(p, &addend))
        return false;
    struct relocation r = {.offset = in->at, .symbol = s->variable, .function = s->function,
                           .addend = addend, .generic = generic, .bytes = (uint8_t)in->bytes,
                           .within = in->variable};
    struct ptxm_module *m = p->module;
    if (!PTXM_GROW(&m->allocator, m->relocations, m->relocation_count, m->relocation_capacity))
        return m->arena.failed = true, false;
    m->relocations[m->relocation_count++] = r;
    return true;
}

static bool initial_value(struct parser *p, struct initialiser *in)
{
    uint64_t value = 0;
    if (in->at + in->bytes > in->variable->size) {
        ptxm_complain(p, &p->token, "too many initial values for '%s'", in->variable->name);
        return false;
    }
    if (p->token.kind == TOKEN_NAME) {
        if (!initial_symbol(p, in))
            return false;
    } else {
        bool minus = ptxm_accept(p, '-');
        value = p->token.value;
        if (p->token.kind == TOKEN_F64 && in->type == T_F32) {
            double d;
            memcpy(&d, &value, 8);
            float f = (float)d;
            uint32_t bits;
            memcpy(&bits, &f, 4);
            value = bits;
        } else if (p->token.kind != TOKEN_INT && p->token.kind != TOKEN_F32 &&
                   p->token.kind != TOKEN_F64) {
            ptxm_complain(p, &p->token, "expected a value before '%.*s'", TOKEN_ARG(&p->token));
            return false;
        }
        if (minus)
            value = ptxm_type_class(in->type) == 'f' ? value ^ (uint64_t)1 << (in->bytes * 8 - 1)
                                                     : 0 - value;
        ptxm_advance(p);
        memcpy(in->variable->initial + in->at, &value, in->bytes > 8 ? 8 : in->bytes);
    }
    in->at += in->bytes;
    return true;
}

static bool initial_list(struct parser *p, struct initialiser *in, unsigned depth)
{
    if (!ptxm_at_punct(p, '{'))
        return initial_value(p, in);
    if (depth > 8) {
        ptxm_complain(p, &p->token, "initial values nested too deeply");
        return false;
    }
    ptxm_advance(p);
    if (ptxm_accept(p, '}'))
        return true;
    do {
        if (!initial_list(p, in, depth + 1))
            return false;
    } while (ptxm_accept(p, ','));
    return ptxm_expect(p, '}');
}

// No device has more memory; a thread has no more local memory.
#define MOST_BYTES ((uint64_t)1 << 38)
enum { MOST_LOCAL_BYTES = 512 * 1024 };

static bool array_size(struct parser *p, uint64_t *size)
{
    while (ptxm_accept(p, '[')) {
        int64_t n = 0;
        struct token at = p->token;
        if (!ptxm_at_punct(p, ']') && !ptxm_integer(p, &n))
            return false;
        if (n < 0 || (n && *size > MOST_BYTES) ||
            (n && (uint64_t)n > MOST_BYTES / (*size ? *size : 1))) {
            ptxm_complain(p, &at, "array of %lld elements is too large", (long long)n);
            return false;
        }
        *size *= (uint64_t)n;
        if (!ptxm_expect(p, ']'))
            return false;
    }
    return true;
}

static bool fits_frame(struct parser *p, enum space space, const struct token *name, uint64_t size)
{
    if (!p->function || (space != SPACE_LOCAL && space != SPACE_FRAME_PARAM))
        return true;
    uint64_t bytes = p->function->frame_bytes + size;
    if (bytes > MOST_LOCAL_BYTES)
        ptxm_complain(p, name, "%llu bytes of local memory are more than the %d that a thread has",
                      (unsigned long long)bytes, MOST_LOCAL_BYTES);
    return bytes <= MOST_LOCAL_BYTES;
}

static void keep_variable(struct parser *p, struct variable *v)
{
    struct ptxm_module *m = p->module;
    if (m->last_variable)
        m->last_variable->next = v;
    else
        m->variables = v;
    m->last_variable = v;
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

// Gives a frame, local or parameter variable its place.
void ptxm_place_in_frame(struct function *f, struct variable *v)
{
    if (v->align > f->frame_align)
        f->frame_align = v->align;
    size_t *end = v->space == SPACE_LOCAL ? &f->frame_bytes : &f->frame_params;
    *end = round_up(*end, v->align);
    v->offset = *end;
    *end += v->size;
}

// .align 8 .v4 .f32 .ptr .global .align 16, in any order that PTX uses
bool ptxm_variable_head(struct parser *p, struct variable_head *h)
{
    *h = (struct variable_head){.vector = 1};
    while (p->token.kind == TOKEN_DOT) {
        struct token at = p->token;
        int64_t n;
        if (ptxm_accept_dot(p, "align")) {
            if (!ptxm_integer(p, &n))
                return false;
            if (n < 1 || n > 65536 || (n & (n - 1))) {
                ptxm_complain(p, &at, ".align %lld is not a power of two", (long long)n);
                return false;
            }
            if (!h->pointer)
                h->align = (uint32_t)n;
        } else if (ptxm_accept_dot(p, "v2")) {
            h->vector = 2;
        } else if (ptxm_accept_dot(p, "v4")) {
            h->vector = 4;
        } else if (ptxm_accept_dot(p, "ptr")) {
            h->pointer = true;
        } else if (h->pointer && (ptxm_accept_dot(p, "global") || ptxm_accept_dot(p, "shared") ||
                                  ptxm_accept_dot(p, "const") || ptxm_accept_dot(p, "local") ||
                                  ptxm_accept_dot(p, "generic"))) {
            continue;
        } else if (ptxm_accept_dot(p, "attribute")) {
            while (p->token.kind != TOKEN_END && !ptxm_accept(p, ')')) ptxm_advance(p);
        } else if (ptxm_accept_dot(p, "texref") || ptxm_accept_dot(p, "samplerref") ||
                   ptxm_accept_dot(p, "surfref")) {
            // Opaque, and in the way of nobody but those who use it: see refusal.c.
            h->type = T_B64;
            h->opaque = true;
        } else if ((h->type = ptxm_type_parse(at.text, at.length)) != T_NONE) {
            ptxm_advance(p);
        } else {
            ptxm_complain(p, &at, "unknown '.%.*s' in a declaration", TOKEN_ARG(&at));
            return false;
        }
    }
    if (h->type == T_NONE)
        ptxm_complain(p, &p->token, "expected a type before '%.*s'", TOKEN_ARG(&p->token));
    return h->type != T_NONE;
}

static bool set_initial(struct parser *p, struct variable *v, enum type type)
{
    if (!ptxm_accept(p, '='))
        return true;
    if (v->space != SPACE_GLOBAL && v->space != SPACE_CONST) {
        ptxm_complain(p, &p->last, "only .global and .const variables have initial values");
        return false;
    }
    if (v->size > (uint64_t)1 << 28) {
        ptxm_complain(p, &p->last, "the variable is too large for initial values");
        return false;
    }
    v->initial = ptxm_arena_alloc(&p->module->arena, v->size);
    struct initialiser in = {v, ptxm_type_bits(type) / 8, 0, type};
    return v->initial && in.bytes && initial_list(p, &in, 0);
}

// = {addr_mode_0 = clamp_to_border, ...}: properties of a texture or a sampler.
static void skip_properties(struct parser *p)
{
    while (p->token.kind != TOKEN_END && !ptxm_at_punct(p, ';') && !ptxm_at_punct(p, ','))
        if (ptxm_at_punct(p, '{'))
            while (p->token.kind != TOKEN_END && !ptxm_accept(p, '}')) ptxm_advance(p);
        else
            ptxm_advance(p);
}

// One declared variable after its head: name, array sizes, initial values.
struct variable *ptxm_variable(struct parser *p, enum space space, const struct variable_head *h,
                                      bool is_extern)
{
    struct token name;
    if (!ptxm_name(p, &name))
        return NULL;
    struct symbol *old = ptxm_symbol_find(p, name.text, name.length);
    uint64_t size = ptxm_type_bits(h->type) / 8 * h->vector;
    struct variable *v = ptxm_arena_alloc(&p->module->arena, sizeof *v);
    if (!v || !array_size(p, &size) || !fits_frame(p, space, &name, size))
        return NULL;
    *v = (struct variable){.space = space, .size = size, .line = name.line,
                           .align = h->align ? h->align : ptxm_type_bits(h->type) / 8 * h->vector,
                           .is_extern = is_extern, .owner = p->function,
                           .pointer_param = h->pointer};
    if (!v->align)
        v->align = 1;
    // An extern declaration may be repeated, and be followed by the definition.
    if (old && old->scope == p->scope && old->kind == SYMBOL_VARIABLE &&
        old->variable->is_extern && old->variable->space == space) {
        v->name = old->name;
        if (!is_extern) {
            struct variable *next = old->variable->next;
            *old->variable = *v;
            old->variable->next = next;
        }
        v = old->variable;
    } else {
        struct symbol *s = ptxm_symbol_add(p, &name, SYMBOL_VARIABLE);
        if (!s)
            return NULL;
        v->name = s->name;
        s->variable = v;
        if (space == SPACE_GLOBAL || space == SPACE_CONST || space == SPACE_SHARED)
            keep_variable(p, v);
        else if (space != SPACE_PARAM && p->function)
            ptxm_place_in_frame(p->function, v);
    }
    if (h->opaque) {
        skip_properties(p);
        return v;
    }
    return set_initial(p, v, h->type) ? v : NULL;
}

void ptxm_variables(struct parser *p, enum space space, bool is_extern)
{
    struct variable_head h;
    if (!ptxm_variable_head(p, &h)) {
        ptxm_skip_statement(p);
        return;
    }
    do {
        if (!ptxm_variable(p, space, &h, is_extern)) {
            ptxm_skip_statement(p);
            return;
        }
    } while (ptxm_accept(p, ','));
    if (!ptxm_expect(p, ';'))
        ptxm_skip_statement(p);
}
