// SPDX-License-Identifier: MIT
// The configurations of the shipped kernels that the tests hold to everything: "family key=value
// ...".
#pragma once

static const char *const configurations[] = {
    "matmul",
    "matmul M=1 N=1 K=1",
    "matmul M=130 N=66 K=34 out=bf16",
    "matmul M=100 N=72 K=200 splits=3",
    "matmul M=64 N=64 K=256 splits=8 dtype=f16 out=f16",
    "matmul M=128 N=128 K=160 stages=2",
    "matmul M=128 N=128 K=160 stages=4",
    "matmul M=128 N=128 K=160 stages=5",
    // Splits shorter than the ring, then the epilogue's tile on the ring's bytes.
    "matmul M=64 N=64 K=200 splits=3 stages=2",
    "matmul M=64 N=64 K=200 splits=3 stages=3",
    "matmul M=64 N=64 K=200 splits=3 stages=4",
    "matmul M=64 N=64 K=200 splits=3 stages=5",
    "matmul M=64 N=64 K=200 splits=3 stages=6",
    "matmul M=33 N=65 K=17 activation=relu bias=true",
    "matmul M=64 N=64 K=64 activation=gelu bias=true out=bf16",
    "matmul M=64 N=72 K=48 activation=silu",
    "matmul M=96 N=40 K=72 a_col=true",
    "matmul M=70 N=50 K=90 b_col=true",
    "matmul M=96 N=40 K=72 a_col=true b_col=true splits=2",
    "matmul M=256 N=256 K=96 tile_m=128 tile_n=128",
    "matmul M=256 N=256 K=96 tile_m=128 tile_n=128 out=bf16 stages=4 bias=true activation=gelu",
    "matmul M=128 N=256 K=64 tile_m=128 tile_n=256",
    "attention",
    "attention SQ=1 SK=1",
    "attention SQ=100 SK=100 causal=true dtype=f16",
    "attention SQ=100 SK=37 causal=true",
    "attention SQ=77 SK=200 causal=true H=4 HKV=2 stages=1",
    "attention SQ=65 SK=257 D=128 H=6 HKV=2 B=2",
    "attention SQ=128 SK=128 D=128 causal=true stages=3",
    "attention_decode",
    "attention_decode B=1 SK=1 splits=1",
    "attention_decode SK=333 D=128 H=16 HKV=2 page=64 splits=4",
    "attention_decode SK=100 page=1 splits=7 dtype=f16",
    "delta_net",
    "delta_net T=1 D=64",
    "delta_net T=40 D=64 H=4 HK=2 B=2 rows=16 warps=2",
    "delta_net T=5 rows=8 warps=1",
    "delta_net T=5 rows=64 warps=8",
};
enum { N_CONFIGURATIONS = sizeof configurations / sizeof *configurations };
