// SPDX-License-Identifier: MIT
// Region memory for one compilation, and the caller's allocator.
//
// Everything that parsing, passes and code generation create lives in one arena and dies with it,
// so no pass frees anything. When the caller's allocator fails, kg_arena_alloc does not return: it
// jumps to the recovery point that the API entry set with kg_arena_recover (the one place where the
// library uses setjmp). What holds: between setting the point and leaving it, the library owns no
// memory outside the arena except what the entry's own frame records, so a jump leaks nothing. No
// foreign frame (LLVM, callback) is ever crossed: nothing allocates from the arena below such a
// frame.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

typedef struct kg_allocator {
    void *(*allocate)(void *user, size_t bytes); // NULL on failure
    void (*release)(void *user, void *memory);   // memory may be NULL
    void *user;
} kg_allocator;

typedef struct kg_arena_chunk kg_arena_chunk;

typedef struct kg_arena {
    kg_allocator allocator;
    kg_arena_chunk *chunks;
    char *next, *end;
    size_t total;      // bytes taken from the allocator
    jmp_buf *recovery; // where a failed allocation goes; must be set before the first allocation
} kg_arena;

// A NULL allocator means malloc and free.
void kg_arena_init(kg_arena *arena, const kg_allocator *allocator);
void kg_arena_free(kg_arena *arena);

// 16-byte aligned, zeroed. Never NULL (see above). A request above 1 GiB counts as a failure.
void *kg_arena_alloc(kg_arena *arena, size_t bytes);
char *kg_arena_strndup(kg_arena *arena, const char *text, size_t length);
char *kg_arena_printf(kg_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *kg_arena_vprintf(kg_arena *arena, const char *format, va_list args);

#define KG_NEW(arena, type) ((type *)kg_arena_alloc((arena), sizeof(type)))
#define KG_NEW_ARRAY(arena, type, count)                                                           \
    ((type *)kg_arena_alloc((arena), sizeof(type) * (size_t)(count)))

// Growable array in an arena: struct { T *items; int count, capacity; }. The old block is left
// behind.
#define KG_PUSH(arena, vec, value)                                                                 \
    do {                                                                                           \
        if ((vec)->count == (vec)->capacity)                                                       \
            (vec)->items =                                                                         \
                kg_arena_grow((arena), (vec)->items, &(vec)->capacity, sizeof *(vec)->items);      \
        (vec)->items[(vec)->count++] = (value);                                                    \
    } while (0)
void *kg_arena_grow(kg_arena *arena, void *items, int *capacity, size_t item_bytes);
