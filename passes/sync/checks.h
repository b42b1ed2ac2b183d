// SPDX-License-Identifier: MIT
// What the sync pass refuses: reads of bytes that nobody wrote, threads that write the same bytes,
// malformed synchronization by hand, roles that share memory without any.
#pragma once
#include "passes/sync/obligation.h"

// KG-M403, KG-S504.
void kg_sync_check_contents(const kg_sync_program *p, kg_diags *diags);
// KG-M403 where only the trips of a loop tell; when contents.c found nothing.
void kg_sync_check_played(const kg_sync_program *p, kg_diags *diags);
// KG-S503.
void kg_sync_check_hand_written(const kg_sync_program *p, kg_diags *diags);
// KG-S509, KG-S510: flags between CTAs.
void kg_sync_check_flags(const kg_sync_program *p, kg_diags *diags);
// Marks obligations between roles that communicate by hand as the author's; KG-S502 where they do
// not.
void kg_sync_check_roles(const kg_sync_program *p, kg_obligations *o, kg_diags *diags);

// Roles that the author's barriers hold together, played through (handshake.c).
typedef enum kg_handshake {
    KG_HANDSHAKE_FINE,
    KG_HANDSHAKE_WRONG,  // KG-S505 or KG-S508 was reported
    KG_HANDSHAKE_UNKNOWN // conditions or trips that only run time knows
} kg_handshake;
// state: by node, -1 where a sync does not count, else the groups that a wait leaves; NULL: as
// written.
kg_handshake kg_sync_play_handshakes(const kg_sync_program *p, const kg_obligations *o,
                                     const int *state, kg_diags *diags);
