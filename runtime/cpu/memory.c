// SPDX-License-Identifier: MIT
// Allocation through the caller's hook. Nothing else in this folder calls malloc or free.
#include "memory.h"

#include <stdlib.h>
#include <string.h>

static void *libc_malloc(void *user, size_t size)
{
    return malloc(size);
}

static void *libc_realloc(void *user, void *block, size_t size)
{
    return realloc(block, size);
}

static void libc_free(void *user, void *block)
{
    free(block);
}

void ptxm_allocator_init(struct allocator *allocator, const struct ptxm_allocator *hook)
{
    if (hook)
        allocator->hook = *hook;
    else
        allocator->hook = (struct ptxm_allocator){libc_malloc, libc_realloc, libc_free, NULL};
}

void *ptxm_alloc(struct allocator *allocator, size_t size)
{
    return allocator->hook.malloc(allocator->hook.user, size ? size : 1);
}

void *ptxm_alloc_zero(struct allocator *allocator, size_t size)
{
    // Of libc's zeroed memory only the pages that are touched take any.
    if (allocator->hook.malloc == libc_malloc)
        return calloc(1, size ? size : 1);
    void *block = ptxm_alloc(allocator, size);
    if (block)
        memset(block, 0, size ? size : 1);
    return block;
}

void *ptxm_realloc(struct allocator *allocator, void *block, size_t size)
{
    if (!block)
        return ptxm_alloc(allocator, size);
    return allocator->hook.realloc(allocator->hook.user, block, size ? size : 1);
}

void ptxm_free(struct allocator *allocator, void *block)
{
    if (block)
        allocator->hook.free(allocator->hook.user, block);
}

struct arena_block {
    struct arena_block *next;
    size_t padding; // keeps the payload 16-byte aligned
};

void ptxm_arena_init(struct arena *arena, struct allocator *allocator)
{
    *arena = (struct arena){.allocator = allocator};
}

void *ptxm_arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        arena->failed = true;
        return NULL;
    }
    size = (size + 15) & ~(size_t)15;
    if (!arena->blocks || arena->capacity - arena->used < size) {
        size_t capacity = size > 65536 - sizeof(struct arena_block)
                              ? size
                              : 65536 - sizeof(struct arena_block);
        struct arena_block *block = ptxm_alloc(arena->allocator, capacity + sizeof *block);
        if (!block) {
            arena->failed = true;
            return NULL;
        }
        block->next = arena->blocks;
        arena->blocks = block;
        arena->capacity = capacity;
        arena->used = 0;
    }
    char *payload = (char *)(arena->blocks + 1) + arena->used;
    arena->used += size;
    memset(payload, 0, size);
    return payload;
}

char *ptxm_arena_string(struct arena *arena, const char *text, size_t length)
{
    char *copy = ptxm_arena_alloc(arena, length + 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void ptxm_arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        ptxm_free(arena->allocator, arena->blocks);
        arena->blocks = next;
    }
    arena->used = arena->capacity = 0;
}

bool ptxm_grow(struct allocator *allocator, void **items, size_t size, size_t *capacity)
{
    size_t more = *capacity ? *capacity * 2 : 16;
    if (more > SIZE_MAX / 2 / size)
        return false;
    void *block = ptxm_realloc(allocator, *items, more * size);
    if (!block)
        return false;
    *items = block;
    *capacity = more;
    return true;
}
