// SPDX-License-Identifier: MIT
// Arguments from their text: "i32:7", "f32:0.5", "buf:f32:1024:random=3", "map:1:f32:64,16:32,8".
#include "raw_args.h"
#include "output.h"
#include "raw_map.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { SIGNED, UNSIGNED, REAL, HALF, BRAIN } kind;

typedef struct element_type {
    const char *name;
    int bytes;
    kind kind;
} element_type;

static const element_type types[] = {
    {"i8", 1, SIGNED},  {"u8", 1, UNSIGNED},  {"i16", 2, SIGNED}, {"u16", 2, UNSIGNED},
    {"i32", 4, SIGNED}, {"u32", 4, UNSIGNED}, {"i64", 8, SIGNED}, {"u64", 8, UNSIGNED},
    {"f16", 2, HALF},   {"bf16", 2, BRAIN},   {"f32", 4, REAL},   {"f64", 8, REAL}};
enum { N_TYPES = sizeof types / sizeof *types };

// ---- values to bytes ---------------------------------------------------------------------------

// To the nearest, ties to even; `exponent` bits of exponent, 15 - exponent of mantissa.
static uint16_t to_short_float(double value, int exponent)
{
    int mantissa = 15 - exponent, bias = (1 << (exponent - 1)) - 1, e;
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint16_t infinity = (uint16_t)(((1 << exponent) - 1) << mantissa);
    if (isnan(value)) return infinity | 1;
    double a = fabs(value);
    if (isinf(a)) return sign | infinity;
    if (a == 0) return sign;
    frexp(a, &e);                                       // a is in [2^(e-1), 2^e)
    int smallest = e - 1 < 1 - bias ? 1 - bias : e - 1; // denormals share the least exponent
    double steps = nearbyint(ldexp(a, mantissa - smallest));
    // A mantissa that rounds up to the next power carries into the exponent by itself.
    double bits = steps + ldexp(smallest + bias - 1, mantissa);
    return sign | (bits >= infinity ? infinity : (uint16_t)bits);
}

static void store_real(const element_type *type, void *at, double value)
{
    float f = (float)value;
    uint16_t h = to_short_float(value, type->kind == BRAIN ? 8 : 5);
    if (type->kind != REAL)
        memcpy(at, &h, 2);
    else if (type->bytes == 4)
        memcpy(at, &f, 4);
    else
        memcpy(at, &value, 8);
}

// Little endian: the low bytes come first.
static void store_number(const element_type *type, void *at, int64_t value)
{
    if (type->kind >= REAL)
        store_real(type, at, (double)value);
    else
        memcpy(at, &value, (size_t)type->bytes);
}

// ---- fillings ----------------------------------------------------------------------------------

// splitmix64 (Steele, Lea, Flood 2014).
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void fill_random(const element_type *type, char *data, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t random = next_random(&seed);
        char *at = data + i * (size_t)type->bytes;
        if (type->kind >= REAL)
            store_real(type, at, (double)(int64_t)random * 0x1p-63);
        else if (type->kind == SIGNED)
            store_number(type, at, (int64_t)(random % 201) - 100);
        else
            store_number(type, at, (int64_t)(random % 101));
    }
}

static bool fill_from_file(const char *path, char *data, size_t bytes, int *status)
{
    size_t length;
    char *content = read_file(path, &length);
    bool fits = content && length == bytes;
    if (fits)
        memcpy(data, content, bytes);
    else if (content)
        say_error("%s has %zu bytes, the buffer %zu", path, length, bytes);
    free(content);
    if (!fits) *status = EXIT_PROBLEM;
    return fits;
}

static bool fill(command_id command, const element_type *type, const char *how, char *data,
                 size_t count, uint64_t seed, int *status)
{
    char *end;
    if (!strcmp(how, "zeros")) return true;
    if (!strcmp(how, "iota")) {
        for (size_t i = 0; i < count; i++)
            store_number(type, data + i * (size_t)type->bytes, (int64_t)i);
        return true;
    }
    if (!strncmp(how, "file=", 5))
        return fill_from_file(how + 5, data, count * (size_t)type->bytes, status);
    if (!strncmp(how, "random", 6) && (!how[6] || (how[6] == '=' && how[7]))) {
        if (how[6]) seed = strtoull(how + 7, &end, 0);
        if (!how[6] || !*end) return fill_random(type, data, count, seed), true;
    }
    *status = usage_error(command,
                          "'%s': a buffer is filled with zeros, iota, random, random=SEED or "
                          "file=PATH",
                          how);
    return false;
}

// ---- one argument ------------------------------------------------------------------------------

int raw_type_bytes(const char *name, int length, const char **dtype)
{
    for (int i = 0; i < N_TYPES; i++) {
        if ((int)strlen(types[i].name) != length || strncmp(types[i].name, name, (size_t)length))
            continue;
        *dtype = types[i].name;
        return types[i].bytes;
    }
    return 0;
}

static const element_type *find_type(command_id command, const char *text, int length)
{
    const char *names[N_TYPES + 2];
    for (int i = 0; i < N_TYPES; i++) {
        names[i] = types[i].name;
        if ((int)strlen(names[i]) == length && !strncmp(names[i], text, (size_t)length))
            return &types[i];
    }
    names[N_TYPES] = "buf";
    names[N_TYPES + 1] = "map";
    char *word = format_text("%.*s", length, text);
    unknown_word(command, "type of argument", word, names, N_TYPES + 2);
    free(word);
    return NULL;
}

static bool in_range(const element_type *type, const char *text, int64_t value)
{
    int bits = 8 * type->bytes;
    bool negative = text[strspn(text, " \t")] == '-';
    if (type->kind == UNSIGNED && negative) return false;
    if (bits == 64) return true; // checked by strto...
    if (type->kind == UNSIGNED) return value < INT64_C(1) << bits;
    return value < INT64_C(1) << (bits - 1) && value >= -(INT64_C(1) << (bits - 1));
}

static bool read_scalar(command_id command, const element_type *type, const char *text,
                        uint64_t *bytes, int *status)
{
    char *end;
    errno = 0;
    *bytes = 0;
    if (type->kind >= REAL) {
        double value = strtod(text, &end);
        if (*text && !*end) return store_real(type, bytes, value), true;
    } else {
        int64_t value =
            type->kind == SIGNED ? strtoll(text, &end, 0) : (int64_t)strtoull(text, &end, 0);
        if (*text && !*end && !errno && in_range(type, text, value))
            return store_number(type, bytes, value), true;
    }
    *status = usage_error(command, "'%s' is not a value of type %s", text, type->name);
    return false;
}

// TYPE:COUNT:FILL
static bool make_buffer(command_id command, kgen_device *device, const char *text, uint64_t seed,
                        kgen_buffer **buffer, int *status)
{
    int length = (int)strcspn(text, ":");
    const element_type *type = find_type(command, text, length);
    if (!type) return *status = EXIT_USAGE, false;
    char *end = NULL;
    const char *count_text = text + length + (text[length] == ':');
    errno = 0;
    long long count = strtoll(count_text, &end, 0);
    const char *problem = NULL;
    if (end == count_text || *end != ':')
        problem = "must be buf:TYPE:COUNT:FILL";
    else if (errno || count < 1 || count > INT64_C(1) << 36)
        problem = "COUNT must be 1 to 68719476736";
    if (problem) {
        *status = usage_error(command, "--arg=buf:%s: %s", text, problem);
        return false;
    }
    size_t bytes = (size_t)count * (size_t)type->bytes;
    char *data = must(calloc(bytes, 1));
    bool ok = fill(command, type, end + 1, data, (size_t)count, seed, status);
    kgen_status made = ok ? kgen_buffer_create(device, bytes, buffer) : KGEN_OK;
    if (ok && !made) made = kgen_buffer_write(*buffer, 0, data, bytes);
    free(data);
    if (!made) return ok;
    say_error("no buffer of %zu bytes: %s", bytes, kgen_status_name(made));
    *status = EXIT_PROBLEM;
    return false;
}

// Of a buffer among the arguments before it.
static bool make_map(command_id command, raw_args *args, size_t i, const char *text, int *status)
{
    kgen_tensor_map_info info;
    size_t argument;
    if (!raw_map_read(command, text, &argument, &info, status)) return false;
    kgen_buffer *buffer = argument <= i ? args->buffers[argument - 1] : NULL;
    if (!buffer) {
        *status = usage_error(command, "--arg=map:%s: argument %zu is no buffer before it", text,
                              argument);
        return false;
    }
    args->maps[i] = must(aligned_alloc(KGEN_TENSOR_MAP_ALIGN, KGEN_TENSOR_MAP_BYTES));
    if (kgen_tensor_map_encode(buffer, 0, &info, args->maps[i])) {
        *status = EXIT_PROBLEM;
        return false;
    }
    args->args[i] = (kgen_raw_arg){.value = args->maps[i], .bytes = KGEN_TENSOR_MAP_BYTES};
    return true;
}

static bool make_argument(command_id command, raw_args *args, kgen_device *device, const char *text,
                          uint64_t seed, int *status)
{
    size_t i = args->n++;
    if (!strcmp(text, "buf")) {
        *status = usage_error(command, "--arg=buf: must be buf:TYPE:COUNT:FILL");
        return false;
    }
    if (!strncmp(text, "map:", 4)) return make_map(command, args, i, text + 4, status);
    if (!strncmp(text, "buf:", 4)) {
        if (!make_buffer(command, device, text + 4, seed, &args->buffers[i], status)) return false;
        args->args[i] = (kgen_raw_arg){.buffer = args->buffers[i]};
        return true;
    }
    int length = (int)strcspn(text, ":");
    const element_type *type = find_type(command, text, length);
    if (!type) return *status = EXIT_USAGE, false;
    const char *value = text + length + (text[length] == ':');
    if (!read_scalar(command, type, value, &args->scalars[i], status)) return false;
    args->args[i] = (kgen_raw_arg){.value = &args->scalars[i], .bytes = (size_t)type->bytes};
    return true;
}

bool raw_args_make(raw_args *args, const command_line *options, kgen_device *device, uint64_t seed,
                   int *status)
{
    size_t n = (size_t)options->n_given + 1;
    *args = (raw_args){.args = must(calloc(n, sizeof *args->args)),
                       .buffers = must(calloc(n, sizeof(kgen_buffer *))),
                       .maps = must(calloc(n, sizeof(void *))),
                       .scalars = must(calloc(n, sizeof *args->scalars))};
    for (int i = 0; i < options->n_given; i++) {
        const given_option *given = &options->given[i];
        if (given->id != OPTION_arg) continue;
        // Each buffer its own numbers.
        if (!make_argument(options->command, args, device, given->value, seed + args->n, status))
            return false;
    }
    return true;
}

void raw_args_free(raw_args *args)
{
    for (size_t i = 0; i < args->n; i++) {
        kgen_buffer_free(args->buffers[i]);
        free(args->maps[i]);
    }
    free(args->maps);
    free(args->args);
    free(args->buffers);
    free(args->scalars);
}
