// SPDX-License-Identifier: MIT
// What the CTAs of a grid have left in global memory, as grid_shadow.c collects it and grid_past.c
// keeps it for later grids.
#ifndef PTXM_GRID_SHADOW_H
#define PTXM_GRID_SHADOW_H

#include "shadow.h"

enum { GRID_BUCKETS = 4096 };

// What one instruction of one CTA did to a page in one barrier generation. Where CTAs synchronize
// with each other, each cell keeps its own thread and clock; else one stands for all.
struct grid_entry {
    struct stamp stamp;
    uint32_t cta;
    uint8_t bytes;
    uint64_t cells[PAGE_CELLS / 64];
    uint32_t *values;     // of plain writes, by cell
    struct stamp *stamps; // by cell; NULL unless CTAs synchronize
    struct grid_entry *next;
};

struct grid_page {
    uint64_t number;
    struct grid_page *next;
    struct grid_entry *entries;
};

struct cta_log {
    struct know_log *log;
    size_t count;
    struct async_operation *operations; // by id
    struct map_use *uses;               // by id
    size_t use_count;
};

struct grid_shadow {
    struct allocator *allocator;
    struct grid_page *buckets[GRID_BUCKETS];
    struct cta_log *logs; // by CTA
    size_t log_count, log_capacity;
    bool synchronized;    // some CTA knows of another
};

// NULL: no CTA has touched the page.
const struct grid_page *ptxm_grid_page(const struct grid_shadow *g, uint64_t number);
// What a thread of a committed CTA knew at the time of an access; NULL: nothing of other CTAs.
const struct knowledge *ptxm_grid_knowledge(const struct grid_shadow *g, uint32_t cta,
                                            const struct stamp *s);
bool ptxm_stamp_writes(const struct stamp *s);
// The grid is over, and the footprint stays: without what its threads knew. The allocator is one
// that frees what the grid's has allocated.
void ptxm_grid_shadow_outlive(struct grid_shadow *g, struct allocator *allocator);
// What a CTA has done to a page against what the launches before its grid have done to it.
void ptxm_past_compare(struct cta *cta, uint64_t number, const struct grid_entry *mine);

#endif
