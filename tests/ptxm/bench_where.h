// SPDX-License-Identifier: MIT
// Where the machine's time goes, by class of instruction: measured by a timer's signal that looks
// at what the machine says it runs (ptxm_launch_options.running).
#ifndef PTXM_BENCH_WHERE_H
#define PTXM_BENCH_WHERE_H

#include "ptxm.h"

enum where_class {
    WHERE_ARITHMETIC,
    WHERE_MOVES, // of registers, and conversions
    WHERE_SHARED,
    WHERE_GLOBAL,
    WHERE_LOCAL, // and parameters, constants
    WHERE_GENERIC,
    WHERE_ATOMICS,
    WHERE_WARP,     // shfl, vote, match, redux
    WHERE_MATRIX,   // mma, wgmma, ldmatrix and their kin
    WHERE_COPIES,   // cp.async, bulk and tensor copies
    WHERE_BARRIERS, // mbarriers and fences, too
    WHERE_CONTROL,
    WHERE_BETWEEN, // choosing warps, starting and ending CTAs, checks across CTAs, the report
    WHERE_CLASSES,
};
const char *where_name(enum where_class class);
enum where_class where_class_of(const char *instruction); // as written; NULL: between two

// What the machine is told to keep up to date.
extern const char *volatile where_running;
// From now on, the timer looks; until then: how often it saw each class. False without a timer.
bool where_start(void);
void where_stop(uint64_t seen[WHERE_CLASSES]);

#endif
