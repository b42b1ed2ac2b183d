// SPDX-License-Identifier: MIT
// Names and sizes of PTX types and state spaces.
#include "isa.h"

#include <string.h>

static const struct {
    const char *name;
    uint8_t bits;
    char kind;
} types[T_COUNT] = {
    [T_NONE] = {"none", 0, '-'},
#define X(id, name, bits, kind) [T_##id] = {name, bits, kind},
    PTXM_TYPES(X)
#undef X
};

unsigned ptxm_type_bits(enum type type)
{
    return types[type].bits;
}

char ptxm_type_class(enum type type)
{
    return types[type].kind;
}

const char *ptxm_type_name(enum type type)
{
    return types[type].name;
}

enum type ptxm_type_parse(const char *text, size_t length)
{
    for (int type = T_NONE + 1; type < T_COUNT; type++)
        if (strlen(types[type].name) == length && !memcmp(types[type].name, text, length))
            return (enum type)type;
    return T_NONE;
}

const char *ptxm_space_name(enum space space)
{
    static const char *const names[SPACE_COUNT] = {
        "generic", "global", "shared", "local", "const", "param", "param", "shared", "reg",
    };
    return names[space];
}
