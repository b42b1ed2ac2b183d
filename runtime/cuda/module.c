// SPDX-License-Identifier: MIT
/*
 * Loading PTX and cubins, and launching what is in them.
 *
 * Drivers since 12.0 load a library, which is compiled when a context first needs it; older ones
 * load a module into the current context. Both end in a function of our context, so that everything
 * after loading is the same. A library is asked for its module at once: errors of the JIT belong to
 * loading.
 */
#include "driver.h"

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BYTES ((size_t)16384)
#define JIT_OPTION_COUNT 6

/*
 * The driver writes into the logs and the values while it compiles, and with some settings it
 * compiles the same library again for contexts made later. Therefore they live as long as the
 * module.
 */
struct kg_cuda_module {
    struct kg_cuda_context *context;
    cu_library library; /* NULL where the driver has no libraries */
    cu_module module;
    cu_jit_option options[JIT_OPTION_COUNT];
    void *values[JIT_OPTION_COUNT];
    char info_log[LOG_BYTES], error_log[LOG_BYTES];
};

/* ---- the log of the JIT ---- */

static enum kg_cuda_severity severity_of(const char *line, enum kg_cuda_severity usual)
{
    if (strstr(line, "error")) return KG_CUDA_ERROR;
    if (strstr(line, "fatal")) return KG_CUDA_ERROR;
    if (strstr(line, "warning")) return KG_CUDA_WARNING;
    return usual;
}

/* "ptxas application ptx input, line 12; error : ..." gives 12. */
static int ptx_line_of(const char *line)
{
    const char *number = strstr(line, ", line ");
    long value = number ? strtol(number + 7, NULL, 10) : 0;

    return value > 0 && value < INT32_MAX ? (int)value : 0;
}

/* One message for each line that is not empty. Cuts the log into strings in place. */
static void report_log(const struct kg_cuda_config *config, char *log, enum kg_cuda_severity usual,
                       enum kg_cuda_status status)
{
    char *rest = NULL;

    log[LOG_BYTES - 1] = '\0';
    for (char *line = strtok_r(log, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        enum kg_cuda_severity severity = severity_of(line, usual);

        if (line[strspn(line, " \t")] == '\0') continue;
        /* A module that did load has no errors, whatever words its notes choose. */
        if (status == KG_CUDA_OK && severity == KG_CUDA_ERROR) severity = usual;
        driver_report_line(config, severity, status, ptx_line_of(line), line);
    }
}

/* ---- the image ---- */

/* The driver is given no length and trusts the headers: a truncated cubin would end the process. */
static bool elf_is_whole(const void *image, size_t bytes)
{
    Elf64_Ehdr header;

    if (bytes < sizeof header) return false;
    memcpy(&header, image, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64) return false;
    if (header.e_shoff > bytes || header.e_phoff > bytes) return false;
    if ((uint64_t)header.e_shnum * header.e_shentsize > bytes - header.e_shoff) return false;
    if ((uint64_t)header.e_phnum * header.e_phentsize > bytes - header.e_phoff) return false;
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section;

        if (header.e_shentsize < sizeof section) return false;
        memcpy(&section, (const char *)image + header.e_shoff + (size_t)i * header.e_shentsize,
               sizeof section);
        if (section.sh_type == SHT_NOBITS) continue;
        if (section.sh_offset > bytes || section.sh_size > bytes - section.sh_offset) return false;
    }
    return true;
}

static enum kg_cuda_status check_image(const struct kg_cuda_config *config, const void *image,
                                       size_t bytes, bool *is_text)
{
    *is_text = false;
    if (!image || bytes == 0)
        return driver_report(config, KG_CUDA_ERROR, KG_CUDA_BAD_MODULE, "the module is empty");
    if (bytes >= SELFMAG && memcmp(image, ELFMAG, SELFMAG) == 0) {
        if (elf_is_whole(image, bytes)) return KG_CUDA_OK;
        return driver_report(config, KG_CUDA_ERROR, KG_CUDA_BAD_MODULE,
                             "the cubin is truncated or damaged (%zu bytes)", bytes);
    }
    *is_text = true;
    if (!memchr(image, '\0', bytes - 1)) return KG_CUDA_OK;
    return driver_report(config, KG_CUDA_ERROR, KG_CUDA_BAD_MODULE,
                         "the module is neither PTX text nor a cubin");
}

/* ---- loading ---- */

static void set_option(struct kg_cuda_module *module, unsigned *count, int option, void *value)
{
    module->options[*count] = option;
    module->values[*count] = value;
    (*count)++;
}

static unsigned set_options(struct kg_cuda_module *module,
                            const struct kg_cuda_load_options *options)
{
    void *log_bytes = (void *)(uintptr_t)LOG_BYTES;
    unsigned count = 0;

    set_option(module, &count, KG_CU_JIT_INFO_LOG_BUFFER, module->info_log);
    set_option(module, &count, KG_CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, log_bytes);
    set_option(module, &count, KG_CU_JIT_ERROR_LOG_BUFFER, module->error_log);
    set_option(module, &count, KG_CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, log_bytes);
    if (options && options->verbose)
        set_option(module, &count, KG_CU_JIT_LOG_VERBOSE, (void *)(uintptr_t)1);
    if (options && options->line_info)
        set_option(module, &count, KG_CU_JIT_GENERATE_LINE_INFO, (void *)(uintptr_t)1);
    return count;
}

static bool has_libraries(const struct driver_api *api)
{
    return api->cuLibraryLoadData && api->cuLibraryUnload && api->cuLibraryGetModule;
}

/* In the context. On failure nothing stays loaded. */
static cu_result load_image(struct kg_cuda_module *module, const void *image, unsigned count)
{
    const struct driver_api *api = &module->context->driver->api;
    cu_result result;

    if (!has_libraries(api))
        return api->cuModuleLoadDataEx(&module->module, image, count, module->options,
                                       module->values);
    result = api->cuLibraryLoadData(&module->library, image, module->options, module->values, count,
                                    NULL, NULL, 0);
    if (result != 0) return result;
    result = api->cuLibraryGetModule(&module->module, module->library);
    if (result != 0) api->cuLibraryUnload(module->library);
    return result;
}

static enum kg_cuda_status load_into(struct kg_cuda_module *module, const void *image,
                                     const struct kg_cuda_load_options *options)
{
    struct kg_cuda_context *context = module->context;
    const struct kg_cuda_config *config = &context->driver->config;
    unsigned count = set_options(module, options);
    enum kg_cuda_status status = context_enter(context);
    cu_result result;

    if (status != KG_CUDA_OK) return status;
    result = load_image(module, image, count);
    context_leave(context);
    status = driver_check(context->driver, result, "load a module for %s (sm_%d)",
                          context->info.name, context->info.sm);
    report_log(config, module->error_log, KG_CUDA_ERROR, status);
    report_log(config, module->info_log, KG_CUDA_NOTE, status);
    return status;
}

/* PTX without a zero at its end is copied to where there is one. */
static enum kg_cuda_status load_text(struct kg_cuda_module *module, const char *text, size_t bytes,
                                     const struct kg_cuda_load_options *options)
{
    struct kg_cuda_driver *driver = module->context->driver;
    enum kg_cuda_status status;
    char *copy;

    if (text[bytes - 1] == '\0') return load_into(module, text, options);
    copy = driver_malloc(driver, bytes + 1);
    if (!copy) return KG_CUDA_OUT_OF_HOST_MEMORY;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    status = load_into(module, copy, options);
    driver_free(driver, copy);
    return status;
}

enum kg_cuda_status kg_cuda_module_load(struct kg_cuda_context *context, const void *image,
                                        size_t bytes, const struct kg_cuda_load_options *options,
                                        struct kg_cuda_module **module)
{
    struct kg_cuda_driver *driver = context->driver;
    struct kg_cuda_module *loaded;
    enum kg_cuda_status status;
    bool is_text;

    *module = NULL;
    status = check_image(&driver->config, image, bytes, &is_text);
    if (status != KG_CUDA_OK) return status;
    loaded = driver_malloc(driver, sizeof *loaded);
    if (!loaded) return KG_CUDA_OUT_OF_HOST_MEMORY;
    memset(loaded, 0, sizeof *loaded);
    loaded->context = context;
    status = is_text ? load_text(loaded, image, bytes, options) : load_into(loaded, image, options);
    if (status == KG_CUDA_OK)
        *module = loaded;
    else
        driver_free(driver, loaded);
    return status;
}

void kg_cuda_module_unload(struct kg_cuda_module *module)
{
    struct kg_cuda_context *context;

    if (!module) return;
    context = module->context;
    if (context_enter(context) == KG_CUDA_OK) {
        /* After a failed kernel this fails too; there is nothing that one could do about it. */
        if (module->library)
            context->driver->api.cuLibraryUnload(module->library);
        else
            context->driver->api.cuModuleUnload(module->module);
        context_leave(context);
    }
    driver_free(context->driver, module);
}

/* ---- kernels ---- */

enum kg_cuda_status kg_cuda_module_kernel(struct kg_cuda_module *module, const char *name,
                                          struct kg_cuda_kernel *kernel)
{
    struct kg_cuda_context *context = module->context;
    enum kg_cuda_status status = context_enter(context);
    cu_function function = NULL;
    cu_result result;

    *kernel = (struct kg_cuda_kernel){NULL, NULL};
    if (status != KG_CUDA_OK) return status;
    result = context->driver->api.cuModuleGetFunction(&function, module->module, name);
    context_leave(context);
    if (result == 0) *kernel = (struct kg_cuda_kernel){module, function};
    return driver_check(context->driver, result, "find kernel '%s' in the module", name);
}

struct attribute_row {
    int attribute;
    size_t offset; /* of an int in struct kg_cuda_kernel_attributes */
};

#define ATTRIBUTE_ROW(name, field)                                                                 \
    {                                                                                              \
        KG_CU_FUNC_ATTRIBUTE_##name, offsetof(struct kg_cuda_kernel_attributes, field)             \
    }

static const struct attribute_row attribute_rows[] = {
    ATTRIBUTE_ROW(NUM_REGS, registers),
    ATTRIBUTE_ROW(LOCAL_SIZE_BYTES, local_bytes),
    ATTRIBUTE_ROW(SHARED_SIZE_BYTES, static_shared_bytes),
    ATTRIBUTE_ROW(MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic_shared_limit),
    ATTRIBUTE_ROW(CONST_SIZE_BYTES, constant_bytes),
    ATTRIBUTE_ROW(MAX_THREADS_PER_BLOCK, max_threads_per_block),
    ATTRIBUTE_ROW(BINARY_VERSION, binary_sm),
    ATTRIBUTE_ROW(PTX_VERSION, ptx_sm),
};

enum kg_cuda_status kg_cuda_kernel_attributes(struct kg_cuda_kernel kernel,
                                              struct kg_cuda_kernel_attributes *attributes)
{
    struct kg_cuda_context *context = kernel.module->context;
    enum kg_cuda_status status = context_enter(context);
    cu_result result = 0;

    *attributes = (struct kg_cuda_kernel_attributes){0};
    if (status != KG_CUDA_OK) return status;
    for (size_t i = 0; result == 0 && i < sizeof attribute_rows / sizeof attribute_rows[0]; i++) {
        int value = 0;

        result = context->driver->api.cuFuncGetAttribute(&value, attribute_rows[i].attribute,
                                                         kernel.function);
        memcpy((char *)attributes + attribute_rows[i].offset, &value, sizeof value);
    }
    context_leave(context);
    return driver_check(context->driver, result, "read the attributes of a kernel");
}

enum kg_cuda_status kg_cuda_kernel_allow_shared(struct kg_cuda_kernel kernel, size_t bytes)
{
    struct kg_cuda_context *context = kernel.module->context;
    const struct kg_cuda_device_info *info = &context->info;
    struct kg_cuda_kernel_attributes attributes;
    enum kg_cuda_status status = kg_cuda_kernel_attributes(kernel, &attributes);
    size_t limit;

    if (status != KG_CUDA_OK) return status;
    limit = (size_t)info->shared_per_block_opt_in - (size_t)attributes.static_shared_bytes;
    if (bytes > limit)
        return driver_report(&context->driver->config, KG_CUDA_ERROR, KG_CUDA_LAUNCH_REFUSED,
                             "the kernel asks for %zu bytes of shared memory; %s (sm_%d) has %zu "
                             "for it (%d less %d static)",
                             bytes, info->name, info->sm, limit, info->shared_per_block_opt_in,
                             attributes.static_shared_bytes);
    RETURN_DRIVER_CALL(context,
                       cuFuncSetAttribute(kernel.function,
                                          KG_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                          (int)bytes),
                       "allow a kernel %zu bytes of shared memory", bytes);
}

enum kg_cuda_status kg_cuda_kernel_occupancy(struct kg_cuda_kernel kernel, int threads,
                                             size_t shared_bytes, int *blocks)
{
    *blocks = 0;
    RETURN_DRIVER_CALL(
        kernel.module->context,
        cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel.function, threads, shared_bytes),
        "ask for a kernel's occupancy");
}

/* ---- launching ---- */

enum { MOST_ATTRIBUTES = 3 };

static bool wants_clusters(const struct kg_cuda_launch *launch)
{
    return launch->cluster[0] > 1 || launch->cluster[1] > 1 || launch->cluster[2] > 1;
}

static enum kg_cuda_status refuse(const struct kg_cuda_context *context, const char *why)
{
    return driver_report(&context->driver->config, KG_CUDA_ERROR, KG_CUDA_LAUNCH_REFUSED,
                         "cannot launch a kernel: %s", why);
}

/* What can be said better than with the driver's "invalid argument". */
static enum kg_cuda_status check_launch(const struct kg_cuda_context *context,
                                        const struct kg_cuda_launch *launch)
{
    uint64_t threads = (uint64_t)launch->block[0] * launch->block[1];

    for (int i = 0; i < 3; i++) {
        if (launch->grid[i] == 0) return refuse(context, "the grid has no blocks");
        if (launch->block[i] == 0) return refuse(context, "the block has no threads");
        if (launch->block[i] > 1024 || launch->cluster[i] > 1024)
            return refuse(context, "a block or a cluster is larger than any device allows");
        if (launch->cluster[i] > 1 && launch->grid[i] % launch->cluster[i] != 0)
            return refuse(context, "a cluster dimension does not divide the grid's");
    }
    if (threads * launch->block[2] > (uint64_t)context->info.threads_per_block)
        return refuse(context, "the block has more threads than the device allows");
    if (wants_clusters(launch) && !context->info.has_clusters)
        return refuse(context, "clusters need an sm_90 device and a driver of CUDA 11.8 or newer");
    if (launch->cooperative && !context->driver->api.cuLaunchKernelEx)
        return refuse(context, "a cooperative launch needs a driver of CUDA 11.6 or newer");
    if (launch->shared_bytes > UINT32_MAX)
        return refuse(context, "the shared memory of a block does not fit 32 bits");
    return KG_CUDA_OK;
}

static unsigned set_attributes(cu_launch_attribute attributes[MOST_ATTRIBUTES],
                               const struct kg_cuda_launch *launch, bool may_overlap)
{
    unsigned count = 0;

    memset(attributes, 0, MOST_ATTRIBUTES * sizeof attributes[0]);
    if (wants_clusters(launch)) {
        attributes[count].id = KG_CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        attributes[count].value.cluster.x = launch->cluster[0] ? launch->cluster[0] : 1;
        attributes[count].value.cluster.y = launch->cluster[1] ? launch->cluster[1] : 1;
        attributes[count].value.cluster.z = launch->cluster[2] ? launch->cluster[2] : 1;
        count++;
    }
    if (launch->cooperative) {
        attributes[count].id = KG_CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
        attributes[count].value.cooperative = 1;
        count++;
    }
    if (launch->programmatic && may_overlap) {
        attributes[count].id = KG_CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
        attributes[count].value.programmatic = 1;
        count++;
    }
    return count;
}

/* In the context. */
static cu_result launch_in_context(const struct kg_cuda_context *context, cu_function function,
                                   const struct kg_cuda_launch *launch)
{
    const struct driver_api *api = &context->driver->api;
    const unsigned *grid = launch->grid, *block = launch->block;
    unsigned shared_bytes = (unsigned)launch->shared_bytes;
    cu_stream stream = (cu_stream)launch->stream;
    cu_launch_attribute attributes[MOST_ATTRIBUTES];
    cu_launch_config config = {grid[0],  grid[1],  grid[2],      block[0],
                               block[1], block[2], shared_bytes, stream};

    if (!api->cuLaunchKernelEx)
        return api->cuLaunchKernel(function, grid[0], grid[1], grid[2], block[0], block[1],
                                   block[2], shared_bytes, stream, launch->arguments, NULL);
    config.attributes = attributes;
    config.attribute_count = set_attributes(attributes, launch, context->info.has_clusters);
    return api->cuLaunchKernelEx(&config, function, launch->arguments, NULL);
}

enum kg_cuda_status kg_cuda_launch(struct kg_cuda_kernel kernel,
                                   const struct kg_cuda_launch *launch)
{
    struct kg_cuda_context *context = kernel.module->context;
    enum kg_cuda_status status = check_launch(context, launch);
    cu_result result;

    if (status == KG_CUDA_OK) status = context_enter(context);
    if (status != KG_CUDA_OK) return status;
    result = launch_in_context(context, kernel.function, launch);
    context_leave(context);
    return driver_check(context->driver, result,
                        "launch a kernel of %u x %u x %u blocks of %u x %u x %u threads with %zu "
                        "bytes of shared memory",
                        launch->grid[0], launch->grid[1], launch->grid[2], launch->block[0],
                        launch->block[1], launch->block[2], launch->shared_bytes);
}

/* ---- tensor maps ---- */

/* The kind of number does not matter to a copy: zeros are zeros. */
static int tensor_type(unsigned bytes, enum kg_cuda_element element)
{
    bool real = element == KG_CUDA_FLOAT, plain = element == KG_CUDA_UNSIGNED;
    switch (bytes) {
    case 1: return KG_CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case 2:
        return real                        ? KG_CU_TENSOR_MAP_DATA_TYPE_FLOAT16
               : element == KG_CUDA_BFLOAT ? KG_CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                           : KG_CU_TENSOR_MAP_DATA_TYPE_UINT16;
    case 4:
        return real    ? KG_CU_TENSOR_MAP_DATA_TYPE_FLOAT32
               : plain ? KG_CU_TENSOR_MAP_DATA_TYPE_UINT32
                       : KG_CU_TENSOR_MAP_DATA_TYPE_INT32;
    default:
        return real    ? KG_CU_TENSOR_MAP_DATA_TYPE_FLOAT64
               : plain ? KG_CU_TENSOR_MAP_DATA_TYPE_UINT64
                       : KG_CU_TENSOR_MAP_DATA_TYPE_INT64;
    }
}

static int swizzle_of(unsigned bytes)
{
    switch (bytes) {
    case 32: return KG_CU_TENSOR_MAP_SWIZZLE_32B;
    case 64: return KG_CU_TENSOR_MAP_SWIZZLE_64B;
    case 128: return KG_CU_TENSOR_MAP_SWIZZLE_128B;
    default: return KG_CU_TENSOR_MAP_SWIZZLE_NONE;
    }
}

enum kg_cuda_status kg_cuda_encode_map(struct kg_cuda_context *context,
                                       const struct kg_cuda_tensor *tensor, void *map)
{
    static const uint32_t steps[5] = {1, 1, 1, 1, 1};

    if (!context->driver->api.cuTensorMapEncodeTiled)
        return driver_report(&context->driver->config, KG_CUDA_ERROR, KG_CUDA_TOO_OLD,
                             "tensor maps need a driver of CUDA 12.0 or newer");
    RETURN_DRIVER_CALL(context,
                       cuTensorMapEncodeTiled(map, tensor_type(tensor->element_bytes,
                                                               tensor->element),
                                              tensor->rank, (void *)(uintptr_t)tensor->address,
                                              tensor->sizes, tensor->strides, tensor->box, steps,
                                              0, swizzle_of(tensor->swizzle),
                                              KG_CU_TENSOR_MAP_L2_PROMOTION_L2_128B, 0),
                       "encode a tensor map of rank %u", tensor->rank);
}
