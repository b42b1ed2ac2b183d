#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: test_contenders.py [KGEN]

The suite's PyTorch side on the CPU: contenders and references of a family agree; with KGEN, its
plans go through the whole timing stage. Needs PyTorch 2.3, but no GPU."""
import ctypes
import os
import sys

from tap import Tests

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "gpu"))

try:
    import torch
    import torch.nn.attention  # where attention's backends are named: since 2.3
except ImportError:
    print("1..0 # SKIP PyTorch 2.3 or later is not installed")
    sys.exit(0)
import cases  # noqa: E402
import clock  # noqa: E402
import contenders  # noqa: E402
import rivals  # noqa: E402
import timings  # noqa: E402
from fakes import FakeGpu  # noqa: E402

tests = Tests()


def task_of(family, keys, **dims):
    plan = {"flop": 1.0, "args": [{"kind": "tensor", "name": name, "dims": list(of)}
                                  for name, of in dims.items()]}
    return contenders.Task(torch, family, {name: str(value) for name, value in keys.items()}, plan)


def noise(*dims, dtype=torch.float32):
    return torch.empty(*dims, dtype=dtype).uniform_(-1, 1)


def distance(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def delta(t, d=64, h=4, hk=2, b=2):
    task = task_of("delta_net", dict(B=b, T=t, H=h, HK=hk, D=d))
    tensors = {"q": noise(b, t, hk, d), "k": noise(b, t, hk, d), "v": noise(b, t, h, d),
               "g": noise(b, t, h), "beta": noise(b, t, h), "s0": noise(b, h, d, d)}
    tensors["o"] = torch.full((b, t, h, d), float("nan"))
    contenders.delta_inputs(task, tensors)
    return task, tensors


@tests.case
def delta_net_loop_and_chunks_give_the_reference():
    for t in (1, 16, 64, 100, 200):
        task, tensors = delta(t)
        start, expected = tensors["s0"].clone(), contenders.delta_reference(task, tensors)
        for name, run in contenders.delta_contenders(task).items():
            tensors["s0"].copy_(start)
            tensors["o"].fill_(float("nan"))
            run(tensors)
            for result, output in (("o", "o"), ("s0", "s1")):
                error = distance(tensors[result], expected[output])
                assert error < 2e-6, f"T={t} {name} {output}: {error}"


@tests.case
def delta_net_reference_is_the_rule():
    task, tensors = delta(1, h=1, hk=1, b=1)
    q, k, v = (tensors[name][0, 0, 0].double() for name in "qkv")
    decay = tensors["g"][0, 0, 0].double().exp()
    state = tensors["s0"][0, 0].double() * decay
    rate = torch.sigmoid(tensors["beta"][0, 0, 0].double())
    state = state + rate * torch.outer(v - state @ k, k)
    expected = contenders.delta_reference(task, tensors)
    assert distance(expected["s1"][0, 0], state) < 1e-12
    assert distance(expected["o"][0, 0, 0], state @ q / 8) < 1e-12


def by_steps(q, k, v, g, beta, state):
    """The rule for one head, a token at a time; gives the outputs, changes `state` in place."""
    out = []
    for t in range(q.shape[0]):
        state *= g[t].exp()
        state += torch.sigmoid(beta[t]) * torch.outer(v[t] - state @ k[t], k[t])
        out.append(state @ q[t] / q.shape[1] ** 0.5)
    return torch.stack(out)


def pool(n=3, h=2, hk=1, d=64, b=3, checkpoints=True):
    task = task_of("delta_net_decode", dict(B=b, N=n, H=h, HK=hk, D=d,
                                            checkpoints=str(checkpoints).lower()))
    tensors = {"q": noise(b, n, hk, d), "k": noise(b, n, hk, d), "v": noise(b, n, h, d),
               "g": noise(b, n, h), "beta": noise(b, n, h), "pool": noise(b * n + 2, h, d, d),
               "index": torch.zeros(b, dtype=torch.int32),
               "after": torch.zeros(b, n, dtype=torch.int32), "o": noise(b, n, h, d)}
    contenders.pool_inputs(task, tensors)
    return task, tensors


@tests.case
def decode_of_delta_net_is_the_rule_on_a_pool():
    for checkpoints in (False, True):
        task, tensors = pool(checkpoints=checkpoints)
        start = tensors["pool"].clone()
        found = contenders.pool_reference(task, tensors)
        assert torch.equal(start, tensors["pool"])
        used = set()
        for b in range(3):
            slots = [int(tensors["index"][b])] + tensors["after"][b, :2].tolist()
            assert int(tensors["after"][b, 2]) == -1 and not used & set(slots)
            used |= set(slots)
            for h in range(2):
                state = start[slots[0], h].double()
                q, k = (tensors[name][b, :, 0].double() for name in "qk")
                v, g, beta = (tensors[name][b, :, h].double() for name in ("v", "g", "beta"))
                for t in range(3):
                    o = by_steps(*(x[t:t + 1] for x in (q, k, v, g, beta)), state)
                    assert distance(found["o"][b, t, h], o[0]) < 1e-6
                    if checkpoints and t < 2:
                        assert distance(found["pool"][slots[t + 1], h], state) < 1e-6
                assert distance(found["pool"][slots[0], h], state) < 1e-6
        contenders.pool_contenders(task)["torch loop"](tensors)
        assert distance(tensors["pool"], found["pool"]) < 1e-6
        assert distance(tensors["o"], found["o"]) < 1e-6


@tests.case
def prefill_of_delta_net_is_the_rule_on_each_sequence():
    b, t, h, hk, d = 3, 80, 2, 1, 64
    total = 80 + 43 + 6
    task = task_of("delta_net_prefill", dict(B=b, T=t, H=h, HK=hk, D=d))
    tensors = {"q": noise(total, hk, d), "k": noise(total, hk, d), "v": noise(total, h, d),
               "g": noise(total, h), "beta": noise(total, h), "s0": noise(b, h, d, d),
               "starts": torch.zeros(b + 1, dtype=torch.int32), "o": noise(total, h, d)}
    contenders.prefill_inputs(task, tensors)
    assert tensors["starts"].tolist() == [0, 80, 123, 129]
    assert float(tensors["g"].max()) < 0 and float(tensors["g"].min()) > -16.01 * 0.1
    found = contenders.prefill_reference(task, tensors)
    for n, (first, end) in enumerate(((0, 80), (80, 123), (123, 129))):
        for head in range(h):
            state = tensors["s0"][n, head].double()
            o = by_steps(*(tensors[name][first:end, 0].double() for name in "qk"),
                         *(tensors[name][first:end, head].double() for name in ("v", "g", "beta")),
                         state)
            assert distance(found["o"][first:end, head], o) < 1e-9
            assert distance(found["s1"][n, head], state) < 1e-9
    contenders.prefill_contenders(task)["torch chunks of 64"](tensors)
    assert distance(tensors["s0"], found["s1"]) < 1e-5
    assert distance(tensors["o"], found["o"]) < 1e-5


class FakeFla:
    """flash-linear-attention's two functions by the rule, with its layouts, or with a mistake."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def chunk_gated_delta_rule(self, q, k, v, g, beta, initial_state, output_final_state,
                               cu_seqlens=None):
        ends = cu_seqlens.tolist() if cu_seqlens is not None else None
        o, state = torch.empty(v.shape), initial_state.transpose(-1, -2).double()
        q, k = (x.repeat_interleave(v.shape[2] // x.shape[2], dim=2) for x in (q, k))
        for n in range(state.shape[0]):
            row, part = (0, slice(*ends[n:n + 2])) if ends else (n, slice(None))
            for h in range(v.shape[2]):
                rate = torch.logit(beta[row, part, h].double())
                o[row, part, h] = by_steps(*(x[row, part, h].double() for x in (q, k, v, g)), rate,
                                           state[n, h]).float() * self.factor
        return o, state.transpose(-1, -2).float()

    fused_recurrent_gated_delta_rule = chunk_gated_delta_rule


def with_fla(fake):
    rivals.optional = {"fla": fake, "fla.ops.gated_delta_rule": fake}.get


SMALL_RULES = [cases.timed("delta_net_decode", B=2, N=2, H=4, HK=2, D=64, dtype="f32"),
               cases.timed("delta_net_prefill", B=2, T=70, H=2, HK=1, D=64)]


@tests.case
def a_rival_is_checked_like_ourselves():
    if len(sys.argv) < 2:
        return
    known = rivals.optional
    try:
        for factor in (1.0, 1.5):
            with_fla(FakeFla(factor))
            for item, name in zip(SMALL_RULES, ("FLA recurrent", "FLA chunks")):
                timings.launches_for = lambda seconds, sets: 1
                found = exact_bench().run(item, clock.Budget(60))
                checks = found["contenders"][name]["checks"]
                assert checks["o"]["ok"] == (factor == 1.0), (name, factor, checks)
                assert all(check["ok"] for check in found["contenders"]["kgen"]["checks"].values())
    finally:
        rivals.optional = known


@tests.case
def rivals_that_are_not_there_are_no_contenders():
    task, tensors = pool()
    assert set(contenders.pool_contenders(task)) == {"torch loop"}
    assert not [name for name in tensors if name.startswith("fla")]


@tests.case
def matmul_takes_operands_by_columns():
    m, n, k = 5, 7, 6
    for a_col in (False, True):
        for b_col in (False, True):
            task = task_of("matmul", dict(a_col=str(a_col).lower(), b_col=str(b_col).lower(),
                                          bias="true", activation="gelu"),
                           a=(m, k), b=(k, n))
            a, b = noise(m, k), noise(k, n)
            stored = {"a": (a.t() if a_col else a).contiguous().view(m, k),
                      "b": (b.t() if b_col else b).contiguous().view(k, n), "bias": noise(n)}
            contenders.matmul_inputs(task, stored)
            x = a.double() @ b.double() + stored["bias"]
            expected = 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x ** 3)))
            assert distance(contenders.matmul_reference(task, stored)["c"], expected) < 1e-12
            for run in contenders.matmul_contenders(task).values():
                assert distance(run(stored), expected) < 1e-6


@tests.case
def attention_is_scaled_dot_product_attention():
    for causal in (False, True):
        task = task_of("attention", dict(B=2, H=4, HKV=2, SQ=9, SK=9,
                                         causal=str(causal).lower()))
        tensors = {"q": noise(2, 9, 4, 64), "k": noise(2, 9, 2, 64), "v": noise(2, 9, 2, 64)}
        found = contenders.attention_reference(task, tensors)["o"]
        q, k, v = (tensors[name].transpose(1, 2) for name in "qkv")
        expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal,
                                                                    enable_gqa=True)
        assert distance(found.transpose(1, 2), expected) < 1e-6


@tests.case
def causal_rows_are_aligned_to_the_last_key():
    task = task_of("attention", dict(B=1, H=1, HKV=1, SQ=4, SK=2, causal="true"))
    tensors = {"q": noise(1, 4, 1, 64), "k": noise(1, 2, 1, 64), "v": noise(1, 2, 1, 64)}
    found = contenders.attention_reference(task, tensors)
    assert not found["o"][0, :2].any() and torch.isinf(found["lse"][0, 0, :2]).all()
    assert distance(found["o"][0, 2, 0], tensors["v"][0, 0, 0]) < 1e-6
    assert not contenders.attention_contenders(task)


@tests.case
def decode_gathers_pages_in_the_order_of_the_table():
    batch, sk, page, heads, d = 2, 10, 4, 2, 64
    pages = 3
    task = task_of("attention_decode", dict(B=batch, H=4, HKV=heads, SK=sk, page=page))
    tensors = {"q": noise(batch, 4, d), "kc": noise(batch * pages * page, heads, d),
               "vc": noise(batch * pages * page, heads, d),
               "table": torch.empty(batch, pages, dtype=torch.int32),
               "lengths": torch.empty(batch, dtype=torch.int32)}
    contenders.decode_inputs(task, tensors)
    assert tensors["lengths"].tolist() == [sk, sk]
    for b in range(batch):
        for t in range(sk):
            row = int(tensors["table"][b, t // page]) * page + t % page
            assert torch.equal(tensors["flat_kc"][b, t], tensors["kc"][row])
    found = contenders.decode_reference(task, tensors)["o"]
    q, k, v = (x.transpose(1, 2) for x in (tensors["q"][:, None], tensors["flat_kc"],
                                           tensors["flat_vc"]))
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    assert distance(found, expected[:, :, 0]) < 1e-6


# ---- the timing stage with kgen's plans --------------------------------------------------------
class CpuGpu(FakeGpu):
    """PyTorch on the CPU behind the interface of a GPU."""
    device = "cpu"

    def __init__(self):
        super().__init__(cache=10)
        self.torch = torch

    def seconds(self, work):
        work()
        return 1e-3


class Exact:
    """In a kernel's place: writes the reference, rounded, into the set that it is launched with."""

    def __init__(self):
        self.entries = []

    def load(self, ptx):
        return ptx

    def kernel(self, *words):
        return self

    def costs(self):
        return {}

    def encode_map(self, entry, address):
        return ctypes.c_uint64(address)

    def launch(self, grid, arguments, stream):
        first = arguments[0][0].value
        for entry in self.entries:
            for tensors in entry.sets:
                if next(iter(tensors.values())).data_ptr() == first:
                    result = contenders.FAMILIES[entry.family][2](entry.task, tensors)
                    for name, value in result.items():
                        tensors[name].copy_(value.reshape(tensors[name].shape))


def exact_bench():
    bench = timings.Bench(CpuGpu(), Exact(), timings.Planner(os.path.abspath(sys.argv[1])), 2)
    plain = bench.entries

    def entries(item):
        made, errors = plain(item)
        bench.driver.entries = list(made.values())
        return made, errors
    bench.entries = entries
    return bench


SMALL = [cases.timed("matmul", [dict(splits=2)], M=33, N=40, K=24, b_col=True, out="bf16"),
         cases.timed("matmul", M=16, N=24, K=40, a_col=True, bias=True, activation="silu"),
         cases.timed("attention", B=2, H=4, HKV=2, SQ=17, SK=17, D=64, causal=True),
         cases.timed("attention_decode", [dict(page=8)], B=2, H=8, HKV=2, SK=50, D=64, page=16,
                     splits=3),
         cases.timed("delta_net", [dict(rows=16)], B=2, T=20, H=4, HK=2, D=64),
         cases.timed("matmul", [dict(target="any")], M=72, N=64, K=136, out="bf16",
                     target=cases.HOPPER)]
SMALL += SMALL_RULES


@tests.case
def plans_of_kgen_go_through_the_timing_stage():
    if len(sys.argv) < 2:
        return
    for item in SMALL:
        timings.launches_for = lambda seconds, sets: 1
        found = exact_bench().run(item, clock.Budget(60))
        own = [row for name, row in found["contenders"].items() if name.startswith("kgen")]
        assert len(own) == 1 + len(item["variants"]), (cases.label(item), found["errors"])
        for row in own:
            assert all(check["ok"] for check in row["checks"].values()), (cases.label(item), row)
        assert set(own[0]["checks"]) == {"matmul": {"c"}, "delta_net": {"o", "s1"},
                                         "delta_net_decode": {"o", "pool"},
                                         "delta_net_prefill": {"o", "s1"}}.get(
            item["family"], {"o", "lse"})


sys.exit(tests.run())
