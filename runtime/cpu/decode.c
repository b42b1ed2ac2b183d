// SPDX-License-Identifier: MIT
// From a statement to ops: finds the row of isa.def, checks the operands, calls the row's builder.
#include "decode.h"
#include "machine_modes.h"
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_ARG(t) ((int)((t)->length > 60 ? 60 : (t)->length)), (t)->text

#define REFUSE(opcode, word, why)
static const struct row rows[] = {
#define ROW(opcode, modifiers, operands, builder, argument)                                        \
    {opcode, modifiers, operands, builder, argument},
#include "isa.def"
#undef ROW
#undef REFUSE
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

bool ptxm_d_complain(struct decoder *d, const struct token *at, const char *message)
{
    ptxm_complain(d->parser, at ? at : &d->statement->opcode, "%s in '%s'", message,
                  d->statement->text);
    return false;
}

// ---- modifiers ----------------------------------------------------------------------------------

// True if `word` is one of the alternatives one|two|three that end at `end`.
static const char *match_word(const char *alternatives, const char *end, const struct token *word)
{
    while (alternatives < end) {
        const char *bar = memchr(alternatives, '|', (size_t)(end - alternatives));
        size_t length = (size_t)((bar ? bar : end) - alternatives);
        if (length == word->length && !memcmp(alternatives, word->text, length))
            return alternatives;
        alternatives += length + 1;
    }
    return NULL;
}

static bool match_modifiers(struct decoder *d, const char *spec, size_t *reached)
{
    const struct statement *s = d->statement;
    size_t next = 0;
    memset(d->fields, 0, sizeof d->fields);
    while (*spec) {
        char field = spec[0];
        const char *start = spec + 2, *end = start;
        while (*end && *end != ' ') end++;
        bool optional = end[-1] == '?';
        const char *found = next < s->modifier_count
                                ? match_word(start, end - optional, &s->modifiers[next])
                                : NULL;
        if (found) {
            d->fields[(unsigned char)field] = found;
            next++;
        } else if (!optional) {
            *reached = next;
            return false;
        }
        spec = *end ? end + 1 : end;
    }
    *reached = next;
    return next == s->modifier_count;
}

bool ptxm_d_has(const struct decoder *d, char field)
{
    return d->fields[(unsigned char)field] != NULL;
}

// Fields point into the spec string: a word ends at | ? space or NUL.
static size_t word_length(const char *word)
{
    return strcspn(word, "|? ");
}

bool ptxm_d_is(const struct decoder *d, char field, const char *word)
{
    const char *f = d->fields[(unsigned char)field];
    return f && word_length(f) == strlen(word) && !memcmp(f, word, strlen(word));
}

static enum type field_type(const struct decoder *d, char field)
{
    const char *f = d->fields[(unsigned char)field];
    return f ? ptxm_type_parse(f, word_length(f)) : T_NONE;
}

enum space ptxm_d_space(struct decoder *d, const char *word)
{
    if (!ptxm_d_has(d, 'S'))
        return SPACE_GENERIC;
    if (ptxm_d_is(d, 'S', "global"))
        return SPACE_GLOBAL;
    if (ptxm_d_is(d, 'S', "shared") || ptxm_d_is(d, 'S', "shared::cta"))
        return SPACE_SHARED;
    if (ptxm_d_is(d, 'S', "shared::cluster"))
        return SPACE_CLUSTER;
    if (ptxm_d_is(d, 'S', "local"))
        return SPACE_LOCAL;
    if (ptxm_d_is(d, 'S', "const"))
        return SPACE_CONST;
    return d->function->is_entry ? SPACE_PARAM : SPACE_FRAME_PARAM;
}

enum scope ptxm_d_scope(const struct decoder *d)
{
    if (!ptxm_d_has(d, 'O'))
        return SCOPE_NONE;
    if (ptxm_d_is(d, 'O', "cta"))
        return SCOPE_CTA;
    if (ptxm_d_is(d, 'O', "cluster"))
        return SCOPE_CLUSTER;
    return ptxm_d_is(d, 'O', "sys") ? SCOPE_SYS : SCOPE_GPU;
}

unsigned ptxm_d_target(const struct decoder *d, bool *specific)
{
    const char *target = d->module->target;
    char *end;
    *specific = false;
    if (!target || strncmp(target, "sm_", 3))
        return 0;
    unsigned long number = strtoul(target + 3, &end, 10);
    *specific = *end != 0;
    return (unsigned)number;
}

// ---- operands ----------------------------------------------------------------------------------

static unsigned slot_bytes(enum type type)
{
    unsigned bits = ptxm_type_bits(type);
    return type == T_PRED ? 0 : bits <= 32 ? 4 : bits / 8;
}

unsigned ptxm_d_slot_bytes(struct decoder *d, int32_t encoded)
{
    if (encoded >= SPECIAL_BIT || encoded < 0)
        return 4;
    return slot_bytes((enum type)d->function->regs[encoded].type);
}

int32_t ptxm_d_temporary(struct decoder *d, enum type type)
{
    struct function *f = d->function;
    if (!PTXM_GROW(&d->module->allocator, f->regs, f->reg_count, f->reg_capacity)) {
        d->module->arena.failed = true;
        return OPERAND_NONE;
    }
    f->regs[f->reg_count] = (struct reg){.type = (uint8_t)type};
    return (int32_t)f->reg_count++;
}

int32_t ptxm_d_constant(struct decoder *d, uint64_t value, enum type type)
{
    return ptxm_constant(d->module, value, slot_bytes(type));
}

static bool width_fits(struct decoder *d, const struct operand *o, enum type type, bool loose)
{
    enum type have = (enum type)d->function->regs[o->index].type;
    unsigned want_bits = ptxm_type_bits(type), have_bits = ptxm_type_bits(have);
    if (have_bits == want_bits && (have == T_PRED) == (type == T_PRED))
        return true;
    if (loose && have != T_PRED && type != T_PRED && have_bits > want_bits)
        return true;
    // 8-bit values live in registers of 16 bits and more.
    if (want_bits == 8 && have_bits >= 16)
        return true;
    ptxm_complain(d->parser, &o->token, "register '%.*s' is .%s where '%s' needs .%s",
                  TOKEN_ARG(&o->token), ptxm_type_name(have), d->statement->text,
                  ptxm_type_name(type));
    return false;
}

static uint64_t literal(const struct operand *o, enum type type)
{
    uint64_t bits = (uint64_t)o->value;
    if (o->kind == OPERAND_F64 && type == T_F32) {
        double wide;
        memcpy(&wide, &bits, 8);
        float narrow = (float)wide;
        uint32_t out;
        memcpy(&out, &narrow, 4);
        return out;
    }
    if (o->kind == OPERAND_F32 && type == T_F64) {
        uint32_t in = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &in, 4);
        double wide = (double)narrow;
        memcpy(&bits, &wide, 8);
    }
    unsigned width = ptxm_type_bits(type);
    return width >= 64 ? bits : bits & (((uint64_t)1 << width) - 1);
}

// Local variables of a function are found by its frame: it may be running more than once.
static bool in_frame(const struct decoder *d, const struct variable *v)
{
    if (v && v->space == SPACE_FRAME_PARAM)
        d->function->param_address = true;
    return v && v->space == SPACE_LOCAL && v->owner && !v->owner->is_entry;
}

static int32_t frame_address(struct decoder *d, const struct variable *v, int64_t addend,
                             enum type type)
{
    int32_t at = ptxm_d_temporary(d, type);
    struct op *op = at == OPERAND_NONE ? NULL : ptxm_d_emit(d, 1, 0, &at);
    if (!op)
        return OPERAND_NONE;
    op->step = ptxm_step_frame_address;
    op->displacement = (int64_t)v->offset + addend;
    return at;
}

static int32_t symbol_source(struct decoder *d, const struct operand *o, enum type type)
{
    if (in_frame(d, o->variable))
        return frame_address(d, o->variable, o->value, type);
    struct relocation r = {.symbol = o->variable, .function = o->function, .addend = o->value,
                           .bytes = (uint8_t)slot_bytes(type)};
    if (r.bytes != 4 && r.bytes != 8) {
        ptxm_d_complain(d, &o->token, "an address does not fit");
        return OPERAND_NONE;
    }
    return ptxm_constant_address(d->module, &r);
}

static int32_t negated_predicate(struct decoder *d, int32_t predicate)
{
    int32_t operands[2] = {ptxm_d_temporary(d, T_PRED), predicate};
    if (operands[0] == OPERAND_NONE ||
        !ptxm_d_lane(d, d->lanes->integer(L_NOT, T_PRED), 1, operands, 0))
        return OPERAND_NONE;
    return operands[0];
}

int32_t ptxm_d_source(struct decoder *d, const struct operand *o, enum type type, bool loose)
{
    switch (o->kind) {
    case OPERAND_REG:
        if (!width_fits(d, o, type, loose))
            return OPERAND_NONE;
        if (o->negated && type != T_PRED)
            break;
        return o->negated ? negated_predicate(d, o->index) : o->index;
    case OPERAND_INT:
        if (type == T_PRED)
            return ptxm_constant(d->module, o->value ? UINT32_MAX : 0, 0);
        return ptxm_d_constant(d, literal(o, type), type);
    case OPERAND_F32:
    case OPERAND_F64: return ptxm_d_constant(d, literal(o, type), type);
    case OPERAND_SYMBOL:
    case OPERAND_FUNCTION: return symbol_source(d, o, type);
    case OPERAND_SPECIAL:
        if (o->index < SPECIAL_COUNT && ptxm_type_bits(type) <= 32)
            return SPECIAL_BIT + o->index;
        break;
    default: break;
    }
    ptxm_complain(d->parser, &o->token, "'%.*s' cannot be a source of '%s'", TOKEN_ARG(&o->token),
                  d->statement->text);
    return OPERAND_NONE;
}

int32_t ptxm_d_dest(struct decoder *d, const struct operand *o, enum type type, bool loose)
{
    if (o->kind == OPERAND_SINK)
        return ptxm_d_temporary(d, type);
    if (o->kind != OPERAND_REG || o->negated) {
        ptxm_complain(d->parser, &o->token, "'%.*s' cannot be a destination", TOKEN_ARG(&o->token));
        return OPERAND_NONE;
    }
    return width_fits(d, o, type, loose) ? o->index : OPERAND_NONE;
}

bool ptxm_d_address(struct decoder *d, const struct operand *o, enum space *space, int32_t *base,
                    int64_t *displacement)
{
    if (o->kind != OPERAND_ADDRESS || o->count != 1)
        return ptxm_d_complain(d, &o->token, "expected an [address]");
    const struct operand *b = &o->elements[0];
    *displacement = b->value;
    if (b->kind == OPERAND_INT) {
        *displacement = 0;
        *base = ptxm_constant(d->module, (uint64_t)b->value, 8);
    } else if (b->kind == OPERAND_SYMBOL) {
        struct relocation r = {.symbol = b->variable, .bytes = 8,
                               .generic = *space == SPACE_GENERIC};
        // A .func reads its parameters, a kernel also those that it passes on.
        if (*space == SPACE_PARAM || *space == SPACE_FRAME_PARAM)
            *space = b->variable->space;
        if (b->variable->space == SPACE_LOCAL && in_frame(d, b->variable))
            *base = frame_address(d, b->variable, 0, T_U64);
        else
            *base = ptxm_constant_address(d->module, &r);
    } else if (b->kind == OPERAND_REG && !b->negated) {
        enum type type = (enum type)d->function->regs[b->index].type;
        if (ptxm_type_bits(type) != 32 && ptxm_type_bits(type) != 64)
            return ptxm_d_complain(d, &b->token, "an address is 32 or 64 bits wide");
        *base = b->index;
    } else {
        return ptxm_d_complain(d, &b->token, "this is no address");
    }
    return *base != OPERAND_NONE;
}

// ---- ops ----------------------------------------------------------------------------------------

struct op *ptxm_d_emit(struct decoder *d, unsigned ndst, unsigned nsrc, const int32_t *operands)
{
    struct ptxm_module *m = d->module;
    const struct statement *s = d->statement;
    int32_t *copy = ptxm_arena_alloc(&m->arena, (ndst + nsrc + OP_MAX_SOURCES) * sizeof *copy);
    if (!copy || !PTXM_GROW(&m->allocator, m->ops, m->op_count, m->op_capacity)) {
        m->arena.failed = true;
        return NULL;
    }
    for (unsigned i = 0; i < ndst + nsrc; i++)
        if ((copy[i] = operands[i]) == OPERAND_NONE)
            return NULL;
    struct op *op = &m->ops[m->op_count++];
    *op = (struct op){.operands = copy, .ndst = (uint8_t)ndst, .nsrc = (uint8_t)nsrc,
                      .line = s->opcode.line, .location = ptxm_parser_location(d->parser),
                      .guard = s->guard >= 0 ? s->guard : OPERAND_NONE,
                      .guard_negated = s->guard_negated, .text = s->text,
                      .row = d->row ? (uint32_t)(d->row - rows) : 0,
                      .type = (uint8_t)d->t, .type2 = (uint8_t)d->u, .vector = 1};
    if (ndst)
        op->dst_bytes = (uint8_t)ptxm_d_slot_bytes(d, operands[0]);
    return op;
}

bool ptxm_d_lane(struct decoder *d, lane_fn *fn, unsigned nsrc, const int32_t *operands,
                 uint32_t immediate)
{
    if (!fn)
        return ptxm_d_complain(d, NULL, "no such type or rounding");
    struct op *op = ptxm_d_emit(d, 1, nsrc, operands);
    if (!op)
        return false;
    // Lane functions take three sources: the ones that are not there repeat the first.
    for (unsigned i = nsrc; i < 3; i++) op->operands[1 + i] = op->operands[1];
    op->lane = fn;
    op->immediate = immediate;
    return true;
}

static enum type wide_type(enum type type)
{
    switch (type) {
    case T_U16: return T_U32;
    case T_S16: return T_S32;
    case T_U32: return T_U64;
    case T_S32: return T_S64;
    default: return T_NONE;
    }
}

static bool add(struct decoder *d, int32_t encoded, bool destination)
{
    if (encoded == OPERAND_NONE || d->ndst + d->nsrc >= sizeof d->operands / sizeof *d->operands)
        return false;
    d->operands[d->ndst + d->nsrc] = encoded;
    *(destination ? &d->ndst : &d->nsrc) += 1;
    return true;
}

static bool pair(struct decoder *d, const struct operand *o, enum type first, enum type second)
{
    struct operand single = *o;
    single.second = NULL;
    if (!add(d, ptxm_d_dest(d, &single, first, false), true))
        return false;
    return !o->second || add(d, ptxm_d_dest(d, o->second, second, false), true);
}

static unsigned vector_length(const struct decoder *d)
{
    return !ptxm_d_has(d, 'v') ? 1 : (unsigned)(d->fields['v'][1] - '0');
}

static bool vector(struct decoder *d, const struct operand *o, bool destination)
{
    unsigned count = vector_length(d);
    const struct operand *element = o;
    if (count > 1 || o->kind == OPERAND_VECTOR) {
        if (o->kind != OPERAND_VECTOR || o->count != count)
            return ptxm_d_complain(d, &o->token, "wrong number of vector elements");
        element = o->elements;
    }
    for (unsigned i = 0; i < count; i++) {
        int32_t e = destination ? ptxm_d_dest(d, &element[i], d->t, true)
                                : ptxm_d_source(d, &element[i], d->t, true);
        if (!add(d, e, destination))
            return false;
    }
    return true;
}

static bool one_operand(struct decoder *d, char letter, const struct operand *o)
{
    switch (letter) {
    case 'D': return add(d, ptxm_d_dest(d, o, d->t, false), true);
    case 'W': return add(d, ptxm_d_dest(d, o, wide_type(d->t), false), true);
    case 'U': return add(d, ptxm_d_dest(d, o, d->u, false), true);
    case 'P': return add(d, ptxm_d_dest(d, o, T_PRED, false), true);
    case 'Q': return pair(d, o, T_PRED, T_PRED);
    case 'I': return add(d, ptxm_d_dest(d, o, T_B32, false), true);
    case 'J': return pair(d, o, T_B32, T_PRED);
    case 'a': return add(d, ptxm_d_source(d, o, d->t, false), false);
    case 'w': return add(d, ptxm_d_source(d, o, wide_type(d->t), false), false);
    case 'u': return add(d, ptxm_d_source(d, o, d->u, false), false);
    case 'p': return add(d, ptxm_d_source(d, o, T_PRED, false), false);
    case 'i': return add(d, ptxm_d_source(d, o, T_B32, false), false);
    case 'V': return vector(d, o, true);
    case 'v': return vector(d, o, false);
    case 'm':
        if (o->kind != OPERAND_ADDRESS)
            return ptxm_d_complain(d, &o->token, "expected an [address]");
        *(d->address ? &d->address2 : &d->address) = o;
        return true;
    case 'n':
        d->immediate = (uint64_t)o->value;
        return o->kind == OPERAND_INT || ptxm_d_complain(d, &o->token, "expected a constant");
    default: return true;
    }
}

// The number of operands that the letters ask for, at least and at most.
static void operand_bounds(const char *letters, size_t *least, size_t *most)
{
    const char *mark = strchr(letters, '?');
    *most = strlen(letters) - (mark ? 1 : 0);
    *least = mark ? (size_t)(mark - letters) : *most;
}

static bool read_operands(struct decoder *d)
{
    const char *letters = d->row->operands;
    for (size_t i = 0; i < d->statement->operand_count; letters++) {
        if (*letters == '?')
            continue;
        const struct operand *o = &d->statement->operands[i++];
        if (o->second && *letters != 'Q' && *letters != 'J' && *letters != 'x')
            return ptxm_d_complain(d, &o->token, "unexpected '|'");
        if (!one_operand(d, *letters, o))
            return false;
    }
    return true;
}

// What has a reason of its own for not being here: a modifier (or "": any) of an opcode.
static const struct {
    const char *opcode, *word, *why;
} refusals[] = {
#define REFUSE(opcode, word, why) {opcode, word, why},
#define ROW(opcode, modifiers, operands, builder, argument)
#include "isa.def"
#undef ROW
#undef REFUSE
};

static const char *reason_to_refuse(const struct statement *s)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (!ptxm_token_is(&s->opcode, refusals[i].opcode))
            continue;
        bool found = !refusals[i].word[0];
        for (size_t k = 0; k < s->modifier_count; k++)
            found |= ptxm_token_is(&s->modifiers[k], refusals[i].word);
        if (found)
            return refusals[i].why;
    }
    return NULL;
}

bool ptxm_d_refuse(struct decoder *d, const char *why)
{
    const struct statement *s = d->statement;
    if (!d->function->refused) {
        d->function->refused_at = s->opcode;
        d->function->refused = ptxm_refusal_text(d->module, s->text, why);
    }
    return d->function->refused != NULL;
}

static bool refuse(struct decoder *d, bool known, bool modifiers_fit, size_t reached)
{
    const struct statement *s = d->statement;
    const char *why = reason_to_refuse(s);
    if (!why && !known)
        why = ptxm_d_not_supported(s);
    if (why)
        return ptxm_d_refuse(d, why);
    if (!known)
        ptxm_complain(d->parser, &s->opcode, "unknown instruction '%s'", s->text);
    else if (modifiers_fit)
        ptxm_complain(d->parser, &s->opcode, "wrong number of operands for '%s'", s->text);
    else if (reached < s->modifier_count)
        ptxm_complain(d->parser, &s->modifiers[reached], "unknown modifier '.%.*s' in '%s'",
                      TOKEN_ARG(&s->modifiers[reached]), s->text);
    else
        ptxm_complain(d->parser, &s->opcode, "'%s' lacks a modifier", s->text);
    return false;
}

static const struct row *find_row(struct decoder *d, bool *known, bool *modifiers_fit,
                                  size_t *furthest)
{
    const struct statement *s = d->statement;
    for (const struct row *row = rows; row < rows + ROW_COUNT; row++) {
        size_t reached, least, most;
        if (!ptxm_token_is(&s->opcode, row->opcode))
            continue;
        *known = true;
        bool fits = match_modifiers(d, row->modifiers, &reached);
        *furthest = reached > *furthest ? reached : *furthest;
        if (!fits)
            continue;
        *modifiers_fit = true;
        operand_bounds(row->operands, &least, &most);
        if (s->operand_count >= least && s->operand_count <= most)
            return row;
    }
    return NULL;
}

bool ptxm_decode(struct parser *parser, struct function *function, const struct statement *s)
{
    struct statement sorted;
    struct decoder d = {.parser = parser, .module = ptxm_parser_module(parser),
                        .function = function, .statement = s, .lanes = ptxm_lanes()};
    bool known = false, modifiers_fit = false;
    size_t furthest = 0;
    d.row = find_row(&d, &known, &modifiers_fit, &furthest);
    if (!d.row && known && !modifiers_fit && ptxm_d_sort_modifiers(s, &sorted)) {
        d.statement = &sorted;
        d.row = find_row(&d, &known, &modifiers_fit, &furthest);
    }
    if (!d.row) {
        d.statement = s;
        return refuse(&d, known, modifiers_fit, furthest);
    }
    d.t = field_type(&d, 't');
    d.u = field_type(&d, 'u');
    return read_operands(&d) && d.row->build(&d, d.row->argument);
}
