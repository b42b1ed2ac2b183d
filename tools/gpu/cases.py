# SPDX-License-Identifier: MIT
"""What the suite runs: configurations for the correctness runs, shapes for the timings.

A case is a family and its keys, as `kgen run FAMILY key=value ...` takes them. The shapes of the
correctness runs are bounded, for the reference is plain C on the host. Lists are crossed where two
choices may meet in one instruction sequence; the rest goes round-robin, so that every value occurs.
"""
from itertools import cycle, product


def case(family, **keys):
    return {"family": family, "keys": {name: text_of(value) for name, value in keys.items()}}


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def label(item):
    """matmul M=1 N=1 K=7: what a user would type after `kgen run`."""
    return " ".join([item["family"]] + [f"{name}={value}" for name, value in item["keys"].items()])


HOPPER = "sm_90a"
CAPABILITIES = {HOPPER: "9.0"}  # of the GPU that a schedule for one target runs on, and no other


def fits(item, capability):
    """Whether a GPU of this capability runs the case; None: whatever runs it is told the target."""
    wanted = CAPABILITIES.get(item["keys"].get("target"))
    return wanted is None or capability is None or wanted == capability


# ---- correctness -------------------------------------------------------------------------------
LAYOUTS = [(False, False), (False, True), (True, False), (True, True)]
# Rows of 8, 4, 2 and 1 elements' alignment, extents of 1, below, at and above a tile.
MATMUL_SHAPES = [(1, 1, 1), (1, 1, 7), (1, 17, 1), (17, 1, 33), (3, 5, 7), (16, 16, 16),
                 (1, 256, 512), (256, 1, 511), (33, 65, 31), (64, 64, 64), (63, 127, 95),
                 (127, 129, 131), (130, 66, 102), (200, 136, 264), (129, 257, 100),
                 (256, 256, 256), (300, 500, 700), (5, 1000, 2000)]
MATMUL_TILES = [(16, 32, 32), (32, 32, 32), (64, 64, 32), (64, 64, 64), (128, 64, 32),
                (64, 128, 32), (128, 128, 32), (128, 128, 64)]


def matmul_cases():
    dtypes, outs = ("f16", "bf16"), ("f32", "f16", "bf16")
    activations = ("none", "relu", "gelu", "silu")
    out, stage, split = cycle(outs), cycle((2, 3, 4, 5)), cycle((1, 1, 2, 1, 3))
    for (m, n, k), dtype, (a_col, b_col) in product(MATMUL_SHAPES, dtypes, LAYOUTS):
        yield case("matmul", M=m, N=n, K=k, dtype=dtype, out=next(out), stages=next(stage),
                   splits=next(split), a_col=a_col, b_col=b_col)
    for dtype, to, stages, (a_col, b_col) in product(dtypes, outs, (2, 3, 4, 5), LAYOUTS):
        yield case("matmul", M=70, N=72, K=100, dtype=dtype, out=to, stages=stages, a_col=a_col,
                   b_col=b_col)
    for splits, activation, bias in product(range(1, 9), activations, (False, True)):
        yield case("matmul", M=100, N=90, K=600, dtype="bf16", out=next(out), splits=splits,
                   stages=next(stage), bias=bias, activation=activation)
    for (tile_m, tile_n, tile_k), stages in product(MATMUL_TILES, (2, 4)):
        yield case("matmul", M=300, N=280, K=200, dtype="f16", out=next(out), stages=stages,
                   tile_m=tile_m, tile_n=tile_n, tile_k=tile_k)
    yield case("matmul", M=1024, N=1024, K=512, dtype="bf16", out="bf16", stages=4)


# More queries than keys leaves causal rows that see nothing.
ATTENTION_LENGTHS = [(1, 1), (1, 17), (5, 3), (64, 64), (65, 63), (100, 130), (128, 128),
                     (200, 77), (63, 257), (257, 320), (384, 384)]


def attention_cases():
    heads, stage = cycle(((1, 1), (2, 1), (4, 2), (6, 2))), cycle((2, 1, 3, 4))
    batch = cycle((1, 2))
    for (sq, sk), d, dtype, causal in product(ATTENTION_LENGTHS, (64, 128), ("f16", "bf16"),
                                              (False, True)):
        h, hkv = next(heads)
        yield case("attention", B=next(batch), H=h, HKV=hkv, SQ=sq, SK=sk, D=d, causal=causal,
                   dtype=dtype, stages=next(stage))
    for d, stages, causal in product((64, 128), (1, 2, 3, 4), (False, True)):
        yield case("attention", B=1, H=3, HKV=1, SQ=190, SK=222, D=d, causal=causal, stages=stages)
    for (sq, h, hkv), d in product(((1, 8, 1), (5, 6, 2), (40, 14, 2)), (64, 128)):
        yield case("attention", B=2, H=h, HKV=hkv, SQ=sq, SK=300, D=d, causal=d == 64, pack=True)


def attention_decode_cases():
    heads = cycle(((4, 1), (8, 8), (16, 1), (6, 2), (32, 8)))
    page, batch = cycle((16, 1, 32, 64, 8, 128, 48)), cycle((1, 2, 5))
    for sk, splits, d, dtype in product((1, 15, 17, 64, 200, 1000), (1, 2, 3, 8, 64), (64, 128),
                                        ("f16", "bf16")):
        h, hkv = next(heads)
        yield case("attention_decode", B=next(batch), H=h, HKV=hkv, SK=sk, D=d, page=next(page),
                   splits=splits, dtype=dtype)


def delta_net_cases():
    heads, batch = cycle(((1, 1), (2, 1), (4, 2), (6, 2))), cycle((1, 2))
    warps = cycle((4, 1, 2, 8))
    for t, d, rows in product((1, 2, 3, 16, 17, 100, 511, 2048), (64, 128), (8, 16, 32, 64)):
        h, hk = next(heads) if t < 2048 else (2, 1)
        yield case("delta_net", B=next(batch), T=t, H=h, HK=hk, D=d, rows=rows, warps=next(warps))


def delta_net_decode_cases():
    heads, skipped = cycle(((1, 1), (4, 2), (6, 2), (8, 8))), cycle((0, 1, 0, 3))
    rows, dtype = cycle((0, 8, 16, 32)), cycle(("bf16", "f16", "f32"))
    for b, n, d, checkpoints in product((3, 20), (1, 2, 3, 5, 8), (64, 128), (False, True)):
        h, hk = next(heads)
        yield case("delta_net_decode", B=b, N=n, H=h, HK=hk, D=d, dtype=next(dtype),
                   rows=next(rows), skipped=next(skipped), checkpoints=checkpoints)


def delta_net_prefill_cases():
    heads, batch = cycle(((1, 1), (2, 1), (4, 2))), cycle((1, 3))
    half, stage, dtype = cycle((0, 1, 2)), cycle((2, 1)), cycle(("bf16", "f16"))
    for t, d, gates in product((1, 37, 63, 64, 65, 128, 200, 511, 1500), (64, 128),
                               ("model", "none", "strong")):
        (h, hk), choice = next(heads), next(half)
        yield case("delta_net_prefill", B=next(batch), T=t, H=h, HK=hk, D=d, dtype=next(dtype),
                   gates=gates, stages=next(stage), rows=choice and d // choice)
    for t, d in product((1, 64, 200, 1500), (64, 128)):
        yield case("delta_net_prefill", B=next(batch), T=t, H=2, HK=1, D=d, dtype=next(dtype),
                   gates="model", stages=next(stage), form="chunks")


# Schedules with roles, the copy engine and wgmma. Tails in every direction, fewer SMs than tiles.
HOPPER_TILES = [(0, 0), (64, 64), (64, 192), (64, 256), (128, 64), (128, 128), (128, 160),
                (128, 192), (128, 208), (128, 256), (192, 192), (256, 64), (256, 128)]
HOPPER_SHAPES = [(64, 64, 64), (256, 256, 128), (130, 72, 72), (300, 264, 200), (1000, 520, 328)]


def matmul_hopper_cases():
    out, dtype = cycle(("bf16", "f32", "f16")), cycle(("bf16", "f16"))
    activation, sms = cycle(("none", "silu", "relu", "gelu")), cycle((132, 3, 1, 7))
    layout = cycle(LAYOUTS)
    for (tile_m, tile_n), (m, n, k) in product(HOPPER_TILES, HOPPER_SHAPES):
        a_col, b_col = next(layout)
        if a_col and m % 8:
            a_col = False  # rows of whole chunks of 16 bytes, or the schedule is another one
        yield case("matmul", M=m, N=n, K=k, dtype=next(dtype), out=next(out), sms=next(sms),
                   tile_m=tile_m, tile_n=tile_n, activation=next(activation), a_col=a_col,
                   b_col=b_col, bias=m == 300, target=HOPPER)
    for splits, order, residual in product((2, 3, 8), ("parallel", "serial"), (False, True)):
        yield case("matmul", M=300, N=264, K=1000, dtype="bf16", out="bf16", splits=splits,
                   split_order=order, residual=residual, target=HOPPER)
    for (tile_m, tile_n), sms, residual in product(((128, 256), (256, 128), (192, 192), (128, 128)),
                                                   (2, 6, 132), (False, True)):
        yield case("matmul", M=500, N=776, K=328, dtype="bf16", out="bf16", sms=sms, tile_m=tile_m,
                   tile_n=tile_n, cluster=2, residual=residual, target=HOPPER)
    for (tile_m, tile_n), sms in product(((64, 256), (128, 128), (128, 192)), (1, 3, 132)):
        yield case("matmul", M=500, N=776, K=328, dtype="bf16", out="bf16", sms=sms, tile_m=tile_m,
                   tile_n=tile_n, turns=2, bias=True, target=HOPPER)
    yield case("matmul", M=1024, N=1024, K=1024, dtype="bf16", out="bf16", target=HOPPER)


def attention_hopper_cases():
    heads, sms = cycle(((1, 1), (2, 1), (4, 2), (6, 2))), cycle((132, 2, 5))
    for (sq, sk), d, causal in product(((128, 128), (200, 300), (300, 200), (500, 700), (129, 1000),
                                        (1024, 1024)), (64, 128), (False, True)):
        h, hkv = next(heads)
        yield case("attention", B=1 + sq % 2, H=h, HKV=hkv, SQ=sq, SK=sk, D=d, causal=causal,
                   dtype="f16" if sk == 300 else "bf16", sms=next(sms), target=HOPPER)
    for (sq, sk), sms in product(((192, 192), (200, 300), (500, 1100)), (132, 2)):
        yield case("attention", B=2, H=4, HKV=2, SQ=sq, SK=sk, D=64, tile_m=192, dtype="bf16",
                   sms=sms, target=HOPPER)
    for (sq, h, hkv), d in product(((8, 16, 1), (50, 6, 2), (200, 14, 2)), (64, 128)):
        yield case("attention", B=2, H=h, HKV=hkv, SQ=sq, SK=1000, D=d, causal=d == 64, pack=True,
                   target=HOPPER)


def correctness_cases(quick=False):
    """All cases, the families taking turns, so that a deadline cuts each of them a little."""
    families = [list(make()) for make in (matmul_hopper_cases, attention_hopper_cases, matmul_cases,
                                          attention_cases, attention_decode_cases, delta_net_cases,
                                          delta_net_decode_cases, delta_net_prefill_cases)]
    if quick:
        families = [items[::9] for items in families]
    # Each at its own pace: after a tenth of the list, a tenth of every family has had its turn.
    placed = [(i / len(items), f, item) for f, items in enumerate(families)
              for i, item in enumerate(items)]
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]


# What the PTX machine does in a few seconds: the plumbing's own test, without a GPU.
DRY_CASES = [case("matmul", M=17, N=33, K=40, dtype="bf16"),
             case("matmul", M=20, N=24, K=70, dtype="f16", out="f16", splits=2, bias=True,
                  activation="relu", b_col=True),
             case("attention", B=1, H=2, HKV=1, SQ=20, SK=33, D=64, causal=True),
             case("attention_decode", B=2, H=4, HKV=1, SK=40, D=64, page=16, splits=2),
             case("delta_net", B=1, T=3, H=2, HK=1, D=64),
             case("delta_net_decode", B=1, N=2, H=2, HK=1, D=64, checkpoints=True),
             case("delta_net_prefill", B=1, T=66, H=1, HK=1, D=64),
             case("matmul", M=72, N=64, K=136, dtype="bf16", out="bf16", target=HOPPER),
             case("attention", B=1, H=1, HKV=1, SQ=130, SK=140, D=64, causal=True, target=HOPPER)]

# Under compute-sanitizer a launch takes seconds: few, small, one for each way to synchronize.
SANITIZER_CASES = [case("matmul", M=70, N=72, K=200, dtype="bf16", out="bf16", stages=4),
                   case("matmul", M=33, N=40, K=300, dtype="f16", splits=3, stages=2, bias=True,
                        activation="gelu", b_col=True),
                   case("matmul", M=45, N=67, K=51, dtype="bf16", stages=3, a_col=True),
                   case("attention", B=1, H=2, HKV=1, SQ=100, SK=130, D=64, causal=True),
                   case("attention", B=1, H=1, HKV=1, SQ=65, SK=200, D=128, stages=3),
                   case("attention_decode", B=2, H=4, HKV=1, SK=300, D=64, page=16, splits=4),
                   case("attention_decode", B=1, H=16, HKV=2, SK=100, D=128, page=32, splits=1),
                   case("delta_net", B=1, T=9, H=2, HK=1, D=128),
                   case("delta_net", B=2, T=4, H=2, HK=2, D=64, rows=16),
                   case("delta_net_decode", B=3, N=3, H=2, HK=1, D=128, checkpoints=True,
                        skipped=1),
                   case("delta_net_prefill", B=2, T=150, H=2, HK=1, D=128),
                   case("delta_net_prefill", B=2, T=150, H=2, HK=1, D=64, form="chunks"),
                   case("matmul", M=300, N=264, K=264, dtype="bf16", out="bf16", sms=2,
                        target=HOPPER),
                   case("attention", B=1, H=2, HKV=1, SQ=200, SK=300, D=128, causal=True,
                        target=HOPPER)]
SANITIZER_TOOLS = ("racecheck", "memcheck", "initcheck", "synccheck")


# ---- timings -----------------------------------------------------------------------------------
# `variants` are further keys tried beside the defaults: what kgen would gain by choosing better.
def timed(family, variants=(), **keys):
    item = case(family, **keys)
    item["variants"] = [{name: text_of(value) for name, value in more.items()}
                        for more in variants]
    return item


WIDE = [dict(stages=4), dict(tile_m=128, tile_n=128, tile_k=64),
        dict(tile_m=64, tile_n=128, stages=4)]
THIN = [dict(splits=4), dict(splits=8, stages=5), dict(splits=8, tile_n=64, tile_k=64)]
# Projections of 4096- and 8192-wide models; weights stored [out, in], as inference engines do.
LLM_WEIGHTS = [(4096, 4096), (14336, 4096), (4096, 14336), (28672, 8192)]


ROWS_AT_ONCE = (4096, 1, 16, 128, 1024, 64, 512, 8192)


def matmul_timings():
    for n in (4096, 8192, 2048, 1024, 512):
        yield timed("matmul", WIDE, M=n, N=n, K=n, dtype="bf16", out="bf16")
    for m in (1, 16, 128, 1024, 4096):
        for n, k in LLM_WEIGHTS:
            yield timed("matmul", THIN if m <= 128 else WIDE, M=m, N=n, K=k, dtype="bf16",
                        out="bf16", b_col=True)
    yield timed("matmul", WIDE, M=4096, N=4096, K=4096, dtype="f16", out="f16")
    yield timed("matmul", WIDE, M=4096, N=4096, K=4096, dtype="bf16", out="bf16", b_col=True,
                bias=True, activation="gelu")
    yield timed("matmul", WIDE, M=4095, N=4095, K=4095, dtype="bf16", out="bf16")


PORTABLE = dict(target="any")  # the schedule for every GPU, beside the one for this


def matmul_hopper_timings():
    tiles = [PORTABLE, dict(cluster=1), dict(tile_m=256, tile_n=128), dict(tile_m=192, tile_n=192),
             dict(tile_m=128, tile_n=192, turns=2)]
    for n in (4096, 8192, 2048, 1024, 512, 16384):
        yield timed("matmul", tiles if n in (4096, 8192) else [PORTABLE] if n < 8192 else [], M=n,
                    N=n, K=n, dtype="bf16", out="bf16", target=HOPPER)
    for m in ROWS_AT_ONCE:
        for n, k in LLM_WEIGHTS:
            yield timed("matmul", [dict(splits=4)] if m <= 128 else [], M=m, N=n, K=k, dtype="bf16",
                        out="bf16", b_col=True, target=HOPPER)
    yield timed("matmul", M=4096, N=4096, K=4096, dtype="f16", out="f16", target=HOPPER)
    yield timed("matmul", M=4096, N=4096, K=4096, dtype="bf16", out="bf16", b_col=True, bias=True,
                activation="gelu", target=HOPPER)
    yield timed("matmul", M=4095, N=4095, K=4095, dtype="bf16", out="bf16", target=HOPPER)


def attention_timings(**more):
    """`more`: keys of every case."""
    for d, causal in product((128, 64), (True, False)):
        tried = [dict(stages=1), dict(stages=3)]
        if more:
            tried = [PORTABLE, dict(pingpong=False)]
            if d == 64 and not causal:
                tried.append(dict(tile_m=192))
        for length in (4096, 16384, 1024, 512, 2048, 8192):
            batch = max(1, 8192 // length)
            yield timed("attention", tried, B=batch, H=2048 // d, HKV=2048 // d, SQ=length,
                        SK=length, D=d, causal=causal, dtype="bf16", **more)
    yield timed("attention", B=2, H=32, HKV=8, SQ=4096, SK=4096, D=128, causal=True, dtype="bf16",
                **more)
    yield timed("attention", B=1, H=16, HKV=16, SQ=1000, SK=1000, D=128, causal=True, dtype="f16",
                **more)


def attention_hopper_timings():
    return attention_timings(target=HOPPER)


def attention_decode_timings():
    for batch, length in product((1, 8, 64), (1024, 4096, 16384)):
        splits = max(1, min(64, 512 // (batch * 8), length // 64))
        yield timed("attention_decode", [dict(splits=max(1, splits // 4)), dict(page=64)], B=batch,
                    H=32, HKV=8, SK=length, D=128, page=16, splits=splits, dtype="bf16")
    yield timed("attention_decode", B=1, H=32, HKV=8, SK=131072, D=128, page=16, splits=64,
                dtype="bf16")
    yield timed("attention_decode", B=8, H=32, HKV=8, SK=4096, D=64, page=16, splits=8,
                dtype="bf16")


def delta_net_timings():
    tried = [dict(rows=16), dict(rows=8), dict(rows=16, warps=2), dict(rows=64, warps=8)]
    for batch in (1, 8, 64):
        yield timed("delta_net", tried, B=batch, T=1, H=32, HK=16, D=128)
    for length in (128, 512, 2048):
        yield timed("delta_net", tried, B=1, T=length, H=32, HK=16, D=128)
    yield timed("delta_net", tried, B=8, T=512, H=32, HK=16, D=128)
    yield timed("delta_net", tried[:2], B=1, T=512, H=32, HK=32, D=64)


def delta_net_decode_timings():
    """From 512 heads of sequences on (B=16) the memory is to be the limit."""
    for batch in (16, 64, 1, 256, 4):
        yield timed("delta_net_decode", [dict(rows=16), dict(rows=32)], B=batch, N=1, H=32, HK=16,
                    D=128)
    yield timed("delta_net_decode", B=16, N=4, H=32, HK=16, D=128, checkpoints=True)
    yield timed("delta_net_decode", B=16, N=8, H=32, HK=16, D=128, checkpoints=True)
    yield timed("delta_net_decode", B=32, N=1, H=32, HK=32, D=64)


def delta_net_prefill_timings():
    """Sequences differ in length from the second on, by 37 tokens each."""
    for batch, length, heads in ((1, 8192, 32), (8, 2048, 32), (1, 32768, 16), (1, 2048, 32),
                                 (32, 1500, 32)):
        few = [dict(form="chunks")] if batch * heads * 2 < 132 else []  # it leaves an SM at least
        yield timed("delta_net_prefill", [dict(rows=64), dict(rows=128), *few], B=batch,
                    T=length, H=heads, HK=heads, D=128)
    yield timed("delta_net_prefill", B=1, T=8192, H=32, HK=16, D=128)
    yield timed("delta_net_prefill", [dict(rows=64)], B=4, T=4096, H=32, HK=32, D=64)


def timing_cases(quick=False, capability=None):
    """Families take turns: a deadline leaves each with its first, most telling shapes. On a GPU
    that has schedules of its own, those, and the portable ones as variants."""
    hopper = capability == CAPABILITIES[HOPPER]
    makers = ([matmul_hopper_timings, attention_hopper_timings] if hopper else
              [matmul_timings, attention_timings])
    makers += [delta_net_prefill_timings, delta_net_decode_timings, attention_decode_timings,
               delta_net_timings]
    families = [list(make()) for make in makers]
    if quick:
        families = [[dict(item, variants=[]) for item in items[:3]] for items in families]
    out = []
    while any(families):
        out += [items.pop(0) for items in families if items]
    return out
