// SPDX-License-Identifier: MIT
// Values of op.mode that the decoder writes and the step functions read.
#ifndef PTXM_MACHINE_MODES_H
#define PTXM_MACHINE_MODES_H

#include <stdlib.h>

enum vote_mode { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
enum barrier_mode { BARRIER_SYNC, BARRIER_ARRIVE, BARRIER_POPC, BARRIER_AND, BARRIER_OR };
// Of mbarrier instructions, as bits.
enum { MBARRIER_EXPECT = 1, MBARRIER_NO_COMPLETE = 2, MBARRIER_DROP = 4, MBARRIER_PARITY = 8,
       MBARRIER_TRY = 16, MBARRIER_COMPLETES = 32, MBARRIER_NO_INCREMENT = 64 };
// Of fence.proxy.async and fence.proxy.tensormap: bits in the order of enum proxy_space.
enum { FENCES_SHARED = 1, FENCES_GLOBAL = 2, FENCES_MAPS = 4, FENCES_RELEASED = 8,
       FENCES_MAPS_WIDE = 16 };
// Of tensormap.replace: the field.
enum map_field { MAP_ADDRESS, MAP_RANK, MAP_BOX, MAP_DIM, MAP_STRIDE, MAP_STEP, MAP_TYPE,
                 MAP_INTERLEAVE, MAP_SWIZZLE, MAP_FILL };
enum wgmma_step { WGMMA_FENCE, WGMMA_COMMIT, WGMMA_WAIT };
// op.flags of wgmma.mma_async
enum wgmma_flag { WGMMA_NEGATE = 1, WGMMA_A_REGISTERS = 2, WGMMA_A_TRANSPOSED = 4,
                  WGMMA_B_TRANSPOSED = 8, WGMMA_SATURATE = 16 };
enum host_function { HOST_NONE, HOST_PRINT, HOST_ASSERT };
struct mma_shape {
    unsigned a, b, c, d; // registers a lane
};

#endif
