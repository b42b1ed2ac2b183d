#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes ptx/ anew: compile.py [NAME ...]. Needs `pip install triton` and no GPU.

Each variant is written as ptx/NAME.ARCH.ptx. The version of Triton stands in its first line; a
test run needs neither Triton nor Python."""

import pathlib
import re
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import kernels

# name: kernel, types of the run-time parameters, constants, warps, stages
VARIANTS = {
    "add": ("add", "*fp32 *fp32 *fp32 i32", {"BLOCK": 256}, 4, 1),
    "softmax": ("softmax", "*fp32 *fp32 i32 i32", {"BLOCK": 256}, 4, 1),
    "layer_norm": ("layer_norm", "*fp32 *fp32 *fp32 *fp32 *fp32 i32 fp32", {"BLOCK": 128}, 4, 2),
    "column_sums": ("column_sums", "*fp32 *fp32 i32 i32", {"BR": 16, "BC": 64}, 4, 1),
    "locked_sums": ("locked_sums", "*fp32 *fp32 *i32 i32 i32", {"BR": 16, "BC": 64}, 4, 1),
    "matmul_f16": ("matmul", "*fp16 *fp16 *fp32 i32 i32 i32", {"BM": 64, "BN": 32, "BK": 32}, 4, 3),
    "matmul_bf16": ("matmul", "*bf16 *bf16 *fp32 i32 i32 i32",
                    {"BM": 32, "BN": 64, "BK": 16}, 4, 4),
    "matmul_tf32": ("matmul", "*fp32 *fp32 *fp32 i32 i32 i32",
                    {"BM": 32, "BN": 32, "BK": 32}, 4, 3),
    "matmul_2_warps": ("matmul", "*fp16 *fp16 *fp32 i32 i32 i32",
                       {"BM": 32, "BN": 32, "BK": 32}, 2, 2),
    "attention": ("attention", "*fp16 *fp16 *fp16 *fp16 i32 fp32",
                  {"BM": 32, "BN": 32, "D": 32, "CAUSAL": False}, 4, 2),
    "attention_causal": ("attention", "*fp16 *fp16 *fp16 *fp16 i32 fp32",
                         {"BM": 64, "BN": 32, "D": 64, "CAUSAL": True}, 4, 3),
}
TARGETS = {"sm_80": 80, "sm_90": 90}


def compile_variant(name, capability):
    function, types, constants, warps, stages = VARIANTS[name]
    kernel = getattr(kernels, function)
    names = [p for p in kernel.arg_names if p not in constants]
    signature = dict(zip(names, types.split())) | {c: "constexpr" for c in constants}
    # As at a launch: pointers and sizes that are multiples of 16 are known to be.
    attributes = {(i,): [["tt.divisibility", 16]] for i, p in enumerate(kernel.arg_names)
                  if signature[p].startswith("*")}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32),
                          options={"num_warps": warps, "num_stages": stages})
    return made.asm["ptx"], made.metadata


def tidy(text, metadata):
    # Debug sections name folders of the machine that compiled.
    text = text[:text.find("\t.section\t.debug")] if "\t.section\t.debug" in text else text
    debug = re.compile(r"\s*(\.loc|\.file|\$L__tmp)")
    lines = [line for line in text.splitlines() if not debug.match(line)]
    head = (f"// Made by compile.py with Triton {triton.__version__}: "
            f"{metadata.num_warps} warps, {metadata.shared} bytes of shared memory.")
    return "\n".join([head] + lines) + "\n"


def main():
    folder = pathlib.Path(__file__).parent / "ptx"
    for name in sys.argv[1:] or VARIANTS:
        for target, capability in TARGETS.items():
            text = tidy(*compile_variant(name, capability))
            (folder / f"{name}.{target}.ptx").write_text(text)
            print(f"{name}.{target}.ptx: {len(text)} bytes")


if __name__ == "__main__":
    main()
