// SPDX-License-Identifier: MIT
// Names: of errors, of functions for cuGetProcAddress, and of the functions that this driver does
// not have.
#include "driver.h"

#include <string.h>

// ---- errors ------------------------------------------------------------------------------------

struct error_row {
    cu_result number;
    const char *name, *text;
};

static const struct error_row errors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
#define ERROR(name, number, text) {number, "CUDA_ERROR_" #name, text},
#include "errors.def"
};

static const struct error_row *find_error(cu_result result)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].number == result) return &errors[i];
    return NULL;
}

cu_result cuGetErrorName(cu_result error, const char **text)
{
    const struct error_row *row = find_error(error);

    if (!text) return CUDA_ERROR_INVALID_VALUE;
    *text = row ? row->name : NULL;
    return row ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

cu_result cuGetErrorString(cu_result error, const char **text)
{
    const struct error_row *row = find_error(error);

    if (!text) return CUDA_ERROR_INVALID_VALUE;
    *text = row ? row->text : NULL;
    return row ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// ---- what there is none of ---------------------------------------------------------------------

// Said once for each function. Two threads may say it twice; the flag does no harm.
static cu_result unsupported(const char *name, bool *said)
{
    if (!__atomic_exchange_n(said, true, __ATOMIC_RELAXED))
        driver_note("%s is not supported", name);
    return CUDA_ERROR_NOT_SUPPORTED;
}

// Whatever the parameters are: on the machines that we know, a callee that takes none leaves them
// to the caller.
#define UNSUPPORTED(export)                                                                        \
    EXPORT cu_result export(void);                                                                 \
    cu_result export(void)                                                                         \
    {                                                                                              \
        static bool said;                                                                          \
        return unsupported(#export, &said);                                                        \
    }
#include "functions.def"

// The private tables of the CUDA runtime are not documented.
cu_result cuGetExportTable(const void **table, const cu_uuid *id)
{
    static bool said;

    if (!table || !id) return CUDA_ERROR_INVALID_VALUE;
    *table = NULL;
    return unsupported("cuGetExportTable, which the CUDA runtime (libcudart) needs,", &said);
}

// ---- cuGetProcAddress --------------------------------------------------------------------------

struct function_row {
    const char *export, *name;
    int version;
    void (*address)(void);
};

static const struct function_row functions[] = {
#define FUNCTION(export, name, version, parameters)                                                \
    {#export, #name, version, (void (*)(void)) export},
#include "functions.def"
#define UNSUPPORTED(export) {#export, #export, 0, (void (*)(void)) export},
#include "functions.def"
};

// The best row of that name; a row that is too new counts as none, and *newer is set.
static const struct function_row *find_function(const char *name, int version, bool *newer)
{
    const struct function_row *best = NULL;

    *newer = false;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        const struct function_row *row = &functions[i];

        if (strcmp(row->name, name) != 0) continue;
        if (row->version > version)
            *newer = true;
        else if (!best || row->version > best->version)
            best = row;
    }
    return best;
}

cu_result cuGetProcAddress_v2(const char *name, void **address, int version, uint64_t flags,
                              cu_symbol_status *status)
{
    const struct function_row *row;
    bool newer;

    if (!name || !address || version > DRIVER_VERSION || flags > 2) return CUDA_ERROR_INVALID_VALUE;
    row = find_function(name, version, &newer);
    *address = NULL;
    if (row) memcpy(address, &row->address, sizeof row->address);
    if (status)
        *status = row     ? CU_GET_PROC_ADDRESS_SUCCESS
                  : newer ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                          : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return CUDA_SUCCESS;
}

// Its answer is the result alone.
cu_result cuGetProcAddress(const char *name, void **address, int version, uint64_t flags)
{
    cu_result result = cuGetProcAddress_v2(name, address, version, flags, NULL);

    return result ? result : *address ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
