// SPDX-License-Identifier: MIT
// What the PTX machine reports, told to the callbacks of a launch.
#pragma once
#include "runtime/cpu/ptxm.h"
#include "runtime/kgen.h"

// The number of findings.
size_t cpu_report(const struct ptxm_report *report, const kgen_launch_options *options,
                  double seconds);
