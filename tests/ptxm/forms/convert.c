// SPDX-License-Identifier: MIT
// cvt between all types.
#include "forms.h"
#include "groups.h"

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)

static __int128 lowest(const struct value_type *type)
{
    return type->kind == 's' ? -((__int128)1 << (type->bits - 1)) : 0;
}

static __int128 highest(const struct value_type *type)
{
    return ((__int128)1 << (type->bits - (type->kind == 's'))) - 1;
}

// A result narrower than its register fills it by its sign.
static uint64_t filled(const struct value_type *type, __int128 x)
{
    unsigned unused = 64 - type->bits;
    uint64_t bits = (uint64_t)x << unused;
    return type->kind == 's' ? (uint64_t)((int64_t)bits >> unused) : bits >> unused;
}

REFERENCE(integers)
{
    __int128 x = form_integer(form, 1, in[0]);
    __int128 low = lowest(form->type[0]), high = highest(form->type[0]);
    if (form->sat)
        x = x < low ? low : x > high ? high : x;
    answer->bits = filled(form->type[0], x);
}

// NaN is 0, or the highest bit alone where f64 or a 64-bit integer takes part.
REFERENCE(to_integer)
{
    const struct value_type *to = form->type[0];
    struct exact x = form_float(form, 1, in[0]);
    bool wide_types = to->bits == 64 || form->type[1]->bits == 64;
    if (x.kind == EXACT_NAN)
        answer->bits = wide_types ? filled(to, (__int128)1 << (to->bits - 1)) : 0;
    else
        answer->bits = filled(to, exact_clamp(x, form->rounding, lowest(to), highest(to)));
}

REFERENCE(from_integer)
{
    __int128 x = form_integer(form, 1, in[0]);
    answer->bits = form_result(form, exact_integer(x < 0, (wide)(x < 0 ? -x : x)));
}

static void give(const struct form *form, struct exact x, struct answer *answer)
{
    answer->bits = form_result(form, x);
    answer->any_nan = x.kind == EXACT_NAN && !form->sat && form->type[0]->bits > 16;
}

REFERENCE(floats)
{
    give(form, form_float(form, 1, in[0]), answer);
}

REFERENCE(integral)
{
    struct exact x = form_float(form, 1, in[0]);
    give(form, exact_integral(x, form->rounding), answer);
}

// ---- with .relu and .satfinite, two at a time --------------------------------------------------

static uint64_t narrow(const struct form *form, uint64_t bits, const struct format *format)
{
    struct exact x = exact_unpack(bits, &format_f32, false);
    if (form->relu && x.kind != EXACT_NAN && (x.negative || x.kind == EXACT_ZERO))
        x = exact_integer(false, 0);
    uint64_t result = exact_round(x, format, form->rounding, false);
    uint64_t sign = (uint64_t)1 << (format->exponent_bits + format->fraction_bits);
    uint64_t infinity = sign - ((uint64_t)1 << format->fraction_bits);
    return form->satfinite && (result & (sign - 1)) == infinity ? result - 1 : result;
}

// Four exponent bits, no infinity, one NaN: as five exponent bits would hold x * 2^-8.
static uint64_t narrow_e4m3(const struct form *form, uint64_t bits)
{
    static const struct format scaled = {5, 3, 0};
    struct exact x = exact_unpack(bits, &format_f32, false), most = exact_integer(false, 448);
    if (x.kind == EXACT_NAN)
        return 0x7f;
    if (form->relu && (x.negative || x.kind == EXACT_ZERO))
        return 0;
    uint64_t sign = x.negative ? 0x80 : 0;
    x.negative = false;
    x = exact_compare(x, most) > 0 ? most : x;
    x.exponent -= 8;
    return sign | exact_round(x, &scaled, TO_NEAREST, false);
}

// One result; the row's data is its format.
enum { ONE_F16, ONE_BF16, ONE_TF32, ONE_E5M2, ONE_E4M3 };
static const struct format *const one_format[] = {&format_f16, &format_bf16, &format_tf32,
                                                  &format_e5m2, NULL};

static uint64_t one(const struct form *form, uint64_t bits)
{
    const struct format *format = one_format[form->row->data];
    return format ? narrow(form, bits, format) : narrow_e4m3(form, bits);
}

REFERENCE(single)
{
    answer->bits = one(form, in[0]);
}

REFERENCE(to_tf32)
{
    uint64_t bits = one(form, in[0]);
    answer->bits = bits << 13 | (bits == format_tf32.nan ? 0x1fff : 0);
}

// The first source goes to the upper half.
REFERENCE(packed)
{
    answer->bits = one(form, in[0]) << 16 | one(form, in[1]);
}

REFERENCE(packed_bytes)
{
    answer->bits = one(form, in[0]) << 8 | one(form, in[1]);
}

// data 1: signed
REFERENCE(packed_integers)
{
    const struct value_type *to = value_type_named(form->row->data ? "s16" : "u16", 3);
    for (unsigned k = 0; k < 2; k++) {
        __int128 x = (int32_t)in[1 - k];
        x = x < lowest(to) ? lowest(to) : x > highest(to) ? highest(to) : x;
        answer->bits |= ((uint64_t)x & 0xffff) << (16 * k);
    }
}

#define INT "<u8|s8|u16|s16|u32|s32|u64|s64>"
#define WIDER "<u16|s16|u32|s32|u64|s64>"
#define RND "<rn|rz|rm|rp>"
#define INTEGRAL "<rni|rzi|rmi|rpi>"
const struct form_row convert_rows[] = {
    {"cvt." INT "." INT " %d, %a;", "ut", integers, 8192},
    {"cvt.sat.u8.<s8|u16|s16|u32|s32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.s8.<u8|u16|s16|u32|s32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.u16.<s8|s16|u32|s32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.s16.<u16|u32|s32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.u32.<s8|s16|s32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.s32.<u32|u64|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.u64.<s8|s16|s32|s64> %d, %a;", "ut", integers, 8192},
    {"cvt.sat.s64.u64 %d, %a;", "ut", integers, 8192},
    {"cvt." INTEGRAL "<|.ftz>." INT ".f32 %d, %a;", "ut", to_integer, 32768},
    {"cvt." INTEGRAL "." INT ".f64 %d, %a;", "ut", to_integer, 32768},
    {"cvt." INTEGRAL "." INT ".f16 %d, %a;", "ut", to_integer},
    {"cvt." INTEGRAL "." WIDER ".bf16 %d, %a;", "ut", to_integer},
    {"cvt." RND "<|.sat>.f32." INT " %d, %a;", "ut", from_integer, 16384},
    {"cvt." RND "<|.sat>.f64." INT " %d, %a;", "ut", from_integer, 16384},
    {"cvt." RND "<|.sat>.f16.<u16|s16> %d, %a;", "ut", from_integer},
    {"cvt." RND "<|.sat>.f16.<u8|s8|u32|s32|u64|s64> %d, %a;", "ut", from_integer, 16384},
    {"cvt." RND ".bf16." WIDER " %d, %a;", "ut", from_integer, 16384},
    {"cvt<|.ftz><|.sat>.f32.f16 %d, %a;", "ut", floats},
    {"cvt.f32.bf16 %d, %a;", "ut", floats},
    {"cvt<|.sat>.f64.f16 %d, %a;", "ut", floats},
    {"cvt.f64.bf16 %d, %a;", "ut", floats},
    {"cvt<|.ftz><|.sat>.f64.f32 %d, %a;", "ut", floats},
    {"cvt<|.ftz><|.sat>.f32.f32 %d, %a;", "ut", floats},
    {"cvt<|.sat>.f64.f64 %d, %a;", "ut", floats},
    {"cvt<|.sat>.f16.f16 %d, %a;", "ut", floats},
    {"cvt." RND "<|.ftz><|.sat>.f32.f64 %d, %a;", "ut", floats},
    {"cvt." RND "<|.ftz><|.sat>.f16.f32 %d, %a;", "ut", floats},
    {"cvt." RND "<|.sat>.f16.f64 %d, %a;", "ut", floats},
    {"cvt.<rn|rz>.bf16.f32 %d, %a;", "ut", floats},
    {"cvt." RND ".bf16.f64 %d, %a;", "ut", floats},
    {"cvt." RND ".<bf16.f16|f16.bf16> %d, %a;", "ut", floats},
    {"cvt." INTEGRAL "<|.ftz><|.sat>.f32.f32 %d, %a;", "ut", integral},
    {"cvt." INTEGRAL "<|.sat>.f64.f64 %d, %a;", "ut", integral},
    {"cvt." INTEGRAL "<|.sat>.f16.f16 %d, %a;", "ut", integral},
    {"cvt." INTEGRAL ".bf16.bf16 %d, %a;", "ut", integral},
    {"cvt.<rn|rz>.relu<|.satfinite>.f16.f32 %d, %a;", "ut", single, .data = ONE_F16},
    {"cvt.<rn|rz>.relu<|.satfinite>.bf16.f32 %d, %a;", "ut", single, .data = ONE_BF16},
    {"cvt.<rn|rz>.satfinite.f16.f32 %d, %a;", "ut", single, .data = ONE_F16},
    {"cvt.<rn|rz>.satfinite.bf16.f32 %d, %a;", "ut", single, .data = ONE_BF16},
    {"cvt.rna<|.satfinite>.tf32.f32 %d, %a;", "it", to_tf32, .data = ONE_TF32},
    {"cvt.<rn|rz><|.relu>.tf32.f32 %d, %a;", "it", to_tf32, .data = ONE_TF32},
    {"cvt.<rn|rz><|.relu><|.satfinite>.f16x2.f32 %d, %a, %b;", "itt", packed, .data = ONE_F16},
    {"cvt.<rn|rz><|.relu><|.satfinite>.bf16x2.f32 %d, %a, %b;", "itt", packed, .data = ONE_BF16},
    {"cvt.rn.satfinite<|.relu>.e4m3x2.f32 %d, %a, %b;", "htt", packed_bytes, .data = ONE_E4M3},
    {"cvt.rn.satfinite<|.relu>.e5m2x2.f32 %d, %a, %b;", "htt", packed_bytes, .data = ONE_E5M2},
    {"cvt.pack.sat.u16.s32 %d, %a, %b;", "ijj", packed_integers},
    {"cvt.pack.sat.s16.s32 %d, %a, %b;", "ijj", packed_integers, .data = 1},
};
const size_t convert_row_count = sizeof convert_rows / sizeof *convert_rows;
