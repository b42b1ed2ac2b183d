// SPDX-License-Identifier: MIT
// The library's structures as JSON.
#pragma once
#include "runtime/kgen.h"
#include <jansson.h>
#include <stdbool.h>

// Text that may hold any bytes; NULL becomes null. Numbers that JSON cannot say become null.
json_t *json_text(const char *text);
json_t *json_number(double number);
json_t *json_of_diagnostic(const kgen_diagnostic *diagnostic);
json_t *json_of_finding(const kgen_finding *finding);
json_t *json_of_info(const kgen_program_info *info);
json_t *json_of_statistics(const kgen_statistics *statistics);
// Prints and frees it.
void json_print(json_t *value);
