// SPDX-License-Identifier: MIT
// What the parts of the executor share.
#pragma once
#include "executor.h"

enum { NOBODY = -1, STEP_LIMIT = 20000, CONSTANT_TRIPS = 300 };

// One granule of memory: its last write and the reads since, by thread.
typedef struct cell {
    int64_t key; // global: mixed from the tensor and the coordinates
    int writer;
    uint32_t write_clock;
    const kg_op *write_op;
    bool written, atomic;
    int flight;        // copies that write it and are not complete
    int flight_reads;  // copies that read it and are not complete
    uint32_t *reads;   // clock by thread, 0: none
    uint32_t *atomics; // of commuting updates that the last write is only one of
    const kg_op *read_op;
} cell;

typedef struct copy {
    int thread, group; // group: number of the commit that closes it, -1 open
    bool write;
    cell *at;
    int count; // cells from `at` on
} copy;

typedef struct table {
    cell **slots;
    size_t count, size;
} table;

typedef struct machine {
    kg_kernel *kernel;
    execution *run;
    int threads, steps;
    uint32_t **clock; // clock[t][u]: what t knows of u
    int *committed;   // groups by thread
    cell *shared;     // by byte
    table global;
    cell acquired; // what cells look like that nobody of this CTA has written: the last acquire's
    struct {
        copy *items;
        int count, size;
    } copies;
    int64_t *number;
    bool *known;
    uint32_t random;
    bool stop;
} machine;

// executor_memory.c
void executor_accesses(machine *m, const kg_op *op);
void executor_complete(machine *m, int first, int count, int pending);
void executor_give_up(machine *m);
uint32_t executor_draw(machine *m);

static inline bool executor_value(const machine *m, const kg_value *v, int64_t *out)
{
    *out = m->number[v->id];
    return m->known[v->id];
}

static inline void executor_set(machine *m, const kg_value *v, bool known, int64_t number)
{
    m->known[v->id] = known;
    m->number[v->id] = number;
}
