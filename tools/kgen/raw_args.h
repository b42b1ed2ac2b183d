// SPDX-License-Identifier: MIT
// Arguments of a kernel from their text: scalars, buffers with a filling, tensor maps of them.
#pragma once
#include "session.h"

typedef struct raw_args {
    kgen_raw_arg *args;
    kgen_buffer **buffers; // NULL where the argument is a scalar
    uint64_t *scalars;     // their bytes
    void **maps;           // NULL where the argument is none
    size_t n;
} raw_args;

// Bytes of a type by its name, and the name as a string; 0: there is none of that name.
int raw_type_bytes(const char *name, int length, const char **dtype);

// Reads every --arg and makes the buffers. On false *status is what to exit with, and the error
// was said. Free in any case.
bool raw_args_make(raw_args *args, const command_line *options, kgen_device *device, uint64_t seed,
                   int *status);
void raw_args_free(raw_args *args);
