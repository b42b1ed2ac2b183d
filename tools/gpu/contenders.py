# SPDX-License-Identifier: MIT
"""What kgen's kernels are timed and compared with: the same task in PyTorch, family by family.

A family has four functions. inputs(task, tensors) changes fresh uniform noise into what the kernel
expects. contenders(task) gives {name: function of one set of tensors}. reference(task, tensors)
gives {output: what it should be}, in f32 or f64. `task` holds torch, the keys and the launch plan;
`tensors` are the kernel's arguments by name. Kernels from elsewhere stand in rivals.py.
"""
import math

import rivals


class Task:
    def __init__(self, torch, family, keys, plan):
        self.torch, self.family, self.keys, self.plan = torch, family, keys, plan
        self.dims = {entry["name"]: entry["dims"] for entry in plan["args"]
                     if entry["kind"] == "tensor"}

    def number(self, name):
        return int(self.keys[name])

    def flag(self, name):
        return self.keys.get(name, "false") in ("true", "1")

    def dtype(self, name):
        return {"f32": self.torch.float32, "f16": self.torch.float16, "bf16": self.torch.bfloat16,
                "i32": self.torch.int32, "i64": self.torch.int64}[name]


# ---- matmul ------------------------------------------------------------------------------------
def matmul_operands(task, tensors):
    """a and b as matrices; an operand stored by columns is a transposed view."""
    def matrix(name):
        rows, columns = task.dims[name]
        if task.flag(f"{name}_col"):
            return tensors[name].view(columns, rows).t()
        return tensors[name]
    return matrix("a"), matrix("b")


def matmul_activation(task, x):
    functional = task.torch.nn.functional
    return {"none": lambda: x, "relu": lambda: functional.relu(x),
            "gelu": lambda: functional.gelu(x, approximate="tanh"),
            "silu": lambda: functional.silu(x)}[task.keys.get("activation", "none")]()


def matmul_inputs(task, tensors):
    if task.flag("bias"):
        tensors["low_bias"] = tensors["bias"].to(tensors["a"].dtype)  # as PyTorch wants it


def matmul_contenders(task):
    torch = task.torch

    def plain(tensors):
        a, b = matmul_operands(task, tensors)
        return torch.mm(a, b, out=tensors["c"])

    def finished(tensors):
        a, b = matmul_operands(task, tensors)
        bias = tensors.get("low_bias")
        return matmul_activation(task, torch.nn.functional.linear(a, b.t(), bias))

    if task.flag("bias") or task.keys.get("activation", "none") != "none":
        return {"torch linear + activation": finished}
    return {"torch.mm": plain}


def matmul_reference(task, tensors):
    a, b = matmul_operands(task, tensors)
    precise = task.torch.float64 if task.plan["flop"] < 2e10 else task.torch.float32
    c = task.torch.mm(a.to(precise), b.to(precise))
    if task.flag("bias"):
        c += tensors["bias"].to(precise)
    return {"c": matmul_activation(task, c)}


# ---- attention ---------------------------------------------------------------------------------
def attention_inputs(task, tensors):
    rivals.attention_inputs(task, tensors)


def sdpa(task, backend, grouped, **options):
    """scaled_dot_product_attention held to one backend; raises where that one cannot do the task"""
    attention = task.torch.nn.attention
    function = task.torch.nn.functional.scaled_dot_product_attention
    if grouped:
        options["enable_gqa"] = True

    def run(q, k, v):
        with attention.sdpa_kernel(getattr(attention.SDPBackend, backend)):
            return function(q, k, v, **options)
    return run


BACKENDS = {"SDPA flash": "FLASH_ATTENTION", "SDPA cuDNN": "CUDNN_ATTENTION",
            "SDPA efficient": "EFFICIENT_ATTENTION"}


def attention_contenders(task):
    grouped = task.keys["H"] != task.keys["HKV"]
    # PyTorch aligns a causal mask to the first key, kgen to the last: the same for equal lengths.
    if task.flag("causal") and task.keys["SQ"] != task.keys["SK"]:
        return {}

    def contender(backend):
        run = sdpa(task, backend, grouped, is_causal=task.flag("causal"))
        return lambda tensors: run(*(tensors[name].transpose(1, 2) for name in "qkv"))
    return {**{name: contender(backend) for name, backend in BACKENDS.items()},
            **rivals.attention(task)}


def softmax_rows(task, q, k, v, hidden):
    """One head's output and log-sum-exp in f32; `hidden` masks scores, or None."""
    scores = q.float() @ k.float().t() / math.sqrt(q.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    lse = task.torch.logsumexp(scores, -1)
    weights = task.torch.exp(scores - lse[:, None]).nan_to_num(0.0)  # a row that sees no key
    return weights @ v.float(), lse


def attention_reference(task, tensors):
    torch, (q, k, v) = task.torch, (tensors[name] for name in "qkv")
    batch, sq, heads, d = q.shape
    sk, group = k.shape[1], heads // k.shape[2]
    hidden = None
    if task.flag("causal"):
        rows = torch.arange(sq, device=q.device)[:, None] + (sk - sq)
        hidden = torch.arange(sk, device=q.device)[None, :] > rows
    o = torch.empty(batch, sq, heads, d, device=q.device)
    lse = torch.empty(batch, heads, sq, device=q.device)
    for b in range(batch):
        for h in range(heads):
            at = (k[b, :, h // group], v[b, :, h // group])
            o[b, :, h], lse[b, h] = softmax_rows(task, q[b, :, h], *at, hidden)
    return {"o": o, "lse": lse}


# ---- attention_decode --------------------------------------------------------------------------
def decode_inputs(task, tensors):
    """All sequences full, their pages scattered over the cache."""
    table = tensors["table"]
    order = task.torch.randperm(table.numel(), device=table.device)
    table.copy_(order.view(table.shape))
    tensors["lengths"].fill_(task.number("SK"))
    tensors["order"] = order
    # The same cache without pages, as PyTorch's attention takes it: [B, SK, HKV, D].
    for name in ("kc", "vc"):
        tensors["flat_" + name] = decode_gather(task, tensors, name).contiguous()


def decode_gather(task, tensors, name):
    rows, heads, d = tensors[name].shape
    page, batch = task.number("page"), task.number("B")
    pages = tensors[name].view(rows // page, page, heads, d)
    return pages[tensors["order"]].view(batch, -1, heads, d)[:, :task.number("SK")]


def decode_contenders(task):
    grouped = task.keys["H"] != task.keys["HKV"]

    def contender(backend, gathers):
        run = sdpa(task, backend, grouped)

        def flat(tensors):
            return run(tensors["q"][:, :, None], tensors["flat_kc"].transpose(1, 2),
                       tensors["flat_vc"].transpose(1, 2))

        def gathered(tensors):
            k, v = (decode_gather(task, tensors, name).transpose(1, 2) for name in ("kc", "vc"))
            return run(tensors["q"][:, :, None], k, v)
        return gathered if gathers else flat
    out = {name + ", no pages": contender(backend, False) for name, backend in BACKENDS.items()}
    out["gather + SDPA flash"] = contender("FLASH_ATTENTION", True)
    return out


def decode_reference(task, tensors):
    torch, q = task.torch, tensors["q"]
    batch, heads, d = q.shape
    k, v = tensors["flat_kc"], tensors["flat_vc"]
    group = heads // k.shape[2]
    o, lse = torch.empty(batch, heads, d, device=q.device), torch.empty(batch, heads,
                                                                        device=q.device)
    for b in range(batch):
        for h in range(k.shape[2]):
            head = slice(h * group, h * group + group)
            o[b, head], lse[b, head] = softmax_rows(task, q[b, head], k[b, :, h], v[b, :, h], None)
    return {"o": o, "lse": lse}


# ---- delta_net ---------------------------------------------------------------------------------
def delta_inputs(task, tensors):
    """Queries and keys of unit length; log decays in [-0.5, 0]."""
    for name in "qk":
        x = tensors[name]
        x /= x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    tensors["g"].abs_().mul_(-0.5)


def by_value_head(tensors, name):
    """Queries or keys with one head a value head: [B, T, H, D]."""
    return tensors[name].repeat_interleave(tensors["v"].shape[2] // tensors[name].shape[2], dim=2)


def delta_loop(task, q, k, v, g, beta, state, out):
    """The rule as it is written down, a token at a time; `state` [B, H, D, D] changes in place."""
    torch, scale = task.torch, q.shape[-1] ** -0.5
    for t in range(q.shape[1]):
        state *= torch.exp(g[:, t])[..., None, None]
        predicted = torch.matmul(state, k[:, t, :, :, None])[..., 0]
        delta = torch.sigmoid(beta[:, t])[..., None] * (v[:, t] - predicted)
        state += delta[..., :, None] * k[:, t, :, None, :]
        out[:, t] = torch.matmul(state, q[:, t, :, :, None])[..., 0] * scale


def delta_chunks(task, q, k, v, g, beta, state, out, size=64):
    """The same by matrix products over chunks of tokens: within a chunk the updates solve a
    triangular system, (1 + L) delta = rate (v - decay state k)."""
    torch, scale = task.torch, q.shape[-1] ** -0.5
    for first in range(0, q.shape[1], size):
        part = slice(first, first + size)
        qc, kc, vc = (x[:, part].transpose(1, 2) for x in (q, k, v))        # [B, H, C, D]
        decay = torch.cumsum(g[:, part].transpose(1, 2), -1)                # logarithms
        rate = torch.sigmoid(beta[:, part].transpose(1, 2))[..., None]
        between = torch.tril(decay[..., :, None] - decay[..., None, :]).exp().tril()
        grown = decay.exp()[..., None]
        lower = torch.tril(rate * between * (kc @ kc.transpose(-1, -2)), -1)
        right = rate * (vc - grown * (kc @ state.transpose(-1, -2)))
        delta = torch.linalg.solve_triangular(lower, right, upper=False, unitriangular=True)
        old = grown * (qc @ state.transpose(-1, -2))
        new = (between * (qc @ kc.transpose(-1, -2))) @ delta
        out[:, part] = ((old + new) * scale).transpose(1, 2)
        left = (decay[..., -1:] - decay).exp()[..., None]
        state.mul_(grown[..., -1:, :]).add_((left * delta).transpose(-1, -2) @ kc)


def delta_contenders(task):
    def contender(function):
        def run(tensors):
            q, k = by_value_head(tensors, "q"), by_value_head(tensors, "k")
            function(task, q, k, tensors["v"], tensors["g"], tensors["beta"], tensors["s0"],
                     tensors["o"])
        return run
    out = {"torch loop": contender(delta_loop)}
    if task.number("T") >= 16:
        out["torch chunks of 64"] = contender(delta_chunks)
    return out


def delta_reference(task, tensors):
    """In f64, on the state as it is now."""
    q, k = by_value_head(tensors, "q").double(), by_value_head(tensors, "k").double()
    state = tensors["s0"].double()
    out = task.torch.empty_like(tensors["o"], dtype=task.torch.float64)
    delta_loop(task, q, k, *(tensors[name].double() for name in ("v", "g", "beta")), state, out)
    return {"o": out, "s1": state}


# ---- delta_net_decode --------------------------------------------------------------------------
def unit_rows(tensors):
    for name in "qk":
        x = tensors[name]
        x /= x.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def pool_inputs(task, tensors):
    """Every sequence has a state, and with checkpoints a slot for each token but the last; slots
    are scattered over the pool."""
    torch, batch, tokens = task.torch, task.number("B"), task.number("N")
    unit_rows(tensors)
    tensors["g"].abs_().mul_(-0.5)
    index = tensors["index"]
    order = torch.randperm(batch * tokens, device=index.device).view(batch, tokens)
    index.copy_(order[:, 0])
    after = tensors["after"]
    after.fill_(-1)
    after[:, :tokens - 1] = order[:, 1:]
    tensors["slots"], tensors["kept"] = order[:, 0].clone(), order[:, 1:].clone()
    rivals.delta_inputs(task, tensors)


def pool_rule(task, tensors, pool, out, cast):
    """The rule on the states that `slots` names, and copies where checkpoints are asked for."""
    q, k = (cast(by_value_head(tensors, name)) for name in "qk")
    v, g, beta = (cast(tensors[name]) for name in ("v", "g", "beta"))
    state = pool[tensors["slots"]]
    for t in range(q.shape[1]):
        part = slice(t, t + 1)
        delta_loop(task, q[:, part], k[:, part], v[:, part], g[:, part], beta[:, part], state,
                   out[:, part])
        if task.flag("checkpoints") and t + 1 < q.shape[1]:
            pool[tensors["kept"][:, t]] = state
    pool[tensors["slots"]] = state


def pool_contenders(task):
    def plain(tensors):
        pool_rule(task, tensors, tensors["pool"], tensors["o"], lambda x: x.float())
    return {"torch loop": plain, **rivals.delta_decode(task)}


def pool_reference(task, tensors):
    double = task.torch.float64
    pool, out = tensors["pool"].to(double), tensors["o"].to(double)
    pool_rule(task, tensors, pool, out, lambda x: x.to(double))
    return {"o": out, "pool": pool}


# ---- delta_net_prefill -------------------------------------------------------------------------
def lengths_of(task):
    """The first has T tokens, each other 37 less than the one before, down to none."""
    return [max(0, task.number("T") - 37 * b) for b in range(task.number("B"))]


def prefill_inputs(task, tensors):
    """Log decays as models have them: a head's factor of 1 to 16 times a step of 0.001 to 0.1."""
    torch = task.torch
    unit_rows(tensors)
    g = tensors["g"]
    heads = torch.arange(g.shape[1], device=g.device)
    g.copy_(-(1 + heads * 5 % 16) * 1e-3 * 10 ** (1 + g))
    ends = torch.tensor([0] + lengths_of(task), device=g.device).cumsum(0)
    tensors["starts"].copy_(ends)
    tensors["ends"] = ends.tolist()
    rivals.delta_inputs(task, tensors)


def prefill_rule(task, tensors, state, out, cast):
    """Sequence by sequence, in chunks; `state` and `out` are written."""
    q, k = (cast(tensors[name].repeat_interleave(
        tensors["v"].shape[1] // tensors[name].shape[1], dim=1)) for name in "qk")
    rest = [cast(tensors[name]) for name in ("v", "g", "beta")]
    for b, (first, end) in enumerate(zip(tensors["ends"], tensors["ends"][1:])):
        if first < end:
            delta_chunks(task, *(x[None, first:end] for x in (q, k, *rest)), state[b:b + 1],
                         out[None, first:end])


def prefill_contenders(task):
    def chunks(tensors):
        prefill_rule(task, tensors, tensors["s0"], tensors["o"], lambda x: x.float())
    return {"torch chunks of 64": chunks, **rivals.delta_prefill(task)}


def prefill_reference(task, tensors):
    """In f64, on the state as it is now."""
    double = task.torch.float64
    state = tensors["s0"].to(double)
    out = task.torch.empty_like(tensors["o"], dtype=double)
    prefill_rule(task, tensors, state, out, lambda x: x.to(double))
    return {"o": out, "s1": state}


# Where an output's error is not that of its type: the state is rounded for every product.
LIMITS = {("delta_net_prefill", "s1"): 8e-3}

FAMILIES = {
    "matmul": (matmul_inputs, matmul_contenders, matmul_reference),
    "attention": (attention_inputs, attention_contenders, attention_reference),
    "attention_decode": (decode_inputs, decode_contenders, decode_reference),
    "delta_net": (delta_inputs, delta_contenders, delta_reference),
    "delta_net_decode": (pool_inputs, pool_contenders, pool_reference),
    "delta_net_prefill": (prefill_inputs, prefill_contenders, prefill_reference),
}
