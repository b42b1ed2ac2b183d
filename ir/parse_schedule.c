// SPDX-License-Identifier: MIT
// The clause `schedule` of a kernel's header: read with the header, resolved when its constants
// are.
//
//   schedule producers 1, registers [24, 240], persistent 132, raster 8
#include "ir/parse.h"
#include <string.h>

enum { MOST_KEYS = 16 };

struct kg_schedule_text {
    kg_node *given[MOST_KEYS]; // by key
};

static int find_key(kg_parser *p)
{
    const char *names[MOST_KEYS];
    for (int i = 0; i < kg_n_schedule_keys; i++) {
        names[i] = kg_schedule_keys[i].name;
        if (kg_accept_word(p, names[i])) return i;
    }
    if (p->token.kind != KG_T_NAME) {
        kg_unexpected(p, "what the schedule asks for");
        return -1;
    }
    p->panic = true;
    kg_diag *d =
        kg_error(p->diags, KG_D_P006, p->token.loc, "a schedule knows no '%s'", p->token.text);
    const char *nearest = kg_nearest_name(p->token.text, names, kg_n_schedule_keys);
    if (nearest)
        kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
    else
        kg_diag_help(
            p->diags, d,
            "it knows producers, registers, persistent, raster, bulk_store, store_columns, "
            "bulk_load, cluster, cluster_axis, turns, overlap, pingpong, dependent and fallback");
    return -1;
}

void kg_schedule_clause(kg_parser *p, kg_loc loc)
{
    if (!p->schedule) {
        p->schedule = KG_NEW(p->arena, kg_schedule_text);
        p->kernel->schedule.loc = loc;
    }
    do {
        kg_loc at = p->token.loc;
        int key = find_key(p);
        if (key < 0) return;
        if (p->schedule->given[key])
            kg_error(p->diags, KG_D_P007, at, "'%s' is asked for twice",
                     kg_schedule_keys[key].name);
        p->schedule->given[key] = kg_expression(p);
    } while (kg_accept(p, KG_P1(',')) && !p->panic);
}

static void resolve_value(kg_parser *p, const kg_schedule_key *key, kg_node *n, int32_t *out)
{
    int64_t value;
    if (!kg_constant_int(p, n, key->name, &value)) return;
    if (value < key->least || value > key->most)
        kg_error(p->diags, KG_D_T106, n->loc, "%s must be %d to %d, not %lld", key->name,
                 key->least, key->most, (long long)value);
    else if (key->values > 1 && value % 8)
        kg_error(p->diags, KG_D_T106, n->loc, "%s must be multiples of 8, not %lld", key->name,
                 (long long)value);
    else
        *out = (int32_t)value;
}

void kg_resolve_schedule(kg_parser *p)
{
    for (int i = 0; p->schedule && i < kg_n_schedule_keys; i++) {
        const kg_schedule_key *key = &kg_schedule_keys[i];
        kg_node *n = p->schedule->given[i];
        int32_t *out = (int32_t *)&p->kernel->schedule + key->field;
        if (!n || n->kind == KG_N_POISON) continue;
        if (key->values == 1) {
            resolve_value(p, key, n, out);
        } else if (n->kind == KG_N_LIST && n->n_args == key->values) {
            for (int v = 0; v < key->values; v++) resolve_value(p, key, n->args[v], out + v);
        } else {
            kg_diag *d =
                kg_error(p->diags, KG_D_T103, n->loc, "%s is a list of %d", key->name, key->values);
            kg_diag_help(p->diags, d, "as in registers [24, 240]: of the producer, of a consumer");
        }
    }
    p->schedule = NULL;
}
