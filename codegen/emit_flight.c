// SPDX-License-Identifier: MIT
// Registers that wgmma has in the background, from its issue to the wait for its group, and
// wgmma_fence, wgmma_commit, wgmma_wait.
//
// To LLVM an instruction is done when it was passed. So a wait takes in the accumulators that may
// be in flight there and gives them out again: what uses them stands behind it. A fence takes in
// the accumulators and A fragments of the products behind it: what makes them stands in front of
// it. A fence for one product is in that one's text. Which products a wait can be for is found
// beforehand, over loops and branches: by the groups that were closed since, at least and at most.
// What is led is dear to LLVM, so nothing else is.
#include "codegen/emit.h"

// A fragment that a product is assigned to, or a product's result.
typedef struct target {
    kg_value *value;
    kg_op **uses; // that read it
    int n_uses;
} target;

// A product in flight: so many groups were closed since it was issued.
typedef struct flying {
    bool up;
    uint8_t least, most;
} flying;
enum { MOST_CLOSED = 16 }; // or more

struct emit_flight {
    target *targets;
    int count;
    bool **at; // by op id: the targets that may be in flight at a wait
    struct {
        kg_value **items; // mutable A fragments
        int count, capacity;
    } words;
    struct {
        emit_led *items; // their words, in variables
        int count, capacity;
    } shadows;
};

// ---- what may be in flight where ----------------------------------------------------------------

typedef struct finder {
    kg_emit *e;
    struct emit_flight *flight;
    struct {
        kg_value **items;
        int count, capacity;
    } found;
} finder;

static bool is_product(const kg_value *value)
{
    return value->kind == KG_VALUE_RESULT && value->op->code == KG_OP_WGMMA;
}

static void add_target(finder *f, kg_value *value)
{
    for (int i = 0; i < f->found.count; i++)
        if (f->found.items[i] == value) return;
    KG_PUSH(f->e->arena, &f->found, value);
}

static bool find_targets(kg_op *op, void *user)
{
    finder *f = user;
    if (op->code == KG_OP_WGMMA) {
        add_target(f, op->results[0]);
        kg_value *a = op->operands[0];
        if (kg_is_mutable(a)) KG_PUSH(f->e->arena, &f->flight->words, a);
    }
    if (op->code == KG_OP_ASSIGN && is_product(op->operands[1])) add_target(f, op->operands[0]);
    if (op->code == KG_OP_FRAG && is_product(op->operands[0])) add_target(f, op->results[0]);
    return true;
}

static bool find_uses(kg_op *op, void *user)
{
    finder *f = user;
    for (int i = op->code == KG_OP_ASSIGN; i < op->n_operands; i++)
        for (int t = 0; t < f->flight->count; t++) {
            target *here = &f->flight->targets[t];
            if (here->value != op->operands[i]) continue;
            kg_op **uses = KG_NEW_ARRAY(f->e->arena, kg_op *, here->n_uses + 1);
            if (here->n_uses) memcpy(uses, here->uses, sizeof *uses * (size_t)here->n_uses);
            uses[here->n_uses++] = op;
            here->uses = uses;
        }
    return true;
}

static int number_of(const struct emit_flight *flight, const kg_value *value)
{
    for (int i = 0; i < flight->count; i++)
        if (flight->targets[i].value == value) return i;
    return -1;
}

static bool join(flying *into, const flying *from)
{
    flying was = *into;
    if (!from->up) return false;
    if (!was.up) {
        *into = *from;
        return true;
    }
    if (from->least < was.least) into->least = from->least;
    if (from->most > was.most) into->most = from->most;
    return into->least != was.least || into->most != was.most;
}

// The target that takes up what is in flight in the operand.
static void hand_on(const struct emit_flight *flight, flying *set, const kg_value *from,
                    const kg_value *to)
{
    int a = number_of(flight, from), b = number_of(flight, to);
    if (a >= 0 && b >= 0) join(&set[b], &set[a]);
}

static bool unite(flying *into, const flying *from, int count)
{
    bool changed = false;
    for (int i = 0; i < count; i++) changed |= join(&into[i], &from[i]);
    return changed;
}

static void close_group(flying *set, int count)
{
    for (int i = 0; i < count; i++) {
        set[i].least += set[i].up && set[i].least < MOST_CLOSED;
        set[i].most += set[i].up && set[i].most < MOST_CLOSED;
    }
}

// Notes which products may end here; those that must are done.
static void follow_wait(finder *f, const kg_op *op, flying *set)
{
    struct emit_flight *flight = f->flight;
    int64_t left = kg_op_int(op, KG_A_COUNT, 0);
    if (!flight->at[op->id]) flight->at[op->id] = KG_NEW_ARRAY(f->e->arena, bool, flight->count);
    for (int i = 0; i < flight->count; i++) {
        bool all = !left || set[i].most == MOST_CLOSED;
        flight->at[op->id][i] |= set[i].up && (all || set[i].most > left);
        if (!left || set[i].least > left) set[i] = (flying){0};
    }
}

static void follow_block(finder *f, kg_block *block, flying *set);

static flying *copy_of(finder *f, const flying *set)
{
    flying *copy = KG_NEW_ARRAY(f->e->arena, flying, f->flight->count + 1);
    memcpy(copy, set, sizeof *copy * (size_t)f->flight->count);
    return copy;
}

static void follow_blocks(finder *f, kg_op *op, flying *set)
{
    flying *before = copy_of(f, set);
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < op->n_blocks; i++) {
            flying *inside = copy_of(f, kg_is_loop(op) ? set : before);
            follow_block(f, op->blocks[i], inside);
            again |= unite(set, inside, f->flight->count) && kg_is_loop(op);
        }
    }
}

static void follow_op(finder *f, kg_op *op, flying *set)
{
    struct emit_flight *flight = f->flight;
    switch (op->code) {
    case KG_OP_WGMMA:
        set[number_of(flight, op->results[0])] = (flying){.up = true};
        return;
    case KG_OP_WGMMA_COMMIT:
        close_group(set, flight->count);
        return;
    case KG_OP_ASSIGN:
        hand_on(flight, set, op->operands[1], op->operands[0]);
        return;
    case KG_OP_FRAG:
        hand_on(flight, set, op->operands[0], op->results[0]);
        return;
    case KG_OP_WGMMA_WAIT:
        follow_wait(f, op, set);
        return;
    default:
        follow_blocks(f, op, set);
        return;
    }
}

static void follow_block(finder *f, kg_block *block, flying *set)
{
    for (kg_op *op = block->first; op; op = op->next) follow_op(f, op, set);
}

void emit_flight_open(kg_emit *e)
{
    finder f = {.e = e, .flight = KG_NEW(e->arena, struct emit_flight)};
    int n_ops;
    kg_walk(e->kernel->body, find_targets, &f);
    if (!f.found.count) return;
    e->flight = f.flight;
    kg_kernel_number(e->kernel, &n_ops);
    e->flight->count = f.found.count;
    e->flight->targets = KG_NEW_ARRAY(e->arena, target, f.found.count);
    e->flight->at = KG_NEW_ARRAY(e->arena, bool *, n_ops + 1);
    for (int i = 0; i < f.found.count; i++) e->flight->targets[i].value = f.found.items[i];
    kg_walk(e->kernel->body, find_uses, &f);
    follow_block(&f, e->kernel->body, KG_NEW_ARRAY(e->arena, flying, f.found.count + 1));
}

// ---- which of them an instruction leads through -------------------------------------------------

static bool is_inside(const kg_op *op, const kg_block *block)
{
    for (const kg_block *b = op->parent; b; b = b->owner ? b->owner->parent : NULL)
        if (b == block) return true;
    return false;
}

// A loop around both ops, within the block.
static bool loops_around_both(const kg_op *a, const kg_op *b, const kg_block *block)
{
    for (const kg_block *x = a->parent; x != block; x = x->owner->parent)
        if (kg_is_loop(x->owner) && is_inside(b, x)) return true;
    return false;
}

// Does the op see the fragment, and is it read from there on?
static bool is_wanted(const target *t, const kg_op *op)
{
    const kg_op *made = t->value->op;
    if (made->id >= op->id || !is_inside(op, made->parent)) return false;
    for (int i = 0; i < t->n_uses; i++)
        if (t->uses[i]->id > op->id || loops_around_both(op, t->uses[i], made->parent)) return true;
    return false;
}

typedef struct leading {
    kg_emit *e;
    struct {
        cg_value *items;
        int count, capacity;
    } values;
    struct {
        cg_value *items; // variables; the rest are registers
        int count, capacity;
    } variables;
    struct {
        emit_led *items;
        int count, capacity;
    } led;
} leading;

static void lead_variables(leading *l, const cg_value *variables, int count)
{
    for (int i = 0; i < count; i++) {
        KG_PUSH(l->e->arena, &l->values, cg_get(l->e->m, variables[i]));
        KG_PUSH(l->e->arena, &l->variables, variables[i]);
    }
}

static void lead_target(leading *l, const target *t, const kg_op *op)
{
    cg_value *variables = l->e->values[t->value->id];
    if (is_wanted(t, op) && variables) lead_variables(l, variables, emit_register_count(t->value));
}

static void lead_awaited(leading *l, const kg_op *wait)
{
    const struct emit_flight *flight = l->e->flight;
    for (int i = 0; i < flight->count; i++)
        if (flight->at[wait->id][i]) lead_target(l, &flight->targets[i], wait);
}

// ---- mutable operands of the products behind a fence --------------------------------------------

// What comes first from an op on: a product with the value as this operand, or a fence. A fence in
// a loop or a branch may be passed by.
enum first { NEITHER, FENCE, PRODUCT };

static enum first first_of(const kg_op *op, const kg_value *value, int operand)
{
    for (; op; op = op->next) {
        if (op->code == KG_OP_WGMMA_FENCE) return FENCE;
        if (op->code == KG_OP_WGMMA && (!value || op->operands[operand] == value)) return PRODUCT;
        for (int i = 0; i < op->n_blocks; i++)
            if (first_of(op->blocks[i]->first, value, operand) == PRODUCT) return PRODUCT;
    }
    return NEITHER;
}

static bool find_product(kg_op *op, void *user)
{
    const kg_value **value = user;
    if (op->code == KG_OP_WGMMA && op->operands[2] == *value) *value = NULL;
    return true;
}

// Does any product add to the value?
static bool is_sum(kg_emit *e, const kg_value *value)
{
    kg_walk(e->kernel->body, find_product, &value);
    return !value;
}

// Is the value this operand of a product that no other fence stands in front of? Taken for granted
// where the fence is the last of its block.
static bool is_fenced(const kg_op *fence, const kg_value *value, int operand)
{
    return first_of(fence->next, value, operand) != FENCE;
}

static bool is_fenced_sum(kg_emit *e, const kg_op *fence, const target *t)
{
    return is_fenced(fence, t->value, 2) && is_wanted(t, fence) && is_sum(e, t->value);
}

static bool is_fenced_shadow(const kg_op *fence, const emit_led *shadow)
{
    return is_inside(fence, shadow->value->op->parent) && is_fenced(fence, shadow->value, 0);
}

static void lead_sums(leading *l, const kg_op *fence)
{
    const struct emit_flight *flight = l->e->flight;
    for (int i = 0; i < flight->count; i++)
        if (is_fenced_sum(l->e, fence, &flight->targets[i]))
            lead_target(l, &flight->targets[i], fence);
}

// Is the fence for the product right behind it, and for nothing else? Then it goes into the
// product's text: what makes its operands stands in front of that, and nothing need be led.
static bool is_of_product(kg_emit *e, const kg_op *fence)
{
    const struct emit_flight *flight = e->flight;
    const kg_op *product = fence->next;
    if (!product || product->code != KG_OP_WGMMA) return false;
    if (first_of(product->next, NULL, 0) == PRODUCT) return false;
    for (int i = 0; i < flight->count; i++)
        if (flight->targets[i].value != product->operands[2] &&
            is_fenced_sum(e, fence, &flight->targets[i]))
            return false;
    for (int i = 0; i < flight->shadows.count; i++)
        if (flight->shadows.items[i].value != product->operands[0] &&
            is_fenced_shadow(fence, &flight->shadows.items[i]))
            return false;
    return true;
}

// ---- immutable operands of the products behind a fence ------------------------------------------

static void lead_value(leading *l, kg_value *value, const kg_op *product, bool words)
{
    kg_emit *e = l->e;
    emit_led led = {.value = value, .words = words};
    if (emit_in_variables(value) || !e->values[value->id]) return;
    for (int i = 0; i < l->led.count; i++)
        if (l->led.items[i].value == value && l->led.items[i].words == words) return;
    if (words) {
        led.registers = emit_wgmma_words(e, product, &led.count);
    } else {
        led.count = emit_register_count(product->results[0]);
        led.registers = emit_read_as(e, value, product->results[0]->layout, led.count);
    }
    if (led.registers) KG_PUSH(e->arena, &l->led, led);
}

static void lead_operands(leading *l, const kg_op *from)
{
    for (const kg_op *op = from; op && op->code != KG_OP_WGMMA_FENCE; op = op->next) {
        for (int i = 0; i < op->n_blocks; i++) lead_operands(l, op->blocks[i]->first);
        if (op->code != KG_OP_WGMMA) continue;
        if (op->operands[0]->type.home == KG_HOME_FRAG) lead_value(l, op->operands[0], op, true);
        if (!kg_wgmma_is_fresh(op)) lead_value(l, op->operands[2], op, false);
    }
}

cg_value *emit_led_registers(kg_emit *e, const kg_value *value, bool words)
{
    for (int i = e->led.count - 1; i >= 0; i--)
        if (e->led.items[i].value == value && e->led.items[i].words == words)
            return e->led.items[i].registers;
    for (int i = 0; words && e->flight && i < e->flight->shadows.count; i++) {
        const emit_led *shadow = &e->flight->shadows.items[i];
        if (shadow->value != value) continue;
        cg_value *now = emit_new_registers(e, shadow->count);
        for (int k = 0; k < shadow->count; k++) now[k] = cg_get(e->m, shadow->registers[k]);
        return now;
    }
    return NULL;
}

// ---- mutable A fragments ------------------------------------------------------------------------

static const kg_op *product_of(kg_block *block, const kg_value *a)
{
    for (kg_op *op = block->first; op; op = op->next) {
        if (op->code == KG_OP_WGMMA && op->operands[0] == a) return op;
        for (int i = 0; i < op->n_blocks; i++) {
            const kg_op *found = product_of(op->blocks[i], a);
            if (found) return found;
        }
    }
    return NULL;
}

// The fragment's words have variables of their own, so that a fence can stand between what makes
// them and the product.
void emit_flight_assigned(kg_emit *e, kg_value *fragment)
{
    struct emit_flight *flight = e->flight;
    emit_led *shadow = NULL;
    bool used = false;
    int count;
    for (int i = 0; flight && i < flight->words.count; i++)
        used |= flight->words.items[i] == fragment;
    if (!used || e->failed) return;
    const kg_op *product = product_of(e->kernel->body, fragment);
    cg_value *words = emit_wgmma_words(e, product, &count);
    for (int i = 0; i < flight->shadows.count; i++)
        if (flight->shadows.items[i].value == fragment) shadow = &flight->shadows.items[i];
    if (!shadow) {
        emit_led fresh = {.value = fragment, .words = true, .count = count};
        fresh.registers = emit_new_registers(e, count);
        for (int i = 0; i < count; i++) fresh.registers[i] = cg_variable(e->m, CG_I32, "words");
        KG_PUSH(e->arena, &flight->shadows, fresh);
        shadow = &flight->shadows.items[flight->shadows.count - 1];
    }
    for (int i = 0; i < count && !e->failed; i++) cg_set(e->m, shadow->registers[i], words[i]);
}

static void lead_shadows(leading *l, const kg_op *op)
{
    const struct emit_flight *flight = l->e->flight;
    for (int i = 0; i < flight->shadows.count; i++) {
        const emit_led *shadow = &flight->shadows.items[i];
        if (is_fenced_shadow(op, shadow)) lead_variables(l, shadow->registers, shadow->count);
    }
}

// ---- the instructions ---------------------------------------------------------------------------

static void lead(leading *l, const kg_op *op, enum cg_ptx_id id, const cg_value *arguments,
                 unsigned count)
{
    kg_emit *e = l->e;
    for (int i = 0; i < l->led.count; i++)
        for (int k = 0; k < l->led.items[i].count; k++)
            KG_PUSH(e->arena, &l->values, l->led.items[i].registers[k]);
    const struct cg_through through = {l->values.items, (unsigned)l->values.count};
    if (!cg_template_through(e->m, id, arguments, count, &through, emit_sync_comment(e, op)))
        return;
    const cg_value *out = l->values.items;
    for (int i = 0; i < l->variables.count; i++) cg_set(e->m, l->variables.items[i], *out++);
    for (int i = 0; i < l->led.count; i++) {
        emit_led *led = &l->led.items[i];
        led->registers = emit_new_registers(e, led->count);
        for (int k = 0; k < led->count; k++) led->registers[k] = *out++;
        KG_PUSH(e->arena, &e->led, *led);
    }
}

// Does the wait stand behind work that is to be done while products run: work behind a wait for
// fewer groups?
static bool leaves_work_in_front(const kg_op *wait)
{
    int64_t groups = kg_op_int(wait, KG_A_COUNT, 0);
    bool work = false;
    for (const kg_op *op = wait->prev; op && op->code != KG_OP_WGMMA; op = op->prev) {
        if (op->code == KG_OP_WGMMA_WAIT) return work && kg_op_int(op, KG_A_COUNT, 0) > groups;
        work |= op->n_blocks || (kg_is_computed(op) && op->results[0]->type.rank > 0);
    }
    return false;
}

// To ptxas a wait depends on no arithmetic, and what the wait lets go on is a long way to go: it
// moves the wait up, in front of all of it. It does not do so over a branch. This one is never
// taken, which ptxas does not know: a grid has CTAs.
static void hold(kg_emit *e)
{
    cg_value none = cg_eq(e->m, cg_special(e->m, CG_PTX_NCTAID_X), cg_i32(e->m, 0));
    cg_template_if(e->m, CG_PTX_TRAP, none, NULL, 0, "holds the wait here");
}

void emit_flight_op(kg_emit *e, kg_op *op)
{
    leading l = {.e = e};
    cg_value groups = cg_i32(e->m, (int32_t)kg_op_int(op, KG_A_COUNT, 0));
    if (op->code == KG_OP_WGMMA_COMMIT) {
        cg_template(e->m, CG_PTX_WGMMA_COMMIT, NULL, 0, NULL, emit_sync_comment(e, op));
    } else if (op->code == KG_OP_WGMMA_WAIT) {
        if (e->flight && e->flight->at[op->id]) lead_awaited(&l, op);
        if (leaves_work_in_front(op)) hold(e);
        lead(&l, op, CG_PTX_WGMMA_WAIT, &groups, 1);
    } else if (e->flight && is_of_product(e, op)) {
        e->fence = op;
    } else {
        if (e->flight) {
            lead_sums(&l, op);
            lead_shadows(&l, op);
            lead_operands(&l, op->next);
        }
        lead(&l, op, CG_PTX_WGMMA_FENCE, NULL, 0);
    }
}
