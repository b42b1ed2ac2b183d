// SPDX-License-Identifier: MIT
// What a test's file says in its comments.
#pragma once
#include <stdio.h>
#include <string.h>

// The rest of the first line behind `key`, to `out`; what follows it, NULL without such a line.
static inline const char *line_with(const char *text, const char *key, char *out, size_t size)
{
    const char *at = strstr(text, key);
    if (!at) return NULL;
    at += strlen(key);
    size_t n = strcspn(at, "\n");
    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), at);
    return at + n;
}
