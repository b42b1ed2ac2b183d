// SPDX-License-Identifier: MIT
// The builder's regions, names and attributes.
#include "ir/builder_state.h"

// ---- regions -----------------------------------------------------------------------------------
// Goes on in a block; a region whose beginning failed gets a block that is in no kernel, so that
// ends still pair.
static void enter(kg_build *b, kg_op *op, kg_block *block, bool in_condition)
{
    kg_open_region region = {op, b->parser->block, in_condition};
    if (!block) {
        block = KG_NEW(&b->arena, kg_block);
        block->kernel = b->parser->kernel;
    }
    KG_PUSH(&b->arena, &b->regions, region);
    b->parser->block = block;
    if (op) b->newest = op;
}

static void set_count(kg_build *b, kg_op *op, kg_attr_key key, int value)
{
    if (value > 0) kg_op_set_int(b->parser->kernel, op, key, value);
}

kg_value *kg_build_for(kg_build *b, const char *name, kg_value *low, kg_value *high, kg_value *step,
                       int pipeline, int unroll)
{
    KG_BUILD_GUARD(b, NULL);
    if (!kg_build_in_body(b)) return NULL;
    kg_value *operands[3];
    const char *checked = name ? kg_build_checked_name(b, name) : NULL;
    kg_op *op = NULL;
    if (low && high && (checked || !name)) {
        kg_node *n[3] = {kg_build_node(b, low), kg_build_node(b, high),
                         step ? kg_build_node(b, step) : kg_build_int_node(b, 1)};
        if (kg_make_bounds(b->parser, n, operands))
            op = kg_emit_op(b->parser, KG_OP_FOR, (kg_loc){0}, 3, operands, NULL);
    }
    kg_block *body = op ? kg_op_add_block(b->parser->kernel, op) : NULL;
    enter(b, op, body, false);
    if (!op) return NULL;
    set_count(b, op, KG_A_PIPELINE, pipeline);
    set_count(b, op, KG_A_UNROLL, unroll);
    body->arg = KG_NEW(&b->arena, kg_value);
    *body->arg = (kg_value){
        .kind = KG_VALUE_ARG, .type = operands[0]->type, .name = checked, .op = op, .id = -1};
    return body->arg;
}

bool kg_build_while(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_op *op = kg_op_new(b->parser->kernel, KG_OP_WHILE, (kg_loc){0}, 0, NULL);
    kg_block_append(b->parser->block, op);
    kg_block *condition = kg_op_add_block(b->parser->kernel, op);
    kg_op_add_block(b->parser->kernel, op);
    enter(b, op, condition, true);
    return true;
}

static kg_open_region *innermost(kg_build *b)
{
    return b->regions.count ? &b->regions.items[b->regions.count - 1] : NULL;
}

bool kg_build_do(kg_build *b, kg_value *condition)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    int errors = b->diags.errors;
    if (!region || !region->in_condition) {
        kg_build_error(b, KG_D_V203, "kg_build_do ends the condition that kg_build_while began");
        return false;
    }
    if (condition) kg_make_yield(b->parser, kg_build_node(b, condition), (kg_loc){0});
    region->in_condition = false;
    b->parser->block = region->op->blocks[1];
    return condition && b->diags.errors == errors;
}

bool kg_build_if(kg_build *b, kg_value *condition)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_op *op = NULL;
    if (condition) {
        kg_node *n = kg_build_node(b, condition);
        kg_value_node(b->parser, n);
        kg_value *truth = kg_make_truth(b->parser, n);
        op = kg_emit_op(b->parser, KG_OP_IF, (kg_loc){0}, 1, &truth, NULL);
    }
    kg_block *then = op ? kg_op_add_block(b->parser->kernel, op) : NULL;
    if (op) kg_op_add_block(b->parser->kernel, op);
    enter(b, op, then, false);
    return op != NULL;
}

bool kg_build_else(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    if (region && !region->op) return false; // its beginning failed
    if (!region || region->op->code != KG_OP_IF || b->parser->block != region->op->blocks[0]) {
        kg_build_error(b, KG_D_V203, "kg_build_else belongs to an open kg_build_if");
        return false;
    }
    b->parser->block = region->op->blocks[1];
    return true;
}

bool kg_build_role(kg_build *b, int first_warp, int last_warp, const char *role)
{
    KG_BUILD_GUARD(b, false);
    if (!kg_build_in_body(b)) return false;
    kg_kernel *k = b->parser->kernel;
    const char *checked = role ? kg_build_checked_name(b, role) : NULL;
    kg_op *op = NULL;
    if (first_warp < 0 || last_warp <= first_warp || last_warp > k->warps) {
        kg_build_error(b, KG_D_V205, "the warps of a role do not lie within the CTA");
    } else if (checked || !role) {
        op = kg_op_new(k, KG_OP_WARPS, (kg_loc){0}, 0, NULL);
        kg_op_set_int(k, op, KG_A_FIRST, first_warp);
        kg_op_set_int(k, op, KG_A_LAST, last_warp);
        if (role) kg_op_set_name(k, op, KG_A_ROLE, checked);
        kg_block_append(b->parser->block, op);
    }
    enter(b, op, op ? kg_op_add_block(k, op) : NULL, false);
    return op != NULL;
}

bool kg_build_end(kg_build *b)
{
    KG_BUILD_GUARD(b, false);
    kg_open_region *region = innermost(b);
    if (!region) {
        kg_build_error(b, KG_D_V203, "kg_build_end: nothing is open");
        return false;
    }
    b->parser->block = region->outer;
    b->newest = region->op;
    b->regions.count--;
    return region->op != NULL;
}

// ---- names and attributes ----------------------------------------------------------------------
kg_value *kg_build_name(kg_build *b, kg_value *value, const char *name)
{
    KG_BUILD_GUARD(b, NULL);
    // literals have no names
    if (!value || (value->kind == KG_VALUE_RESULT && !value->op)) return value;
    if (value->kind == KG_VALUE_PARAM || value->kind == KG_VALUE_GRID) {
        kg_build_error(b, KG_D_P007, "parameters and grid axes have their names already");
        return NULL;
    }
    return kg_build_named(b, value, name) ? value : NULL;
}

static bool apply(kg_build *b, const char *key, kg_node *value)
{
    int errors = b->diags.errors;
    if (!b->newest || !key) {
        if (!b->diags.errors)
            kg_build_error(b, KG_D_P006, "there is no op to give an attribute to");
        return false;
    }
    kg_keyed keyed = {.key = kg_arena_strndup(&b->arena, key, strlen(key)), .value = value};
    kg_apply_attrs(b->parser, b->newest, &keyed);
    return b->diags.errors == errors;
}

bool kg_build_attr_int(kg_build *b, const char *key, int64_t value)
{
    KG_BUILD_GUARD(b, false);
    return apply(b, key, kg_build_int_node(b, value));
}

bool kg_build_attr_ints(kg_build *b, const char *key, int count, const int64_t *values)
{
    KG_BUILD_GUARD(b, false);
    kg_node *list = kg_build_new_node(b, KG_N_LIST);
    if (count < 0 || (count && !values)) return false;
    list->args = KG_NEW_ARRAY(&b->arena, kg_node *, count);
    for (int i = 0; i < count; i++) list->args[i] = kg_build_int_node(b, values[i]);
    list->n_args = count;
    return apply(b, key, list);
}

bool kg_build_attr_word(kg_build *b, const char *key, const char *word)
{
    KG_BUILD_GUARD(b, false);
    kg_node *n = kg_build_new_node(b, KG_N_NAME);
    n->name = kg_build_checked_name(b, word);
    return n->name && apply(b, key, n);
}
