# SPDX-License-Identifier: MIT
"""Kernels from elsewhere, where they are installed or carried along: flash-linear-attention and the
attention of Triton's tutorials.

Nothing is fetched. A rival that is not there is no contender; one that fails is noted as such. What
a rival gives stands in `outputs`, and is checked like kgen's own, for a comparison with a wrong
result is none.
"""
import importlib
import importlib.util
import os
from functools import lru_cache

TUTORIALS = "KGEN_TRITON_TUTORIALS"  # the environment variable that names their folder
TUTORIAL = "06-fused-attention.py"


class Rival:
    """A contender whose results are checked: call(tensors) gives {output: tensor}."""

    def __init__(self, call):
        self.outputs = call

    def __call__(self, tensors):
        self.outputs(tensors)


@lru_cache(maxsize=None)
def optional(name):
    """A module, or None."""
    try:
        return importlib.import_module(name)
    except Exception:  # whatever a package raises that cannot work here
        return None


@lru_cache(maxsize=None)
def tutorial(folder):
    path = os.path.join(folder, TUTORIAL)
    if not folder or not os.path.exists(path):
        return None
    try:
        spec = importlib.util.spec_from_file_location("triton_tutorial_attention", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.attention
    except Exception:
        return None


def found():
    """{package: version} of the rivals that are there, for the facts."""
    names = {}
    if optional("fla"):
        names["flash-linear-attention"] = getattr(optional("fla"), "__version__", "unknown")
    if tutorial(os.environ.get(TUTORIALS, "")):
        names["Triton's tutorial attention"] = getattr(optional("triton"), "__version__", "?")
    return names


# ---- attention ---------------------------------------------------------------------------------
def tutorial_for(task):
    """The tutorial's function, where it can do the task: as many heads of keys as of queries."""
    if task.keys["H"] != task.keys["HKV"] or task.keys["SQ"] != task.keys["SK"]:
        return None
    return tutorial(os.environ.get(TUTORIALS, ""))


def attention_inputs(task, tensors):
    """It takes heads in front of tokens, without gaps."""
    if tutorial_for(task):
        for name in "qkv":
            tensors["heads_" + name] = tensors[name].transpose(1, 2).contiguous()


def attention(task):
    function = tutorial_for(task)
    if not function:
        return {}

    def run(tensors):
        q, k, v = (tensors["heads_" + name] for name in "qkv")
        o = function(q, k, v, task.flag("causal"), q.shape[-1] ** -0.5, False)
        return {"o": o.transpose(1, 2)}
    return {"Triton tutorial": Rival(run)}


# ---- the gated delta rule ----------------------------------------------------------------------
def delta_inputs(task, tensors):
    """flash-linear-attention wants sigmoid(beta), one batch where lengths differ, and states with
    the keys' dimension first. It shares heads of queries and keys among those of values, as we
    do."""
    if not optional("fla"):
        return
    tensors["fla_beta"] = task.torch.sigmoid(tensors["beta"])
    state = tensors["pool"][tensors["slots"]] if "pool" in tensors else tensors["s0"]
    tensors["fla_state"] = state.transpose(-1, -2).contiguous()
    if "ends" in tensors:
        tensors["fla_ends"] = task.torch.tensor(tensors["ends"], device=state.device)


def delta(function, tensors, **more):
    return function(*(tensors[name] for name in "qkv"), g=tensors["g"], beta=tensors["fla_beta"],
                    initial_state=tensors["fla_state"], output_final_state=True, **more)


def delta_function(name):
    module = optional("fla.ops.gated_delta_rule") if optional("fla") else None
    return getattr(module, name, None)


def delta_decode(task):
    """Its recurrent kernel, on states without a pool; checkpoints it does not keep."""
    function = delta_function("fused_recurrent_gated_delta_rule")
    if not function:
        return {}

    def run(tensors):
        return {"o": delta(function, tensors)[0]}
    return {"FLA recurrent": Rival(run)}


def delta_prefill(task):
    function = delta_function("chunk_gated_delta_rule")
    if not function or 0 in [max(0, task.number("T") - 37 * b) for b in range(task.number("B"))]:
        return {}

    def run(tensors):
        batched = dict(tensors)
        for name in ("q", "k", "v", "g", "fla_beta"):
            batched[name] = tensors[name][None]
        o, state = delta(function, batched, cu_seqlens=tensors["fla_ends"])
        return {"o": o[0], "s1": state.transpose(-1, -2)}
    return {"FLA chunks": Rival(run)}
