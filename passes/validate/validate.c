// SPDX-License-Identifier: MIT
// The entry of the validator, and its verdicts in words.
#include "passes/validate/model.h"

#include <stdarg.h>
#include <string.h>

void validator_give_up(validator *v, const char *format, ...)
{
    va_list args;
    if (v->stop) return;
    va_start(args, format);
    v->out->what = kg_arena_vprintf(v->arena, format, args);
    va_end(args);
    v->out->verdict = KG_UNKNOWN;
    v->stop = true;
}

static const char *add_words(validator *v, const char *so_far, const char *words)
{
    return so_far ? kg_arena_printf(v->arena, "%s; %s", so_far, words) : words;
}

// "T = 3": of a variable that is one named number.
static const char *value_in_words(validator *v, const variable *x, int number)
{
    const kg_value *value = x->part.terms[0].value;
    int64_t factor = x->part.terms[0].factor, at = (x->low + number) * x->unit;
    if (x->part.count != 1 || factor != 1 || x->unit != 1 || !value->name) return NULL;
    bool least = number > x->high - x->low;
    return kg_arena_printf(v->arena, "%s %s %lld", value->name,
                           least         ? ">="
                           : number == 0 ? "<="
                                         : "=",
                           (long long)(least ? x->high + 1 : at));
}

// "3 trips of the loop at line 7": of any other variable that a loop depends on.
static const char *trips_in_words(validator *v, const state *s, int which)
{
    for (int i = 0; i < v->loops.count; i++) {
        const loop_model *l = &v->loops.items[i];
        if (l->op->code != KG_OP_FOR || l->trips.variable != which || !l->step) continue;
        int64_t distance = validator_number(v, s, &l->trips), step = l->step / l->unit;
        int64_t trips = distance <= 0 ? 0 : (distance + step - 1) / step;
        if (distance == FAR) trips = l->most / step + 1;
        return kg_arena_printf(v->arena, "%lld%s trip%s of the loop at line %d", (long long)trips,
                               distance == FAR ? " or more" : "", trips == 1 ? "" : "s",
                               l->op->loc.line);
    }
    return NULL;
}

// The way to a state: loops that are running, and the numbers that were decided.
static const char *describe(validator *v, const state *s)
{
    const char *all = NULL;
    if (!s->generations) return "on every way to it";
    for (int i = 0; i < v->loops.count; i++) {
        const kg_op *op = v->loops.items[i].op;
        if (s->distance[i] == NOT_RUNNING && !(op->code == KG_OP_WHILE && s->trip[i])) continue;
        const char *whose = "";
        if (v->ctas.count)
            whose = kg_arena_printf(v->arena, " in CTA %d", cta_of(v, validator_warps_of(op)));
        all = add_words(v, all,
                        kg_arena_printf(v->arena, "trip %d of the loop at line %d%s",
                                        s->trip[i] + 1, op->loc.line, whose));
    }
    for (int i = 0; i < v->variables.count; i++) {
        if (s->value[i] == VALUE_OPEN) continue;
        const char *words = value_in_words(v, &v->variables.items[i], s->value[i]);
        if (!words) words = trips_in_words(v, s, i);
        if (words) all = add_words(v, all, words);
    }
    return all ? all : "straight through";
}

// Two threads that show it; the bytes are the same, be they of one buffer or of two.
static void find_threads(const validator *v, const complaint *c, kg_validation *found)
{
    const access_model *a = c->a, *b = c->b;
    int slot = a && a->ring > 1 ? (int)((found->byte - a->offset) / a->slot_bytes) : 0;
    // What an engine has completed its issuer asked for.
    uint32_t warps_a = a && c->warps_a == engine(v) ? a->region : c->warps_a;
    found->thread_b = validator_thread_at(b, c->slot, found->byte, c->warps_b, -1);
    if (!a) {
        found->thread_a = validator_thread_at(b, c->slot, found->byte, c->warps_b, found->thread_b);
        return;
    }
    found->thread_a = validator_thread_at(a, slot, found->byte, warps_a, found->thread_b);
    if (found->thread_a >= 0) return;
    found->thread_a = validator_thread_at(a, slot, found->byte, warps_a, -1);
    int other = validator_thread_at(b, c->slot, found->byte, c->warps_b, found->thread_a);
    if (other >= 0) found->thread_b = other; // else one thread, and a copy of its own
}

// Somebody waits for other CTAs, and does not learn what memory has of them.
static bool learns_too_little(const validator *v)
{
    for (int i = 0; i < v->accesses.count; i++) {
        const access_model *a = &v->accesses.items[i];
        if (a->use && a->at.op->code == KG_OP_MBARRIER_WAIT && has_peers(v, a->mbarrier) &&
            !kg_op_int(a->at.op, KG_A_CLUSTER, 0))
            return true;
    }
    return false;
}

static const char *name_other_cta(validator *v, const complaint *c)
{
    int cta = v->ctas.count ? cta_of(v, c->b->region) : 0;
    bool by = v->ctas.count && c->a && cta_of(v, c->a->region) != cta;
    bool in = c->cell >= 0 && cta_of_byte(v, v->cell_byte[c->cell]) != cta;
    if (!by && !in) return c->what;
    return kg_arena_printf(v->arena, "%s, %s another CTA of the cluster%s", c->what,
                           by ? "by" : "in",
                           c->cell >= 0 && learns_too_little(v)
                               ? "; and a wait without cluster=1 learns of its own CTA only"
                               : "");
}

void validator_report(validator *v, const state *s, const complaint *c)
{
    bool certain = c->certain && !s->guessed;
    if (v->stop || (!certain && v->in_doubt)) return;
    kg_validation found = {.verdict = certain ? KG_WITNESS : KG_UNKNOWN,
                           .what = c->what,
                           .a = c->a ? c->a->at.op : NULL,
                           .b = c->b->at.op,
                           .thread_a = -1,
                           .thread_b = -1,
                           .byte = c->cell >= 0 ? v->cell_byte[c->cell] : -1,
                           .schedule = describe(v, s)};
    if (c->cell >= 0) find_threads(v, c, &found);
    found.what = name_other_cta(v, c);
    if (certain) {
        *v->out = found;
        v->stop = true;
        return;
    }
    found.what = kg_arena_printf(v->arena, "cannot tell whether %s: %s",
                                 c->certain ? "this can happen" : "these meet", found.what);
    v->doubt = found;
    v->in_doubt = true;
}

// A read that some state came to, and that found its bytes written in none of them. Where the slot
// is computed, that state may not be one that happens.
static void check_contents(validator *v)
{
    for (int i = 0; i < v->accesses.count; i++) {
        access_model *a = &v->accesses.items[i];
        int64_t number;
        bool certain = a->ring == 1 || (a->at.slot && kg_const_int(a->at.slot, &number));
        for (int slot = 0; a->shared && !a->writes && slot < a->ring; slot++)
            for (int k = 0; k < a->by_slot[slot].count && !v->stop; k++) {
                const touch *t = &a->by_slot[slot].items[k];
                state nowhere = {.guessed = !certain};
                complaint c = {
                    true, "read, and nothing has written it", NULL, a, slot, t->cell, ~0u, ~0u};
                if (t->reached && !t->covered) validator_report(v, &nowhere, &c);
            }
    }
}

// False: a read met bytes without contents, and rings were turned; so it has to be done without.
static bool validate(kg_arena *arena, kg_kernel *kernel, const joined_ctas *ctas,
                     kg_validation *out, bool plain)
{
    validator v = {.arena = arena, .kernel = kernel, .out = out, .plain = plain};
    if (ctas) v.ctas = *ctas;
    *out = (kg_validation){.verdict = KG_PROVED, .thread_a = -1, .thread_b = -1, .byte = -1};
    if (kernel->level != KG_LEVEL_SYNCED)
        validator_give_up(&v, "the kernel is not at level synced");
    else if (validator_prepare(&v))
        validator_explore(&v);
    if (!v.stop) check_contents(&v);
    if (!v.stop && v.in_doubt) *out = v.doubt;
    out->states = v.states;
    out->cells = v.n_cells;
    return !(v.turned && v.bare);
}

static void validate_joined(kg_arena *arena, kg_kernel *kernel, const joined_ctas *ctas,
                            kg_validation *out)
{
    if (!validate(arena, kernel, ctas, out, false)) validate(arena, kernel, ctas, out, true);
}

// In terms of one CTA.
static const kg_op *original(const kg_op *op)
{
    return op ? op->note : NULL;
}

static void in_terms_of_one(const joined_ctas *ctas, kg_validation *out)
{
    int threads = 32 * ctas->warps;
    out->a = original(out->a);
    out->b = original(out->b);
    if (out->thread_a >= 0) out->thread_a %= threads;
    if (out->thread_b >= 0) out->thread_b %= threads;
    if (out->byte >= 0) out->byte %= ctas->bytes;
}

// All CTAs of a cluster at once. Where that is too much for us one is looked at, as if all went in
// step, which they do if nothing depends on their places: what is wrong then is wrong.
static void validate_cluster(kg_arena *arena, kg_kernel *kernel, kg_validation *out)
{
    joined_ctas ctas;
    *out = (kg_validation){.thread_a = -1, .thread_b = -1, .byte = -1};
    out->verdict = KG_UNKNOWN;
    if (validator_join_ctas(arena, kernel, &ctas)) {
        validate_joined(arena, ctas.kernel, &ctas, out);
        in_terms_of_one(&ctas, out);
    } else {
        out->what = ctas.why;
    }
    kg_kernel_number(kernel, NULL);
    if (out->verdict != KG_UNKNOWN) return;
    kg_validation one;
    validate_joined(arena, kernel, NULL, &one);
    if (one.verdict == KG_WITNESS && ctas.in_step) *out = one;
    out->what = kg_arena_printf(arena,
                                one.verdict == KG_PROVED
                                    ? "within a CTA all is in order, but not shown is what "
                                      "the CTAs of a cluster do to each other: %s"
                                    : "%s",
                                out->what);
}

static void validate_kernel(kg_arena *arena, kg_kernel *kernel, kg_validation *out)
{
    if (validator_reaches_others(kernel))
        validate_cluster(arena, kernel, out);
    else
        validate_joined(arena, kernel, NULL, out);
}

// Batons: see batons.c.
static void validate_batons(kg_arena *arena, kg_kernel *kernel, kg_validation *out)
{
    int states = out->states;
    validator v = {.arena = arena, .kernel = kernel, .out = out};
    kg_kernel *reduced = validator_baton_kernel(&v);
    if (!reduced || v.stop) return;
    validate_kernel(arena, reduced, out);
    out->states += states;
}

kg_verdict kg_validate(kg_arena *arena, kg_kernel *kernel, kg_validation *out)
{
    validate_kernel(arena, kernel, out);
    if (out->verdict == KG_PROVED) validate_batons(arena, kernel, out);
    return out->verdict;
}
