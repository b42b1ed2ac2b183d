// SPDX-License-Identifier: MIT
// The clause `schedule`: its keys as a table, and whether what it asks for can be had at all.
#include "ir/verify.h"
#include <stddef.h>

const kg_schedule_key kg_schedule_keys[] = {
#define KG_SCHEDULE(field, values, least, most)                                                    \
    {#field, offsetof(kg_schedule, field) / sizeof(int32_t), values, least, most},
#include "ir/schedule.def"
#undef KG_SCHEDULE
};
const int kg_n_schedule_keys = sizeof kg_schedule_keys / sizeof kg_schedule_keys[0];

// What the threads of a CTA have at its start; setmaxnreg moves this store between warpgroups.
static int launch_registers(const kg_kernel *kernel, int warpgroups)
{
    int ctas = kernel->min_ctas > 0 ? kernel->min_ctas : 1;
    int each = 65536 / (warpgroups * 128 * ctas);
    return (each > 255 ? 255 : each) / 8 * 8;
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

int kg_schedule_consumers(const kg_kernel *kernel)
{
    int turns = kernel->schedule.turns;
    return kernel->warps * (turns > 1 ? turns : 1);
}

kg_role_registers kg_schedule_registers(const kg_kernel *kernel)
{
    int consumers = kg_schedule_consumers(kernel) / 4, all = consumers + 1;
    int store = all * launch_registers(kernel, all);
    const int32_t *given = kernel->schedule.registers;
    kg_role_registers r = {.producer = given[0] ? given[0] : 24, .consumer = given[1]};
    if (!r.consumer && consumers > 0)
        r.consumer = clamp((store - r.producer) / consumers / 8 * 8, 24, 240);
    r.fits = r.producer + consumers * r.consumer <= store;
    r.store = store;
    return r;
}

void kg_verify_schedule(kg_verifier *v)
{
    const kg_kernel *k = v->kernel;
    const kg_schedule *s = &k->schedule;
    if (k->level != KG_LEVEL_TILE || !s->producers) return;
    int consumers = kg_schedule_consumers(k);
    if (k->warps % 4 || consumers + 4 > 32) {
        kg_diag *d = kg_error(v->diags, KG_D_L305, s->loc,
                              "consumers are 1 to 7 warpgroups of four warps each, here are %d "
                              "warps",
                              consumers);
        kg_diag_help(v->diags, d, "`warps 4` or `warps 8` suit most kernels");
        return;
    }
    kg_role_registers r = kg_schedule_registers(k);
    if (r.fits) return;
    kg_diag *d = kg_error(v->diags, KG_D_L305, s->loc,
                          "registers [%d, %d] are %d for the warpgroups of this CTA, which has %d",
                          r.producer, r.consumer, r.producer + consumers / 4 * r.consumer, r.store);
    kg_diag_help(v->diags, d,
                 "the producer's and %d times the consumers' together may be at most %d; without "
                 "`registers` they are chosen",
                 consumers / 4, r.store);
}
