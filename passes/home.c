// SPDX-License-Identifier: MIT
// home: where the operands of matrix products live, and which way round buffers lie.
//
// Needs: level tile, folded.
// Guarantees: no operand of a dot is a global view; operands of a dot without tensor core are
//   shared; a buffer that is only filled from tensors whose contiguous dimension is not its last
//   lies transposed, so that the copy goes along memory.
// Never: moves a read past a write, changes a result, touches a ring's slot numbers.
//
//   acc = dot(a[i.., 0..], s, acc)             shared a.1: f16[64, 32] = load a[i.., 0..]
//                                        =>    acc = dot(a.1, s, acc)
//
//   (b has strides [1, LDB])
//   shared sb: f16[32, 64] = load b[k.., n..]  shared sb: f16[64, 32]
//   acc = dot(sa, sb, acc)               =>    copy sb = transpose(b[k.., n..])
//                                              acc = dot(sa, transpose(sb), acc)
#include "ir/access.h"
#include "passes/pass_list.h"
#include "passes/rewrite.h"

// Elements a thread of both operands of a dot, above which one goes to shared memory.
enum { BIG_FRAGMENTS = 64 };

// A global view that a buffer was made for, so that a second dot of the same block uses it as well.
typedef struct staged {
    kg_value *view, *buffer;
    kg_block *block;
} staged;

typedef struct homer {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_use **uses;
    struct {
        kg_op **items;
        int count, capacity;
    } found;
    struct {
        staged *items;
        int count, capacity;
    } staged;
} homer;

static bool find_dot(kg_op *op, void *user)
{
    homer *h = user;
    if (op->code == KG_OP_DOT)
        KG_PUSH(h->context->arena, &h->found, op);
    return true;
}

// ---- operands of dots --------------------------------------------------------------------------
static kg_value *new_buffer(homer *h, const kg_place *place, const kg_value *like, const char *name)
{
    kg_op *op = kg_make(place, KG_OP_SHARED, 0, NULL);
    kg_type type = like->type;
    type.home = KG_HOME_SHARED;
    return kg_op_result(h->kernel, op, type, name);
}

// Moves a view that only this copy uses to it, for the reader of the text.
static void bring_view(homer *h, kg_value *view, kg_op *copy)
{
    for (kg_op *place = copy; view->kind == KG_VALUE_RESULT; view = view->op->operands[0]) {
        bool still = view->op->parent == copy->parent && view->id >= 0 && !h->uses[view->id]->next;
        for (int i = 0; i < view->op->n_operands; i++)
            still &= !kg_is_mutable(view->op->operands[i]);
        if (!still)
            return;
        kg_op_remove(view->op);
        kg_block_insert_before(place, view->op);
        place = view->op;
    }
}

// load: that the copy stands for, or NULL.
static kg_value *stage_view(homer *h, kg_op *dot, kg_value *view, const kg_op *load)
{
    kg_value *root = kg_root(view);
    bool constant = !kg_block_writes(h->kernel->body, root);
    for (int i = 0; constant && i < h->staged.count; i++)
        if (kg_same_view(h->staged.items[i].view, view) && h->staged.items[i].block == dot->parent)
            return h->staged.items[i].buffer;
    kg_place place = kg_place_before(h->kernel, dot);
    kg_value *buffer = new_buffer(h, &place, view, root->name);
    kg_op *copy = kg_make(&place, KG_OP_COPY, 2, (kg_value *[]){buffer, view});
    if (load) kg_keep_cache(h->kernel, copy, load);
    bring_view(h, view, copy);
    KG_PUSH(h->context->arena, &h->staged, ((staged){view, buffer, dot->parent}));
    return buffer;
}

static kg_value *stage_fragment(homer *h, kg_op *dot, kg_value *fragment)
{
    kg_place place = kg_place_before(h->kernel, dot);
    kg_value *buffer = new_buffer(h, &place, fragment, fragment->name);
    kg_make(&place, KG_OP_STORE, 2, (kg_value *[]){buffer, fragment});
    return buffer;
}

// No op from `from` up to `to` in one block writes the root or is a synchronization by hand.
static bool nothing_between(const kg_op *from, const kg_op *to, const kg_value *root)
{
    for (const kg_op *op = from->next; op != to; op = op->next) {
        if (kg_op_info_of(op->code)->cls == KG_CLASS_Y || op->code == KG_OP_AWAIT ||
            op->code == KG_OP_FETCH_ADD)
            return false;
        for (int i = 0; i < op->n_blocks; i++)
            if (kg_block_writes(op->blocks[i], root))
                return false;
        if (!op->n_blocks && kg_op_writes(op))
            for (int i = 0; i < op->n_operands; i++) {
                kg_value *other = kg_root(op->operands[i]);
                if (other && kg_roots_alias(other, root))
                    return false;
            }
    }
    return true;
}

static bool steady_view(const kg_value *view)
{
    for (; view->kind == KG_VALUE_RESULT && view->op->code == KG_OP_TRANSPOSE;
         view = view->op->operands[0])
        ;
    if (view->kind == KG_VALUE_RESULT && view->op->code == KG_OP_VIEW)
        for (int i = 0; i < view->op->n_operands; i++)
            if (kg_is_mutable(view->op->operands[i]))
                return false;
    return true;
}

// Rows of shared memory that a product would have to find one by one.
static bool gathers_shared(const kg_value *value)
{
    return value->type.home == KG_HOME_SHARED && kg_gather_view(value);
}

static kg_value *load_view(homer *h, kg_op *dot, kg_value *view)
{
    kg_place place = kg_place_before(h->kernel, dot);
    kg_op *load = kg_make(&place, KG_OP_LOAD, 1, &view);
    kg_type type = view->type;
    type.home = KG_HOME_FRAG;
    return kg_op_result(h->kernel, load, type, NULL);
}

// A fragment that was only loaded for this dot (and perhaps transposed): the view it was loaded
// from. The dot then reads shared memory itself, or a coalesced copy replaces a gather of two-byte
// loads.
static kg_value *loaded_view(homer *h, kg_op *dot, kg_value *fragment, const kg_op **by)
{
    kg_op *turn = fragment->kind == KG_VALUE_RESULT ? fragment->op : NULL;
    kg_op *load =
        turn && turn->code == KG_OP_TRANSPOSE && turn->operands[0]->kind == KG_VALUE_RESULT
            ? turn->operands[0]->op
            : turn;
    if (!load || load->code != KG_OP_LOAD || load->n_operands != 1 || load->parent != dot->parent ||
        turn->parent != dot->parent || fragment->type.rank != 2 || h->uses[fragment->id]->next ||
        h->uses[load->results[0]->id]->next)
        return NULL;
    kg_value *view = load->operands[0];
    *by = load;
    if (gathers_shared(view) || !steady_view(view) || !nothing_between(load, dot, kg_root(view)))
        return NULL;
    if (turn == load)
        return view;
    const kg_attr *perm = kg_op_attr(turn, KG_A_PERM);
    int order[2] = {perm ? (int)perm->ints[0] : 1, perm ? (int)perm->ints[1] : 0};
    kg_place place = kg_place_before(h->kernel, dot);
    return kg_make_transpose(&place, view, order);
}

static void home_operand(homer *h, kg_op *dot, int i)
{
    kg_value *value = dot->operands[i];
    const kg_op *load = NULL;
    if (gathers_shared(value)) value = load_view(h, dot, value);
    if (value->type.home == KG_HOME_FRAG) {
        kg_value *view = value->id >= 0 ? loaded_view(h, dot, value, &load) : NULL;
        if (view)
            value = view;
        else if (kg_dot_kind_of(dot) == KG_DOT_FMA)
            value = stage_fragment(h, dot, value);
    }
    if (value->type.home == KG_HOME_GLOBAL)
        value = stage_view(h, dot, value, load);
    kg_op_set_operand(dot, i, value);
}

static void home_dot(homer *h, kg_op *dot)
{
    home_operand(h, dot, 0);
    home_operand(h, dot, 1);
    kg_value *a = dot->operands[0], *b = dot->operands[1];
    if (a->type.home != KG_HOME_FRAG || b->type.home != KG_HOME_FRAG)
        return;
    int64_t threads = (int64_t)kg_op_region(dot).n_warps * 32;
    if (kg_type_elements(&a->type) + kg_type_elements(&b->type) > BIG_FRAGMENTS * threads)
        kg_op_set_operand(dot, 1, stage_fragment(h, dot, b));
}

bool kg_pass_home(kg_pass_context *context, kg_kernel *kernel)
{
    homer h = {.context = context, .kernel = kernel};
    h.uses = kg_uses_collect(context->arena, kernel, NULL);
    kg_walk(kernel->body, find_dot, &h);
    for (int i = 0; i < h.found.count; i++)
        home_dot(&h, h.found.items[i]);
    kg_turn_buffers(context->arena, kernel);
    kg_remove_dead(context->arena, kernel);
    kg_tidy(context->arena, kernel);
    return true;
}
