// SPDX-License-Identifier: MIT
#include "raw_map.h"
#include "raw_args.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DIMENSIONS = 5 };

// Up to `most` numbers with commas between them, then a colon or the end; how many, 0: no list.
static int read_list(const char **text, int most, int64_t *out)
{
    const char *at = *text;
    for (int n = 0; n < most;) {
        char *end;
        errno = 0;
        out[n++] = strtoll(at, &end, 0);
        if (end == at || errno || out[n - 1] < 0) return 0;
        at = end;
        if (*at == ',') {
            at++;
            continue;
        }
        if (*at && *at != ':') return 0;
        *text = at + (*at == ':');
        return n;
    }
    return 0;
}

static void dense_strides(kgen_tensor_map_info *info)
{
    int64_t bytes = info->element_bytes;
    for (int i = 0; i < info->rank; i++) {
        info->strides[i] = bytes;
        if (__builtin_mul_overflow(bytes, info->sizes[i], &bytes)) bytes = INT64_MAX;
    }
}

static const char *read_option(const char **text, kgen_tensor_map_info *info)
{
    int64_t swizzle;
    if (!strncmp(*text, "strides=", 8)) {
        *text += 8;
        if (info->rank > 1 && read_list(text, DIMENSIONS - 1, info->strides + 1) == info->rank - 1)
            return NULL;
        return "strides are bytes, of each dimension but the fastest";
    }
    if (strncmp(*text, "swizzle=", 8)) return "behind the box there are strides= and swizzle=";
    *text += 8;
    if (read_list(text, 1, &swizzle) != 1 || swizzle > 128) return "swizzle is 0, 32, 64 or 128";
    info->swizzle = (int)swizzle;
    return NULL;
}

static const char *read_map(const char *text, size_t *argument, kgen_tensor_map_info *info)
{
    static const char form[] = "must be map:ARGUMENT:TYPE:SIZES:BOX";
    int64_t number, box[DIMENSIONS];
    if (read_list(&text, 1, &number) != 1 || number < 1) return form;
    *argument = (size_t)number;
    int length = (int)strcspn(text, ":");
    info->element_bytes = raw_type_bytes(text, length, &info->dtype);
    if (!info->element_bytes || !text[length]) return form;
    text += length + 1;
    info->rank = read_list(&text, DIMENSIONS, info->sizes);
    if (!info->rank || !*text) return form;
    if (read_list(&text, DIMENSIONS, box) != info->rank) return "a box has the tensor's dimensions";
    for (int i = 0; i < info->rank; i++) info->box[i] = box[i] > 256 ? 257 : (int)box[i];
    dense_strides(info);
    while (*text) {
        const char *problem = read_option(&text, info);
        if (problem) return problem;
    }
    return NULL;
}

bool raw_map_read(command_id command, const char *text, size_t *argument,
                  kgen_tensor_map_info *info, int *status)
{
    *info = (kgen_tensor_map_info){.tensor = "of the map"};
    const char *problem = read_map(text, argument, info);
    if (problem) *status = usage_error(command, "--arg=map:%s: %s", text, problem);
    return !problem;
}
