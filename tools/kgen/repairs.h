// SPDX-License-Identifier: MIT
// `kgen check --try-repairs`: runs again with what findings propose, a proposal at a time.
#pragma once
#include "raw_run.h"

typedef struct tried_repair {
    finding_key key;     // of the finding that proposed it
    const char *outcome; // "gone", "stays", "others" (gone, but others are there), "error"
    char *other;         // one of the others: "race of lines 17 and 18"; or NULL
} tried_repair;

typedef struct repair_list {
    tried_repair *items;
    int n;
} repair_list;

enum { MOST_REPAIRS = 16 };

// After a run with findings, under the schedule of that run. Free in any case.
void repairs_try(repair_list *list, const raw_run *run, schedule s);
void repairs_print(const repair_list *list);
json_t *repairs_json(const repair_list *list);
void repairs_free(repair_list *list);
