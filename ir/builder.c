// SPDX-License-Identifier: MIT
// The builder's life and kernels' headers. Ops are in builder_ops.c.
#include "ir/builder_state.h"
#include <stdio.h>
#include <string.h>

// ---- life --------------------------------------------------------------------------------------
static kg_build *make(kg_build *b)
{
    KG_BUILD_GUARD(b, NULL);
    b->diags.arena = &b->arena;
    b->source = (kg_source){"<builder>", "", 0};
    b->verified_errors = -1;
    kg_parser *p = KG_NEW(&b->arena, kg_parser);
    p->arena = &b->arena;
    p->diags = &b->diags;
    p->lexer.source = &b->source;
    p->unit = KG_NEW(&b->arena, kg_unit);
    *p->unit = (kg_unit){.arena = &b->arena, .diags = &b->diags, .source = &b->source};
    b->parser = p;
    return b;
}

kg_build *kg_build_new(const kg_allocator *allocator)
{
    kg_arena arena;
    kg_arena_init(&arena, allocator);
    kg_build *b = arena.allocator.allocate(arena.allocator.user, sizeof *b);
    if (!b) return NULL;
    memset(b, 0, sizeof *b);
    b->arena = arena;
    if (make(b)) return b;
    kg_build_free(b);
    return NULL;
}

void kg_build_free(kg_build *b)
{
    if (!b) return;
    kg_allocator allocator = b->arena.allocator;
    kg_arena_free(&b->arena);
    allocator.release(allocator.user, b);
}

int kg_build_errors(const kg_build *b)
{
    return !b || b->no_memory ? 1 : b->diags.errors;
}

const kg_diag *kg_build_findings(const kg_build *b)
{
    return b ? b->diags.first : NULL;
}

const char *kg_build_report(kg_build *b)
{
    KG_BUILD_GUARD(b, "error: out of memory [KG-R707]\n");
    const char *report = "";
    for (const kg_diag *d = b->diags.first; d; d = d->next)
        report = kg_arena_printf(&b->arena, "%s%s", report, kg_diag_render(&b->arena, d, false));
    return report;
}

static void error(kg_build *b, kg_diag_id id, const char *text, const char *name)
{
    kg_error(&b->diags, id, (kg_loc){0}, text, name);
}

// ---- kernels -----------------------------------------------------------------------------------
// Fixes the parameters: declared ones first, then those that sizes have named.
static void end_header(kg_build *b)
{
    kg_kernel *k = b->parser->kernel;
    int n = b->declared.count;
    k->n_declared = n;
    k->n_params = n + b->implicit.count;
    k->params = KG_NEW_ARRAY(&b->arena, kg_value *, k->n_params);
    for (int i = 0; i < k->n_params; i++) {
        k->params[i] = i < n ? b->declared.items[i] : b->implicit.items[i - n];
        k->params[i]->index = i;
    }
    b->in_header = false;
}

static void end_kernel(kg_build *b)
{
    if (b->in_header) end_header(b);
    b->regions.count = 0;
    b->declared.count = b->implicit.count = 0;
    b->newest = NULL;
    b->parser->kernel = NULL;
    b->parser->block = NULL;
}

bool kg_build_kernel(kg_build *b, const char *name)
{
    KG_BUILD_GUARD(b, false);
    end_kernel(b);
    name = kg_build_checked_name(b, name);
    if (!name) return false;
    kg_kernel **end = &b->parser->unit->kernels;
    for (; *end; end = &(*end)->next)
        if (!strcmp((*end)->name, name)) {
            error(b, KG_D_P007, "kernel '%s' is defined twice", name);
            return false;
        }
    kg_kernel *k = KG_NEW(&b->arena, kg_kernel);
    k->unit = b->parser->unit;
    k->name = name;
    k->warps = 4;
    k->body = KG_NEW(&b->arena, kg_block);
    k->body->kernel = k;
    *end = k;
    b->parser->kernel = k;
    b->parser->block = k->body;
    b->in_header = true;
    b->verified_errors = -1;
    return true;
}

bool kg_build_in_body(kg_build *b)
{
    if (!b->parser->kernel) {
        if (!b->diags.errors) error(b, KG_D_V203, "no kernel is open%s", "");
        return false;
    }
    if (b->in_header) end_header(b);
    return true;
}

bool kg_build_in_head(kg_build *b)
{
    if (b->parser->kernel && b->in_header) return true;
    if (!b->diags.errors || b->parser->kernel)
        error(b, KG_D_V203,
              b->parser->kernel ? "the header has ended: its clauses come before the first op%s"
                                : "no kernel is open%s",
              "");
    return false;
}

kg_unit *kg_build_unit(kg_build *b)
{
    KG_BUILD_GUARD(b, NULL);
    end_kernel(b);
    kg_unit *unit = b->parser->unit;
    if (b->verified_errors < 0 && !b->diags.errors) {
        if (!unit->kernels) error(b, KG_D_P002, "no kernel was built%s", "");
        for (kg_kernel *k = unit->kernels; k; k = k->next) kg_verify(k, &b->diags);
        b->verified_errors = b->diags.errors;
    }
    return b->diags.errors ? NULL : unit;
}

const char *kg_build_text(kg_build *b)
{
    kg_unit *unit = kg_build_unit(b);
    KG_BUILD_GUARD(b, NULL);
    return unit ? kg_print_unit(&b->arena, unit) : NULL;
}

// ---- names -------------------------------------------------------------------------------------
static bool is_name(const char *name)
{
    kg_dtype dtype;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return name[0] && length == strlen(name) && !(name[0] >= '0' && name[0] <= '9') &&
           !kg_is_keyword(name) && !kg_dtype_named(name, &dtype);
}

const char *kg_build_checked_name(kg_build *b, const char *name)
{
    if (name && is_name(name)) return kg_arena_strndup(&b->arena, name, strlen(name));
    error(b, KG_D_P001, "'%s' cannot be a name", name ? name : "NULL");
    return NULL;
}

static kg_value *named_param(const kg_build *b, const char *name)
{
    for (int i = 0; i < b->declared.count; i++)
        if (!strcmp(b->declared.items[i]->name, name)) return b->declared.items[i];
    for (int i = 0; i < b->implicit.count; i++)
        if (!strcmp(b->implicit.items[i]->name, name)) return b->implicit.items[i];
    return NULL;
}

// A parameter or grid axis with a name that is free; NULL and a finding otherwise.
static kg_value *header_value(kg_build *b, kg_value_kind kind, const char *name, kg_type type)
{
    if ((unsigned)type.dtype >= KG_DTYPE_COUNT) {
        error(b, KG_D_P005, "unknown type of '%s'", name ? name : "NULL");
        return NULL;
    }
    name = kg_build_checked_name(b, name);
    if (!name) return NULL;
    bool taken = named_param(b, name) != NULL;
    for (int i = 0; i < b->parser->kernel->n_grid; i++)
        taken |= !strcmp(b->parser->kernel->grid[i].value->name, name);
    if (taken) {
        error(b, KG_D_P007, "'%s' is defined twice", name);
        return NULL;
    }
    kg_value *value = KG_NEW(&b->arena, kg_value);
    *value = (kg_value){.kind = kind, .name = name, .type = type, .id = -1};
    return value;
}

// ---- clauses -----------------------------------------------------------------------------------
static bool set_count(kg_build *b, int value, const char *what, int most, int32_t *out)
{
    if (!kg_build_in_head(b)) return false;
    if (value < 1 || value > most) {
        char text[32];
        snprintf(text, sizeof text, "%%s must be 1 to %d", most);
        error(b, KG_D_T106, text, what);
        return false;
    }
    *out = value;
    return true;
}

bool kg_build_warps(kg_build *b, int warps)
{
    KG_BUILD_GUARD(b, false);
    return set_count(b, warps, "warps", 32, b->parser->kernel ? &b->parser->kernel->warps : NULL);
}

bool kg_build_ctas(kg_build *b, int min_ctas)
{
    KG_BUILD_GUARD(b, false);
    return set_count(b, min_ctas, "ctas", 32,
                     b->parser->kernel ? &b->parser->kernel->min_ctas : NULL);
}

bool kg_build_cluster(kg_build *b, int ctas)
{
    KG_BUILD_GUARD(b, false);
    int32_t *field = b->parser->kernel ? &b->parser->kernel->cluster : NULL;
    if (!set_count(b, ctas, "cluster", KG_MAX_CLUSTER, field)) return false;
    if (ctas == 1) b->parser->kernel->cluster = 0;
    return true;
}

static const kg_schedule_key *schedule_key(const char *name)
{
    for (int i = 0; i < kg_n_schedule_keys; i++)
        if (name && !strcmp(name, kg_schedule_keys[i].name)) return &kg_schedule_keys[i];
    return NULL;
}

bool kg_build_schedule(kg_build *b, const char *name, int count, ...)
{
    KG_BUILD_GUARD(b, false);
    KG_BUILD_COLLECT(int, values, count, count);
    if (!kg_build_in_head(b)) return false;
    const kg_schedule_key *key = schedule_key(name);
    if (!key || count != key->values) {
        error(b, KG_D_P006, "a schedule knows no '%s' of so many values", name ? name : "");
        return false;
    }
    int32_t *out = (int32_t *)&b->parser->kernel->schedule + key->field;
    for (int i = 0; i < count; i++) {
        if (values[i] < key->least || values[i] > key->most || (count > 1 && values[i] % 8)) {
            error(b, KG_D_T106, "%s of a schedule is out of range", name);
            return false;
        }
        out[i] = values[i];
    }
    return true;
}

bool kg_build_assume(kg_build *b, kg_sexpr *condition)
{
    KG_BUILD_GUARD(b, false);
    if (!condition || !kg_build_in_head(b)) return false;
    kg_kernel *k = b->parser->kernel;
    kg_sexpr **assumes = KG_NEW_ARRAY(&b->arena, kg_sexpr *, k->n_assumes + 1);
    if (k->n_assumes) memcpy(assumes, k->assumes, sizeof *assumes * (size_t)k->n_assumes);
    assumes[k->n_assumes++] = condition;
    k->assumes = assumes;
    return true;
}

kg_value *kg_build_grid(kg_build *b, const char *name, kg_sexpr *extent)
{
    KG_BUILD_GUARD(b, NULL);
    if (!extent || !kg_build_in_head(b)) return NULL;
    kg_kernel *k = b->parser->kernel;
    if (k->n_grid == 3) {
        error(b, KG_D_T103, "a grid has at most three axes%s", "");
        return NULL;
    }
    kg_value *value = header_value(b, KG_VALUE_GRID, name, kg_scalar_type(KG_I32));
    if (!value) return NULL;
    value->index = k->n_grid;
    k->grid[k->n_grid++] = (kg_grid_axis){value, extent};
    return value;
}

// ---- sizes -------------------------------------------------------------------------------------
kg_sexpr *kg_build_size_int(kg_build *b, int64_t value)
{
    KG_BUILD_GUARD(b, NULL);
    return kg_sexpr_int(&b->arena, value);
}

static kg_sexpr *size_named(kg_build *b, const char *name, kg_dtype dtype)
{
    if (!b->parser->kernel) {
        kg_build_in_head(b);
        return NULL;
    }
    kg_value *value = name ? named_param(b, name) : NULL;
    if (!value) {
        if (!kg_build_in_head(b)) return NULL;
        value = header_value(b, KG_VALUE_PARAM, name, kg_scalar_type(dtype));
        if (!value) return NULL;
        KG_PUSH(&b->arena, &b->implicit, value);
    }
    bool integer = !kg_dtype_info_of(value->type.dtype)->is_float && value->type.dtype != KG_I1;
    if (value->tensor || !integer) {
        error(b, KG_D_T102, "sizes are made of integer parameters; '%s' is none", name);
        return NULL;
    }
    return kg_sexpr_param(&b->arena, value);
}

kg_sexpr *kg_build_size(kg_build *b, const char *name)
{
    KG_BUILD_GUARD(b, NULL);
    return size_named(b, name, KG_I32);
}

kg_sexpr *kg_build_stride(kg_build *b, const char *name)
{
    KG_BUILD_GUARD(b, NULL);
    return size_named(b, name, KG_I64);
}

kg_sexpr *kg_build_size_op(kg_build *b, kg_sexpr_kind kind, kg_sexpr *left, kg_sexpr *right)
{
    KG_BUILD_GUARD(b, NULL);
    if (!left || !right) return NULL;
    if (kind < KG_SX_ADD || kind > KG_SX_OR) {
        error(b, KG_D_P004, "unknown kind of size%s", "");
        return NULL;
    }
    kg_sexpr *size = kg_sexpr_binary(&b->arena, kind, left, right);
    bool folds = left->kind == KG_SX_INT && right->kind == KG_SX_INT;
    if (!folds || size->kind == KG_SX_INT) return size;
    error(b, KG_D_P009, "a constant size divides by zero or does not fit 64 bits%s", "");
    return NULL;
}

// ---- parameters --------------------------------------------------------------------------------
static bool sizes_are_right(kg_build *b, int rank, kg_sexpr *const *sizes, int64_t least)
{
    if (rank < 1 || rank > KG_MAX_RANK || !sizes) {
        error(b, KG_D_T106, "a tensor has 1 to 5 dimensions%s", "");
        return false;
    }
    for (int d = 0; d < rank; d++) {
        if (!sizes[d]) return false; // reported where it was made
        if (sizes[d]->kind != KG_SX_INT || sizes[d]->value >= least) continue;
        error(b, KG_D_T106, "a size is zero or negative%s", "");
        return false;
    }
    return true;
}

kg_value *kg_build_tensor_array(kg_build *b, const char *name, kg_dtype dtype, int rank,
                                kg_sexpr *const *sizes)
{
    KG_BUILD_GUARD(b, NULL);
    if (!kg_build_in_head(b) || !sizes_are_right(b, rank, sizes, 1)) return NULL;
    kg_type type = {.dtype = dtype, .home = KG_HOME_GLOBAL, .rank = (int8_t)rank};
    kg_value *value = header_value(b, KG_VALUE_PARAM, name, type);
    if (!value) return NULL;
    value->tensor = KG_NEW(&b->arena, kg_tensor);
    for (int d = 0; d < rank; d++) value->tensor->dims[d] = sizes[d];
    value->tensor->align = 16;
    kg_row_major(&b->arena, value->tensor, rank);
    KG_PUSH(&b->arena, &b->declared, value);
    return value;
}

kg_value *kg_build_tensor(kg_build *b, const char *name, kg_dtype dtype, int rank, ...)
{
    KG_BUILD_COLLECT(kg_sexpr *, sizes, rank, rank);
    return kg_build_tensor_array(b, name, dtype, rank, sizes);
}

kg_value *kg_build_scalar(kg_build *b, const char *name, kg_dtype dtype)
{
    KG_BUILD_GUARD(b, NULL);
    if (!kg_build_in_head(b)) return NULL;
    kg_value *value = header_value(b, KG_VALUE_PARAM, name, kg_scalar_type(dtype));
    if (value) KG_PUSH(&b->arena, &b->declared, value);
    return value;
}

static bool is_open_tensor(kg_build *b, const kg_value *tensor)
{
    if (!tensor || !kg_build_in_head(b)) return false;
    if (!tensor->tensor) error(b, KG_D_T104, "this is no tensor parameter%s", "");
    return tensor->tensor != NULL;
}

bool kg_build_strides_array(kg_build *b, kg_value *tensor, int rank, kg_sexpr *const *strides)
{
    KG_BUILD_GUARD(b, false);
    if (!is_open_tensor(b, tensor) || !sizes_are_right(b, rank, strides, 0)) return false;
    if (rank != tensor->type.rank) {
        error(b, KG_D_T103, "strides of '%s': one a dimension", tensor->name);
        return false;
    }
    for (int d = 0; d < rank; d++) tensor->tensor->strides[d] = strides[d];
    tensor->tensor->row_major = false;
    return true;
}

bool kg_build_strides(kg_build *b, kg_value *tensor, int rank, ...)
{
    KG_BUILD_COLLECT(kg_sexpr *, strides, rank, rank);
    return kg_build_strides_array(b, tensor, rank, strides);
}

bool kg_build_align(kg_build *b, kg_value *tensor, int bytes)
{
    KG_BUILD_GUARD(b, false);
    if (!is_open_tensor(b, tensor)) return false;
    if (bytes < 1 || bytes > 1 << 16 || (bytes & (bytes - 1))) {
        error(b, KG_D_T106, "align of '%s' must be a power of two up to 65536", tensor->name);
        return false;
    }
    tensor->tensor->align = bytes;
    return true;
}

bool kg_build_alias(kg_build *b, kg_value *tensor, kg_value *other)
{
    KG_BUILD_GUARD(b, false);
    if (!is_open_tensor(b, tensor) || !is_open_tensor(b, other)) return false;
    if (tensor == other) {
        error(b, KG_D_T104, "'%s' is no alias of itself", tensor->name);
        return false;
    }
    tensor->tensor->alias = other;
    return true;
}

kg_value *kg_build_param(kg_build *b, const char *name)
{
    KG_BUILD_GUARD(b, NULL);
    kg_value *value = name && b->parser->kernel ? named_param(b, name) : NULL;
    if (!value) error(b, KG_D_P003, "unknown parameter '%s'", name ? name : "NULL");
    return value;
}
