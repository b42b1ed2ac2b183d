// SPDX-License-Identifier: MIT
// Function bodies: declarations, labels, and statements with their operands.
//
// Every name is resolved here (registers, variables, special registers); labels at the end of the
// scope that holds them, since inline assembly repeats them from scope to scope.
#include "parser_internal.h"

#include <stdio.h>
#include <string.h>

static void out_of_memory(struct parser *p)
{
    p->module->arena.failed = true;
}

// ---- registers ----------------------------------------------------------------------------------

int32_t ptxm_new_registers(struct parser *p, enum type type, uint32_t count)
{
    struct function *f = p->function;
    int32_t first = (int32_t)f->reg_count;
    for (uint32_t i = 0; i < count; i++) {
        if (!PTXM_GROW(&p->module->allocator, f->regs, f->reg_count, f->reg_capacity)) {
            out_of_memory(p);
            return -1;
        }
        f->regs[f->reg_count++] = (struct reg){.type = (uint8_t)type};
    }
    return first;
}

static bool register_declaration(struct parser *p, enum type type, unsigned vector)
{
    struct token name;
    int64_t count = 1;
    if (!ptxm_name(p, &name))
        return false;
    bool range = ptxm_accept(p, '<');
    if (range && (!ptxm_integer(p, &count) || !ptxm_expect(p, '>')))
        return false;
    if (count < 0 || count + p->function->reg_count > 1000000) {
        ptxm_complain(p, &name, "%lld registers are too many", (long long)count);
        return false;
    }
    if (vector && range) {
        ptxm_complain(p, &name, "vector registers are declared one by one");
        return false;
    }
    struct symbol *s = ptxm_symbol_add(p, &name, vector ? SYMBOL_REG_VECTOR
                                               : range  ? SYMBOL_REG_RANGE : SYMBOL_REG);
    if (!s)
        return false;
    s->count = vector ? vector : (uint32_t)count;
    s->index = ptxm_new_registers(p, type, s->count);
    return s->index >= 0;
}

static void registers(struct parser *p)
{
    unsigned vector = ptxm_accept_dot(p, "v2") ? 2 : ptxm_accept_dot(p, "v4") ? 4 : 0;
    struct token at = p->token;
    enum type type = at.kind == TOKEN_DOT ? ptxm_type_parse(at.text, at.length) : T_NONE;
    if (type == T_NONE) {
        ptxm_complain(p, &at, "'%.*s' is no register type", TOKEN_ARG(&at));
        ptxm_skip_statement(p);
        return;
    }
    ptxm_advance(p);
    do {
        if (!register_declaration(p, type, vector)) {
            ptxm_skip_statement(p);
            return;
        }
    } while (ptxm_accept(p, ','));
    if (!ptxm_expect(p, ';'))
        ptxm_skip_statement(p);
}

// %r12 of .reg .b32 %r<20>: every split into prefix and number is tried.
static int32_t find_in_range(struct parser *p, const struct token *t)
{
    uint64_t number = 0, scale = 1;
    size_t split = t->length;
    while (split > 1 && t->text[split - 1] >= '0' && t->text[split - 1] <= '9' &&
           t->length - split < 9) {
        split--;
        number += (uint64_t)(t->text[split] - '0') * scale;
        scale *= 10;
        struct symbol *s = ptxm_symbol_find(p, t->text, split);
        if (s && s->kind == SYMBOL_REG_RANGE && number < s->count)
            return s->index + (int32_t)number;
    }
    return -1;
}

static int find_special(const struct token *name, const struct token *component)
{
    static const char *const names[SPECIAL_COUNT] = {
#define X(id, text) text,
        PTXM_SPECIALS(X)
#undef X
    };
    static const char *const late[] = {"%clock", "%clock_hi", "%globaltimer_lo", "%globaltimer_hi",
                                       "%clock64", "%globaltimer", "%gridid"};
    char text[64];
    if (component)
        snprintf(text, sizeof text, "%.*s.%.*s", TOKEN_ARG(name), TOKEN_ARG(component));
    else
        snprintf(text, sizeof text, "%.*s", TOKEN_ARG(name));
    for (int i = 0; i < SPECIAL_COUNT; i++)
        if (!strcmp(text, names[i]))
            return i;
    for (int i = 0; i < (int)(sizeof late / sizeof *late); i++)
        if (!strcmp(text, late[i]))
            return SPECIAL_COUNT + i;
    return -1;
}

// ---- operands -----------------------------------------------------------------------------------

static bool operand(struct parser *p, struct operand *o, unsigned depth);

// Registers of the driver's that are the same for every launch here. The first kilobyte of shared
// memory is the system's, as on the hardware; nothing is in it.
static bool fixed_special(const struct token *name, int64_t *value)
{
    static const struct { const char *name; int64_t value; } fixed[] = {
        {"%reserved_smem_offset_begin", 0}, {"%reserved_smem_offset_end", SHARED_START},
        {"%reserved_smem_offset_cap", SHARED_START}, {"%reserved_smem_offset_", 0},
        {"%envreg", 0},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        size_t length = strlen(fixed[i].name), digits = name->length - length;
        if (name->length < length || memcmp(name->text, fixed[i].name, length) || digits > 2)
            continue;
        *value = fixed[i].value;
        return digits == 0 || (name->text[length] >= '0' && name->text[length] <= '9');
    }
    return false;
}

static bool special_operand(struct parser *p, struct operand *o)
{
    struct token component = p->token;
    bool with_component = component.kind == TOKEN_DOT;
    o->index = find_special(&o->token, with_component ? &component : NULL);
    p->module->cooperative |= o->index == SPECIAL_ENVREG1 || o->index == SPECIAL_ENVREG2;
    if (o->index < 0 && fixed_special(&o->token, &o->value))
        return o->kind = OPERAND_INT, true;
    if (o->index < 0) {
        ptxm_complain(p, &o->token, "unknown register '%.*s'", TOKEN_ARG(&o->token));
        return false;
    }
    if (with_component)
        ptxm_advance(p);
    o->kind = OPERAND_SPECIAL;
    return true;
}

// v, or one of its elements v.x
static bool vector_operand(struct parser *p, const struct symbol *s, struct operand *o)
{
    static const char letters[] = "xyzwrgba";
    if (p->token.kind == TOKEN_DOT) {
        const char *at = p->token.length == 1 ? strchr(letters, *p->token.text) : NULL;
        if (!at || (uint32_t)(at - letters) % 4 >= s->count) {
            ptxm_complain(p, &p->token, "'%s' has no element '.%.*s'", s->name,
                          TOKEN_ARG(&p->token));
            return false;
        }
        o->kind = OPERAND_REG;
        o->index = s->index + (int32_t)(at - letters) % 4;
        ptxm_advance(p);
        return true;
    }
    o->kind = OPERAND_VECTOR;
    o->count = s->count;
    o->elements = ptxm_arena_alloc(&p->module->arena, o->count * sizeof *o->elements);
    for (uint32_t i = 0; o->elements && i < s->count; i++)
        o->elements[i] = (struct operand){.kind = OPERAND_REG, .index = s->index + (int32_t)i,
                                          .token = o->token};
    return o->elements != NULL;
}

static bool name_operand(struct parser *p, struct operand *o)
{
    struct token name = p->token;
    ptxm_advance(p);
    struct symbol *s = ptxm_symbol_find(p, name.text, name.length);
    if (ptxm_token_is(&name, "_")) {
        o->kind = OPERAND_SINK;
        return true;
    }
    if (ptxm_token_is(&name, "WARP_SZ")) {
        o->kind = OPERAND_INT;
        o->value = LANES;
        return true;
    }
    if (s && s->kind == SYMBOL_REG_VECTOR)
        return vector_operand(p, s, o);
    if (s && s->kind == SYMBOL_REG) {
        o->kind = OPERAND_REG;
        o->index = s->index;
    } else if (s && s->kind == SYMBOL_VARIABLE) {
        o->kind = OPERAND_SYMBOL;
        o->variable = s->variable;
    } else if (s && s->kind == SYMBOL_FUNCTION) {
        o->kind = OPERAND_FUNCTION;
        o->function = s->function;
    } else if ((o->index = find_in_range(p, &name)) >= 0) {
        o->kind = OPERAND_REG;
    } else if (name.text[0] == '%') {
        return special_operand(p, o);
    } else {
        o->kind = OPERAND_LABEL;
    }
    if (o->kind == OPERAND_REG && p->token.kind == TOKEN_DOT) {
        ptxm_complain(p, &p->token, "'.%.*s' selects a part of a register, as video instructions "
                      "do: they are not supported", TOKEN_ARG(&p->token));
        return false;
    }
    return true;
}

static bool number_operand(struct parser *p, struct operand *o)
{
    bool minus = ptxm_accept(p, '-');
    bool invert = !minus && ptxm_accept(p, '~');
    o->value = (int64_t)p->token.value;
    if (p->token.kind == TOKEN_INT) {
        o->kind = OPERAND_INT;
        o->value = minus ? (int64_t)(0 - p->token.value) : o->value;
        o->value = invert ? ~o->value : o->value;
    } else if (p->token.kind == TOKEN_F32 || p->token.kind == TOKEN_F64) {
        bool single = p->token.kind == TOKEN_F32;
        o->kind = single ? OPERAND_F32 : OPERAND_F64;
        if (minus)
            o->value ^= single ? (int64_t)0x80000000 : INT64_MIN;
    } else {
        ptxm_complain(p, &p->token, "expected an operand before '%.*s'", TOKEN_ARG(&p->token));
        return false;
    }
    ptxm_advance(p);
    return true;
}

// {a, b}, (a, b): elements up to `close`.
static bool elements(struct parser *p, struct operand *o, char close, unsigned depth)
{
    struct operand list[256];
    ptxm_advance(p);
    if (depth > 4) {
        ptxm_complain(p, &p->token, "operands nested too deeply");
        return false;
    }
    if (!ptxm_at_punct(p, close)) {
        do {
            if (o->count == sizeof list / sizeof *list) {
                ptxm_complain(p, &p->token, "too many elements");
                return false;
            }
            if (!operand(p, &list[o->count++], depth + 1))
                return false;
        } while (ptxm_accept(p, ','));
    }
    o->elements = ptxm_arena_alloc(&p->module->arena, (o->count + 1) * sizeof *list);
    if (!o->elements)
        return false;
    memcpy(o->elements, list, o->count * sizeof *list);
    return ptxm_expect(p, close);
}

// [base], [base+4], [base+-4], [4], [a, {b, c}]
static bool address(struct parser *p, struct operand *o, unsigned depth)
{
    o->kind = OPERAND_ADDRESS;
    if (!elements(p, o, ']', depth))
        return false;
    if (!o->count) {
        ptxm_complain(p, &o->token, "an address is missing");
        return false;
    }
    return true;
}

static bool operand(struct parser *p, struct operand *o, unsigned depth)
{
    *o = (struct operand){.token = p->token};
    bool fine;
    if (ptxm_at_punct(p, '{')) {
        o->kind = OPERAND_VECTOR;
        return elements(p, o, '}', depth);
    }
    if (ptxm_at_punct(p, '('))
        return o->kind = OPERAND_LIST, elements(p, o, ')', depth);
    if (ptxm_at_punct(p, '['))
        return address(p, o, depth);
    o->negated = ptxm_accept(p, '!');
    fine = p->token.kind == TOKEN_NAME ? name_operand(p, o) : number_operand(p, o);
    if (!fine)
        return false;
    // Address arithmetic: sym+4, %r+-4, 16-4. ptxas refuses %r-4, and so does this.
    if (o->kind != OPERAND_INT && ptxm_at_punct(p, '-')) {
        ptxm_complain(p, &p->token, "nothing is subtracted from a name: write it as +-");
        return false;
    }
    while (ptxm_at_punct(p, '+') || ptxm_at_punct(p, '-')) {
        bool minus = ptxm_at_punct(p, '-');
        int64_t n;
        ptxm_advance(p);
        if (!ptxm_integer(p, &n))
            return false;
        o->value = (int64_t)((uint64_t)o->value + (uint64_t)(minus ? -(uint64_t)n : (uint64_t)n));
    }
    if (depth == 0 && ptxm_accept(p, '|')) {
        o->second = ptxm_arena_alloc(&p->module->arena, sizeof *o);
        return o->second && operand(p, o->second, 1);
    }
    return true;
}

// ---- statements ---------------------------------------------------------------------------------

static bool guard(struct parser *p, struct statement *s)
{
    struct operand o;
    if (!ptxm_accept(p, '@'))
        return true;
    if (!operand(p, &o, 1))
        return false;
    if (o.kind != OPERAND_REG || p->function->regs[o.index].type != T_PRED) {
        ptxm_complain(p, &o.token, "'%.*s' is no predicate register", TOKEN_ARG(&o.token));
        return false;
    }
    s->guard = o.index;
    s->guard_negated = o.negated;
    return true;
}

static bool opcode(struct parser *p, struct statement *s)
{
    if (!ptxm_name(p, &s->opcode))
        return false;
    const char *end = s->opcode.text + s->opcode.length;
    while (p->token.kind == TOKEN_DOT) {
        if (s->modifier_count == MAX_MODIFIERS) {
            ptxm_complain(p, &p->token, "too many modifiers");
            return false;
        }
        end = p->token.text + p->token.length;
        s->modifiers[s->modifier_count++] = p->token;
        ptxm_advance(p);
    }
    size_t length = (size_t)(end - s->opcode.text);
    s->text = ptxm_arena_string(&p->module->arena, s->opcode.text, length > 100 ? 100 : length);
    return s->text != NULL;
}

static bool instruction(struct parser *p, struct statement *s)
{
    *s = (struct statement){.guard = -1};
    if (!guard(p, s) || !opcode(p, s))
        return false;
    while (!ptxm_at_punct(p, ';')) {
        if (s->operand_count == MAX_OPERANDS) {
            ptxm_complain(p, &p->token, "too many operands");
            return false;
        }
        if (!operand(p, &s->operands[s->operand_count++], 0))
            return false;
        if (!ptxm_accept(p, ','))
            break;
    }
    return ptxm_expect(p, ';') && ptxm_decode(p, p->function, s);
}

// , function_name NAME{+N}, inlined_at FILE LINE COLUMN: no semicolon ends them
static bool location_attributes(struct parser *p)
{
    while (ptxm_accept(p, ',')) {
        struct token name;
        int64_t n;
        bool inlined = ptxm_token_is(&p->token, "inlined_at");
        if (!ptxm_name(p, &name))
            return false;
        if (inlined && (!ptxm_integer(p, &n) || !ptxm_integer(p, &n) || !ptxm_integer(p, &n)))
            return false;
        if (!inlined && (!ptxm_name(p, &name) || (ptxm_accept(p, '+') && !ptxm_integer(p, &n))))
            return false;
    }
    return true;
}

static void location(struct parser *p)
{
    struct ptxm_module *m = p->module;
    int64_t file, line, column;
    if (!ptxm_integer(p, &file) || !ptxm_integer(p, &line) || !ptxm_integer(p, &column))
        return;
    if (!location_attributes(p))
        return;
    if (!PTXM_GROW(&m->allocator, m->locations, m->location_count, m->location_capacity))
        return out_of_memory(p);
    // .file may stand at the end of the text: the index is kept and resolved after parsing.
    m->locations[m->location_count++] = (struct location){(const char *)(uintptr_t)file,
                                                          (uint32_t)line};
    p->location = (uint32_t)m->location_count;
}

static void branch_targets(struct parser *p, const struct token *name)
{
    struct symbol *s = ptxm_symbol_add(p, name, SYMBOL_TARGETS);
    struct token list[512];
    size_t count = 0;
    do {
        if (count == sizeof list / sizeof *list) {
            ptxm_complain(p, &p->token, "too many branch targets");
            return ptxm_skip_statement(p);
        }
        if (!ptxm_name(p, &list[count++]))
            return ptxm_skip_statement(p);
    } while (ptxm_accept(p, ','));
    ptxm_accept(p, ';');
    if (!s)
        return;
    s->targets = ptxm_arena_alloc(&p->module->arena, count * sizeof *list);
    s->count = (uint32_t)count;
    if (s->targets)
        memcpy(s->targets, list, count * sizeof *list);
}

static void label(struct parser *p, const struct token *name)
{
    if (ptxm_accept_dot(p, "branchtargets"))
        return branch_targets(p, name);
    if (ptxm_accept_dot(p, "callprototype") || ptxm_accept_dot(p, "calltargets")) {
        ptxm_symbol_add(p, name, SYMBOL_PROTOTYPE);
        return ptxm_skip_statement(p);
    }
    struct symbol *s = ptxm_symbol_add(p, name, SYMBOL_LABEL);
    if (s)
        s->index = (int32_t)p->module->op_count;
}

const struct token *ptxm_parser_targets(struct parser *p, const struct token *name, size_t *count)
{
    struct symbol *s = ptxm_symbol_find(p, name->text, name->length);
    if (!s || s->kind != SYMBOL_TARGETS) {
        ptxm_complain(p, name, "'%.*s' is no .branchtargets list", TOKEN_ARG(name));
        return NULL;
    }
    *count = s->count;
    return s->targets;
}

bool ptxm_parser_label(struct parser *p, const struct token *name, uint32_t op, int entry)
{
    if (!PTXM_GROW(&p->module->allocator, p->fixups, p->fixup_count, p->fixup_capacity))
        return out_of_memory(p), false;
    p->fixups[p->fixup_count++] = (struct fixup){*name, op, entry};
    return true;
}

// Labels of the scope that ends here get their branches; the rest waits for the scope around.
static void resolve_labels(struct parser *p, size_t first_fixup, bool last)
{
    size_t kept = first_fixup;
    for (size_t i = first_fixup; i < p->fixup_count; i++) {
        struct fixup *fix = &p->fixups[i];
        struct symbol *s = ptxm_symbol_find(p, fix->name.text, fix->name.length);
        bool label_here = s && s->kind == SYMBOL_LABEL && s->scope >= p->scope;
        if (!label_here) {
            if (last)
                ptxm_complain(p, &fix->name, "there is no label '%.*s'", TOKEN_ARG(&fix->name));
            p->fixups[kept++] = *fix;
            continue;
        }
        struct op *op = &p->module->ops[fix->op];
        if (fix->entry < 0)
            op->target = (uint32_t)s->index;
        else
            op->target_list[fix->entry] = (uint64_t)s->index;
    }
    p->fixup_count = last ? first_fixup : kept;
}

static bool body_directive(struct parser *p)
{
    if (ptxm_accept_dot(p, "reg"))
        registers(p);
    else if (ptxm_accept_dot(p, "loc"))
        location(p);
    else if (ptxm_accept_dot(p, "local"))
        ptxm_variables(p, SPACE_LOCAL, false);
    else if (ptxm_accept_dot(p, "shared"))
        ptxm_variables(p, SPACE_SHARED, false);
    else if (ptxm_accept_dot(p, "param"))
        ptxm_variables(p, SPACE_FRAME_PARAM, false);
    else if (ptxm_accept_dot(p, "global"))
        ptxm_variables(p, SPACE_GLOBAL, false);
    else if (ptxm_accept_dot(p, "const"))
        ptxm_variables(p, SPACE_CONST, false);
    else if (ptxm_accept_dot(p, "pragma"))
        ptxm_skip_statement(p);
    else
        return false;
    return true;
}

static void one_statement(struct parser *p)
{
    struct statement s;
    if (p->token.kind == TOKEN_DOT) {
        if (body_directive(p))
            return;
        // .extern .shared inside a function
        if (ptxm_accept_dot(p, "extern") && ptxm_accept_dot(p, "shared"))
            return ptxm_variables(p, SPACE_SHARED, true);
        ptxm_complain(p, &p->token, "unknown directive '.%.*s'", TOKEN_ARG(&p->token));
        return ptxm_skip_statement(p);
    }
    if (p->token.kind == TOKEN_NAME) {
        struct lexer ahead = p->lexer;
        struct token next = ptxm_lexer_next(&ahead);
        if (next.kind == TOKEN_PUNCT && next.punct == ':') {
            struct token name = p->token;
            ptxm_advance(p);
            ptxm_advance(p);
            return label(p, &name);
        }
    }
    if (!instruction(p, &s)) {
        // An error inside the operands' braces must not end the body: stop at ';' only.
        while (p->token.kind != TOKEN_END && p->last.line == p->token.line &&
               !ptxm_at_punct(p, ';') && !(p->last.kind == TOKEN_PUNCT && p->last.punct == ';'))
            ptxm_advance(p);
        ptxm_accept(p, ';');
    }
}

static void block(struct parser *p, unsigned depth)
{
    size_t first_fixup = p->fixup_count;
    if (!ptxm_expect(p, '{'))
        return;
    while (!ptxm_at_punct(p, '}') && p->token.kind != TOKEN_END &&
           p->errors < p->max_errors && !p->module->arena.failed) {
        if (ptxm_at_punct(p, '{') && depth < 64) {
            p->scope++;
            block(p, depth + 1);
            ptxm_scope_leave(p);
        } else if (ptxm_at_punct(p, '{')) {
            ptxm_complain(p, &p->token, "blocks nested too deeply");
            return;
        } else if (!ptxm_accept(p, ';')) {
            one_statement(p);
        }
    }
    ptxm_expect(p, '}');
    if (p->errors < p->max_errors)
        resolve_labels(p, first_fixup, depth == 0);
}

void ptxm_body(struct parser *p, struct function *f)
{
    struct ptxm_module *m = p->module;
    f->first_op = (uint32_t)m->op_count;
    p->location = 0;
    if (!ptxm_register_params_load(p, f))
        p->failed = true;
    block(p, 0);
    f->op_count = (uint32_t)m->op_count - f->first_op;
    ptxm_body_end(p, f);
}
