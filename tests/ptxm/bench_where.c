// SPDX-License-Identifier: MIT
// A sampler for bench_ptxm.
#define _GNU_SOURCE
#include "bench_where.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

enum { MOST_SAMPLES = 1 << 17, MICROSECONDS = 197 };

const char *volatile where_running;
static const char *samples[MOST_SAMPLES];
static volatile sig_atomic_t sample_count;

const char *where_name(enum where_class class)
{
    static const char *const names[WHERE_CLASSES] = {
        "arithmetic", "moves, conversions", "shared memory", "global memory", "local, parameters",
        "generic addresses", "atomics", "warp-wide", "matrices", "copies", "barriers, fences",
        "control", "between instructions",
    };
    return names[class];
}

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static enum where_class space_of(const char *text)
{
    return strstr(text, ".shared")  ? WHERE_SHARED
           : strstr(text, ".global") ? WHERE_GLOBAL
           : strstr(text, ".local") || strstr(text, ".param") || strstr(text, ".const")
               ? WHERE_LOCAL : WHERE_GENERIC;
}

enum where_class where_class_of(const char *text)
{
    static const struct { const char *opcode; enum where_class class; } table[] = {
        {"mov.", WHERE_MOVES},        {"mov", WHERE_MOVES},          {"cvt", WHERE_MOVES},
        {"selp", WHERE_MOVES},        {"atom", WHERE_ATOMICS},       {"red.", WHERE_ATOMICS},
        {"shfl", WHERE_WARP},         {"vote", WHERE_WARP},          {"match", WHERE_WARP},
        {"redux", WHERE_WARP},        {"activemask", WHERE_WARP},    {"elect", WHERE_WARP},
        {"mma.", WHERE_MATRIX},       {"wmma.", WHERE_MATRIX},       {"wgmma.", WHERE_MATRIX},
        {"ldmatrix", WHERE_MATRIX},   {"stmatrix", WHERE_MATRIX},    {"movmatrix", WHERE_MATRIX},
        {"cp.", WHERE_COPIES},        {"st.async", WHERE_COPIES},    {"bar.", WHERE_BARRIERS},
        {"barrier.", WHERE_BARRIERS}, {"mbarrier.", WHERE_BARRIERS}, {"fence.", WHERE_BARRIERS},
        {"membar.", WHERE_BARRIERS},  {"bra", WHERE_CONTROL},        {"brx", WHERE_CONTROL},
        {"call", WHERE_CONTROL},      {"ret", WHERE_CONTROL},        {"exit", WHERE_CONTROL},
        {"trap", WHERE_CONTROL},      {"nanosleep", WHERE_CONTROL},
    };
    if (!text)
        return WHERE_BETWEEN;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (begins(text, table[i].opcode))
            return table[i].class;
    return begins(text, "ld.") || begins(text, "ldu.") || begins(text, "st.") ? space_of(text)
                                                                             : WHERE_ARITHMETIC;
}

// Runs between any two instructions of the machine's own code: it only keeps what it sees.
static void look(int signal)
{
    if (sample_count < MOST_SAMPLES)
        samples[sample_count++] = where_running;
}

static bool set_timer(long microseconds)
{
    struct itimerval interval = {{0, microseconds}, {0, microseconds}};
    return !setitimer(ITIMER_REAL, &interval, NULL);
}

bool where_start(void)
{
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_RESTART};
    sample_count = 0;
    return !sigaction(SIGALRM, &action, NULL) && set_timer(MICROSECONDS);
}

void where_stop(uint64_t seen[WHERE_CLASSES])
{
    set_timer(0);
    memset(seen, 0, WHERE_CLASSES * sizeof *seen);
    for (int i = 0; i < sample_count; i++) seen[where_class_of(samples[i])]++;
}
