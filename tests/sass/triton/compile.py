#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes *.ptx here anew: compile.py [NAME ...]. Needs `pip install triton` and no GPU.

The version of Triton stands in each first line, with the options that were chosen: a schedule that
is the closest to ours of those that Triton offers."""

import pathlib
import re
import sys

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import kernels

PTX_VERSION = 90  # of the ptxas that the table is of
MATMUL = "*bf16 *bf16 *bf16 i32 i32 i32"
ATTENTION = "*bf16 *bf16 *bf16 *bf16 *fp32 i32 i32 fp32"


def matmul(bm, bn, b_col=False, roles=False):
    return {"BM": bm, "BN": bn, "BK": 64, "B_COL": b_col, "ROLES": roles, "GROUP": 8}


def attention(bm, bn, d, causal=False, roles=False):
    return {"BM": bm, "BN": bn, "D": d, "CAUSAL": causal, "ROLES": roles}


# name: kernel, types of the run-time parameters, constants, warps, stages. Triton makes roles of
# kernels of 4 warps only: a producer, and two groups of consumers.
VARIANTS = {
    "matmul": ("matmul", MATMUL, matmul(128, 256), 8, 4),
    "matmul_roles": ("matmul", MATMUL, matmul(128, 256, roles=True), 4, 3),
    "matmul_roles_b_col": ("matmul", MATMUL, matmul(128, 256, True, roles=True), 4, 3),
    "attention_128": ("attention", ATTENTION, attention(128, 128, 128), 8, 2),
    "attention_128_causal": ("attention", ATTENTION, attention(128, 128, 128, True), 8, 2),
    "attention_128_roles": ("attention", ATTENTION, attention(128, 128, 128, roles=True), 4, 2),
    "attention_64": ("attention", ATTENTION, attention(128, 128, 64), 8, 3),
    "attention_64_roles": ("attention", ATTENTION, attention(128, 128, 64, roles=True), 4, 3),
}


def compile_variant(name):
    function, types, constants, warps, stages = VARIANTS[name]
    kernel = getattr(kernels, function)
    names = [p for p in kernel.arg_names if p not in constants]
    signature = dict(zip(names, types.split())) | {c: "constexpr" for c in constants}
    # As at a launch: pointers and sizes that are multiples of 16 are known to be.
    attributes = {(i,): [["tt.divisibility", 16]] for i, p in enumerate(kernel.arg_names)
                  if signature[p].startswith("*") or signature[p] == "i32"}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32),
                          options={"num_warps": warps, "num_stages": stages,
                                   "ptx_version": PTX_VERSION})


def tidy(name, made):
    # Debug sections name folders of the machine that compiled.
    text = made.asm["ptx"].partition("\t.section\t.debug")[0]
    debug = re.compile(r"\s*(\.loc|\.file|\$L__tmp)")
    lines = [line for line in text.splitlines() if not debug.match(line)]
    _, _, constants, warps, stages = VARIANTS[name]
    head = (f"// Made by compile.py with Triton {triton.__version__}: {warps} warps, {stages} "
            f"stages, {made.metadata.shared} bytes of shared memory, "
            + " ".join(f"{key}={value}" for key, value in constants.items()))
    return "\n".join([head] + lines) + "\n"


def main():
    folder = pathlib.Path(__file__).parent
    for name in sys.argv[1:] or VARIANTS:
        made = compile_variant(name)
        text = tidy(name, made)
        (folder / f"{name}.ptx").write_text(text)
        wgmma = text.count("wgmma.mma_async")
        print(f"{name}.ptx: {len(text)} bytes, {wgmma} wgmma, "
              f"{text.count('cp.async.bulk.tensor')} bulk copies, "
              f"{'roles' if 'setmaxnreg' in text else 'no roles'}")


if __name__ == "__main__":
    main()
