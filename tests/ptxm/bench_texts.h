// SPDX-License-Identifier: MIT
// The kernels that bench_ptxm runs beside those of kernels.cu. Parameters: a buffer, trips.
#ifndef PTXM_BENCH_TEXTS_H
#define PTXM_BENCH_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

// A: 64x64, B: 256x64 of f16, lines of 128 bytes: what one trip of a matmul's loop multiplies.
enum { BENCH_TILE_BYTES = 40960, BENCH_RING_SLOTS = 3 };

extern const char bench_loop_text[]; // arithmetic, shared memory and barriers; "loop"
extern const char bench_mma_text[];  // two mma.sync a trip; "products"

// How the operands of wgmma come to shared memory: they are there; each trip waits for a bulk copy
// of them; a warp of its own copies ahead into a ring of slots, with an mbarrier for full and one
// for empty each.
enum bench_feed { BENCH_RESIDENT, BENCH_COPIED, BENCH_RING };
// Four wgmma.m64nNk16 a trip, of 128 threads (a ring: 160); "products".
void bench_wgmma_text(char *out, size_t room, unsigned n, enum bench_feed feed);

#endif
