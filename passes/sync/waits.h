// SPDX-License-Identifier: MIT
// Wait counts, by replaying the sequence of copies, commits and waits.
//
// The structured program is run abstractly for every small trip count of its loops (2 * ring + 2
// and below), for every residue of loop starts, and with conditions evaluated where they follow
// from loop indices and bounds (the pipeline's guards). Unknown conditions run both arms; what
// stands under them is then relied on only within the same arm. For each access that must see a
// copy finished, the last wait that is followed by a rendezvous early enough has to leave at most
// as many groups in flight as were committed after the copy's. The least such number over all
// runs is the count.
//
// What happens in the runs is recorded once, whatever waits the plan has; each plan is then judged
// by the record.
#pragma once
#include "passes/sync/cover.h"

typedef struct kg_recording kg_recording;

typedef struct kg_replay {
    int *count; // by point: groups that may stay in flight at the plan's wait there; -1: nobody
                // needs it
    kg_binding *binding; // by point: what the count is due to
    bool *open;   // by obligation: some replay found no wait in time (only obligations with wait)
    bool *unseen; // by obligation: no replay came to it, so nothing is known (only obligations with
                  // wait)
    bool bounded; // false: too big to replay; count is 0 everywhere and nothing is known to be open
} kg_replay;

// The obligation needs a wait for groups of that kind.
bool kg_waits_concern(const kg_sync_program *p, const kg_obligation *o, kg_group group);
// One kind of groups at a time. The plan may change from one replay to the next in its barriers,
// warp syncs and waits. `more`: points at which it may come to act beside those of today; others
// cost a record anew.
kg_recording *kg_waits_record(const kg_sync_program *p, const kg_obligations *o,
                              const kg_sync_plan *plan, kg_group group, kg_points more);
void kg_waits_replay(kg_recording *r, kg_replay *out);
// The same, but false, and no more is known, as soon as something is open that the author's
// synchronization does not see to, a wait leaves fewer groups than least[point], or there is too
// much to replay.
bool kg_waits_try(kg_recording *r, const int *least, kg_replay *out);
// With the counts that the plan has, some copy may outlast the kernel.
bool kg_waits_in_flight(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                        kg_group group);
