// SPDX-License-Identifier: MIT
// Planted mistakes for sm_90a: each body is put into a kernel, assembled by ptxas where that is
// there, and run under every kind of completion and several orders. With a rule, each run must find
// it; without one, no run may find anything.
#ifndef PTXM_TEST_PLANTED_H
#define PTXM_TEST_PLANTED_H

#include "harness.h"

struct planted {
    const char *body, *rule; // NULL: clean; "one|two": one of them
    unsigned grid, block, cluster; // 0: 1, 64 and none
    const char *words; // that the message must have; NULL: any
    bool strict;       // by the letter
};

// The kernel around a body: %r1 thread, %r2 its 4-byte offset, %r3 address of s + offset, %r4 of s
// (1024 bytes, aligned to 128), %r5 of the mbarriers m (64 bytes), %d1 parameter p, %d2 p + offset,
// %d3 parameter q. p has 16 KiB, each word its index; q has 4 KiB of zeros. %p1: thread 0.
extern const char planted_before[], planted_after[];

void planted_all(const struct planted *list, size_t count);
#define PLANTED(list) planted_all(list, sizeof list / sizeof *list)
// Runs one body under one completion and seed and leaves the bench to look at; q is read into q.
void planted_run(struct bench *bench, const struct planted *planted, unsigned variant, void *q,
                 size_t bytes);
enum { PLANTED_VARIANTS = 5 };
// Runs the body with every allocation failing once: out of memory is said, and nothing leaks.
void planted_starve(const struct planted *planted);
// Assembles a text for sm_90a; fails the test with what ptxas says. Nothing without ptxas.
void planted_assemble(const char *text);
// Keeps the path of ptxas (the first argument of the test), and says so if there is none.
void planted_start(int argc, char **argv);

#endif
