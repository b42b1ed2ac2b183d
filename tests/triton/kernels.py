# SPDX-License-Identifier: MIT
"""Triton kernels that the PTX machine is tried on: matmul, softmax, attention, layer norm, ..."""

import triton
import triton.language as tl


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    tl.store(out + i, tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside), mask=inside)


@triton.jit
def softmax(x, out, columns, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, BLOCK)
    v = tl.load(x + row * stride + i, mask=i < columns, other=-float("inf"))
    e = tl.exp(v - tl.max(v, axis=0))
    tl.store(out + row * stride + i, e / tl.sum(e, axis=0), mask=i < columns)


@triton.jit
def layer_norm(x, w, b, out, mean_out, columns, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = tl.zeros([BLOCK], dtype=tl.float32)
    for first in range(0, columns, BLOCK):
        i = first + tl.arange(0, BLOCK)
        total += tl.load(x + row * columns + i, mask=i < columns, other=0.0)
    mean = tl.sum(total, axis=0) / columns
    spread = tl.zeros([BLOCK], dtype=tl.float32)
    for first in range(0, columns, BLOCK):
        i = first + tl.arange(0, BLOCK)
        v = tl.load(x + row * columns + i, mask=i < columns, other=0.0)
        v = tl.where(i < columns, v - mean, 0.0)
        spread += v * v
    scale = 1 / tl.sqrt(tl.sum(spread, axis=0) / columns + eps)
    tl.store(mean_out + row, mean)
    for first in range(0, columns, BLOCK):
        i = first + tl.arange(0, BLOCK)
        inside = i < columns
        v = tl.load(x + row * columns + i, mask=inside, other=0.0)
        g = tl.load(w + i, mask=inside)
        h = tl.load(b + i, mask=inside)
        tl.store(out + row * columns + i, (v - mean) * scale * g + h, mask=inside)


@triton.jit
def column_sums(x, out, rows, columns, BR: tl.constexpr, BC: tl.constexpr):
    i = tl.program_id(1) * BC + tl.arange(0, BC)
    r = tl.program_id(0) * BR + tl.arange(0, BR)
    inside = (r[:, None] < rows) & (i[None, :] < columns)
    part = tl.sum(tl.load(x + r[:, None] * columns + i[None, :], mask=inside, other=0.0), axis=0)
    tl.atomic_add(out + i, part, mask=i < columns)


@triton.jit
def locked_sums(x, out, locks, rows, columns, BR: tl.constexpr, BC: tl.constexpr):
    # Blocks of rows add to one line of sums in turn, behind a lock.
    i = tl.program_id(1) * BC + tl.arange(0, BC)
    r = tl.program_id(0) * BR + tl.arange(0, BR)
    inside = (r[:, None] < rows) & (i[None, :] < columns)
    part = tl.sum(tl.load(x + r[:, None] * columns + i[None, :], mask=inside, other=0.0), axis=0)
    lock = locks + tl.program_id(1)
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    old = tl.load(out + i, mask=i < columns)
    tl.store(out + i, old + part, mask=i < columns)
    tl.debug_barrier()
    tl.atomic_xchg(lock, 0)


@triton.jit
def matmul(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    depth = tl.arange(0, BK)
    pa = a + rows[:, None] * k + depth[None, :]
    pb = b + depth[:, None] * n + columns[None, :]
    total = tl.zeros([BM, BN], dtype=tl.float32)
    for first in range(0, k, BK):
        x = tl.load(pa, mask=(rows[:, None] < m) & (first + depth[None, :] < k), other=0.0)
        y = tl.load(pb, mask=(first + depth[:, None] < k) & (columns[None, :] < n), other=0.0)
        total = tl.dot(x, y, total)
        pa += BK
        pb += BK * n
    inside = (rows[:, None] < m) & (columns[None, :] < n)
    tl.store(c + rows[:, None] * n + columns[None, :], total, mask=inside)


@triton.jit
def attention(q, k, v, out, length, scale, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr,
              CAUSAL: tl.constexpr):
    base = tl.program_id(1) * length * D
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    d = tl.arange(0, D)
    x = tl.load(q + base + rows[:, None] * D + d[None, :], mask=rows[:, None] < length, other=0.0)
    most = tl.full([BM], -float("inf"), dtype=tl.float32)
    total = tl.zeros([BM], dtype=tl.float32)
    sums = tl.zeros([BM, D], dtype=tl.float32)
    end = tl.minimum((tl.program_id(0) + 1) * BM, length) if CAUSAL else length
    for first in range(0, end, BN):
        at = first + tl.arange(0, BN)
        y = tl.load(k + base + at[None, :] * D + d[:, None], mask=at[None, :] < length, other=0.0)
        s = tl.dot(x, y) * scale
        seen = at[None, :] < length
        if CAUSAL:
            seen = seen & (rows[:, None] >= at[None, :])
        s = tl.where(seen, s, -float("inf"))
        more = tl.maximum(most, tl.max(s, axis=1))
        p = tl.exp(s - more[:, None])
        keep = tl.exp(most - more)
        z = tl.load(v + base + at[:, None] * D + d[None, :], mask=at[:, None] < length, other=0.0)
        sums = tl.dot(p.to(z.dtype), z, sums * keep[:, None])
        total = total * keep + tl.sum(p, axis=1)
        most = more
    sums = sums / total[:, None]
    tl.store(out + base + rows[:, None] * D + d[None, :], sums.to(out.dtype.element_ty),
             mask=rows[:, None] < length)
