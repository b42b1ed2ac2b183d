// SPDX-License-Identifier: MIT
// The header of a printed kernel: parameters, clauses, the table of layouts.
#include "ir/print.h"

static void put_param(kg_printer *p, const kg_value *param)
{
    const kg_tensor *tensor = param->tensor;
    kg_put(p, "%s: %s%s", kg_value_text(p, param), tensor ? "global " : "",
           kg_dtype_info_of(param->type.dtype)->name);
    if (!tensor) return;
    for (int d = 0; d < param->type.rank; d++) {
        kg_put(p, "%s", d ? ", " : "[");
        kg_put_sexpr(p, tensor->dims[d], 0);
    }
    kg_put(p, "]");
    for (int d = 0; d < param->type.rank && !tensor->row_major; d++) {
        kg_put(p, "%s", d ? ", " : " strides [");
        kg_put_sexpr(p, tensor->strides[d], 0);
    }
    if (!tensor->row_major) kg_put(p, "]");
    if (tensor->align != 16) kg_put(p, " align %d", tensor->align);
    if (tensor->alias) kg_put(p, " alias %s", kg_value_text(p, tensor->alias));
}

// Checks that the parser would make the implicit parameters in the order and with the types they
// have.
typedef struct implicit_order {
    const kg_kernel *kernel;
    int next;
    bool same;
} implicit_order;

static void follow(implicit_order *order, const kg_sexpr *e, kg_dtype dtype)
{
    if (e->kind == KG_SX_INT) return;
    if (e->kind != KG_SX_PARAM) {
        follow(order, e->a, dtype);
        follow(order, e->b, dtype);
    } else if (e->param->index >= order->next) {
        order->same &= e->param->index == order->next && e->param->type.dtype == dtype;
        order->next = e->param->index + 1;
    }
}

static bool implicit_is_clear(const kg_kernel *k)
{
    implicit_order order = {k, k->n_declared, true};
    for (int i = 0; i < k->n_declared; i++) {
        const kg_value *param = k->params[i];
        for (int d = 0; param->tensor && d < param->type.rank; d++)
            follow(&order, param->tensor->dims[d], KG_I32);
        for (int d = 0; param->tensor && d < param->type.rank && !param->tensor->row_major; d++)
            follow(&order, param->tensor->strides[d], KG_I64);
    }
    for (int i = 0; i < k->n_grid; i++) follow(&order, k->grid[i].extent, KG_I32);
    for (int i = 0; i < k->n_assumes; i++) follow(&order, k->assumes[i], KG_I32);
    return order.same && order.next == k->n_params;
}

static void put_implicit(kg_printer *p, const kg_kernel *k)
{
    if (implicit_is_clear(k)) return;
    for (int i = k->n_declared; i < k->n_params; i++)
        kg_put(p, "%s%s: %s", i > k->n_declared ? ", " : "  implicit ",
               kg_value_text(p, k->params[i]), kg_dtype_info_of(k->params[i]->type.dtype)->name);
    kg_put(p, "\n");
}

static void put_bases(kg_printer *p, const kg_layout *layout, int in, const char *name)
{
    kg_put(p, " %s [", name);
    for (int i = 0; i < layout->bits[in]; i++) {
        kg_put(p, "%s[", i ? ", " : "");
        for (int d = 0; d < layout->rank; d++)
            kg_put(p, "%s%d", d ? ", " : "", layout->basis[in][i][d]);
        kg_put(p, "]");
    }
    kg_put(p, "]");
}

static void put_layouts(kg_printer *p)
{
    for (int i = 0; i < p->layouts.count; i++) {
        const kg_layout *layout = p->layouts.items[i];
        kg_put(p, "  layout #%d = core [", i);
        for (int d = 0; d < layout->rank; d++) kg_put(p, "%s%d", d ? ", " : "", layout->core[d]);
        kg_put(p, "] reps [");
        for (int d = 0; d < layout->rank; d++) kg_put(p, "%s%d", d ? ", " : "", layout->reps[d]);
        kg_put(p, "]");
        put_bases(p, layout, KG_IN_REG, "reg");
        put_bases(p, layout, KG_IN_LANE, "lane");
        put_bases(p, layout, KG_IN_WARP, "warp");
        kg_put(p, "\n");
    }
}

static void put_schedule(kg_printer *p, const kg_schedule *schedule)
{
    const char *before = "  schedule ";
    for (int i = 0; i < kg_n_schedule_keys; i++) {
        const kg_schedule_key *key = &kg_schedule_keys[i];
        const int32_t *value = (const int32_t *)schedule + key->field;
        if (!value[0]) continue;
        kg_put(p, key->values > 1 ? "%s%s [%d, %d]" : "%s%s %d", before, key->name, value[0],
               value[key->values - 1]);
        before = ", ";
    }
    if (*before == ',') kg_put(p, "\n");
}

void kg_put_header(kg_printer *p, const kg_kernel *k)
{
    static const char *const levels[] = {"tile", "staged", "laid_out", "placed", "synced"};
    for (int i = 0; i < k->n_params; i++) kg_define_printed(p, k->params[i]);
    for (int i = 0; i < k->n_grid; i++) kg_define_printed(p, k->grid[i].value);
    kg_put(p, "kernel %s(", k->name);
    for (int i = 0; i < k->n_declared; i++) {
        if (i) kg_put(p, ", ");
        put_param(p, k->params[i]);
    }
    kg_put(p, ")\n");
    put_implicit(p, k);
    for (int i = 0; i < k->n_assumes; i++) {
        kg_put(p, i ? ", " : "  assume ");
        kg_put_sexpr(p, k->assumes[i], 0);
    }
    if (k->n_assumes) kg_put(p, "\n");
    kg_put(p, "  warps %d\n", k->warps);
    if (k->min_ctas) kg_put(p, "  ctas %d\n", k->min_ctas);
    if (k->cluster) kg_put(p, "  cluster %d\n", k->cluster);
    put_schedule(p, &k->schedule);
    for (int i = 0; i < k->n_grid; i++) {
        kg_put(p, "%s%s: ", i ? ", " : "  grid ", kg_value_text(p, k->grid[i].value));
        kg_put_sexpr(p, k->grid[i].extent, 0);
    }
    if (k->n_grid) kg_put(p, "\n");
    if (k->level != KG_LEVEL_TILE) kg_put(p, "  level %s\n", levels[k->level]);
    if (k->shared_bytes) kg_put(p, "  shared_bytes %lld\n", (long long)k->shared_bytes);
    put_layouts(p);
}
