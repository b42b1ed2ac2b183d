// SPDX-License-Identifier: MIT
// Holds the validator against programs that are synchronized by hand: bulk copies, mbarriers,
// wgmma. No code is generated; a file is compiled up to its buffers' places, and what it says of
// itself is checked:
//
//   // derived                          the pass `sync` puts in what is missing
//   // proof: proved                    or: refuted WORDS, unknown WORDS: part of what is reported
//   // at: TEXT                         (refuted) a part of the line that it is reported at
//   // mutants: all                     each synchronization removed, weakened, or moved past its
//                                       neighbour in turn must be refuted ...
//   // mutants: removed                 (or removed or weakened only)
//   // proved: MUTANT, MUTANT           ... but for these, which are right as well,
//   // unknown: MUTANT                  and these, of which the validator cannot tell
//
// A mutant's name is what is done to which op: `remove 12`, `up 12`, `down 12`, `less 12`, `more
// 12`, `behind 12`, `alone 12`: 12 is the line of the op; or `remove barrier 12`. Arguments are
// paths; each is a test (TAP). --list PATH prints what comes out; --time PATH how long it takes.
#include "ir/access.h"
#include "passes/passes.h"
#include "passes/validate/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_LIMIT = 1 << 17, WORDS = 2048 };

typedef struct subject {
    const char *path;
    char text[TEXT_LIMIT];
    kg_arena arena;
    kg_diags diags;
    kg_source source;
    kg_unit *unit;
    kg_kernel *kernel;
    char proved[WORDS], unknown[WORDS]; // mutants
    int mutants, refuted;
    bool list, moves;
    char failure[2048];
} subject;

static void fail(subject *s, const char *format, ...)
{
    va_list args;
    if (s->failure[0]) return;
    va_start(args, format);
    vsnprintf(s->failure, sizeof s->failure, format, args);
    va_end(args);
}

// The rest of the lines behind `key`, one after the other.
static void words_behind(const char *text, const char *key, char *out, size_t size)
{
    out[0] = 0;
    for (const char *at = text; (at = strstr(at, key)); at++) {
        size_t used = strlen(out), n = strcspn(at + strlen(key), "\n");
        snprintf(out + used, size - used, "%.*s,", (int)n, at + strlen(key));
    }
    size_t used = strlen(out);
    if (used) out[used - 1] = 0;
}

// ---- compiling ----------------------------------------------------------------------------------

// The accumulator's layout says which warpgroup reads what; texts below the pass `layout` state
// others.
static void lay_out_products(subject *s, kg_block *block)
{
    for (kg_op *op = block->first; op; op = op->next) {
        for (int i = 0; i < op->n_blocks; i++) lay_out_products(s, op->blocks[i]);
        if (op->code != KG_OP_WGMMA) continue;
        const int32_t *dims = op->results[0]->type.dims;
        int warps = kg_op_region(op).n_warps, down = dims[0] / 16;
        if (down > warps) down = warps;
        kg_layout *layout = kg_arena_alloc(&s->arena, sizeof *layout);
        if (!kg_layout_dot_acc(KG_DOT_WGMMA, dims[0], dims[1], down, warps / down, layout))
            fail(s, "no layout for the product at line %d", op->loc.line);
        op->results[0]->layout = layout;
    }
}

static void compile(subject *s)
{
    static const kg_machine machine = {"sm_90a", 90, 232448, 255};
    kg_pass_context context = {.arena = &s->arena, .diags = &s->diags, .machine = &machine};
    // Not fold: it puts constants where they are used, and so past a wgmma_fence.
    kg_pipeline_options options = {.passes = "home,pipeline,layout,lower,repair,pingpong,place"};
    s->unit = kg_parse(&s->arena, &s->diags, &s->source, NULL, 0);
    if (!s->unit) return;
    s->kernel = s->unit->kernels;
    if (!kg_verify(s->kernel, &s->diags)) return;
    bool placed = s->kernel->level >= KG_LEVEL_PLACED, derived = strstr(s->text, "// derived");
    if (derived) options = (kg_pipeline_options){.stop_after = "sync"};
    if (placed && !derived) lay_out_products(s, s->kernel->body);
    if (derived || !placed) kg_run_pipeline(&context, s->kernel, &options);
    s->kernel->level = KG_LEVEL_SYNCED;
}

// ---- verdicts -----------------------------------------------------------------------------------

static const char *const verdicts[] = {
    [KG_PROVED] = "proved", [KG_WITNESS] = "refuted", [KG_UNKNOWN] = "unknown"};

static kg_verdict validate(subject *s, kg_validation *v)
{
    kg_arena arena;
    kg_arena_init(&arena, NULL);
    arena.recovery = s->arena.recovery;
    kg_verdict proof = kg_validate(&arena, s->kernel, v);
    if (v->what) v->what = kg_arena_strndup(&s->arena, v->what, strlen(v->what));
    if (v->schedule) v->schedule = kg_arena_strndup(&s->arena, v->schedule, strlen(v->schedule));
    kg_arena_free(&arena);
    return proof;
}

static int line_of(const kg_op *op)
{
    return op ? op->loc.line : 0;
}

static bool line_has(const subject *s, int line, const char *words)
{
    const char *at = s->text, *found = strstr(words, "") ? words : "";
    for (int i = 1; i < line && at; i++) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
    char copy[512];
    if (!at) return false;
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(at, "\n"), at);
    return strstr(copy, found) != NULL;
}

static void check_verdict(subject *s)
{
    char words[WORDS], place[WORDS];
    kg_validation v;
    kg_verdict proof = validate(s, &v);
    words_behind(s->text, "// proof: ", words, sizeof words);
    words_behind(s->text, "// at: ", place, sizeof place);
    size_t n = strlen(verdicts[proof]);
    const char *what = v.what ? v.what : "";
    bool as_said =
        !strncmp(words, verdicts[proof], n) && (!words[n] || strstr(what, words + n + 1));
    if (s->list)
        printf("%s: %s: %s, lines %d and %d, %s (%d states, %d cells)\n", s->path, verdicts[proof],
               what, line_of(v.a), line_of(v.b), v.schedule ? v.schedule : "", v.states, v.cells);
    if (!as_said)
        fail(s, "%s, not %s: %s, lines %d and %d, %s", verdicts[proof], words, what, line_of(v.a),
             line_of(v.b), v.schedule ? v.schedule : "");
    if (place[0] && !line_has(s, line_of(v.b), place))
        fail(s, "reported at line %d: %s", line_of(v.b), what);
}

// ---- mutants ------------------------------------------------------------------------------------

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at++)
        if (!at[n] || at[n] == ',') return true;
    return false;
}

static void check_mutant(subject *s, const char *how, const kg_op *op)
{
    char name[64], full[96];
    kg_validation v;
    kg_verdict proof = validate(s, &v);
    snprintf(name, sizeof name, "%s %d", how, op->loc.line);
    snprintf(full, sizeof full, "%s %s %d", how, kg_op_info_of(op->code)->name, op->loc.line);
    bool right = listed(s->proved, name) || listed(s->proved, full);
    bool unclear = listed(s->unknown, name) || listed(s->unknown, full);
    const char *expected = right ? "proved" : unclear ? "unknown" : "refuted";
    s->mutants++;
    s->refuted += proof == KG_WITNESS;
    if (s->list)
        printf("  %s (%s): %s: %s, lines %d and %d, %s\n", name, kg_op_info_of(op->code)->name,
               verdicts[proof], v.what ? v.what : "", line_of(v.a), line_of(v.b),
               v.schedule ? v.schedule : "");
    if (strcmp(expected, verdicts[proof]))
        fail(s, "%s (%s): %s, not %s: %s, lines %d and %d, %s", name, kg_op_info_of(op->code)->name,
             verdicts[proof], expected, v.what ? v.what : "", line_of(v.a), line_of(v.b),
             v.schedule ? v.schedule : "");
}

static bool synchronizes(const kg_op *op)
{
    return kg_op_info_of(op->code)->cls == KG_CLASS_Y;
}

static void put_before(kg_block *block, kg_op *place, kg_op *op)
{
    if (place)
        kg_block_insert_before(place, op);
    else
        kg_block_append(block, op);
}

// Ops that move nothing and order nothing do not count as neighbours.
static bool counts(const kg_op *op)
{
    return synchronizes(op) || kg_op_info_of(op->code)->n_effects || op->n_blocks;
}

static void move(subject *s, kg_op *op)
{
    kg_op *next = op->next, *up = op->prev, *down = op->next;
    kg_block *block = op->parent;
    while (up && !counts(up)) up = up->prev;
    while (down && !counts(down)) down = down->next;
    if (up) {
        kg_op_remove(op);
        kg_block_insert_before(up, op);
        check_mutant(s, "up", op);
        kg_op_remove(op);
        put_before(block, next, op);
    }
    if (down && down->code != KG_OP_YIELD) {
        kg_op_remove(op);
        put_before(block, down->next, op);
        check_mutant(s, "down", op);
        kg_op_remove(op);
        put_before(block, next, op);
    }
}

static void change(subject *s, kg_op *op, kg_attr_key key, int64_t by, const char *how)
{
    int64_t number = kg_op_int(op, key, 0);
    kg_op_set_int(s->kernel, op, key, number + by);
    check_mutant(s, how, op);
    kg_op_set_int(s->kernel, op, key, number);
}

static void weaken(subject *s, kg_op *op)
{
    bool mbarrier = op->code == KG_OP_SHARED && kg_op_attr(op, KG_A_ARRIVALS);
    if (op->code == KG_OP_WAIT || op->code == KG_OP_BULK_WAIT || op->code == KG_OP_WGMMA_WAIT)
        change(s, op, KG_A_COUNT, 1, "more");
    if (op->code == KG_OP_MBARRIER_EXPECT) {
        change(s, op, KG_A_BYTES, 16, "more");
        change(s, op, KG_A_BYTES, -16, "less");
    }
    if (op->code == KG_OP_MBARRIER_WAIT)
        change(s, op, KG_A_BEHIND, kg_op_int(op, KG_A_BEHIND, 0) ? -1 : 1, "behind");
    if (kg_op_attr(op, KG_A_CLUSTER)) change(s, op, KG_A_CLUSTER, -1, "alone");
    if (mbarrier) {
        change(s, op, KG_A_ARRIVALS, 1, "more");
        if (kg_op_int(op, KG_A_ARRIVALS, 1) > 1) change(s, op, KG_A_ARRIVALS, -1, "less");
    }
}

static void mutate(subject *s, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        weaken(s, op);
        for (int i = 0; i < op->n_blocks; i++) mutate(s, op->blocks[i]);
        if (!synchronizes(op)) continue;
        kg_op_remove(op);
        check_mutant(s, "remove", op);
        put_before(block, next, op);
        if (s->moves) move(s, op);
    }
}

// ---- files --------------------------------------------------------------------------------------

static bool read_text(subject *s)
{
    FILE *file = fopen(s->path, "rb");
    size_t n = file ? fread(s->text, 1, sizeof s->text - 1, file) : 0;
    if (file) fclose(file);
    s->text[n] = 0;
    s->source = (kg_source){s->path, s->text, n};
    return n > 0;
}

static void measure(subject *s)
{
    enum { ROUNDS = 20 };
    double best = 1e9;
    kg_validation v;
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        validate(s, &v);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        double spent = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
        if (spent < best) best = spent;
    }
    printf("%s: %s in %.2f ms, %d states, %d cells\n", s->path, verdicts[v.verdict], best, v.states,
           v.cells);
}

static void check(subject *s, bool timed)
{
    char words[WORDS];
    compile(s);
    if (s->diags.errors || !s->kernel) {
        fail(s, "does not compile: %s",
             s->diags.first ? kg_diag_render(&s->arena, s->diags.first, false) : "");
        return;
    }
    if (timed) {
        measure(s);
        return;
    }
    check_verdict(s);
    words_behind(s->text, "// mutants: ", words, sizeof words);
    words_behind(s->text, "// proved: ", s->proved, sizeof s->proved);
    words_behind(s->text, "// unknown: ", s->unknown, sizeof s->unknown);
    s->moves = !strcmp(words, "all");
    if (words[0]) mutate(s, s->kernel->body);
}

static bool test_file(int number, const char *path, bool list, bool timed)
{
    static subject s;
    jmp_buf recovery;
    memset(&s, 0, sizeof s);
    s.path = path;
    s.list = list;
    kg_arena_init(&s.arena, NULL);
    s.arena.recovery = &recovery;
    s.diags.arena = &s.arena;
    if (setjmp(recovery))
        fail(&s, "out of memory");
    else if (!read_text(&s))
        fail(&s, "cannot be read");
    else
        check(&s, timed);
    const char *base = strrchr(path, '/');
    printf("%sok %d - %s", s.failure[0] ? "not " : "", number, base ? base + 1 : path);
    if (s.mutants) printf(": %d mutants, %d refuted", s.mutants, s.refuted);
    printf("\n");
    if (s.failure[0]) printf("# %s\n", s.failure);
    fflush(stdout);
    kg_arena_free(&s.arena);
    return !s.failure[0];
}

int main(int argc, char **argv)
{
    bool list = argc > 1 && !strcmp(argv[1], "--list"),
         timed = argc > 1 && !strcmp(argv[1], "--time");
    int first = list || timed ? 2 : 1;
    bool fine = argc > first;
    printf("1..%d\n", argc - first);
    for (int i = first; i < argc; i++) fine &= test_file(i - first + 1, argv[i], list, timed);
    return !fine;
}
