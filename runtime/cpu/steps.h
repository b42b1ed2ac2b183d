// SPDX-License-Identifier: MIT
// The step functions: instructions that look at more than their own lane's registers.
#ifndef PTXM_STEPS_H
#define PTXM_STEPS_H

#include "isa.h"

#define STEPS(X)                                                                                   \
    X(carry) X(bfi) X(pack) X(unpack) X(mov_special) X(load) X(store) X(atomic) X(ldmatrix)        \
    X(movmatrix) X(wgmma) X(wgmma_fence) X(wgmma_commit) X(wgmma_wait) X(watched) X(setmaxnreg)    \
    X(stmatrix) X(cp_async) X(cp_commit) X(cp_wait) X(cp_wait_all) X(mma) X(shfl) X(vote)          \
    X(match) X(redux) X(elect) X(activemask) X(warp_sync) X(barrier) X(fence) X(branch)            \
    X(branch_indexed) X(call) X(ret) X(exit) X(trap) X(nanosleep) X(cvta) X(isspacep)    \
    X(mbarrier_init) X(mbarrier_inval) X(mbarrier_arrive) X(mbarrier_bytes) X(mbarrier_wait)       \
    X(mbarrier_pending) X(cp_async_arrive) X(cluster_arrive) X(cluster_wait) X(mapa)            \
    X(getctarank) X(st_async) X(bulk) X(bulk_commit) X(bulk_wait)          \
    X(fence_init) X(fence_proxy) X(tensor) X(fence_tensormap) X(grid_wait) X(prefetch_map)         \
    X(map_replace) X(map_copy) X(fence_half)                                                       \
    X(frame_address) X(call_host) X(wmma_load) X(wmma_store) X(wmma_mma)
#define X(name) step_fn ptxm_step_##name;
STEPS(X)
#undef X

#endif
