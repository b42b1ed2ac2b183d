// SPDX-License-Identifier: MIT
// What the sync pass refuses: reads of bytes that nobody wrote, threads that write the same bytes,
// malformed synchronization by hand, roles that share memory without any.
#pragma once
#include "passes/sync/obligation.h"

// KG-M403, KG-S504.
void kg_sync_check_contents(const kg_sync_program *p, kg_diags *diags);
// KG-S503.
void kg_sync_check_hand_written(const kg_sync_program *p, kg_diags *diags);
// Marks obligations between roles that communicate by hand as the author's; KG-S502 where they do
// not.
void kg_sync_check_roles(const kg_sync_program *p, kg_obligations *o, kg_diags *diags);
