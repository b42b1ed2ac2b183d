// SPDX-License-Identifier: MIT
// Allocation through the caller's hook, and the arena that modules and reports live in.
#ifndef PTXM_MEMORY_H
#define PTXM_MEMORY_H

#include "ptxm.h"

struct allocator {
    struct ptxm_allocator hook;
};

void ptxm_allocator_init(struct allocator *allocator, const struct ptxm_allocator *hook);
void *ptxm_alloc(struct allocator *allocator, size_t size);           // NULL on failure
void *ptxm_alloc_zero(struct allocator *allocator, size_t size);      // NULL on failure
void *ptxm_realloc(struct allocator *allocator, void *block, size_t size);
void ptxm_free(struct allocator *allocator, void *block);

// Blocks that are freed all at once. `failed` stays set once an allocation failed.
struct arena {
    struct allocator *allocator;
    struct arena_block *blocks;
    size_t used, capacity;
    bool failed;
};
void ptxm_arena_init(struct arena *arena, struct allocator *allocator);
void *ptxm_arena_alloc(struct arena *arena, size_t size); // zeroed, 16-byte aligned, or NULL
char *ptxm_arena_string(struct arena *arena, const char *text, size_t length);
void ptxm_arena_free(struct arena *arena);

// Makes room for one more element in a growing array: `items` (pointer), count and capacity are
// lvalues. True if there is room.
#define PTXM_GROW(allocator, items, count, capacity)                                               \
    ((count) < (capacity) ||                                                                       \
     ptxm_grow((allocator), (void **)&(items), sizeof *(items), &(capacity)))
bool ptxm_grow(struct allocator *allocator, void **items, size_t size, size_t *capacity);

#endif
