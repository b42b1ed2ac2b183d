// SPDX-License-Identifier: MIT
#include "synced.h"
#include <stdlib.h>
#include <string.h>

kgen_status program_compile_synced(kgen_context *context, const char *text, size_t length,
                                   const kgen_compile_options *options, kgen_program **out)
{
    static const char before[] = "  level placed\n", after[] = "  level synced\n";
    kgen_compile_options to_place = *options, rest = {.name = options->name};
    kgen_program *placed = NULL;
    to_place.stop_after = "place";
    to_place.no_share = to_place.no_repair = 1;
    rest.target = options->target;
    rest.no_validate = options->no_validate;
    kgen_status status = kgen_compile(context, text, length, &to_place, &placed);
    if (status) return status;
    char *ir = strdup(kgen_program_ir(placed)), *level = strstr(ir, before);
    kgen_program_free(placed);
    if (level) memcpy(level, after, strlen(after));
    status = kgen_compile(context, ir, strlen(ir), &rest, out);
    free(ir);
    return status;
}
