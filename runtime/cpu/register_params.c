// SPDX-License-Identifier: MIT
// Functions whose parameters and results are registers: .func (.reg .u32 %sum) f (.reg .u32 %a).
//
// Each one is given a hidden parameter in memory, so that calls know one way only: the caller
// stores its arguments before the call and loads the results after it, the function loads its
// parameters at its start and stores its results before it returns.
#include "parser_internal.h"

#include <string.h>

struct variable *ptxm_hidden_param(struct parser *p, struct function *f, const char *name,
                                   enum type type)
{
    struct variable *v = ptxm_arena_alloc(&p->module->arena, sizeof *v);
    if (!v)
        return NULL;
    unsigned bytes = ptxm_type_bits(type) / 8;
    *v = (struct variable){.name = name, .space = SPACE_FRAME_PARAM, .size = bytes, .align = bytes,
                           .owner = f, .in_register = true, .type = (uint8_t)type};
    ptxm_place_in_frame(f, v);
    return v;
}

// After ".reg": the type and the name. NULL after a complaint.
struct variable *ptxm_register_param(struct parser *p, struct function *f)
{
    struct variable_head h;
    struct token name;
    if (!ptxm_variable_head(p, &h) || !ptxm_name(p, &name))
        return NULL;
    if (f->is_entry || h.vector != 1 || ptxm_type_bits(h.type) < 16) {
        ptxm_complain(p, &name, f->is_entry ? "a kernel has its parameters in .param"
                                            : "no register of this type can be a parameter");
        return NULL;
    }
    struct symbol *s = ptxm_symbol_add(p, &name, SYMBOL_REG);
    struct variable *v = s ? ptxm_hidden_param(p, f, s->name, h.type) : NULL;
    if (!v)
        return NULL;
    s->count = 1;
    s->index = v->reg = ptxm_new_registers(p, h.type, 1);
    return s->index >= 0 ? v : NULL;
}

static struct token word(const struct token *at, const char *text)
{
    struct token t = *at;
    t.kind = TOKEN_NAME;
    t.text = text;
    t.length = strlen(text);
    return t;
}

// ld.param value, [v] or st.param [v], value, under the guard of `like` if there is one.
bool ptxm_param_move(struct parser *p, const struct statement *like, const struct token *at,
                     struct variable *v, const struct operand *value, bool store)
{
    struct operand *address = ptxm_arena_alloc(&p->module->arena, 2 * sizeof *address);
    if (!address)
        return false;
    address[1] = (struct operand){.kind = OPERAND_SYMBOL, .variable = v, .token = *at};
    address[0] = (struct operand){.kind = OPERAND_ADDRESS, .elements = &address[1], .count = 1,
                                  .token = *at};
    struct statement s = {.guard = like ? like->guard : -1,
                          .guard_negated = like && like->guard_negated,
                          .opcode = word(at, store ? "st" : "ld"),
                          .text = store ? "st.param" : "ld.param", .modifier_count = 2,
                          .operand_count = 2};
    s.opcode.line = at->line;
    s.modifiers[0] = word(at, "param");
    s.modifiers[1] = word(at, ptxm_type_name((enum type)v->type));
    s.operands[store ? 0 : 1] = address[0];
    s.operands[store ? 1 : 0] = *value;
    return ptxm_decode(p, p->function, &s);
}

static bool move_all(struct parser *p, const struct statement *like, const struct token *at,
                     struct variable **variables, size_t count, bool store)
{
    bool fine = true;
    for (size_t i = 0; i < count; i++) {
        struct operand reg = {.kind = OPERAND_REG, .index = variables[i]->reg, .token = *at};
        if (variables[i]->in_register)
            fine &= ptxm_param_move(p, like, at, variables[i], &reg, store);
    }
    return fine;
}

bool ptxm_register_params_load(struct parser *p, struct function *f)
{
    return f->is_entry || move_all(p, NULL, &p->token, f->params, f->param_count, false);
}

bool ptxm_register_results_store(struct parser *p, const struct statement *like,
                                 const struct token *at)
{
    struct function *f = p->function;
    return f->is_entry || move_all(p, like, at, f->returns, f->return_count, true);
}
