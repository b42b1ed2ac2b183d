// SPDX-License-Identifier: MIT
// The configurations of the shipped kernels that tests and tools hold to everything: "family
// key=value ...".
#include "kernels/kernels.h"

const char *const kgen_target_configurations[] = {
    // More trips than slots, so that every ring goes round.
    "matmul M=256 N=256 K=320 stages=3 target=sm_90a",
    "matmul M=300 N=200 K=264 stages=3 sms=2 cluster=1 out=f16 dtype=f16 target=sm_90a",
    "matmul M=256 N=256 K=320 stages=3 a_col=true b_col=true sms=3 cluster=1 target=sm_90a",
    "matmul M=256 N=512 K=320 tile_m=128 tile_n=256 out=bf16 activation=silu sms=1 target=sm_90a",
    "matmul M=512 N=200 tile_m=256 tile_n=128 out=bf16 bias=true activation=silu "
    "sms=3 cluster=1 target=sm_90a",
    "matmul M=200 N=312 K=264 stages=3 turns=1 tile_m=128 tile_n=160 out=bf16 sms=1 "
    "target=sm_90a",
    "matmul M=130 N=72 K=200 stages=2 tile_m=256 tile_n=64 out=bf16 sms=2 cluster=1 target=sm_90a",
    // Pairs of CTAs that share tiles of b, or of a: with and without a tile beyond the last one.
    "matmul M=300 N=264 K=264 stages=3 cluster=2 tile_m=128 tile_n=128 sms=2 target=sm_90a",
    "matmul M=300 N=264 K=264 stages=3 cluster=2 tile_m=128 tile_n=64 sms=5 bias=true "
    "target=sm_90a",
    "matmul M=312 N=264 K=328 stages=4 cluster=2 tile_m=64 tile_n=64 a_col=true b_col=true "
    "sms=4 target=sm_90a",
    "matmul M=384 N=512 K=264 stages=3 cluster=2 tile_m=128 tile_n=256 sms=3 out=bf16 "
    "activation=silu target=sm_90a",
    "matmul M=200 N=160 K=328 stages=3 cluster=2 tile_m=256 tile_n=128 out=bf16 b_col=true "
    "target=sm_90a",
    // Tiles in the order of a raster, whose last group is shorter.
    "matmul M=192 N=256 K=128 stages=3 tile_m=64 tile_n=128 out=bf16 sms=2 cluster=1 target=sm_90a",
    // Two sets of warps that take a CTA's tiles in turn: six turns, and an odd number of them.
    "matmul M=300 N=392 K=264 stages=3 turns=2 tile_m=128 tile_n=128 sms=2 out=bf16 "
    "target=sm_90a",
    "matmul M=300 N=200 K=200 stages=3 turns=2 tile_m=128 tile_n=128 a_col=true b_col=true sms=2 "
    "target=sm_90a",
    // Panels of another matrix, brought while the products run.
    "matmul M=136 N=184 K=136 stages=3 tile_m=64 tile_n=192 out=bf16 bias=true activation=silu "
    "residual=true sms=1 cluster=1 target=sm_90a",
    "matmul M=72 N=136 K=136 stages=3 tile_m=64 tile_n=64 residual=true sms=2 cluster=1 "
    "target=sm_90a",
    // One CTA a tile: the panels of r come outside of all loops.
    "matmul M=200 N=256 K=136 residual=true out=bf16 stages=3 tile_m=128 tile_n=128 target=sm_90a",
    // Splits whose CTAs go through several tiles; where they take turns, a tile adds a panel of r.
    "matmul M=72 N=72 K=264 stages=3 splits=2 tile_m=64 tile_n=64 sms=2 target=sm_90a",
    "matmul M=64 N=136 K=264 stages=3 splits=3 split_order=serial residual=true out=bf16 "
    "tile_m=64 tile_n=128 sms=3 target=sm_90a",
    "attention SQ=200 SK=300 D=128 causal=true target=sm_90a",
    "attention SQ=300 SK=420 H=2 sms=4 D=64 dtype=f16 stages=2 tile_n=192 target=sm_90a",
    "attention SQ=100 SK=300 H=1 D=128 tile_n=176 target=sm_90a",
    // Three warpgroups that multiply by turns.
    "attention SQ=200 SK=420 H=1 D=64 stages=2 tile_m=192 target=sm_90a",
    "attention SQ=200 SK=520 H=1 D=64 causal=true stages=3 tile_n=128 target=sm_90a",
    // Persistent CTAs go through the blocks of two sections of heads, longest first.
    "attention SQ=200 SK=520 H=4 HKV=2 B=2 D=64 causal=true stages=2 tile_n=128 persistent=true "
    "sms=3 target=sm_90a",
    // Rows of all heads that read a key head in one tile, token by token.
    "attention SQ=50 SK=300 H=6 HKV=2 D=128 causal=true pack=true target=sm_90a",
    NULL,
};

const char *const kgen_configurations[] = {
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
    "matmul M=64 N=72 K=200 splits=3 split_order=serial out=bf16",
    "matmul M=33 N=65 K=17 activation=relu bias=true",
    "matmul M=64 N=64 K=64 activation=gelu bias=true out=bf16",
    "matmul M=64 N=72 K=48 activation=silu",
    "matmul M=130 N=72 K=64 residual=true bias=true activation=gelu out=bf16",
    "matmul M=40 N=65 K=64 residual=true splits=2",
    "matmul M=96 N=40 K=72 a_col=true",
    "matmul M=70 N=50 K=90 b_col=true",
    "matmul M=96 N=40 K=72 a_col=true b_col=true splits=2",
    "matmul M=256 N=256 K=96 tile_m=128 tile_n=128",
    "matmul M=256 N=256 K=96 tile_m=128 tile_n=128 out=bf16 stages=4 bias=true activation=gelu",
    "matmul M=128 N=256 K=64 tile_m=128 tile_n=256",
    "attention",
    "attention SQ=1 SK=1 pack=true",
    "attention SQ=100 SK=100 causal=true dtype=f16",
    "attention SQ=100 SK=37 causal=true",
    "attention SQ=77 SK=200 causal=true H=4 HKV=2 stages=1 pack=false",
    "attention SQ=5 SK=200 causal=true H=6 HKV=2 B=2 pack=true", // heads packed
    "attention SQ=65 SK=257 D=128 H=6 HKV=2 B=2 pack=true",
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
    "delta_net_decode",
    "delta_net_decode D=64 dtype=f32 B=3 skipped=1",
    "delta_net_decode N=8 checkpoints=true B=2 rows=16",
    "delta_net_decode N=3 checkpoints=true B=3 skipped=2 D=64 dtype=f16 rows=64 HK=2",
    "delta_net_decode N=4 B=1 rows=32 dtype=f32 checkpoints=true",
    "delta_net_prefill",
    "delta_net_prefill T=75 B=3 H=1 D=64",
    "delta_net_prefill T=130 B=5 D=64 gates=strong",
    "delta_net_prefill T=128 B=1 HK=2 D=64 rows=64 dtype=f16 gates=none",
    "delta_net_prefill T=100 B=1 H=1 rows=128",
    "delta_net_prefill T=65 H=1 stages=1 dtype=f16",
    "delta_net_prefill T=70 B=1 H=1 rows=32",
    "delta_net_prefill T=70 B=1 H=1 D=64 rows=16 dtype=f16",
    "delta_net_prefill T=700 B=1 H=1 D=64 gates=none form=fused",
    "delta_net_prefill T=150 form=chunks",
    "delta_net_prefill T=200 B=3 H=1 D=64 form=chunks gates=strong",
    "delta_net_prefill T=65 B=4 HK=2 form=chunks gates=none stages=1 dtype=f16",
    NULL,
};
