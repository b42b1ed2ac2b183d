// SPDX-License-Identifier: MIT
// What the planner found out, kept for the report: who answers for which obligation, what each
// would have taken alone, and which other repairs there were.
#pragma once
#include "passes/sync/cover.h"
#include "passes/sync/report.h"

typedef struct kg_sync_outcome {
    kg_sync_program *p; // as it was planned: without what was inserted
    const kg_obligations *o;
    const kg_sync_plan *plan;
    kg_op *const *op_at; // by point: the rendezvous (or wait alone) that stands there
    int *point_of;       // by obligation: the point that answers for it, -1
    int n_syncs;
} kg_sync_outcome;

// What stands at the point makes the threads of the obligation meet (or waits, where that does).
bool kg_sync_meets_at(const kg_sync_outcome *outcome, const kg_obligation *o, int point);
// The plan meets the obligation even if nothing stood at that point.
bool kg_sync_met_without(const kg_sync_outcome *outcome, int obligation, int point);
// "in front of dot (line 9), in the loop at line 7"
const char *kg_sync_point_text(const kg_sync_program *p, int point);
double kg_sync_runs_at(const kg_sync_outcome *outcome, int point);
// The cheapest point that cuts the obligation by itself; -1 without one.
int kg_sync_cheapest_alone(const kg_sync_outcome *outcome, int obligation);

void kg_sync_record(const kg_sync_outcome *outcome, kg_sync_report *report);
// Fills report->proxies (proxies.c).
void kg_sync_say_proxies(const kg_sync_outcome *outcome, kg_sync_report *report);
// The repairs that were there beside what stands at `point` (consider.c).
void kg_sync_consider(const kg_sync_outcome *outcome, const kg_sync_report *report, int point,
                      kg_sync_entry *entry);
// The same for a fence of registers.
void kg_sync_consider_fence(const kg_sync_outcome *outcome, const kg_sync_report *report, int point,
                            kg_sync_entry *entry);
