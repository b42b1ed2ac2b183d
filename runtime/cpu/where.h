// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand.
#ifndef PTXM_WHERE_H
#define PTXM_WHERE_H

#include "machine.h"

struct where {
    uint32_t op; // in front of which it could stand
    bool back;   // between b and the next trip's a
};
enum meeting { MEET_WARP, MEET_CTA, MEET_CLUSTER };
// For two accesses in the order of the text, whose threads are to meet. False: no point is found.
bool ptxm_where(const struct ptxm_module *module, const struct ptxm_place *a,
                const struct ptxm_place *b, enum meeting who, struct where *where);
// Fills ptxm_finding.where of all findings of a launch.
void ptxm_findings_where(struct findings *findings, const struct ptxm_module *module);

// ---- what where.c and where_flags.c share -------------------------------------------------------

const struct function *ptxm_where_function(const struct ptxm_module *module, uint32_t op);
uint32_t ptxm_where_op(const struct ptxm_module *module, const struct ptxm_place *place);
bool ptxm_where_all_pass(const struct ptxm_module *module, const struct function *function,
                         uint32_t since, uint32_t op);
uint32_t ptxm_where_back(const struct ptxm_module *module, const struct function *function,
                         uint32_t early, uint32_t late);
size_t ptxm_where_line(char *text, size_t room, const struct ptxm_module *module,
                       const struct op *op);
// A race between CTAs of the grid: what is wrong with the flag between the two, or that none is.
void ptxm_where_flags(struct findings *findings, const struct ptxm_module *module,
                      struct ptxm_finding *finding);

#endif
