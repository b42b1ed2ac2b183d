// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand.
#ifndef PTXM_WHERE_H
#define PTXM_WHERE_H

#include "machine.h"

struct where {
    uint32_t op; // in front of which it could stand
    bool back;   // between b and the next trip's a
};
// For two accesses in the order of the text; warp: a warp sync would do. False: no point is found.
bool ptxm_where(const struct ptxm_module *module, const struct ptxm_place *a,
                const struct ptxm_place *b, bool warp, struct where *where);
// Fills ptxm_finding.where of all findings of a launch.
void ptxm_findings_where(struct findings *findings, const struct ptxm_module *module);

#endif
