// SPDX-License-Identifier: MIT
// From the plan to ops.
#pragma once
#include "passes/sync/record.h"

// Copies whose group nobody closes get a commit behind the last copy of their run. Before the
// program is built.
void kg_sync_commit_copies(kg_kernel *kernel);
// Inserts the plan's ops with ids of barriers. false: more named barriers than the hardware has.
bool kg_sync_insert(kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                    kg_op **op_at, kg_diags *diags);
// Numbers every synchronization in program order and says which obligations it discharges.
void kg_sync_number(kg_sync_outcome *outcome);
