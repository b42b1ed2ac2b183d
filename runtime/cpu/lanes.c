// SPDX-License-Identifier: MIT
// Chooses the copy of the lane functions that this processor can run.
#include "lanes.h"

const struct lane_table *ptxm_lanes(void)
{
#ifdef PTXM_HAVE_V3
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return &ptxm_lane_table_v3;
#endif
    return &ptxm_lane_table_base;
}
