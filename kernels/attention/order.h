// SPDX-License-Identifier: MIT
// In which order CTAs take the blocks of query rows, and how long a GPU is busy with them.
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct attention_blocks {
    int64_t sq, sk, rows, keys; // queries and keys, and how many of each make a tile
    int64_t pack;               // heads whose rows share tiles, token by token
    int64_t heads;              // of all sequences; if packed, groups of them
    bool causal;
} attention_blocks;

typedef struct attention_order {
    int64_t section;   // heads that go through their blocks together, longest first; 0: each head
                       // by itself, in the order of its rows
    int64_t workers;   // CTAs that the GPU has room for
    bool persistent;   // each takes every `workers`-th block; else whoever is free takes the next
    int64_t per_key;   // time of a tile of keys,
    int64_t per_block; // and of everything else in a block
} attention_order;

enum { ATTENTION_MOST_BLOCKS = 1 << 18 }; // that time is worth finding out for

int64_t attention_count(const attention_blocks *blocks); // of a head
// Tiles of keys that a block of rows sees.
int64_t attention_depth(const attention_blocks *blocks, int64_t block);
// When the last CTA is done; -1: too many blocks or workers.
int64_t attention_time(const attention_blocks *blocks, const attention_order *order);
// The same if all CTAs were done at once: nothing is faster.
int64_t attention_least_time(const attention_blocks *blocks, const attention_order *order);
// Heads whose keys and values fit into so many bytes of cache: a divisor of `heads`.
int64_t attention_section(int64_t heads, int64_t heads_per_key_head, int64_t bytes_of_key_head,
                          int64_t cache_bytes);
