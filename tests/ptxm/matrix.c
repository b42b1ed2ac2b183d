// SPDX-License-Identifier: MIT
#include "matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct format formats[FORMAT_COUNT] = {
    [F16] = {"f16", 16, 5, 10, true},  [BF16] = {"bf16", 16, 8, 7, true},
    [TF32] = {"tf32", 32, 8, 23, true}, // a register of f32 whose low 13 bits are not looked at
    [E4M3] = {"e4m3", 8, 4, 3, true},  [E5M2] = {"e5m2", 8, 5, 2, true},
    [S8] = {"s8", 8, 0, 0, true},      [U8] = {"u8", 8, 0, 0, false},
    [F32] = {"f32", 32, 8, 23, true},  [S4] = {"s4", 4, 0, 0, true},
    [U4] = {"u4", 4, 0, 0, false},     [B1] = {"b1", 1, 0, 0, false},
    [F64] = {"f64", 64, 11, 52, true},
};

double format_value(enum format_id id, uint32_t bits)
{
    const struct format *f = &formats[id];
    if (id == TF32)
        bits &= ~(uint32_t)0x1fff;
    if (!f->exponent) {
        int32_t value = (int32_t)(bits & ((1u << f->bits) - 1));
        return f->is_signed && value >> (f->bits - 1) ? value - (1 << f->bits) : value;
    }
    unsigned exponent = bits >> f->mantissa & ((1u << f->exponent) - 1);
    double fraction = bits & ((1u << f->mantissa) - 1), sign = bits >> (f->bits - 1) & 1 ? -1 : 1;
    int bias = (1 << (f->exponent - 1)) - 1, m = (int)f->mantissa;
    if (!exponent)
        return sign * ldexp(fraction, 1 - bias - m);
    return sign * ldexp(fraction + ldexp(1, m), (int)exponent - bias - m);
}

uint32_t format_random(enum format_id id, uint64_t *state)
{
    const struct format *f = &formats[id];
    uint64_t r = bench_random(state);
    if (!f->exponent)
        return (uint32_t)r & ((1u << f->bits) - 1);
    uint32_t bias = (1u << (f->exponent - 1)) - 1;
    uint32_t exponent = bias - 6 + (uint32_t)(r >> 40) % 9;
    uint32_t mantissa = (uint32_t)r & ((1u << f->mantissa) - 1);
    if ((r >> 50) % 16 == 0)
        exponent = 0; // subnormals and zero
    return (uint32_t)(r >> 63) << (f->bits - 1) | exponent << f->mantissa | mantissa;
}

uint16_t format_to_f16(double x)
{
    double size = fabs(x);
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    int exponent;
    if (size == 0)
        return sign;
    frexp(size, &exponent);
    int step = exponent - 11 < -24 ? -24 : exponent - 11; // of the last place
    double units = nearbyint(ldexp(size, -step));         // to nearest, ties to even
    if (ldexp(units, step) > 65504)
        return sign | 0x7c00;
    // A number of units above 1024 carries into the exponent field by itself.
    return (uint16_t)(sign | (uint32_t)((step + 24) * 1024 + (int)units));
}

void assemble(const char *ptxas, const char *text)
{
    char path[] = "/tmp/ptxm-text-XXXXXX", command[1024], said[4096];
    if (!ptxas || access(ptxas, X_OK))
        return;
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    snprintf(command, sizeof command, "'%s' -O1 -arch=sm_90a -o /dev/null '%s' 2>&1", ptxas, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    said[fread(said, 1, sizeof said - 1, pipe)] = 0;
    int status = pclose(pipe);
    unlink(path);
    if (status)
        fail_msg("ptxas: %s", said);
}
