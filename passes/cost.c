// SPDX-License-Identifier: MIT
// What shared memory costs. See repair.h.
#include "passes/repair.h"

enum {
    BYTES_PER_UNIT = 32, // so 1 KiB weighs a barrier outside of loops
    CTA_RESERVED = 1024, // bytes that each resident CTA takes beside its own
    CTA_LOSS = 64,       // for each CTA fewer on an SM, where the kernel's deepest loop runs
    SM_REGISTERS = 65536,
    USUAL_REGISTERS = 64, // of a thread, where the author says nothing of `ctas`
    MOST_THREADS = 2048,
    MOST_CTAS = 32
};

typedef struct depth {
    int deepest;
} depth;

static bool measure(kg_op *op, void *user)
{
    depth *d = user;
    if (!kg_is_loop(op)) return true;
    int loops = 1 + kg_loops_around(op);
    d->deepest = loops > d->deepest ? loops : d->deepest;
    return true;
}

// CTAs that would reside on an SM if shared memory were free: what the author asked for, else what
// threads and registers allow.
static int64_t wished_ctas(const kg_machine *machine, const kg_kernel *kernel)
{
    if (kernel->min_ctas > 0) return kernel->min_ctas;
    int64_t threads = 32 * (int64_t)kernel->warps;
    int64_t most = (machine->threads_sm ? machine->threads_sm : MOST_THREADS) / threads;
    int64_t registers = SM_REGISTERS / (USUAL_REGISTERS * threads);
    int64_t ctas = machine->ctas_sm ? machine->ctas_sm : MOST_CTAS;
    most = registers < most ? registers : most;
    most = ctas < most ? ctas : most;
    return most > 0 ? most : 1;
}

int64_t kg_memory_cost(const kg_machine *machine, const kg_kernel *kernel, int64_t bytes)
{
    int64_t cost = bytes / BYTES_PER_UNIT;
    if (!machine) return cost;
    if (bytes > machine->shared_limit)
        return KG_DOES_NOT_FIT + (bytes - machine->shared_limit) * (INT64_C(1) << 10);
    int64_t wished = wished_ctas(machine, kernel);
    int64_t resident = (machine->shared_limit + CTA_RESERVED) / (bytes + CTA_RESERVED);
    if (resident >= wished) return cost;
    depth d = {0};
    kg_walk(kernel->body, measure, &d);
    return cost + (wished - resident) * CTA_LOSS * kg_runs_in_loops(d.deepest);
}
