# SPDX-License-Identifier: MIT
"""The shipped kernels' tasks in Triton, with what it has for Hopper: tensor descriptors (TMA) and
wgmma, loops in which one group of warps loads for the others (warp_specialize)."""

import triton
import triton.language as tl


@triton.jit
def matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
           B_COL: tl.constexpr, ROLES: tl.constexpr, GROUP: tl.constexpr):
    """One CTA a multiprocessor, over all tiles, rows of tiles in groups."""
    from_a = tl.make_tensor_descriptor(a, [m, k], [k, 1], [BM, BK])
    if B_COL:
        from_b = tl.make_tensor_descriptor(b, [n, k], [k, 1], [BN, BK])
    else:
        from_b = tl.make_tensor_descriptor(b, [k, n], [n, 1], [BK, BN])
    to_c = tl.make_tensor_descriptor(c, [m, n], [n, 1], [BM, BN])
    down, across = tl.cdiv(m, BM), tl.cdiv(n, BN)
    in_group = GROUP * across
    for tile in tl.range(tl.program_id(0), down * across, tl.num_programs(0),
                         warp_specialize=ROLES):
        first = tile // in_group * GROUP
        height = min(down - first, GROUP)
        row = (first + tile % in_group % height) * BM
        column = tile % in_group // height * BN
        total = tl.zeros([BM, BN], dtype=tl.float32)
        for at in range(0, tl.cdiv(k, BK)):
            x = from_a.load([row, at * BK])
            if B_COL:
                total = tl.dot(x, from_b.load([column, at * BK]).T, total)
            else:
                total = tl.dot(x, from_b.load([at * BK, column]), total)
        to_c.store([row, column], total.to(c.dtype.element_ty))


@triton.jit
def keys(total, most, sums, x, from_k, from_v, row, low, high, length, base, scale,
         BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr, DIAGONAL: tl.constexpr,
         ROLES: tl.constexpr):
    """The online softmax over keys low to high; on the diagonal, those behind a row are hidden."""
    rows = row + tl.arange(0, BM)
    for first in tl.range(low, high, BN, warp_specialize=ROLES):
        y = from_k.load([base + first, 0])
        s = tl.dot(x, y.T) * scale
        if DIAGONAL:
            hidden = rows[:, None] < first + tl.arange(0, BN)[None, :]
            s = tl.where(hidden, -1e6, s)
        more = tl.maximum(most, tl.max(s, 1))
        p = tl.exp2(s - more[:, None])
        keep = tl.exp2(most - more)
        z = from_v.load([base + first, 0])
        sums = tl.dot(p.to(z.dtype), z, sums * keep[:, None])
        total = total * keep + tl.sum(p, 1)
        most = more
    return total, most, sums


@triton.jit
def attention(q, k, v, out, lse, heads, length, scale, BM: tl.constexpr, BN: tl.constexpr,
              D: tl.constexpr, CAUSAL: tl.constexpr, ROLES: tl.constexpr):
    """[B * H, length, D], length a multiple of the tiles; scale holds log2 e."""
    head = tl.program_id(1)
    row, base = tl.program_id(0) * BM, head * length
    every = heads * length
    from_q = tl.make_tensor_descriptor(q, [every, D], [D, 1], [BM, D])
    from_k = tl.make_tensor_descriptor(k, [every, D], [D, 1], [BN, D])
    from_v = tl.make_tensor_descriptor(v, [every, D], [D, 1], [BN, D])
    to = tl.make_tensor_descriptor(out, [every, D], [D, 1], [BM, D])
    most = tl.full([BM], -float("inf"), dtype=tl.float32)
    total = tl.zeros([BM], dtype=tl.float32)
    sums = tl.zeros([BM, D], dtype=tl.float32)
    x = from_q.load([base + row, 0])
    seen = row if CAUSAL else length
    total, most, sums = keys(total, most, sums, x, from_k, from_v, row, 0, seen, length, base,
                             scale, BM, BN, D, False, ROLES)
    if CAUSAL:
        total, most, sums = keys(total, most, sums, x, from_k, from_v, row, row, row + BM, length,
                                 base, scale, BM, BN, D, True, ROLES)
    to.store([base + row, 0], (sums / total[:, None]).to(out.dtype.element_ty))
    tl.store(lse + base + row + tl.arange(0, BM), most + tl.log2(total))
