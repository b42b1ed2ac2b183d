// SPDX-License-Identifier: MIT
// The sync pass with its reasons kept.
#pragma once
#include "passes/passes.h"
#include "passes/sync/cover.h"
#include "passes/sync/report.h"

// Synchronizes a kernel at level placed. The report (may be NULL) is filled when that succeeds; it
// lives in the context's arena. false: findings were reported.
bool kg_sync_derive(kg_pass_context *context, kg_kernel *kernel, kg_sync_report *report);

// KG-S501, KG-S503: every obligation of ours has a point, or the program cannot be ordered.
void kg_sync_report_unmet(const kg_sync_program *p, const kg_obligations *o,
                          const kg_sync_plan *plan, kg_diags *diags);
