// SPDX-License-Identifier: MIT
// The kernels of host.h, as PTX.
#include "host.h"

#define INDEX                                                                                      \
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;\n"                          \
    "mad.lo.u32 %r4, %r1, %r2, %r3;\n"

const char kernels_ptx[] =
    ".version 7.0\n.target sm_80\n.address_size 64\n"
    ".visible .global .align 4 .u32 factor = 3;\n"
    ".visible .global .align 4 .u32 table[4] = {1, 2, 3, 4};\n"
    ".visible .const .align 4 .u32 limit = 7;\n"
    ".visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n) {\n"
    ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .f32 %f<4>; .reg .b64 %d<8>;\n" INDEX
    "ld.param.u32 %r5, [n]; setp.ge.u32 %p1, %r4, %r5; @%p1 bra DONE;\n"
    "ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b]; ld.param.u64 %d3, [c];\n"
    "mul.wide.u32 %d4, %r4, 4;\n"
    "add.s64 %d5, %d1, %d4; ld.global.f32 %f1, [%d5];\n"
    "add.s64 %d5, %d2, %d4; ld.global.f32 %f2, [%d5];\n"
    "add.f32 %f3, %f1, %f2; add.s64 %d5, %d3, %d4; st.global.f32 [%d5], %f3;\n"
    "DONE: ret;\n}\n"
    ".visible .entry fill(.param .u64 to, .param .u32 value, .param .u32 n) {\n"
    ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %d<4>;\n" INDEX
    "ld.param.u32 %r5, [n]; setp.ge.u32 %p1, %r4, %r5; @%p1 bra DONE;\n"
    "ld.param.u64 %d1, [to]; ld.param.u32 %r6, [value];\n"
    "mul.wide.u32 %d2, %r4, 4; add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r6;\n"
    "DONE: ret;\n}\n"
    ".visible .entry scale() {\n"
    ".reg .b32 %r<8>; .reg .b64 %d<4>;\n" INDEX
    "ld.global.u32 %r5, [factor]; mov.u64 %d1, table; mul.wide.u32 %d2, %r4, 4;\n"
    "add.s64 %d3, %d1, %d2; ld.global.u32 %r6, [%d3]; mul.lo.u32 %r6, %r6, %r5;\n"
    "st.global.u32 [%d3], %r6; ret;\n}\n"
    ".visible .entry square() .reqntid 8, 8, 1 { ret; }\n"
    ".visible .entry late(.param .u64 to, .param .u32 n) .maxntid 64, 1, 1 {\n"
    ".reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %d<4>;\n"
    ".shared .align 16 .b8 room[1024];\n"
    "mov.u32 %r1, 0; ld.param.u32 %r2, [n];\n"
    "AGAIN: add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, %r2; @%p1 bra AGAIN;\n"
    "ld.param.u64 %d1, [to]; mov.u32 %r3, %tid.x; mul.wide.u32 %d2, %r3, 4;\n"
    "add.s64 %d3, %d1, %d2; st.global.u32 [%d3], %r1; ret;\n}\n";

CUfunction load_function(CUmodule *module, const char *name)
{
    CUfunction function;

    OK(cuModuleLoadData(module, kernels_ptx));
    OK(cuModuleGetFunction(&function, *module, name));
    return function;
}
