// SPDX-License-Identifier: MIT
// Judges what the author synchronized: what is missing, what nobody needs, what waits for too much.
#pragma once
#include "passes/passes.h"
#include "passes/sync/hand.h"

typedef enum kg_judged_kind {
    KG_JUDGED_MISSING,   // an obligation that the author's syncs leave open
    KG_JUDGED_REDUNDANT, // a sync of the author's that the others make up for
    KG_JUDGED_STRICT     // a wait for more groups than anyone needs
} kg_judged_kind;

typedef struct kg_judged {
    kg_judged_kind kind;
    const char
        *what; // missing: "put `barrier` in front of line 9"; else the sync, or the better one
    const char *text; // one line
    int line, column;
} kg_judged;

typedef struct kg_judgement {
    kg_sync_program *p;
    kg_obligations o;
    const kg_author *author;
    kg_hand_syncs syncs;
    kg_sync_plan plan; // what has to be added to what the author wrote
    bool *left;        // by obligation: met by what the compiler adds for its own buffers anyway
    kg_op **commits;   // closed by us: commits that the author's copies lack
    int n_commits;
    struct {
        kg_judged *items;
        int count, capacity;
    } found;
    int n[3]; // by kind
} kg_judgement;

// Judges a kernel at level placed; what is found also goes to `diags`: errors for what is missing
// where `by_hand`, else only in the list; warnings for the rest. The kernel is changed (commits are
// added). false: the synchronization cannot be judged, findings say why.
bool kg_sync_judge(kg_pass_context *context, kg_kernel *kernel, const kg_author *author,
                   bool by_hand, kg_judgement *out);

// The obligation is open and between what the author wrote.
bool kg_judged_open(const kg_judgement *j, int obligation);
// The point of the plan that meets an open obligation.
int kg_judged_point(const kg_judgement *j, int obligation);
// Reports each open obligation; errors where `by_hand`. missing.c
void kg_judge_missing(kg_judgement *j, kg_diags *diags, bool by_hand);
// Fills `left` for a state of the author's syncs (by node, NULL: as written).
void kg_judge_left(kg_judgement *j, const int *state);
void kg_judge_add(kg_judgement *j, kg_judged item);
