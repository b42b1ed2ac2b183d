// SPDX-License-Identifier: MIT
// NVIDIA's assembler, where the CUDA toolkit is installed.
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct ptxas_result {
    char *cubin; // owned
    size_t bytes;
    int registers, spill_bytes, stack_bytes; // of the worst kernel; -1: not said
    char *log;                               // owned; what it printed
} ptxas_result;

// In $PATH, $CUDA_HOME, $CUDA_PATH or /usr/local/cuda; to be freed. NULL: there is none.
char *ptxas_find(void);
// Assembles. false: it refused, or could not be run; the log says why.
bool ptxas_run(const char *ptxas, const char *ptx, size_t length, const char *target,
               ptxas_result *result);
void ptxas_free(ptxas_result *result);
