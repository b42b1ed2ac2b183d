// SPDX-License-Identifier: MIT
// Compiles .kg files up to synchronized IR and holds them against the executor and the file's own
// words.
//
//   // expect: barrier 2 loop_barrier 1 warp_sync 0 wait 1 counts 1     number of ops; loop_:
//   inside of loops
//   // expect: shared 4096                                              bytes of the arena
//   // expect: ids 1,2                                                  barriers with an id, or
//   with one for each warp
//   // expect: groups 1                                                 barriers of groups of warps
//   // expect-error: KG-S502                                           the only finding
//   // mutants: off                                                    (by hand: more than is
//   needed)
//   // repair: off                                                    what the sync pass does alone
//   // runs: off                                                      the executor does not model
//   it
//   // proof: unknown                                                  the validator cannot tell
//
// --random FIRST COUNT: as many random programs, one test. Otherwise arguments are paths, or
// PATH:NAME=VALUE,... with definitions. Each is a test (TAP). In every run with small sizes no
// access may be unordered, and the validator must prove it; without any one of the barriers, warp
// syncs and waits, or with a wait that leaves one group more, some run must be wrong, and the
// validator must not prove it.
#include "executor.h"
#include "random_program.h"
#include "words.h"
#include "passes/sync/sync.h"
#include "passes/validate/validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 18, DEFINES = 16 };

typedef struct counts {
    int barrier, groups, loop_barrier, warp_sync, wait, commit;
    char wait_counts[128], ids[128];
} counts;

typedef struct subject {
    const char *path;
    char *text;
    kg_arena arena;
    kg_diags diags;
    kg_source source;
    kg_define defines[DEFINES];
    int n_defines;
    kg_unit *unit;
    bool skipped; // nothing could be run
    char failure[1024];
} subject;

// ---- the file's words ---------------------------------------------------------------------------
// "A=1,B=2" behind the path of an argument.
static void read_defines(subject *s, char *list)
{
    char *save = NULL;
    for (char *name = strtok_r(list, ",", &save); name && s->n_defines < DEFINES;
         name = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(name, '=');
        if (!equals) continue;
        *equals = 0;
        s->defines[s->n_defines++] = (kg_define){name, equals + 1};
    }
}

static void fail(subject *s, const char *format, ...)
{
    va_list args;
    if (s->failure[0]) return;
    va_start(args, format);
    vsnprintf(s->failure, sizeof s->failure, format, args);
    va_end(args);
}

// ---- the report ---------------------------------------------------------------------------------
// What is said of a synchronization that the pass put in: something needs it (or the replay of
// copies asked for it), and it is told what else was considered.
static void check_entry(subject *s, const kg_sync_report *report, const kg_sync_entry *e)
{
    bool needed = e->op->code == KG_OP_WAIT || e->op->code == KG_OP_COMMIT;
    for (int i = 0; i < e->n_reasons; i++) needed |= report->reasons[e->reasons[i]].needs_sync;
    for (int i = 0; i < e->repairs.count; i++)
        needed |= !!strstr(e->repairs.items[i].text, "a replay of copies");
    if (!e->by_hand && !needed) fail(s, "S%d: nothing needs it", e->id);
    if (e->runs > 0 && !e->repairs.count) fail(s, "S%d: nothing else was considered", e->id);
    if (e->n_reasons && e->first < 0) fail(s, "S%d: no first reason", e->id);
}

static void check_report(subject *s, const kg_sync_report *report)
{
    for (int i = 0; i < report->n_syncs; i++) check_entry(s, report, &report->syncs[i]);
    for (int i = 0; i < report->n_reasons; i++) {
        const kg_sync_reason *r = &report->reasons[i];
        bool by_replay = r->wait && r->meet == KG_MEET_NONE; // waits together complete it
        if (!r->sync && !r->by_hand && !r->by_author && !by_replay)
            fail(s, "obligation %d: no synchronization answers for it", r->number);
        if (r->meet == KG_MEET_CTA && r->thread_a >= 0 && r->thread_a / 32 == r->thread_b / 32)
            fail(s, "obligation %d: threads %d and %d are of one warp", r->number, r->thread_a,
                 r->thread_b);
    }
}

// ---- compiling ----------------------------------------------------------------------------------
static void compile(subject *s)
{
    static const kg_machine machine = {"sm_80", 80, 166912, 255};
    s->unit = kg_parse(&s->arena, &s->diags, &s->source, s->defines, s->n_defines);
    if (!s->unit) return;
    for (kg_kernel *k = s->unit->kernels; k; k = k->next) {
        kg_sync_report report = {.wanted = true};
        kg_pass_context context = {
            .arena = &s->arena, .diags = &s->diags, .machine = &machine, .sync_report = &report};
        context.no_repair = strstr(s->text, "// repair: off") != NULL;
        if (!kg_verify(k, &s->diags) || !kg_run_pipeline(&context, k, NULL)) return;
        check_report(s, &report);
    }
}

static void add_counts(const kg_block *block, int loops, counts *c)
{
    for (const kg_op *op = block->first; op; op = op->next) {
        c->barrier += op->code == KG_OP_BARRIER;
        c->loop_barrier += op->code == KG_OP_BARRIER && loops;
        c->warp_sync += op->code == KG_OP_WARP_SYNC;
        c->commit += op->code == KG_OP_COMMIT;
        c->wait += op->code == KG_OP_WAIT;
        size_t used = strlen(c->wait_counts);
        if (op->code == KG_OP_WAIT)
            snprintf(c->wait_counts + used, sizeof c->wait_counts - used, "%s%d", used ? "," : "",
                     (int)kg_op_int(op, KG_A_COUNT, 0));
        const kg_attr *ids = kg_op_attr(op, KG_A_IDS);
        c->groups += ids != NULL;
        for (int i = 0; ids && i < ids->count; i++) {
            used = strlen(c->ids);
            snprintf(c->ids + used, sizeof c->ids - used, "%s%d", used ? "," : "",
                     (int)ids->ints[i]);
        }
        used = strlen(c->ids);
        if (op->code == KG_OP_BARRIER && kg_op_attr(op, KG_A_ID))
            snprintf(c->ids + used, sizeof c->ids - used, "%s%d", used ? "," : "",
                     (int)kg_op_int(op, KG_A_ID, 0));
        for (int i = 0; i < op->n_blocks; i++)
            add_counts(op->blocks[i], loops + (op->code == KG_OP_FOR || op->code == KG_OP_WHILE),
                       c);
    }
}

static void check_expectation(subject *s, const char *line)
{
    counts c = {0};
    char words[256], *save = NULL;
    snprintf(words, sizeof words, "%s", line);
    add_counts(s->unit->kernels->body, 0, &c);
    struct {
        const char *name;
        int64_t have;
    } known[] = {{"barrier", c.barrier},
                 {"loop_barrier", c.loop_barrier},
                 {"warp_sync", c.warp_sync},
                 {"wait", c.wait},
                 {"groups", c.groups},
                 {"commit", c.commit},
                 {"shared", s->unit->kernels->shared_bytes}};
    for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        const char *value = strtok_r(NULL, " ", &save);
        bool found = false;
        if (value && !strcmp(word, "counts")) {
            found = true;
            if (strcmp(value, c.wait_counts))
                fail(s, "wait counts are %s, not %s", c.wait_counts, value);
        }
        if (value && !strcmp(word, "ids")) {
            found = true;
            if (strcmp(value, c.ids)) fail(s, "ids are %s, not %s", c.ids, value);
        }
        for (size_t i = 0; value && i < sizeof known / sizeof *known; i++)
            if (!strcmp(word, known[i].name)) {
                found = true;
                if (known[i].have != atoll(value))
                    fail(s, "%s is %lld, not %s", word, (long long)known[i].have, value);
            }
        if (!found) fail(s, "unknown expectation '%s'", word);
    }
}

// ---- running ------------------------------------------------------------------------------------
typedef struct verdict {
    int finished, not_modelled;
    finding found;
    execution of;
} verdict;

static verdict run_all(kg_kernel *kernel)
{
    static const int64_t numbers[] = {0, 1, 33, 64, 96, 128, 160, 200, 256, 2, 3, 4, 5, 7};
    verdict v = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !v.found.what; i++)
        for (uint32_t seed = 0; seed < 6 && !v.found.what; seed++) {
            execution e = {
                .number = numbers[i], .seed = seed, .trip_limit = 9, .uninitialised = true};
            execute(kernel, &e);
            v.finished += e.finished;
            v.not_modelled += e.not_modelled;
            v.found = e.found;
            v.of = e;
            if (!e.drew) break;
        }
    return v;
}

static int line_of(const kg_op *op)
{
    return op ? op->loc.line : 0;
}

// false: there is nothing to hold mutants against.
static bool check_runs(subject *s, kg_kernel *kernel)
{
    verdict v = run_all(kernel);
    if (v.found.what)
        fail(s, "%s: lines %d and %d, threads %d and %d, at %lld, sizes %lld seed %u", v.found.what,
             line_of(v.found.a), line_of(v.found.b), v.found.thread_a, v.found.thread_b,
             (long long)v.found.place, (long long)v.of.number, v.of.seed);
    else if (!v.finished && !v.not_modelled)
        fail(s, "no run came to its end");
    else if (!v.finished)
        s->skipped = true;
    return v.finished > 0;
}

// ---- the validator ------------------------------------------------------------------------------
static const char *const verdicts[] = {
    [KG_PROVED] = "proved", [KG_WITNESS] = "refuted", [KG_UNKNOWN] = "unknown"};

static kg_verdict validate(subject *s, kg_kernel *kernel, kg_validation *v)
{
    kg_arena arena;
    kg_arena_init(&arena, NULL);
    arena.recovery = s->arena.recovery;
    kg_verdict proof = kg_validate(&arena, kernel, v);
    if (v->what) v->what = kg_arena_strndup(&s->arena, v->what, strlen(v->what));
    if (v->schedule) v->schedule = kg_arena_strndup(&s->arena, v->schedule, strlen(v->schedule));
    kg_arena_free(&arena);
    return proof;
}

static void check_proof(subject *s, kg_kernel *kernel, const char *expected)
{
    kg_validation v;
    kg_verdict proof = validate(s, kernel, &v);
    if (strcmp(verdicts[proof], expected))
        fail(s, "the validator: %s, not %s: %s, lines %d and %d, %s", verdicts[proof], expected,
             v.what ? v.what : "", line_of(v.a), line_of(v.b), v.schedule ? v.schedule : "");
}

static void check_mutant(subject *s, kg_kernel *kernel, kg_op *op, const char *how)
{
    verdict v = run_all(kernel);
    if (!v.found.what)
        fail(s, "%s S%d (%s, line %d) %s, nothing is wrong", "with",
             (int)kg_op_int(op, KG_A_SYNC_ID, 0), kg_op_info_of(op->code)->name, op->loc.line, how);
    kg_validation proof;
    if (validate(s, kernel, &proof) == KG_PROVED)
        fail(s, "with S%d (%s, line %d) %s, the validator sees nothing wrong",
             (int)kg_op_int(op, KG_A_SYNC_ID, 0), kg_op_info_of(op->code)->name, op->loc.line, how);
}

static void mutate(subject *s, kg_kernel *kernel, kg_block *block)
{
    for (kg_op *op = block->first, *next; op; op = next) {
        next = op->next;
        if (op->code == KG_OP_BARRIER || op->code == KG_OP_WARP_SYNC || op->code == KG_OP_WAIT) {
            kg_op_remove(op);
            check_mutant(s, kernel, op, "removed");
            if (next)
                kg_block_insert_before(next, op);
            else
                kg_block_append(block, op);
        }
        if (op->code == KG_OP_WAIT) {
            int64_t count = kg_op_int(op, KG_A_COUNT, 0);
            kg_op_set_int(kernel, op, KG_A_COUNT, count + 1);
            check_mutant(s, kernel, op, "loosened");
            kg_op_set_int(kernel, op, KG_A_COUNT, count);
        }
        for (int i = 0; i < op->n_blocks; i++) mutate(s, kernel, op->blocks[i]);
    }
}

static void render(subject *s)
{
    for (const kg_diag *d = s->diags.first; d; d = d->next)
        fprintf(stderr, "%s", kg_diag_render(&s->arena, d, false));
}

static void check_error(subject *s, const char *id)
{
    id += strspn(id, " ");
    if (!s->diags.first)
        fail(s, "accepted, but %s is expected", id);
    else if (strncmp(kg_diag_id_name(s->diags.first->id), id,
                     strlen(kg_diag_id_name(s->diags.first->id))))
        fail(s, "finding is %s, not %s", kg_diag_id_name(s->diags.first->id), id);
}

static void check(subject *s)
{
    char line[256];
    compile(s);
    if (line_with(s->text, "// expect-error:", line, sizeof line)) {
        check_error(s, line);
        return;
    }
    if (s->diags.errors || !s->unit) {
        render(s);
        fail(s, "does not compile");
        return;
    }
    for (const char *at = s->text; (at = line_with(at, "// expect:", line, sizeof line));)
        check_expectation(s, line);
    const char *proof = strstr(s->text, "// proof: unknown") ? "unknown" : "proved";
    for (kg_kernel *k = s->unit->kernels; k; k = k->next) check_proof(s, k, proof);
    for (kg_kernel *k = s->unit->kernels; k && !strstr(s->text, "// runs: off"); k = k->next) {
        if (check_runs(s, k) && !strstr(s->text, "// mutants: off")) mutate(s, k, k->body);
    }
}

static bool test_file(int number, char *argument)
{
    static char text[TEXT_LIMIT];
    static subject s;
    jmp_buf recovery;
    char title[256], *path = argument, *defines = strchr(argument, ':');
    const char *base = strrchr(argument, '/');
    snprintf(title, sizeof title, "%s", base ? base + 1 : argument);
    if (defines) *defines++ = 0;
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[n] = 0;
    memset(&s, 0, sizeof s);
    s.path = path;
    s.text = text;
    s.source = (kg_source){path, text, n};
    kg_arena_init(&s.arena, NULL);
    s.arena.recovery = &recovery;
    s.diags.arena = &s.arena;
    if (defines) read_defines(&s, defines);
    if (setjmp(recovery))
        fail(&s, "out of memory");
    else if (!file)
        fail(&s, "cannot be read");
    else
        check(&s);
    printf("%sok %d - %s%s\n", s.failure[0] ? "not " : "", number, title,
           s.skipped && !s.failure[0] ? " # SKIP the executor does not model it" : "");
    if (s.failure[0]) printf("# %s\n", s.failure);
    fflush(stdout);
    kg_arena_free(&s.arena);
    return !s.failure[0];
}

// One random program: 0 it was refused, 1 compiled, 2 ran; -1 with a failure in s. *unproved grows
// where the validator could not tell.
static int run_random(subject *s, uint64_t seed, int *unproved)
{
    static char text[TEXT_LIMIT];
    jmp_buf recovery;
    memset(s, 0, sizeof *s);
    random_program(seed, text, sizeof text);
    s->text = text;
    s->source = (kg_source){"random", text, strlen(text)};
    kg_arena_init(&s->arena, NULL);
    s->arena.recovery = &recovery;
    s->diags.arena = &s->arena;
    if (setjmp(recovery)) {
        fail(s, "out of memory");
        return -1;
    }
    compile(s);
    if (s->unit && !s->diags.errors) {
        kg_validation v;
        kg_verdict proof = validate(s, s->unit->kernels, &v);
        *unproved += proof == KG_UNKNOWN;
        if (proof == KG_WITNESS) check_proof(s, s->unit->kernels, "proved");
        return 1 + check_runs(s, s->unit->kernels);
    }
    if (s->diags.first && strcmp(kg_diag_id_name(s->diags.first->id), "KG-S503"))
        fail(s, "%s", s->diags.first->text);
    return 0;
}

// Everything that compiles must run clean. Copies that the author's commits come too late for may
// be refused.
static bool test_random(uint64_t first, int count)
{
    static subject s;
    int reached[3] = {0}, unproved = 0;
    for (int i = 0; i < count; i++) {
        int how_far = run_random(&s, first + (uint64_t)i, &unproved);
        if (s.failure[0]) {
            printf("1..1\nnot ok 1 - random programs\n# seed %llu: %s\n%s",
                   (unsigned long long)(first + (uint64_t)i), s.failure, s.text);
            return false;
        }
        reached[how_far]++;
        kg_arena_free(&s.arena);
    }
    printf(
        "1..1\n%sok 1 - random programs\n# %d programs: %d refused, %d not run to an end, %d run; "
        "%d proved, %d not\n",
        20 * unproved > count ? "not " : "", count, reached[0], reached[1], reached[2],
        reached[1] + reached[2] - unproved, unproved);
    return 20 * unproved <= count;
}

int main(int argc, char **argv)
{
    bool ok = true;
    if (argc == 4 && !strcmp(argv[1], "--random"))
        return test_random(strtoull(argv[2], NULL, 10), atoi(argv[3])) ? 0 : 1;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) ok &= test_file(i, argv[i]);
    return ok ? 0 : 1;
}
