// SPDX-License-Identifier: MIT
// kgen-mutate: takes every synchronization of the shipped kernels away, one at a time, or makes it
// weaker, and holds the result against the validator and the PTX machine. Both must notice: a
// synchronization whose absence nobody notices is not needed.
#include "mutants.h"
#include "tools/kgen/output.h"
#include "tools/kgen/task_runner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 24, RUNS = 7, TARGET_RUNS = 5 };

typedef struct totals {
    int mutants, validator, machine, survived;
    int unproved; // of those that the validator does not accept: without a witness
    int right;    // not counted as mutants: another order, and both accept it
} totals;

// Programs for any GPU, and those of a schedule for one.
enum { ANY_GPU, ONE_GPU, TARGETS };

// Configurations in which some wait may as well stand behind the arrival that follows it, for what
// that gives back is guarded by another arrival, behind both: the slot of keys by that for values
// of the same trip, and what the last products of a tile read by that for its queries. So many, no
// more and no less, both must accept.
static const struct {
    const char *line;
    int count;
} other_orders[] = {
    {"attention SQ=200 SK=300 D=128 causal=true target=sm_90a", 1},
    {"attention SQ=300 SK=420 H=2 sms=4 D=64 dtype=f16 stages=2 tile_n=192 target=sm_90a", 2},
    {"attention SQ=100 SK=300 H=1 D=128 tile_n=176 target=sm_90a", 1},
    {"attention SQ=200 SK=420 H=1 D=64 stages=2 tile_m=192 target=sm_90a", 1},
    {"attention SQ=200 SK=520 H=1 D=64 causal=true stages=3 tile_n=128 target=sm_90a", 1},
    {"attention SQ=200 SK=520 H=4 HKV=2 B=2 D=64 causal=true stages=2 tile_n=128 persistent=true "
     "sms=3 target=sm_90a",
     2},
    {"attention SQ=50 SK=300 H=6 HKV=2 D=128 causal=true pack=true target=sm_90a", 1},
};

typedef struct settings {
    bool verbose, tap; // tap: a line of the Test Anything Protocol for each configuration
    bool print;        // the synchronized program, and nothing is tried
    int tests;         // so far
} output;

// A configuration as keys, with room for values that are changed.
typedef struct request {
    const kgen_family *family;
    kgen_task_key keys[MOST_KEYS];
    char values[MOST_KEYS][24];
    int n_keys;
    char text[256];
} request;

// ---- the library, without a word about what is expected to fail ---------------------------------

typedef struct listener {
    char id[16];   // of the first error since it was last emptied
    bool unproved; // some program was not proved since
} listener;

static void listen(const kgen_diagnostic *d, void *user)
{
    listener *l = user;
    l->unproved |= !strcmp(d->id, "KG-S521");
    if (d->severity == KGEN_ERROR && !l->id[0]) snprintf(l->id, sizeof l->id, "%s", d->id);
}

// ---- configurations -----------------------------------------------------------------------------

static bool read_request(const char *line, request *r)
{
    char *save = NULL;
    memset(r, 0, sizeof *r);
    snprintf(r->text, sizeof r->text, "%s", line);
    char *name = strtok_r(r->text, " ", &save);
    r->family = name ? kgen_family_named(name) : NULL;
    if (!r->family) return say_error("no family '%s'", name ? name : ""), false;
    for (char *word; (word = strtok_r(NULL, " ", &save)) && r->n_keys < MOST_KEYS; r->n_keys++) {
        char *equals = strchr(word, '=');
        if (!equals) return say_error("'%s' is no KEY=VALUE", word), false;
        *equals = '\0';
        r->keys[r->n_keys] = (kgen_task_key){.name = word, .value = equals + 1};
    }
    return true;
}

static long value_of(const request *r, const char *key)
{
    for (int i = 0; i < r->n_keys; i++)
        if (!strcmp(r->keys[i].name, key)) return atol(r->keys[i].value);
    for (const kgen_task_key *k = r->family->keys; k->name; k++)
        if (!strcmp(k->name, key)) return atol(k->value);
    return 0;
}

static const char *given(const request *r, const char *key)
{
    for (int i = 0; i < r->n_keys; i++)
        if (!strcmp(r->keys[i].name, key)) return r->keys[i].value;
    return NULL;
}

static bool names_target(const request *r)
{
    return given(r, "target") != NULL;
}

static void set_value(request *r, const char *key, long value)
{
    int i = 0;
    while (i < r->n_keys && strcmp(r->keys[i].name, key)) i++;
    if (i == MOST_KEYS) return;
    r->n_keys += i == r->n_keys;
    snprintf(r->values[i], sizeof r->values[i], "%ld", value);
    r->keys[i] = (kgen_task_key){.name = key, .value = r->values[i]};
}

// More trips of every loop, so that rings go round, and the same program: sizes grow by multiples
// of what it was specialized on. `extra` steps more, since where the ring stands at the end decides
// which bytes the epilogue meets. For one GPU two are so long that rings of mbarriers go round many
// times, within a tile and, where CTAs are persistent, from tile to tile: only then does an arrival
// too few or too many meet a phase that is not its own.
static void make_longer(request *r, int extra)
{
    const char *family = r->family->name;
    bool target = names_target(r), phases = target && extra == TARGET_RUNS - 3;
    bool tiles = target && extra == TARGET_RUNS - 2 && given(r, "sms");
    if (!strcmp(family, "matmul")) {
        long splits = value_of(r, "splits") > 1 ? value_of(r, "splits") : 1;
        set_value(r, "K", value_of(r, "K") + (320 + 32 * (phases ? 80 : extra)) * splits);
    } else if (!strcmp(family, "attention")) {
        long more = 384 + 64 * (phases ? 36 : extra);
        if (!tiles) set_value(r, "SK", value_of(r, "SK") + more);
        if (!target || tiles) set_value(r, "SQ", value_of(r, "SQ") + (tiles ? 1280 : more));
    } else if (!strcmp(family, "attention_decode")) {
        set_value(r, "SK", value_of(r, "SK") + (448 + 64 * extra) * value_of(r, "splits"));
    } else if (!strcmp(family, "delta_net")) {
        set_value(r, "T", value_of(r, "T") + 4 + extra);
    }
}

// Those of schedules for one GPU come last.
static const char *configuration(int number)
{
    for (int i = 0; kgen_configurations[i]; i++, number--)
        if (!number) return kgen_configurations[i];
    for (int i = 0; kgen_target_configurations[i]; i++)
        if (!number--) return kgen_target_configurations[i];
    return NULL;
}

static int orders_of(const char *line)
{
    for (size_t i = 0; i < sizeof other_orders / sizeof *other_orders; i++)
        if (!strcmp(other_orders[i].line, line)) return other_orders[i].count;
    return 0;
}

// What is expected was computed with the definitions of the task's own text.
static bool computed_before(kgen_task *task)
{
    return true;
}

static kgen_task *make_task(const request *r)
{
    char error[256] = "";
    kgen_task *task = kgen_task_create(r->family, r->keys, r->n_keys, 1, error);
    if (!task) say_error("%s: %s", r->family->name, error);
    if (!task) return NULL;
    must(kgen_task_reference(task) ? task : NULL);
    task->reference = computed_before;
    return task;
}

// The synchronized program of a task; to be freed.
static char *synchronized_ir(cli_session *session, const kgen_task *task)
{
    run_settings settings = {0};
    kgen_program *compiled = NULL;
    if (task_compile(session, task, &settings, &compiled)) return NULL;
    char *ir = must(strdup(kgen_program_ir(compiled)));
    kgen_program_free(compiled);
    return ir;
}

// ---- one mutant ---------------------------------------------------------------------------------

// The task with another text, which is specialized already.
typedef struct disguise {
    const char *source;
    size_t bytes;
    int n_defines;
} disguise;

static disguise dress(kgen_task *task, const char *text)
{
    disguise was = {task->source, task->source_bytes, task->n_defines};
    task->source = text;
    task->source_bytes = strlen(text);
    task->n_defines = 0;
    return was;
}

static void undress(kgen_task *task, disguise was)
{
    task->source = was.source;
    task->source_bytes = was.bytes;
    task->n_defines = was.n_defines;
}

typedef enum answer { ANSWER_PROVED, ANSWER_UNPROVED, ANSWER_WITNESS } answer;

static answer ask_validator(cli_session *session, listener *heard, const kgen_task *task)
{
    run_settings settings = {0};
    kgen_program *compiled = NULL;
    *heard = (listener){{0}};
    kgen_status status = task_compile(session, task, &settings, &compiled);
    kgen_program_free(compiled);
    if (status == KGEN_ERROR_INPUT && !strcmp(heard->id, "KG-S520")) return ANSWER_WITNESS;
    return !status && heard->unproved ? ANSWER_UNPROVED : ANSWER_PROVED;
}

static bool finds_scope(const finding_list *findings)
{
    for (size_t i = 0; i < findings->n; i++)
        if (!strcmp(findings->keys[i].rule, "cluster-scope")) return true;
    return false;
}

// By the letter of the ISA more is found, in programs that are right too: then only this.
static bool machine_rejects(cli_session *session, kgen_task *task, bool letter)
{
    static const kgen_completion modes[] = {KGEN_COMPLETE_LATE, KGEN_COMPLETE_EAGER,
                                            KGEN_COMPLETE_SEEDED};
    bool rejected = false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes && !rejected; i++) {
        run_settings settings = {
            .device_kind = "cpu",
            .no_validate = true,
            .device = {.completion = modes[i], .cpu_threads = 1, .seed = 1, .strict = letter}};
        run_result result;
        bool ok = task_run(session, task, &settings, &result);
        rejected =
            letter ? finds_scope(&result.findings) : !ok && (result.findings.n || result.mismatch);
        run_result_free(&result);
    }
    return rejected;
}

// ---- one configuration --------------------------------------------------------------------------

// The machine sees one execution, so it gets several: the first task that shows it will do.
static bool some_run_shows(cli_session *session, kgen_task *tasks[RUNS], const mutant *m)
{
    bool machine = false;
    for (int k = 0; k < RUNS && tasks[k] && !machine; k++) {
        disguise was = dress(tasks[k], m->text);
        machine = machine_rejects(session, tasks[k], m->letter);
        undress(tasks[k], was);
    }
    return machine;
}

static void try_mutant(cli_session *session, listener *heard, kgen_task *tasks[RUNS],
                       const mutant *m, const char *line, bool verbose, totals *t)
{
    static const char *const words[] = {"ACCEPTS", "cannot prove it", "rejects"};
    disguise was = dress(tasks[0], m->text);
    answer validator = ask_validator(session, heard, tasks[0]);
    undress(tasks[0], was);
    bool machine = some_run_shows(session, tasks, m);
    if (m->order && validator == ANSWER_PROVED && !machine && t->right < orders_of(line)) {
        t->right++;
        if (verbose) printf("# %s: %s: right as well\n", line, m->what);
        return;
    }
    t->mutants++;
    t->validator += validator != ANSWER_PROVED;
    t->unproved += validator == ANSWER_UNPROVED;
    t->machine += machine;
    t->survived += !validator || !machine;
    if (verbose || !validator || !machine)
        printf("# %s: %s: validator %s, machine %s\n", line, m->what, words[validator],
               machine ? "rejects" : "ACCEPTS");
}

static void say_total(const char *before, int target, const totals *t)
{
    printf("%s%s: mutants %d, killed by the validator %d (%d of them as not proved), by the PTX "
           "machine %d, survived %d, %.1f %%\n",
           before, target == ANY_GPU ? "any GPU" : "one GPU", t->mutants, t->validator, t->unproved,
           t->machine, t->survived,
           t->mutants ? 100.0 * (t->mutants - t->survived) / t->mutants : 100.0);
}

// Tasks of one and the same program: longer ones first, the configuration as it is last. Those for
// one GPU are big, and show nearly everything as they are: they are longer last, and fewer. The
// program's text; NULL after an error.
static char *prepare(cli_session *session, listener *heard, const char *line,
                     kgen_task *tasks[RUNS])
{
    char *ir = NULL;
    *heard = (listener){{0}};
    for (int i = 0; i < RUNS; i++) {
        request r;
        if (!read_request(line, &r)) break;
        bool target = names_target(&r);
        if (target && i == TARGET_RUNS) break;
        bool alone = !given(&r, "sms") && !given(&r, "pack"); // each head is CTAs of its own
        if (target && alone && !strcmp(r.family->name, "attention")) {
            set_value(&r, "H", 1); // it is the same program
            set_value(&r, "HKV", 1);
        }
        if (target ? i > 0 : i + 1 < RUNS) make_longer(&r, target ? i - 1 : i);
        tasks[i] = make_task(&r);
        char *text = tasks[i] ? synchronized_ir(session, tasks[i]) : NULL;
        bool same = text && (!ir || !strcmp(ir, text)) && !heard->unproved;
        if (!same)
            say_error("%s: %s", line,
                      heard->unproved ? "not proved as it is"
                      : text          ? "a longer run is another program"
                                      : "refused");
        if (ir || !same) free(text);
        if (!ir && same) ir = text;
        if (same) continue;
        free(ir);
        return NULL;
    }
    return ir;
}

static bool try_configuration(cli_session *session, listener *heard, const char *line, output *how,
                              totals sums[TARGETS])
{
    kgen_task *tasks[RUNS] = {NULL};
    mutant_list mutants = {0};
    totals t = {0};
    char *ir = prepare(session, heard, line, tasks);
    bool ok = ir != NULL;
    if (ok && how->print) {
        fputs(ir, stdout);
    } else if (ok) {
        mutants_of(ir, &mutants);
        for (size_t i = 0; i < mutants.count; i++)
            try_mutant(session, heard, tasks, &mutants.items[i], line, how->verbose, &t);
        ok = !t.survived && t.right == orders_of(line);
        if (how->tap) printf("%sok %d - ", ok ? "" : "not ", ++how->tests);
        printf("%4d mutants, validator %d (%d not proved), PTX machine %d: %s\n", t.mutants,
               t.validator, t.unproved, t.machine, line);
        if (t.right < orders_of(line))
            printf("# %s: %d of %d other orders are right\n", line, t.right, orders_of(line));
        fflush(stdout);
    } else if (how->tap) {
        printf("not ok %d - %s\n", ++how->tests, line);
    }
    totals *sum = &sums[strstr(line, "target=") ? ONE_GPU : ANY_GPU];
    *sum =
        (totals){sum->mutants + t.mutants,   sum->validator + t.validator, sum->machine + t.machine,
                 sum->survived + t.survived, sum->unproved + t.unproved,   sum->right + t.right};
    mutants_free(&mutants);
    for (int i = 0; i < RUNS; i++) kgen_task_free(tasks[i]);
    free(ir);
    return ok;
}

static const char usage[] =
    "usage: kgen-mutate [--verbose] [--tap] [--part=I/N] [FAMILY KEY=VALUE ...]\n"
    "\n"
    "Takes each synchronization out of the shipped kernels in all their configurations, lets each\n"
    "wait leave one group more, moves it behind its barrier, swaps the ids of named barriers,\n"
    "narrows fences, and holds every such program against the validator and the PTX machine. Exit\n"
    "status 0 when both reject all of them.\n"
    "\n"
    "  --verbose     a line for each mutant, not only for survivors\n"
    "  --print       the synchronized programs, and try nothing\n"
    "  --tap         in the form of the Test Anything Protocol\n"
    "  --part=I/N    the I-th of N parts of the configurations, I from 1\n"
    "  FAMILY ...    this configuration only, as for `kgen run`\n";

int main(int argc, char **argv)
{
    output how = {0};
    bool ok = true;
    int part = 1, parts = 1;
    char one[256] = "";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) return fputs(usage, stdout), EXIT_FINE;
        if (!strcmp(argv[i], "--verbose")) {
            how.verbose = true;
        } else if (!strcmp(argv[i], "--print")) {
            how.print = true;
        } else if (!strcmp(argv[i], "--tap")) {
            how.tap = true;
        } else if (!strncmp(argv[i], "--part=", 7)) {
            if (sscanf(argv[i] + 7, "%d/%d", &part, &parts) != 2 || part < 1 || part > parts)
                return fputs(usage, stderr), EXIT_USAGE;
        } else if (argv[i][0] == '-') {
            return fputs(usage, stderr), EXIT_USAGE;
        } else {
            snprintf(one + strlen(one), sizeof one - strlen(one), "%s%s", one[0] ? " " : "",
                     argv[i]);
        }
    }
    listener heard = {{0}};
    cli_session session = {0};
    totals sums[TARGETS] = {{0}};
    if (kgen_context_create(&(kgen_options){.diagnostic = listen, .user = &heard},
                            &session.context))
        return say_error("no context: out of memory"), EXIT_PROBLEM;
    int all = 0;
    while (configuration(all)) all++;
    if (how.tap) printf("1..%d\n", one[0] ? 1 : (all - part) / parts + 1);
    if (one[0]) ok = try_configuration(&session, &heard, one, &how, sums);
    for (int i = part - 1; !one[0] && i < all; i += parts)
        ok &= try_configuration(&session, &heard, configuration(i), &how, sums);
    kgen_context_free(session.context);
    int survived = 0;
    for (int i = 0; i < TARGETS; i++) {
        survived += sums[i].survived;
        if (sums[i].mutants) say_total(how.tap ? "# summary: " : "total of ", i, &sums[i]);
    }
    return ok && !survived && finish_stdout() ? EXIT_FINE : EXIT_PROBLEM;
}
