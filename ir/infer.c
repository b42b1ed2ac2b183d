// SPDX-License-Identifier: MIT
// Type rules. One function a group of ops; `rules` below says which group an op belongs to.
#include "ir/infer.h"

// ---- findings ----------------------------------------------------------------------------------
#define FAIL(q, problem, blamed, ...)                                                              \
    ((q)->id = KG_D_##problem, (q)->operand = (blamed),                                            \
     (q)->text = kg_arena_printf((q)->arena, __VA_ARGS__), false)

static const char *name_of(const kg_infer *q)
{
    return kg_op_info_of(q->code)->name;
}

static const char *type_of(const kg_infer *q, int operand)
{
    return kg_type_text(q->arena, &q->types[operand]);
}

static bool is_float(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->is_float;
}

static const kg_attr *attr(const kg_infer *q, kg_attr_key key)
{
    for (const kg_attr *a = q->attrs; a; a = a->next)
        if (a->key == key) return a;
    return NULL;
}

static bool all_fragments(kg_infer *q)
{
    for (int i = 0; i < q->n; i++)
        if (q->types[i].home != KG_HOME_FRAG)
            return FAIL(q, T104, i, "%s needs a fragment here, not a view of %s memory", name_of(q),
                        q->types[i].home == KG_HOME_SHARED ? "shared" : "global");
    return true;
}

static bool needs_memory(kg_infer *q, int operand)
{
    if (q->types[operand].home != KG_HOME_FRAG) return true;
    return FAIL(q, T104, operand, "%s needs a view of global or shared memory here, not a fragment",
                name_of(q));
}

static bool same_shape(kg_infer *q, int a, int b)
{
    if (kg_shape_equal(&q->types[a], &q->types[b])) return true;
    return FAIL(q, T101, b, "shapes of %s do not match: %s and %s", name_of(q), type_of(q, a),
                type_of(q, b));
}

static bool same_dtype(kg_infer *q, int a, int b)
{
    if (q->types[a].dtype == q->types[b].dtype) return true;
    return FAIL(q, T102, b, "element types of %s do not match: %s and %s", name_of(q),
                kg_dtype_info_of(q->types[a].dtype)->name,
                kg_dtype_info_of(q->types[b].dtype)->name);
}

static bool bad_dtype(kg_infer *q, int operand, const char *wanted)
{
    return FAIL(q, T102, operand, "%s takes %s, not %s", name_of(q), wanted,
                kg_dtype_info_of(q->types[operand].dtype)->name);
}

static bool needs_integer_scalar(kg_infer *q, int operand)
{
    const kg_type *t = &q->types[operand];
    if (t->home == KG_HOME_FRAG && t->rank == 0 && !is_float(t->dtype) && t->dtype != KG_I1)
        return true;
    return FAIL(q, T102, operand, "%s needs an integer scalar here, not %s", name_of(q),
                type_of(q, operand));
}

static bool needs_truth_scalar(kg_infer *q, int operand)
{
    const kg_type *t = &q->types[operand];
    if (t->home == KG_HOME_FRAG && t->rank == 0 && t->dtype == KG_I1) return true;
    return FAIL(q, T102, operand, "%s needs a truth value (i1 scalar), not %s", name_of(q),
                type_of(q, operand));
}

// A mask operand: i1 of the same shape as `like`.
static bool is_mask(kg_infer *q, int operand, int like)
{
    if (q->n <= operand) return true;
    if (q->types[operand].home != KG_HOME_FRAG || q->types[operand].dtype != KG_I1)
        return FAIL(q, T102, operand, "the mask of %s must be i1, not %s", name_of(q),
                    type_of(q, operand));
    return same_shape(q, like, operand);
}

static bool axis_of(kg_infer *q, int rank, int *axis)
{
    const kg_attr *a = attr(q, KG_A_AXIS);
    if (!a) return FAIL(q, V203, -1, "%s needs an axis", name_of(q));
    if (a->i < 0 || a->i >= rank)
        return FAIL(q, T108, -1, "axis %lld of %s is out of range for rank %d", (long long)a->i,
                    name_of(q), rank);
    *axis = (int)a->i;
    return true;
}

// ---- groups of rules ---------------------------------------------------------------------------
static bool rule_none(kg_infer *q)
{
    return true;
}

static bool rule_first(kg_infer *q)
{
    q->result = q->types[0];
    return all_fragments(q);
}

static bool rule_unary(kg_infer *q)
{
    kg_dtype dtype = q->types[0].dtype;
    q->result = q->types[0];
    if (!all_fragments(q)) return false;
    if (q->code == KG_OP_NOT) return is_float(dtype) ? bad_dtype(q, 0, "integers or i1") : true;
    if (q->code == KG_OP_NEG || q->code == KG_OP_ABS)
        return dtype == KG_I1 ? bad_dtype(q, 0, "numbers") : true;
    return is_float(dtype) ? true : bad_dtype(q, 0, "floating types");
}

static bool rule_binary(kg_infer *q)
{
    kg_dtype dtype = q->types[0].dtype;
    if (!all_fragments(q) || !same_dtype(q, 0, 1) || !same_shape(q, 0, 1)) return false;
    kg_shape_join(&q->types[0], &q->types[1], &q->types[0]); // fills open extents
    q->result = q->types[0];
    switch (q->code) {
    case KG_OP_AND:
    case KG_OP_OR:
    case KG_OP_XOR: return is_float(dtype) ? bad_dtype(q, 0, "integers or i1") : true;
    case KG_OP_MOD:
    case KG_OP_SHL:
    case KG_OP_SHR: return is_float(dtype) || dtype == KG_I1 ? bad_dtype(q, 0, "integers") : true;
    case KG_OP_EQ:
    case KG_OP_NE: q->result.dtype = KG_I1; return true;
    default: break;
    }
    if (kg_op_info_of(q->code)->cls == KG_CLASS_C) q->result.dtype = KG_I1;
    return dtype == KG_I1 ? bad_dtype(q, 0, "numbers") : true;
}

static bool rule_select(kg_infer *q)
{
    if (!all_fragments(q)) return false;
    if (q->types[0].dtype != KG_I1) return bad_dtype(q, 0, "a condition of type i1");
    q->result = q->types[1];
    if (!same_dtype(q, 1, 2) || !same_shape(q, 1, 2) || !same_shape(q, 1, 0)) return false;
    kg_shape_join(&q->result, &q->types[2], &q->result);
    return true;
}

static bool rule_fma(kg_infer *q)
{
    q->result = q->types[0];
    if (!all_fragments(q)) return false;
    if (!is_float(q->types[0].dtype)) return bad_dtype(q, 0, "floating types");
    return same_dtype(q, 0, 1) && same_dtype(q, 0, 2) && same_shape(q, 0, 1) && same_shape(q, 0, 2);
}

static bool rule_const(kg_infer *q)
{
    const kg_attr *dtype = attr(q, KG_A_DTYPE);
    if (!dtype) return FAIL(q, V203, -1, "const needs a type");
    kg_attr_key key = is_float(dtype->dtype) ? KG_A_VALUE_FLOAT : KG_A_VALUE_INT;
    const kg_attr *value = attr(q, key);
    if (!value) return FAIL(q, V203, -1, "const needs a value of its type");
    q->result = kg_scalar_type(dtype->dtype);
    int bits = dtype->dtype == KG_I1 ? 1 : kg_dtype_info_of(dtype->dtype)->bits;
    if (key == KG_A_VALUE_FLOAT || bits == 64) return true;
    int64_t low = bits == 1 ? 0 : -((int64_t)1 << (bits - 1)), high = ((int64_t)1 << bits) - 1;
    if (value->i < low || value->i > high)
        return FAIL(q, P009, -1, "%lld does not fit %s", (long long)value->i,
                    kg_dtype_info_of(dtype->dtype)->name);
    return true;
}

// Copies the SHAPE attribute into the result; extents are checked with the result.
static bool shape_attr(kg_infer *q)
{
    const kg_attr *shape = attr(q, KG_A_SHAPE);
    if (!shape) return FAIL(q, V203, -1, "%s needs a shape", name_of(q));
    if (shape->count > KG_MAX_RANK)
        return FAIL(q, T106, -1, "rank %d is above the limit of %d", shape->count, KG_MAX_RANK);
    q->result.rank = (int8_t)shape->count;
    for (int d = 0; d < shape->count; d++) {
        if (shape->ints[d] <= 0 || shape->ints[d] > KG_TILE_ELEMENTS)
            return FAIL(q, T106, -1, "extent %lld of dimension %d is not between 1 and %d",
                        (long long)shape->ints[d], d, (int)KG_TILE_ELEMENTS);
        q->result.dims[d] = (int32_t)shape->ints[d];
    }
    return true;
}

static bool rule_iota(kg_infer *q)
{
    int axis;
    const kg_attr *dtype = attr(q, KG_A_DTYPE);
    if (!dtype) return FAIL(q, V203, -1, "iota needs a type");
    q->result = kg_scalar_type(dtype->dtype);
    if (is_float(q->result.dtype) || q->result.dtype == KG_I1)
        return FAIL(q, T102, -1, "iota makes integers, not %s",
                    kg_dtype_info_of(dtype->dtype)->name);
    return shape_attr(q) && axis_of(q, q->result.rank, &axis);
}

static bool rule_cast(kg_infer *q)
{
    const kg_attr *dtype = attr(q, KG_A_DTYPE);
    if (!dtype) return FAIL(q, V203, -1, "%s needs a type", name_of(q));
    if (!all_fragments(q)) return false;
    q->result = q->types[0];
    q->result.dtype = dtype->dtype;
    if (q->code == KG_OP_CAST) return true;
    if (kg_dtype_info_of(dtype->dtype)->bits != kg_dtype_info_of(q->types[0].dtype)->bits ||
        (dtype->dtype == KG_I1) != (q->types[0].dtype == KG_I1))
        return FAIL(q, T102, 0, "bitcast needs types of the same width, not %s and %s",
                    kg_dtype_info_of(q->types[0].dtype)->name,
                    kg_dtype_info_of(dtype->dtype)->name);
    return true;
}

static bool rule_expand(kg_infer *q)
{
    int axis, rank = q->types[0].rank;
    if (!all_fragments(q)) return false;
    if (rank + 1 > KG_MAX_RANK)
        return FAIL(q, T106, -1, "expand makes rank %d, the limit is %d", rank + 1, KG_MAX_RANK);
    if (!axis_of(q, rank + 1, &axis)) return false;
    q->result = q->types[0];
    q->result.rank++;
    for (int d = rank; d > axis; d--) q->result.dims[d] = q->result.dims[d - 1];
    q->result.dims[axis] = 1;
    return true;
}

static bool rule_part(kg_infer *q)
{
    int axis;
    const kg_attr *first = attr(q, KG_A_FIRST), *last = attr(q, KG_A_LAST);
    if (!first || !last) return FAIL(q, V203, -1, "part needs a first and a last element");
    if (!all_fragments(q) || !axis_of(q, q->types[0].rank, &axis)) return false;
    int64_t extent = q->types[0].dims[axis], size = last->i - first->i;
    if (extent == KG_OPEN) return FAIL(q, T108, 0, "part of an axis whose extent is not stated");
    if (first->i < 0 || last->i <= first->i || last->i > extent)
        return FAIL(q, T108, 0, "part from %lld to %lld of an axis of %lld elements",
                    (long long)first->i, (long long)last->i, (long long)extent);
    if (extent % size || first->i % size)
        return FAIL(q, T108, 0, "parts divide an axis evenly: %lld to %lld is none of %lld",
                    (long long)first->i, (long long)last->i, (long long)extent);
    q->result = q->types[0];
    q->result.dims[axis] = (int32_t)size;
    return true;
}

static bool rule_broadcast(kg_infer *q)
{
    if (!all_fragments(q)) return false;
    const kg_type *from = &q->types[0];
    q->result = *from;
    if (!shape_attr(q)) return false;
    if (from->rank == 0) return true;
    bool fits = from->rank == q->result.rank;
    for (int d = 0; fits && d < from->rank; d++)
        fits = from->dims[d] == 1 || kg_extent_equal(from->dims[d], q->result.dims[d]);
    if (fits) return true;
    return FAIL(q, T101, 0, "%s cannot be broadcast to %s", type_of(q, 0),
                kg_type_text(q->arena, &q->result));
}

static bool rule_transpose(kg_infer *q)
{
    const kg_attr *perm = attr(q, KG_A_PERM);
    const kg_type *from = &q->types[0];
    if (!perm) return FAIL(q, V203, -1, "transpose needs a permutation");
    q->result = *from;
    unsigned seen = 0;
    bool fits = perm->count == from->rank;
    for (int d = 0; fits && d < perm->count; d++) {
        fits = perm->ints[d] >= 0 && perm->ints[d] < from->rank && !(seen >> perm->ints[d] & 1);
        if (!fits) break;
        seen |= 1u << perm->ints[d];
        q->result.dims[d] = from->dims[perm->ints[d]];
    }
    if (fits) return true;
    return FAIL(q, T108, -1, "the permutation must name each of the %d dimensions once",
                from->rank);
}

static bool rule_reduce(kg_infer *q)
{
    int axis;
    kg_dtype dtype = q->types[0].dtype;
    if (!all_fragments(q) || !axis_of(q, q->types[0].rank, &axis)) return false;
    bool truth = q->code == KG_OP_ANY || q->code == KG_OP_ALL;
    if (truth != (dtype == KG_I1)) return bad_dtype(q, 0, truth ? "i1" : "numbers");
    q->result = q->types[0];
    if (q->code == KG_OP_ARGMAX || q->code == KG_OP_ARGMIN) q->result.dtype = KG_I32;
    const kg_attr *partial = attr(q, KG_A_PARTIAL);
    if (partial) {
        if (partial->i < 1 || partial->i > 32)
            return FAIL(q, V203, -1, "%s keeps 1 to 32 parts, not %lld", name_of(q),
                        (long long)partial->i);
        q->result.dims[axis] = (int32_t)partial->i;
        return true;
    }
    q->result.rank--;
    for (int d = axis; d < q->result.rank; d++) q->result.dims[d] = q->result.dims[d + 1];
    return true;
}

static bool rule_scan(kg_infer *q)
{
    int axis;
    q->result = q->types[0];
    if (!all_fragments(q) || !axis_of(q, q->types[0].rank, &axis)) return false;
    return q->types[0].dtype == KG_I1 ? bad_dtype(q, 0, "numbers") : true;
}

// One index of a view: its operand, if it has one, and what it leaves in the result.
static bool view_index(kg_infer *q, int d, int64_t kind, int64_t extent, int *operand)
{
    bool takes = kind != KG_INDEX_ALL;
    if (takes && *operand >= q->n) return FAIL(q, T103, -1, "view has too few operands");
    const kg_type *index = takes ? &q->types[*operand] : NULL;
    if (kind == KG_INDEX_GATHER) {
        if (index->home != KG_HOME_FRAG || index->rank != 1 || is_float(index->dtype) ||
            index->dtype == KG_I1)
            return FAIL(q, T102, *operand,
                        "an index must be an integer scalar or a rank-1 integer "
                        "fragment, not %s",
                        type_of(q, *operand));
        if (extent != index->dims[0] && extent != KG_OPEN && index->dims[0] != KG_OPEN)
            return FAIL(q, T101, *operand, "extent of dimension %d is not that of its indices", d);
    } else if (takes && !needs_integer_scalar(q, *operand)) {
        return false;
    }
    if (takes) ++*operand;
    if (kind == KG_INDEX_AT) return true;
    if (extent != KG_OPEN && (extent <= 0 || extent > KG_TILE_ELEMENTS))
        return FAIL(q, T106, -1, "extent %lld of dimension %d is not between 1 and %d",
                    (long long)extent, d, (int)KG_TILE_ELEMENTS);
    if (q->types[0].home == KG_HOME_SHARED && kind != KG_INDEX_GATHER &&
        extent > q->types[0].dims[d])
        return FAIL(q, T101, 0, "a range of %lld is longer than dimension %d of the buffer, %d",
                    (long long)extent, d, q->types[0].dims[d]);
    q->result.dims[q->result.rank++] = (int32_t)extent;
    return true;
}

static bool rule_view(kg_infer *q)
{
    const kg_attr *kinds = attr(q, KG_A_INDEX), *extents = attr(q, KG_A_EXTENT);
    const kg_type *base = &q->types[0];
    if (!needs_memory(q, 0)) return false;
    if (!kinds || !extents) return FAIL(q, V203, -1, "view needs indices and extents");
    if (kinds->count != base->rank || extents->count != base->rank)
        return FAIL(q, T103, -1, "%d indices for %d dimensions", kinds->count, base->rank);
    const kg_attr *slot = attr(q, KG_A_SLOT);
    int operand = 1;
    if (slot && slot->i) {
        if (q->n < 2) return FAIL(q, T103, -1, "view of a ring needs its iteration number");
        if (!needs_integer_scalar(q, operand++)) return false;
    }
    q->result = (kg_type){.dtype = base->dtype, .home = base->home};
    for (int d = 0; d < kinds->count; d++) {
        if (kinds->ints[d] < KG_INDEX_AT || kinds->ints[d] > KG_INDEX_GATHER)
            return FAIL(q, V203, -1, "view has an unknown kind of index");
        if (!view_index(q, d, kinds->ints[d], extents->ints[d], &operand)) return false;
    }
    if (operand != q->n) return FAIL(q, T103, -1, "view has too many operands");
    return true;
}

static bool rule_assign(kg_infer *q)
{
    return all_fragments(q) && same_dtype(q, 0, 1) && same_shape(q, 0, 1);
}

static bool rule_for(kg_infer *q)
{
    for (int i = 0; i < 3; i++) {
        if (!needs_integer_scalar(q, i)) return false;
        if (q->types[i].dtype != KG_I32 && q->types[i].dtype != KG_I64)
            return bad_dtype(q, i, "bounds of type i32 or i64");
        if (!same_dtype(q, 0, i)) return false;
    }
    return true;
}

static bool rule_condition(kg_infer *q)
{
    return needs_truth_scalar(q, 0);
}

static bool rule_load(kg_infer *q)
{
    if (!needs_memory(q, 0) || !is_mask(q, 1, 0)) return false;
    q->result = q->types[0];
    q->result.home = KG_HOME_FRAG;
    if (q->n < 3) return true;
    if (q->types[2].home != KG_HOME_FRAG)
        return FAIL(q, T104, 2, "the value elsewhere must be a fragment");
    return same_dtype(q, 0, 2) && same_shape(q, 0, 2);
}

static bool rule_store(kg_infer *q)
{
    if (!needs_memory(q, 0)) return false;
    if (q->types[1].home != KG_HOME_FRAG)
        return FAIL(q, T104, 1, "%s needs a fragment as its value", name_of(q));
    return same_dtype(q, 0, 1) && same_shape(q, 0, 1) && is_mask(q, 2, 0);
}

static bool rule_atomic(kg_infer *q)
{
    kg_dtype dtype = q->types[0].dtype;
    if (!rule_store(q)) return false;
    if (q->code == KG_OP_ATOMIC_ADD) {
        if (dtype == KG_I32 || dtype == KG_I64 || dtype == KG_F16 || dtype == KG_BF16 ||
            dtype == KG_F32 || dtype == KG_F64)
            return true;
        return bad_dtype(q, 0, "i32, i64, f16, bf16, f32 or f64");
    }
    return dtype == KG_I32 || dtype == KG_I64 ? true : bad_dtype(q, 0, "i32 or i64");
}

static bool rule_copy(kg_infer *q)
{
    if (q->types[0].home != KG_HOME_SHARED)
        return FAIL(q, T104, 0, "%s writes a shared buffer or view", name_of(q));
    if (q->types[1].home != KG_HOME_GLOBAL)
        return FAIL(q, T104, 1, "%s reads a view of a global tensor", name_of(q));
    return same_dtype(q, 0, 1) && same_shape(q, 0, 1);
}

// An mbarrier: 8 bytes of shared memory, in a ring or alone.
static bool is_mbarrier(kg_infer *q, int operand)
{
    const kg_type *type = &q->types[operand];
    if (type->home == KG_HOME_SHARED && type->dtype == KG_I64 && kg_type_elements(type) == 1)
        return true;
    return FAIL(q, T104, operand, "%s needs an mbarrier: one i64 element of shared memory",
                name_of(q));
}

static bool rule_mbarrier(kg_infer *q)
{
    return is_mbarrier(q, 0);
}

static bool rule_copy_bulk(kg_infer *q)
{
    return rule_copy(q) && (q->n < 3 || is_mbarrier(q, 2));
}

static bool rule_store_bulk(kg_infer *q)
{
    if (q->types[0].home != KG_HOME_GLOBAL)
        return FAIL(q, T104, 0, "%s writes a view of a global tensor", name_of(q));
    if (q->types[1].home != KG_HOME_SHARED)
        return FAIL(q, T104, 1, "%s reads a shared buffer or view", name_of(q));
    return same_dtype(q, 0, 1) && same_shape(q, 0, 1);
}

// A flag or counter: one element of global memory, and an integer scalar of its type.
static bool flag_and_value(kg_infer *q)
{
    if (q->types[0].home != KG_HOME_GLOBAL || q->types[0].rank != 0)
        return FAIL(q, T104, 0, "%s needs one element of a global tensor", name_of(q));
    if (q->types[0].dtype != KG_I32) return bad_dtype(q, 0, "an i32 element");
    return needs_integer_scalar(q, 1) && same_dtype(q, 0, 1);
}

static bool rule_fetch_add(kg_infer *q)
{
    q->result = kg_scalar_type(KG_I32);
    if (!flag_and_value(q)) return false;
    if (q->n < 3) return true;
    const kg_type *cell = &q->types[2];
    if (cell->home != KG_HOME_SHARED || cell->dtype != KG_I32 || kg_type_elements(cell) != 1)
        return FAIL(q, T104, 2, "the cell of fetch_add is one i32 element of shared memory");
    return true;
}

static bool rule_dot(kg_infer *q)
{
    kg_type *a = &q->types[0], *b = &q->types[1], *c = &q->types[2];
    if (a->rank != 2 || b->rank != 2 || c->rank != 2)
        return FAIL(q, T101, -1, "dot multiplies matrices: %s by %s into %s", type_of(q, 0),
                    type_of(q, 1), type_of(q, 2));
    if (c->home != KG_HOME_FRAG)
        return FAIL(q, T104, 2, "the accumulator of dot must be a fragment");
    if (!same_dtype(q, 0, 1)) return false;
    if (a->dtype == KG_I1 || a->dtype == KG_I16 || a->dtype == KG_I32 || a->dtype == KG_I64 ||
        a->dtype == KG_F64)
        return bad_dtype(q, 0, "f16, bf16, tf32, f32, i8 or fp8");
    kg_dtype wanted = a->dtype == KG_I8 ? KG_I32 : KG_F32;
    if (c->dtype != wanted)
        return FAIL(q, T102, 2, "dot of %s accumulates in %s, not %s",
                    kg_dtype_info_of(a->dtype)->name, kg_dtype_info_of(wanted)->name,
                    kg_dtype_info_of(c->dtype)->name);
    if (!kg_extent_equal(a->dims[1], b->dims[0]) || !kg_extent_equal(a->dims[0], c->dims[0]) ||
        !kg_extent_equal(b->dims[1], c->dims[1]))
        return FAIL(q, T101, -1, "shapes of dot do not match: %s by %s into %s", type_of(q, 0),
                    type_of(q, 1), type_of(q, 2));
    q->result = *c;
    if (c->dims[0] == KG_OPEN) q->result.dims[0] = a->dims[0];
    if (c->dims[1] == KG_OPEN) q->result.dims[1] = b->dims[1];
    return true;
}

// ---- dispatch ----------------------------------------------------------------------------------
typedef bool (*rule)(kg_infer *);

static rule rule_of(kg_opcode code)
{
    switch (kg_op_info_of(code)->cls) {
    case KG_CLASS_U: return rule_unary;
    case KG_CLASS_B:
    case KG_CLASS_C: return rule_binary;
    case KG_CLASS_R: return rule_reduce;
    case KG_CLASS_N: return rule_scan;
    case KG_CLASS_D: return rule_dot;
    default: break;
    }
    switch (code) {
    case KG_OP_CONST: return rule_const;
    case KG_OP_IOTA: return rule_iota;
    case KG_OP_CAST:
    case KG_OP_BITCAST: return rule_cast;
    case KG_OP_SELECT: return rule_select;
    case KG_OP_FMA: return rule_fma;
    case KG_OP_EXPAND: return rule_expand;
    case KG_OP_PART: return rule_part;
    case KG_OP_BROADCAST: return rule_broadcast;
    case KG_OP_CONVERT:
    case KG_OP_FRAG: return rule_first;
    case KG_OP_ASSIGN: return rule_assign;
    case KG_OP_VIEW: return rule_view;
    case KG_OP_TRANSPOSE: return rule_transpose;
    case KG_OP_FOR: return rule_for;
    case KG_OP_IF:
    case KG_OP_YIELD: return rule_condition;
    case KG_OP_LOAD: return rule_load;
    case KG_OP_STORE: return rule_store;
    case KG_OP_COPY:
    case KG_OP_COPY_ASYNC: return rule_copy;
    case KG_OP_COPY_BULK: return rule_copy_bulk;
    case KG_OP_STORE_BULK: case KG_OP_REDUCE_BULK: return rule_store_bulk;
    case KG_OP_MBARRIER_INIT:
    case KG_OP_MBARRIER_EXPECT:
    case KG_OP_MBARRIER_ARRIVE:
    case KG_OP_MBARRIER_WAIT: return rule_mbarrier;
    case KG_OP_ATOMIC_ADD:
    case KG_OP_ATOMIC_MAX:
    case KG_OP_ATOMIC_MIN: return rule_atomic;
    case KG_OP_FETCH_ADD: return rule_fetch_add;
    case KG_OP_SIGNAL:
    case KG_OP_AWAIT: return flag_and_value;
    default: return rule_none; // while, warps, shared and synchronization take no operands
    }
}

bool kg_infer_type(kg_infer *q)
{
    const kg_op_info *info = kg_op_info_of(q->code);
    q->operand = -1;
    q->text = NULL;
    if (q->n < info->min_operands || (info->max_operands >= 0 && q->n > info->max_operands) ||
        q->n > KG_INFER_OPERANDS) {
        if (info->min_operands == info->max_operands)
            return FAIL(q, T103, -1, "%s takes %d operand%s, not %d", info->name,
                        info->min_operands, info->min_operands == 1 ? "" : "s", q->n);
        return FAIL(q, T103, -1, "wrong number of operands of %s: %d", info->name, q->n);
    }
    if (!rule_of(q->code)(q)) return false;
    if (!info->results || q->code == KG_OP_SHARED) return true;
    const char *problem = kg_shape_problem(q->arena, &q->result, true);
    return problem ? FAIL(q, T106, -1, "%s", problem) : true;
}

bool kg_infer_op(kg_infer *q, const kg_op *op)
{
    q->code = op->code;
    q->attrs = op->attrs;
    q->n = op->n_operands;
    for (int i = 0; i < q->n && i < KG_INFER_OPERANDS; i++) q->types[i] = op->operands[i]->type;
    bool ok = kg_infer_type(q);
    if (ok && op->code == KG_OP_SHARED && op->n_results) q->result = op->results[0]->type;
    return ok;
}
