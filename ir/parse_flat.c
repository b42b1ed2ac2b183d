// SPDX-License-Identifier: MIT
// What only passes write: attributes in braces, the table of layouts, and references to it.
#include "ir/parse.h"
#include <string.h>

// ---- attributes --------------------------------------------------------------------------------
static bool attr_named(const char *name, kg_attr_key *key)
{
    for (int i = 0; i < KG_ATTR_COUNT; i++)
        if (!strcmp(kg_attr_info_of((kg_attr_key)i)->name, name)) {
            *key = (kg_attr_key)i;
            return kg_attr_info_of(*key)->kind != KG_ATTR_LIST;
        }
    return false;
}

static void unknown_attr(kg_parser *p, const kg_keyed *k)
{
    const char *names[KG_ATTR_COUNT];
    for (int i = 0; i < KG_ATTR_COUNT; i++) names[i] = kg_attr_info_of((kg_attr_key)i)->name;
    kg_diag *d = kg_error(p->diags, KG_D_P006, k->loc, "unknown attribute '%s'", k->key);
    const char *nearest = kg_nearest_name(k->key, names, KG_ATTR_COUNT);
    if (nearest) kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
}

static void set_ints(kg_parser *p, kg_op *op, kg_attr_key key, const kg_keyed *k)
{
    struct {
        int64_t *items;
        int count, capacity;
    } ints = {0};
    if (k->value->kind != KG_N_LIST) {
        if (k->value->kind != KG_N_POISON)
            kg_error(p->diags, KG_D_P010, k->value->loc, "%s is a list of integers", k->key);
        return;
    }
    for (int i = 0; i < k->value->n_args; i++) {
        int64_t value;
        if (!kg_constant_int(p, k->value->args[i], k->key, &value)) return;
        KG_PUSH(p->arena, &ints, value);
    }
    kg_op_set_ints(p->kernel, op, key, ints.count, ints.items);
}

static void set_attr(kg_parser *p, kg_op *op, kg_attr_key key, const kg_keyed *k)
{
    int64_t value;
    kg_dtype dtype;
    kg_node *n = k->value;
    switch (kg_attr_info_of(key)->kind) {
    case KG_ATTR_INT:
        if (kg_constant_int(p, n, k->key, &value)) kg_op_set_int(p->kernel, op, key, value);
        break;
    case KG_ATTR_FLOAT:
        kg_fold(p, n);
        if (n->kind == KG_N_FLOAT || n->kind == KG_N_INT)
            kg_op_set_float(p->kernel, op, key, n->kind == KG_N_FLOAT ? n->f : (double)n->i);
        else
            kg_error(p->diags, KG_D_P010, n->loc, "%s must be a constant number", k->key);
        break;
    case KG_ATTR_DTYPE:
        if (n->kind == KG_N_NAME && kg_dtype_of_name(p, n->name, n->loc, &dtype))
            kg_op_set_dtype(p->kernel, op, key, dtype);
        else if (n->kind != KG_N_NAME)
            kg_error(p->diags, KG_D_P005, n->loc, "%s is a type", k->key);
        break;
    case KG_ATTR_NAME:
        if (n->kind == KG_N_CHOICE) kg_fold(p, n); // between two words, by a constant
        if (n->kind == KG_N_NAME && key == KG_A_CACHE && !strcmp(n->name, "none"))
            break; // as if it were not there
        if (n->kind == KG_N_NAME && n->name[0] != '%')
            kg_op_set_name(p->kernel, op, key, n->name);
        else
            kg_error(p->diags, KG_D_P001, n->loc, "%s is a word", k->key);
        break;
    case KG_ATTR_INTS:
    case KG_ATTR_LIST: set_ints(p, op, key, k); break;
    }
}

void kg_apply_attrs(kg_parser *p, kg_op *op, kg_keyed *keyed)
{
    for (const kg_keyed *k = keyed; k; k = k->next) {
        kg_attr_key key;
        if (!attr_named(k->key, &key))
            unknown_attr(p, k);
        else if (k->value->kind != KG_N_POISON)
            set_attr(p, op, key, k);
    }
}

// ---- layouts -----------------------------------------------------------------------------------
static bool list_of_ints(kg_parser *p, kg_node *list, int most, int32_t *out, int *count)
{
    if (list->kind != KG_N_LIST || list->n_args > most) {
        if (list->kind != KG_N_POISON)
            kg_error(p->diags, KG_D_V204, list->loc, "a list of at most %d integers is expected",
                     most);
        return false;
    }
    *count = list->n_args;
    for (int i = 0; i < list->n_args; i++) {
        int64_t value;
        if (!kg_constant_int(p, list->args[i], "a layout's number", &value)) return false;
        if (value < 0 || value > KG_TILE_ELEMENTS) {
            kg_error(p->diags, KG_D_V204, list->args[i]->loc, "a layout's number is out of range");
            return false;
        }
        out[i] = (int32_t)value;
    }
    return true;
}

static bool word(kg_parser *p, const char *text)
{
    if (kg_accept_word(p, text)) return true;
    kg_unexpected(p, kg_arena_printf(p->arena, "'%s'", text));
    return false;
}

static bool bases(kg_parser *p, kg_layout *layout, int in, const char *name)
{
    if (!word(p, name)) return false;
    kg_node *list = kg_expression(p);
    if (p->panic) return false;
    if (list->kind != KG_N_LIST || list->n_args > KG_MAX_BITS) {
        kg_error(p->diags, KG_D_V204, list->loc, "%s is a list of at most %d bases", name,
                 KG_MAX_BITS);
        return false;
    }
    layout->bits[in] = list->n_args;
    for (int i = 0; i < list->n_args; i++) {
        int count;
        if (!list_of_ints(p, list->args[i], KG_MAX_RANK, layout->basis[in][i], &count))
            return false;
        if (count == layout->rank) continue;
        kg_error(p->diags, KG_D_V204, list->args[i]->loc, "a basis has %d numbers, not %d",
                 layout->rank, count);
        return false;
    }
    return true;
}

static bool layout_body(kg_parser *p, kg_layout *layout)
{
    int reps;
    if (!word(p, "core")) return false;
    kg_node *core = kg_expression(p);
    if (!list_of_ints(p, core, KG_MAX_RANK, layout->core, &layout->rank) || !word(p, "reps"))
        return false;
    kg_node *list = kg_expression(p);
    if (!list_of_ints(p, list, KG_MAX_RANK, layout->reps, &reps)) return false;
    if (reps != layout->rank) {
        kg_error(p->diags, KG_D_V204, list->loc, "reps has %d numbers, core has %d", reps,
                 layout->rank);
        return false;
    }
    return bases(p, layout, KG_IN_REG, "reg") && bases(p, layout, KG_IN_LANE, "lane") &&
           bases(p, layout, KG_IN_WARP, "warp");
}

// layout #n = core [..] reps [..] reg [[..], ..] lane [[..], ..] warp [[..], ..]; numbered from 0
// in order.
void kg_layout_clause(kg_parser *p)
{
    kg_expect(p, KG_P1('#'), "'#' and the layout's number");
    kg_loc loc = p->token.loc;
    int64_t number = p->token.i;
    if (!kg_expect(p, KG_T_INT, "the layout's number")) return;
    if (number != p->n_layouts) {
        kg_error(p->diags, KG_D_P007, loc, "layouts are numbered in order: this one is #%d",
                 p->n_layouts);
        p->panic = true;
        return;
    }
    kg_expect(p, KG_P1('='), "'='");
    kg_layout *layout = KG_NEW(p->arena, kg_layout);
    bool ok = !p->panic && layout_body(p, layout);
    const kg_layout **layouts = KG_NEW_ARRAY(p->arena, const kg_layout *, p->n_layouts + 1);
    for (int i = 0; i < p->n_layouts; i++) layouts[i] = p->layouts[i];
    layouts[p->n_layouts++] = ok ? layout : NULL;
    p->layouts = layouts;
    if (!ok) p->panic = true;
}

const kg_layout *kg_layout_reference(kg_parser *p)
{
    kg_loc loc = p->token.loc;
    int64_t number = p->token.i;
    if (!kg_expect(p, KG_T_INT, "the layout's number")) return NULL;
    if (number < 0 || number >= p->n_layouts) {
        kg_error(p->diags, KG_D_P003, loc, "layout #%lld is not in the header", (long long)number);
        return NULL;
    }
    return p->layouts[number];
}
