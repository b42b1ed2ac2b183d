// SPDX-License-Identifier: MIT
// Region memory: chunks from the caller's allocator, freed together. See arena.h for the failure
// contract.
#include "ir/arena.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Under the address sanitizer a gap behind each allocation shows accesses past its end, and in
// front of the next one.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
enum { GAP = 0 };
#define ASAN_POISON_MEMORY_REGION(memory, bytes)
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#endif

struct kg_arena_chunk {
    kg_arena_chunk *previous;
    size_t bytes;
};

enum { FIRST_CHUNK = 32 << 10, LARGEST_CHUNK = 1 << 20, ALIGNMENT = 16 };
#define HEADER ((sizeof(kg_arena_chunk) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1))
#define LARGEST_REQUEST ((size_t)1 << 30)

static void *default_allocate(void *user, size_t bytes)
{
    return malloc(bytes);
}

static void default_release(void *user, void *memory)
{
    free(memory);
}

void kg_arena_init(kg_arena *arena, const kg_allocator *allocator)
{
    memset(arena, 0, sizeof *arena);
    if (allocator)
        arena->allocator = *allocator;
    else
        arena->allocator = (kg_allocator){default_allocate, default_release, NULL};
}

void kg_arena_free(kg_arena *arena)
{
    kg_arena_chunk *chunk = arena->chunks;
    while (chunk) {
        kg_arena_chunk *previous = chunk->previous;
        ASAN_UNPOISON_MEMORY_REGION(chunk, chunk->bytes);
        arena->allocator.release(arena->allocator.user, chunk);
        chunk = previous;
    }
    arena->chunks = NULL;
    arena->next = arena->end = NULL;
    arena->total = 0;
}

__attribute__((noreturn)) static void fail(kg_arena *arena)
{
    longjmp(*arena->recovery, 1);
}

// Chunks double, so that a compilation makes few calls; a large request gets a chunk of its own
// size.
static void add_chunk(kg_arena *arena, size_t bytes)
{
    size_t size = arena->chunks ? arena->chunks->bytes * 2 : FIRST_CHUNK;
    if (size > LARGEST_CHUNK) size = LARGEST_CHUNK;
    if (size < bytes + HEADER) size = bytes + HEADER;
    kg_arena_chunk *chunk = arena->allocator.allocate(arena->allocator.user, size);
    if (!chunk) fail(arena);
    chunk->previous = arena->chunks;
    chunk->bytes = size;
    arena->chunks = chunk;
    arena->total += size;
    arena->next = (char *)chunk + HEADER;
    arena->end = (char *)chunk + size;
}

void *kg_arena_alloc(kg_arena *arena, size_t bytes)
{
    if (bytes > LARGEST_REQUEST) fail(arena);
    size_t size = ((bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + GAP;
    if (!size) size = ALIGNMENT;
    if ((size_t)(arena->end - arena->next) < size) add_chunk(arena, size);
    void *memory = arena->next;
    arena->next += size;
    memset(memory, 0, size);
    ASAN_POISON_MEMORY_REGION((char *)memory + bytes, size - bytes);
    return memory;
}

char *kg_arena_strndup(kg_arena *arena, const char *text, size_t length)
{
    char *copy = kg_arena_alloc(arena, length + 1);
    if (length) memcpy(copy, text, length);
    return copy;
}

char *kg_arena_vprintf(kg_arena *arena, const char *format, va_list args)
{
    va_list again;
    if (!format) return kg_arena_strndup(arena, "", 0);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = kg_arena_alloc(arena, (size_t)(length < 0 ? 0 : length) + 1);
    if (length > 0) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *kg_arena_printf(kg_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = kg_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void *kg_arena_grow(kg_arena *arena, void *items, int *capacity, size_t item_bytes)
{
    int grown = *capacity ? *capacity * 2 : 8;
    if (*capacity > INT32_MAX / 2) fail(arena);
    void *copy = kg_arena_alloc(arena, (size_t)grown * item_bytes);
    if (*capacity) memcpy(copy, items, (size_t)*capacity * item_bytes);
    *capacity = grown;
    return copy;
}
