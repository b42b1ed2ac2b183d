// SPDX-License-Identifier: MIT
// The report of a program: shared between the files that make it. Private to runtime/.
#pragma once
#include "passes/sync/lifetime.h"
#include "passes/sync/timeline.h"
#include "runtime/internal.h"

typedef struct report_maker {
    kgen_program *program;
    kg_arena *arena;
    kg_kernel *kernel;
    const kg_sync_report *syncs;
    kg_sync_program *points; // of the finished kernel
    kgen_report *out;
    const kg_value **roots;  // by buffer
    const char **root_names; // by value id: names of buffers, made once
} report_maker;

const char *report_buffer_name(report_maker *m, const kg_value *root); // NULL: global memory
int report_buffer_index(const report_maker *m, const kg_value *root);  // -1: none
void report_points(report_maker *m);
void report_buffers(report_maker *m);
void report_overlaps(report_maker *m);
void report_timelines(report_maker *m);
