// SPDX-License-Identifier: MIT
// The linker's interface, for one input: several compilers go through it to get a binary of their
// PTX. What comes out is the PTX itself, which loads as a module here.
#include "driver.h"

#include <stdlib.h>
#include <string.h>

struct link {
    struct object object;
    char *text;
    size_t size;
};

cu_result cuLinkCreate_v2(unsigned count, cu_jit_option *options, void **values, cu_link *handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct link *link;

    if (result) return result;
    if (!handle || (count && (!options || !values))) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    link = driver_new(KIND_LINK, sizeof *link, context);
    if (!link) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    *handle = HANDLE_OF(cu_link, link);
    return driver_leave(CUDA_SUCCESS);
}

static cu_result enter_link(cu_link handle, struct link **link)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    *link = driver_find(handle, KIND_LINK);
    return *link ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

// A copy of the PTX in the input, with a NUL behind it. Its errors show when it is loaded.
static cu_result input_text(int type, const void *data, size_t size, char **text)
{
    const char *complaint;
    char *copy;
    cu_result result;

    *text = NULL;
    if (!data || !size || type < 0 || type >= CU_JIT_NUM_INPUT_TYPES)
        return CUDA_ERROR_INVALID_VALUE;
    if (type == CU_JIT_INPUT_CUBIN) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    if (type != CU_JIT_INPUT_PTX && type != CU_JIT_INPUT_FATBINARY) return CUDA_ERROR_NOT_SUPPORTED;
    copy = malloc(size + 1);
    if (!copy) return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(copy, data, size);
    copy[size] = '\0';
    result = driver_image_text(copy, the_driver.settings.model.sm, text, &complaint);
    free(copy);
    return result;
}

cu_result cuLinkAddData_v2(cu_link handle, cu_jit_input type, void *data, size_t size,
                           const char *name, unsigned count, cu_jit_option *options, void **values)
{
    struct link *link;
    cu_result result = enter_link(handle, &link);
    char *text;

    if (result) return result;
    if (link->text) {
        driver_leave(CUDA_SUCCESS);
        driver_note("linking several modules into one is not supported");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    result = input_text(type, data, size, &text);
    if (result) return driver_leave(result);
    link->text = text;
    link->size = strlen(text) + 1;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLinkAddFile_v2(cu_link handle, cu_jit_input type, const char *path, unsigned count,
                           cu_jit_option *options, void **values)
{
    cu_result result;
    size_t size;
    char *data;

    if (!path) return CUDA_ERROR_INVALID_VALUE;
    result = driver_read_file(path, &data, &size);
    if (result) return result;
    result = cuLinkAddData_v2(handle, type, data, size, path, count, options, values);
    free(data);
    return result;
}

// The text lives as long as the link.
cu_result cuLinkComplete(cu_link handle, void **image, size_t *size)
{
    struct link *link;
    cu_result result = enter_link(handle, &link);

    if (result) return result;
    if (!image || !link->text) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *image = link->text;
    if (size) *size = link->size;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLinkDestroy(cu_link handle)
{
    cu_result result = driver_enter();
    struct link *link;

    if (result) return result;
    link = driver_find(handle, KIND_LINK);
    if (!link) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    driver_free_link(link);
    return driver_leave(CUDA_SUCCESS);
}

void driver_free_link(struct link *link)
{
    free(link->text);
    driver_delete(link);
}
