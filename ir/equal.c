// SPDX-License-Identifier: MIT
// Structural equality of kernels: the same ops, operands, attributes, types and layouts in the same
// order. Names count without the .n that the printer adds to copies.
#include "ir/print.h"
#include <string.h>

static bool name_equal(const char *a, const char *b)
{
    if (!a || !b) return a == b;
    const char *a_dot = strchr(a, '.'), *b_dot = strchr(b, '.');
    size_t n = a_dot ? (size_t)(a_dot - a) : strlen(a), m = b_dot ? (size_t)(b_dot - b) : strlen(b);
    return n == m && !memcmp(a, b, n);
}

static bool type_equal(const kg_type *a, const kg_type *b)
{
    if (a->dtype != b->dtype || a->home != b->home || a->rank != b->rank) return false;
    return !memcmp(a->dims, b->dims, sizeof a->dims[0] * (size_t)a->rank);
}

static bool value_equal(const kg_value *a, const kg_value *b)
{
    if (!a || !b) return a == b;
    // its extents are expressions: see tensor_equal
    bool tensor = a->kind == KG_VALUE_PARAM && a->tensor;
    if (a->kind != b->kind || a->id != b->id || !name_equal(a->name, b->name)) return false;
    if (tensor ? a->type.dtype != b->type.dtype || a->type.rank != b->type.rank
               : !type_equal(&a->type, &b->type))
        return false;
    if (!a->layout || !b->layout) return a->layout == b->layout;
    return kg_layout_same(a->layout, b->layout);
}

bool kg_sexpr_equal(const kg_sexpr *a, const kg_sexpr *b)
{
    if (!a || !b) return a == b;
    if (a->kind != b->kind) return false;
    if (a->kind == KG_SX_INT) return a->value == b->value;
    if (a->kind == KG_SX_PARAM) return a->param->index == b->param->index;
    return kg_sexpr_equal(a->a, b->a) && kg_sexpr_equal(a->b, b->b);
}

static bool tensor_equal(const kg_tensor *a, const kg_tensor *b, int rank)
{
    if (!a || !b) return a == b;
    if (a->row_major != b->row_major || a->align != b->align) return false;
    if ((a->alias ? a->alias->index : -1) != (b->alias ? b->alias->index : -1)) return false;
    for (int d = 0; d < rank; d++)
        if (!kg_sexpr_equal(a->dims[d], b->dims[d]) ||
            !kg_sexpr_equal(a->strides[d], b->strides[d]))
            return false;
    return true;
}

static bool double_equal(double a, double b)
{
    // -0.0 is not 0.0, one NaN is as good as another
    return !memcmp(&a, &b, sizeof a) || (a != a && b != b);
}

static bool attr_equal(const kg_attr *a, const kg_attr *b)
{
    if (a->key != b->key) return false;
    switch (kg_attr_info_of(a->key)->kind) {
    case KG_ATTR_INT: return a->i == b->i;
    case KG_ATTR_FLOAT: return double_equal(a->f, b->f);
    case KG_ATTR_DTYPE: return a->dtype == b->dtype;
    case KG_ATTR_NAME: return !strcmp(a->name, b->name);
    case KG_ATTR_INTS:
    case KG_ATTR_LIST:
        return a->count == b->count &&
               (!a->count || !memcmp(a->ints, b->ints, sizeof *a->ints * (size_t)a->count));
    }
    return false;
}

static bool block_equal(const kg_block *a, const kg_block *b);

static bool op_equal(const kg_op *a, const kg_op *b)
{
    if (a->code != b->code || a->n_operands != b->n_operands || a->n_results != b->n_results ||
        a->n_blocks != b->n_blocks)
        return false;
    for (int i = 0; i < a->n_operands; i++)
        if (a->operands[i]->id != b->operands[i]->id) return false;
    for (int i = 0; i < a->n_results; i++)
        if (!value_equal(a->results[i], b->results[i])) return false;
    const kg_attr *x = a->attrs, *y = b->attrs;
    for (; x && y; x = x->next, y = y->next)
        if (!attr_equal(x, y)) return false;
    if (x || y) return false;
    for (int i = 0; i < a->n_blocks; i++)
        if (!block_equal(a->blocks[i], b->blocks[i])) return false;
    return true;
}

static bool block_equal(const kg_block *a, const kg_block *b)
{
    const kg_op *x = a->first, *y = b->first;
    if (!value_equal(a->arg, b->arg)) return false;
    for (; x && y; x = x->next, y = y->next)
        if (!op_equal(x, y)) return false;
    return !x && !y;
}

static bool schedule_equal(const kg_schedule *a, const kg_schedule *b)
{
    for (int i = 0; i < kg_n_schedule_keys; i++)
        if (memcmp((const int32_t *)a + kg_schedule_keys[i].field,
                   (const int32_t *)b + kg_schedule_keys[i].field,
                   sizeof(int32_t) * (size_t)kg_schedule_keys[i].values))
            return false;
    return true;
}

bool kg_kernel_equal(const kg_kernel *a, const kg_kernel *b)
{
    // ids are scratch: numbering changes nothing that is compared
    kg_kernel_number((kg_kernel *)a, NULL);
    kg_kernel_number((kg_kernel *)b, NULL);
    if (strcmp(a->name, b->name) || a->n_params != b->n_params || a->n_declared != b->n_declared ||
        a->n_grid != b->n_grid || a->n_assumes != b->n_assumes || a->warps != b->warps ||
        a->min_ctas != b->min_ctas || a->cluster != b->cluster ||
        !schedule_equal(&a->schedule, &b->schedule) || a->level != b->level ||
        a->shared_bytes != b->shared_bytes)
        return false;
    for (int i = 0; i < a->n_params; i++)
        if (!value_equal(a->params[i], b->params[i]) ||
            !tensor_equal(a->params[i]->tensor, b->params[i]->tensor, a->params[i]->type.rank))
            return false;
    for (int i = 0; i < a->n_grid; i++)
        if (!value_equal(a->grid[i].value, b->grid[i].value) ||
            !kg_sexpr_equal(a->grid[i].extent, b->grid[i].extent))
            return false;
    for (int i = 0; i < a->n_assumes; i++)
        if (!kg_sexpr_equal(a->assumes[i], b->assumes[i])) return false;
    return block_equal(a->body, b->body);
}
