// SPDX-License-Identifier: MIT
// What the kernels of this folder share. A kernel is a template over the number of its planted
// error: <0> is correct, each other one has exactly one error, as cases.c says. The tables at the
// end of a file make the compiler emit them.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

#define KERNEL(...) template <int PLANT> __global__ void __VA_ARGS__

#define ALL1(k) void *k##_all[] = {(void *)k<0>}
#define ALL2(k) void *k##_all[] = {(void *)k<0>, (void *)k<1>}
#define ALL3(k) void *k##_all[] = {(void *)k<0>, (void *)k<1>, (void *)k<2>}
#define ALL4(k) void *k##_all[] = {(void *)k<0>, (void *)k<1>, (void *)k<2>, (void *)k<3>}
#define ALL5(k)                                                                                    \
    void *k##_all[] = {(void *)k<0>, (void *)k<1>, (void *)k<2>, (void *)k<3>, (void *)k<4>}
#define ALL6(k)                                                                                    \
    void *k##_all[] = {(void *)k<0>, (void *)k<1>, (void *)k<2>,                                   \
                       (void *)k<3>, (void *)k<4>, (void *)k<5>}
#define ALL7(k)                                                                                    \
    void *k##_all[] = {(void *)k<0>, (void *)k<1>, (void *)k<2>, (void *)k<3>,                     \
                       (void *)k<4>, (void *)k<5>, (void *)k<6>}
