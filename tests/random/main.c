// SPDX-License-Identifier: MIT
// Runs random programs, see README.md.
//
//   random_programs [--from=SEED] [--count=N] [--jobs=N] [--keep=DIR] [--no-shrink]
//                   [--allow-disputes] [--target=sm_90a] [--mutants]
//   random_programs --print=SEED        the text of a program
//   random_programs --file=FILE         one that was kept, or any like it
//   random_programs --tap ...           as a test
//
// Seeds are dealt out to processes of their own, so that a crash costs one program and no more.
#include "shrink.h"
#include "gen.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 1 << 17,
    KINDS = 64,
    JOBS = 64,
    SHRINK_LIMIT = 4000,
    CPU_SECONDS = 60,
    SECONDS = 1200
};

typedef struct kind_count {
    char kind[96];
    long count;
    uint64_t first;
} kind_count;

// Shared by the processes; each writes its own.
typedef struct tally {
    volatile uint64_t seed; // the one at work
    volatile long done;     // programs finished
    long outcomes[OUTCOMES], launches[MODES], proved, fates[FATES];
    kind_count kinds[KINDS];
    int n_kinds;
    pid_t pid;
} tally;

typedef struct options {
    uint64_t from;
    long count;
    int jobs;
    const char *keep;
    bool shrink, tap, disputes;
    bool hopper; // programs for sm_90a
    bool mutate;
} options;

// Ends the process if a program takes this long: in time of the processor, since others may use it
// too, and by the clock for one that sleeps. 0 for no limit.
static void limit(int cpu_seconds, int seconds)
{
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = cpu_seconds}, NULL);
    alarm((unsigned)seconds);
}

static const char *const outcome_names[OUTCOMES] = {"passed", "refused", "unsuitable", "failed",
                                                    "disputed"};

static void write_text(const options *o, uint64_t seed, char *out, size_t size)
{
    if (o->hopper)
        random_hopper_text(seed, out, size);
    else
        random_text(seed, out, size);
}

static void count_kind(tally *t, const char *what, const char *kind, uint64_t seed)
{
    char name[96];
    snprintf(name, sizeof name, "%s: %.80s", what, kind);
    int i = 0;
    while (i < t->n_kinds && strcmp(t->kinds[i].kind, name)) i++;
    if (i == KINDS) return;
    if (i == t->n_kinds) {
        t->n_kinds++;
        t->kinds[i].first = seed;
        memcpy(t->kinds[i].kind, name, sizeof name);
    }
    t->kinds[i].count++;
}

// ---- failures -----------------------------------------------------------------------------------
static void run_apart(machine *m, const char *text, report *out)
{
    report *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        machine own;
        limit(CPU_SECONDS, SECONDS);
        if (machine_open(&own)) run_case(&own, text, shared);
        _exit(0);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *out = *shared;
    munmap(shared, sizeof *shared);
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0) return;
    out->outcome = FAILED;
    snprintf(out->kind, sizeof out->kind, "crash");
    snprintf(out->detail, sizeof out->detail, "ended by signal %d, status %d\n",
             WIFSIGNALED(status) ? WTERMSIG(status) : 0, WEXITSTATUS(status));
}

static void write_failure(FILE *file, uint64_t seed, const char *text, const report *r)
{
    fprintf(file, "%s// fails: %s\n// from: random_programs --print=%llu\n//\n", text, r->kind,
            (unsigned long long)seed);
    for (const char *line = r->detail; *line;) {
        int n = (int)strcspn(line, "\n");
        fprintf(file, "// %.*s\n", n, line);
        line += n + (line[n] == '\n');
    }
}

static void report_failure(machine *m, const options *o, uint64_t seed, char *text, report *r)
{
    bool crash = !strcmp(r->kind, "crash");
    // A program that does not even parse is the generator's mistake; less of it says nothing.
    bool legal = strncmp(r->kind, "KG-P", 4) && strncmp(r->kind, "KG-T", 4);
    legal &= strcmp(r->kind, "mutant proved") != 0; // of less text it would be another one
    if (o->shrink && legal)
        shrink(m, crash ? run_apart : run_case, text, TEXT_SIZE, r, SHRINK_LIMIT);
    if (o->keep) {
        char path[512];
        snprintf(path, sizeof path, "%s/%llu.kg", o->keep, (unsigned long long)seed);
        FILE *file = fopen(path, "w");
        if (file) {
            write_failure(file, seed, text, r);
            fclose(file);
            fprintf(stderr, "seed %llu: %s: %s\n", (unsigned long long)seed, r->kind, path);
            return;
        }
    }
    write_failure(stderr, seed, text, r);
}

// ---- the processes ------------------------------------------------------------------------------
static void work(const options *o, int job, tally *t)
{
    static char text[TEXT_SIZE];
    static report r;
    machine m;
    if (!machine_open(&m)) _exit(1);
    m.mutate = o->mutate;
    while (t->done * o->jobs + job < o->count) {
        uint64_t seed = o->from + (uint64_t)(t->done * o->jobs + job);
        t->seed = seed;
        limit(CPU_SECONDS, SECONDS);
        write_text(o, seed, text, sizeof text);
        run_case(&m, text, &r);
        limit(0, 0);
        t->outcomes[r.outcome]++;
        t->proved += r.proved;
        for (int i = 0; i < MODES; i++) t->launches[i] += r.launches[i];
        if (r.outcome) count_kind(t, outcome_names[r.outcome], r.kind, seed);
        if (r.unproved[0]) count_kind(t, "not proved", r.unproved, seed);
        t->fates[r.fate]++;
        if (r.fate == FATE_NEEDLESS || r.fate == FATE_VALIDATOR || r.fate == FATE_OPEN)
            count_kind(t, fate_names[r.fate], r.mutant, seed);
        bool told = r.outcome == FAILED || (r.outcome == DISPUTED && (o->keep || !o->disputes));
        if (told) report_failure(&m, o, seed, text, &r);
        t->done++;
    }
    machine_close(&m);
    fflush(NULL);
    _exit(0);
}

static void start(const options *o, int job, tally *t)
{
    fflush(NULL);
    t->pid = fork();
    if (t->pid == 0) work(o, job, t);
}

// The process of this job is gone in the middle of a program.
static void crashed(const options *o, tally *t)
{
    static char text[TEXT_SIZE];
    static report r;
    machine m;
    write_text(o, t->seed, text, sizeof text);
    run_apart(NULL, text, &r);
    if (r.outcome != FAILED) {
        r.outcome = FAILED;
        snprintf(r.kind, sizeof r.kind, "crash");
        snprintf(r.detail, sizeof r.detail, "not by itself: only behind the programs before it\n");
    }
    t->outcomes[FAILED]++;
    count_kind(t, outcome_names[FAILED], r.kind, t->seed);
    if (machine_open(&m)) {
        report_failure(&m, o, t->seed, text, &r);
        machine_close(&m);
    }
    t->done++;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void progress(const options *o, const tally *tallies, double begin, bool end)
{
    long done = 0, counts[OUTCOMES] = {0};
    for (int j = 0; j < o->jobs; j++) {
        done += tallies[j].done;
        for (int i = 0; i < OUTCOMES; i++) counts[i] += tallies[j].outcomes[i];
    }
    fprintf(stderr,
            "%ld programs, %.0f a second: %ld passed, %ld refused, %ld unsuitable, "
            "%ld failed, %ld disputed%s\n",
            done, (double)done / (now() - begin + 1e-9), counts[0], counts[1], counts[2], counts[3],
            counts[DISPUTED], end ? "" : " ...");
}

static void run_all(const options *o, tally *tallies)
{
    double begin = now(), next = begin + 10;
    int alive = o->jobs;
    for (int j = 0; j < o->jobs; j++) start(o, j, &tallies[j]);
    while (alive > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno != EINTR) break;
        for (int j = 0; pid > 0 && j < o->jobs; j++) {
            if (tallies[j].pid != pid) continue;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                alive--;
            } else {
                crashed(o, &tallies[j]);
                start(o, j, &tallies[j]);
            }
        }
        if (pid <= 0) usleep(20000);
        if (now() < next) continue;
        next += 10;
        progress(o, tallies, begin, false);
    }
    progress(o, tallies, begin, true);
}

// ---- results ------------------------------------------------------------------------------------
static void merge(tally *into, const tally *t)
{
    into->done += t->done;
    into->proved += t->proved;
    for (int i = 0; i < FATES; i++) into->fates[i] += t->fates[i];
    for (int i = 0; i < OUTCOMES; i++) into->outcomes[i] += t->outcomes[i];
    for (int i = 0; i < MODES; i++) into->launches[i] += t->launches[i];
    for (int i = 0; i < t->n_kinds; i++) {
        int k = 0;
        while (k < into->n_kinds && strcmp(into->kinds[k].kind, t->kinds[i].kind)) k++;
        if (k == KINDS) continue;
        if (k == into->n_kinds) {
            into->kinds[into->n_kinds++] = t->kinds[i];
        } else {
            into->kinds[k].count += t->kinds[i].count;
            if (t->kinds[i].first < into->kinds[k].first) into->kinds[k].first = t->kinds[i].first;
        }
    }
}

static int results(const options *o, tally *tallies)
{
    static tally all;
    for (int j = 0; j < o->jobs; j++) merge(&all, &tallies[j]);
    bool rare = (all.outcomes[REFUSED] + all.outcomes[UNSUITABLE]) * 10 <= all.done;
    bool ok = all.done == o->count && !all.outcomes[FAILED] && rare &&
              (o->disputes || !all.outcomes[DISPUTED]);
    const char *lead = o->tap ? "# " : "";
    if (o->tap) printf("1..1\n%sok 1 - random programs\n", ok ? "" : "not ");
    printf(
        "%sprograms %ld passed %ld refused %ld unsuitable %ld failed %ld disputed %ld\n%slaunches",
        lead, (long)all.done, all.outcomes[PASSED], all.outcomes[REFUSED], all.outcomes[UNSUITABLE],
        all.outcomes[FAILED], all.outcomes[DISPUTED], lead);
    for (int i = 0; i < MODES; i++)
        printf(" %s %ld%s", mode_names[i], all.launches[i], i < MODES - 1 ? "," : "");
    printf("\n%sproved %ld\n", lead, all.proved);
    for (int i = FATE_NONE + 1; i < FATES && o->mutate; i++)
        printf("%smutants %s %ld\n", lead, fate_names[i], all.fates[i]);
    for (int i = 0; i < all.n_kinds; i++)
        printf("%s%8ld  %s (first: %llu)\n", lead, all.kinds[i].count, all.kinds[i].kind,
               (unsigned long long)all.kinds[i].first);
    return ok ? 0 : 1;
}

static int run_file(const char *path, const options *o)
{
    static char text[TEXT_SIZE];
    static report r;
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 2;
    }
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    run_apart(NULL, text, &r);
    printf("%s%s%s\n%s", outcome_names[r.outcome], r.kind[0] ? ": " : "", r.kind, r.detail);
    (void)o;
    return r.outcome == PASSED ? 0 : 1;
}

static int usage(void)
{
    fprintf(stderr, "usage: random_programs [--from=SEED] [--count=N] [--jobs=N] [--keep=DIR] "
                    "[--no-shrink] [--allow-disputes] [--target=sm_80|sm_90a] [--mutants] [--tap] "
                    "| --print=SEED | --file=FILE\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"from", 1, 0, 'f'},      {"count", 1, 0, 'n'},          {"jobs", 1, 0, 'j'},
        {"keep", 1, 0, 'k'},      {"print", 1, 0, 'p'},          {"file", 1, 0, 'i'},
        {"no-shrink", 0, 0, 's'}, {"allow-disputes", 0, 0, 'd'}, {"tap", 0, 0, 't'},
        {"target", 1, 0, 'a'},    {"mutants", 0, 0, 'm'},        {0, 0, 0, 0}};
    options o = {.from = 1, .count = 1000, .jobs = 1, .shrink = true};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        static char text[TEXT_SIZE];
        switch (c) {
        case 'f':
            o.from = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            o.count = atol(optarg);
            break;
        case 'j':
            o.jobs = atoi(optarg);
            break;
        case 'k':
            o.keep = optarg;
            break;
        case 's':
            o.shrink = false;
            break;
        case 'd':
            o.disputes = true;
            break;
        case 't':
            o.tap = true;
            break;
        case 'm':
            o.mutate = true;
            break;
        case 'a':
            o.hopper = !strcmp(optarg, "sm_90a");
            if (!o.hopper && strcmp(optarg, "sm_80")) return usage();
            break;
        case 'i':
            return run_file(optarg, &o);
        case 'p':
            write_text(&o, strtoull(optarg, NULL, 10), text, sizeof text);
            fputs(text, stdout);
            return 0;
        default:
            return usage();
        }
    }
    if (optind < argc || o.jobs < 1 || o.jobs > JOBS || o.count < 1) return usage();
    tally *tallies = mmap(NULL, sizeof *tallies * (size_t)o.jobs, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED) return 1;
    run_all(&o, tallies);
    return results(&o, tallies);
}
