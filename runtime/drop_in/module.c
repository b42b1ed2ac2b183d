// SPDX-License-Identifier: MIT
// Modules and libraries: loading PTX, the logs of the compiler that a real driver would have run,
// functions, variables.
#include "driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// ---- logs --------------------------------------------------------------------------------------

struct jit_options {
    unsigned count;
    const cu_jit_option *options;
    void **values;
};

static void **find_option(const struct jit_options *jit, int option)
{
    for (unsigned i = 0; i < jit->count; i++)
        if (jit->options[i] == option) return &jit->values[i];
    return NULL;
}

static bool options_are_valid(const struct jit_options *jit)
{
    if (jit->count && (!jit->options || !jit->values)) return false;
    for (unsigned i = 0; i < jit->count; i++)
        if (jit->options[i] < 0 || jit->options[i] >= CU_JIT_NUM_OPTIONS) return false;
    return true;
}

static struct jit_log open_log(const struct jit_options *jit)
{
    void **info = find_option(jit, CU_JIT_INFO_LOG_BUFFER);
    void **info_size = find_option(jit, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
    void **error = find_option(jit, CU_JIT_ERROR_LOG_BUFFER);
    void **error_size = find_option(jit, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
    void **verbose = find_option(jit, CU_JIT_LOG_VERBOSE);
    struct jit_log log = {0};

    if (info && info_size) log.info = *info, log.info_size = (unsigned)(uintptr_t)*info_size;
    if (error && error_size) log.error = *error, log.error_size = (unsigned)(uintptr_t)*error_size;
    if (!log.info) log.info_size = 0;
    if (!log.error) log.error_size = 0;
    if (log.info_size) log.info[0] = '\0';
    if (log.error_size) log.error[0] = '\0';
    log.verbose = verbose && *verbose;
    return log;
}

// The sizes become what was written, as the real driver does.
static void close_log(const struct jit_log *log, const struct jit_options *jit, double milliseconds)
{
    void **info_size = find_option(jit, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
    void **error_size = find_option(jit, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
    void **time = find_option(jit, CU_JIT_WALL_TIME);
    float taken = (float)milliseconds;

    if (info_size) *info_size = (void *)(uintptr_t)log->info_length;
    if (error_size) *error_size = (void *)(uintptr_t)log->error_length;
    if (time) memcpy(time, &taken, sizeof taken);
}

__attribute__((format(printf, 4, 5))) static void append(char *buffer, size_t size, size_t *length,
                                                         const char *format, ...)
{
    va_list arguments;
    int written;

    if (!size) return;
    va_start(arguments, format);
    written = vsnprintf(buffer + *length, size - *length, format, arguments);
    va_end(arguments);
    if (written > 0) *length += (size_t)written;
    if (*length >= size) *length = size - 1;
}

static void complain(struct jit_log *log, const char *message)
{
    append(log->error, log->error_size, &log->error_length, "%s\n", message);
}

static void hear(void *user, const struct ptxm_diagnostic *d)
{
    struct jit_log *log = user;

    append(log->error, log->error_size, &log->error_length,
           "ptxas application ptx input, line %u; error   : %s\n", d->line, d->message);
}

// ---- loading -----------------------------------------------------------------------------------

struct loaded {
    struct ptxm_module *machine;
    struct function **functions;
    int sm;
};

static void unload(const struct loaded *loaded)
{
    ptxm_module_free(loaded->machine);
    free(loaded->functions);
}

static cu_result parse(const char *text, int sm, struct jit_log *log, struct loaded *loaded)
{
    struct ptxm_load_options options = {.diagnostic = hear, .diagnostic_user = log};
    enum ptxm_status status = ptxm_module_load(text, strlen(text), &options, &loaded->machine);
    const char *target;

    if (status == PTXM_ERROR_MEMORY) return CUDA_ERROR_OUT_OF_MEMORY;
    if (status) {
        complain(log, "ptxas fatal   : Ptx assembly aborted due to errors");
        return CUDA_ERROR_INVALID_PTX;
    }
    target = ptxm_module_target(loaded->machine);
    loaded->sm = 0;
    if (target) sscanf(target, "sm_%d", &loaded->sm);
    if (!target || !driver_target_fits(target, sm)) {
        append(log->error, log->error_size, &log->error_length,
               "ptxas fatal   : the module's target %s does not run on this device (sm_%d)\n",
               target ? target : "(none)", sm);
        return CUDA_ERROR_INVALID_PTX;
    }
    return CUDA_SUCCESS;
}

// Without the lock: parsing may take long. Nothing stays on failure.
static cu_result load(const void *image, const struct jit_options *jit, struct loaded *loaded)
{
    int sm = the_driver.settings.model.sm;
    struct jit_log log = open_log(jit);
    struct timespec start, end;
    const char *complaint;
    char *text;
    cu_result result;

    *loaded = (struct loaded){0};
    clock_gettime(CLOCK_MONOTONIC, &start);
    result = driver_image_text(image, sm, &text, &complaint);
    if (result)
        complain(&log, complaint);
    else
        result = parse(text, sm, &log, loaded);
    free(text);
    if (!result) {
        size_t count = ptxm_module_kernel_count(loaded->machine);

        loaded->functions = calloc(count ? count : 1, sizeof *loaded->functions);
        if (!loaded->functions) result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (!result && log.verbose)
        append(log.info, log.info_size, &log.info_length,
               "ptxas info    : %zu kernels, %zu instructions, compiled for sm_%d\n",
               ptxm_module_kernel_count(loaded->machine),
               ptxm_module_instruction_count(loaded->machine), sm);
    clock_gettime(CLOCK_MONOTONIC, &end);
    close_log(&log, jit,
              1e3 * (double)(end.tv_sec - start.tv_sec) +
                  1e-6 * (double)(end.tv_nsec - start.tv_nsec));
    if (result) unload(loaded);
    return result;
}

static struct module *make_module(struct context *context, const struct loaded *loaded)
{
    struct module *module = driver_new(KIND_MODULE, sizeof *module, context);

    if (!module) return NULL;
    module->machine = loaded->machine;
    module->functions = loaded->functions;
    module->kernel_count = ptxm_module_kernel_count(loaded->machine);
    module->ptx_sm = loaded->sm;
    return module;
}

static cu_result load_module(cu_module *handle, const void *image, const struct jit_options *jit)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    uint64_t context_handle;
    struct module *module;
    struct loaded loaded;

    if (result) return result;
    if (!handle || !image || !options_are_valid(jit)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    context_handle = context->object.handle;
    driver_leave(CUDA_SUCCESS);
    result = load(image, jit, &loaded);
    if (result) return result;
    driver_enter();
    context = driver_find_number(context_handle, KIND_CONTEXT);
    module = context ? make_module(context, &loaded) : NULL;
    if (!module) {
        unload(&loaded);
        return driver_leave(context ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_CONTEXT_IS_DESTROYED);
    }
    *handle = HANDLE_OF(cu_module, module);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuModuleLoadDataEx(cu_module *module, const void *image, unsigned count,
                             cu_jit_option *options, void **values)
{
    const struct jit_options jit = {count, options, values};

    return load_module(module, image, &jit);
}

cu_result cuModuleLoadData(cu_module *module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

cu_result cuModuleLoadFatBinary(cu_module *module, const void *image)
{
    return cuModuleLoadDataEx(module, image, 0, NULL, NULL);
}

cu_result cuModuleLoad(cu_module *module, const char *path)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    size_t size;
    char *image;

    if (result) return result;
    driver_leave(CUDA_SUCCESS);
    if (!module || !path) return CUDA_ERROR_INVALID_VALUE;
    result = driver_read_file(path, &image, &size);
    if (result) return result;
    result = cuModuleLoadData(module, image);
    free(image);
    return result;
}

cu_result cuModuleGetLoadingMode(cu_loading_mode *mode)
{
    cu_result result = driver_enter();

    if (result) return result;
    if (!mode) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *mode = CU_MODULE_EAGER_LOADING;
    return driver_leave(CUDA_SUCCESS);
}

// ---- unloading: the queue is drained -----------------------------------------------------------

void driver_free_module(struct module *module)
{
    driver_forget_memories(NULL, module);
    pthread_mutex_lock(&the_driver.machine_lock);
    ptxm_device_forget(the_driver.machine, module->machine);
    pthread_mutex_unlock(&the_driver.machine_lock);
    for (size_t i = 0; i < module->kernel_count; i++) {
        if (module->functions[i]) driver_delete(module->functions[i]->kernel);
        driver_delete(module->functions[i]);
    }
    unload(&(struct loaded){module->machine, module->functions, 0});
    driver_delete(module);
}

void driver_free_library(struct library *library)
{
    driver_free_module(library->module);
    driver_delete(library);
}

void driver_free_context_objects(struct context *context)
{
    for (size_t i = 0; i < the_driver.slot_count; i++) {
        struct object *object = driver_slot_object(i, context);

        if (!object || object->kind == KIND_FUNCTION) continue;
        if (object->kind == KIND_MODULE)
            driver_free_module((struct module *)object);
        else if (object->kind == KIND_LINK)
            driver_free_link((struct link *)object);
        else
            driver_delete(object);
    }
}

cu_result cuModuleUnload(cu_module handle)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);
    struct module *module;

    if (result) return result;
    driver_drain();
    module = driver_find(handle, KIND_MODULE);
    if (!module || module->library) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    driver_free_module(module);
    return driver_leave(CUDA_SUCCESS);
}

// ---- what is in a module -----------------------------------------------------------------------

struct function *driver_function(struct module *module, size_t index)
{
    struct function *function = module->functions[index];

    if (function) return function;
    function = driver_new(KIND_FUNCTION, sizeof *function, module->object.context);
    if (!function) return NULL;
    function->module = module;
    function->info = ptxm_module_kernel(module->machine, index);
    function->dynamic_shared = -1;
    function->carveout = -1;
    return module->functions[index] = function;
}

static cu_result find_by_name(struct module *module, const char *name, struct function **function)
{
    for (size_t i = 0; i < module->kernel_count; i++) {
        if (strcmp(ptxm_module_kernel(module->machine, i)->name, name) != 0) continue;
        *function = driver_function(module, i);
        return *function ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
    }
    return CUDA_ERROR_NOT_FOUND;
}

static cu_result enter_module(cu_module handle, struct module **module)
{
    struct context *context;
    cu_result result = driver_enter_context(&context);

    if (result) return result;
    *module = driver_find(handle, KIND_MODULE);
    return *module ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

cu_result cuModuleGetFunction(cu_function *handle, cu_module module_handle, const char *name)
{
    struct module *module;
    cu_result result = enter_module(module_handle, &module);
    struct function *function;

    if (result) return result;
    if (!handle || !name) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    result = find_by_name(module, name, &function);
    if (!result) *handle = HANDLE_OF(cu_function, function);
    return driver_leave(result);
}

cu_result cuModuleGetFunctionCount(unsigned *count, cu_module handle)
{
    struct module *module;
    cu_result result = enter_module(handle, &module);

    if (result) return result;
    if (!count) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *count = (unsigned)module->kernel_count;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuModuleEnumerateFunctions(cu_function *handles, unsigned count, cu_module handle)
{
    struct module *module;
    cu_result result = enter_module(handle, &module);

    if (result) return result;
    if (!handles) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    for (unsigned i = 0; i < count && i < module->kernel_count; i++) {
        struct function *function = driver_function(module, i);

        if (!function) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
        handles[i] = HANDLE_OF(cu_function, function);
    }
    return driver_leave(CUDA_SUCCESS);
}

// The machine makes the variables at the first need. It may be running a kernel: that comes first.
static cu_result find_global(cu_address *address, size_t *size, struct module *module,
                             const char *name)
{
    uint64_t handle = module->object.handle, base = 0;
    enum ptxm_status status;
    cu_result result;
    size_t bytes = 0;

    driver_drain();
    module = driver_find_number(handle, KIND_MODULE);
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    pthread_mutex_lock(&the_driver.machine_lock);
    status = ptxm_module_symbol(the_driver.machine, module->machine, name, &base, &bytes);
    pthread_mutex_unlock(&the_driver.machine_lock);
    if (status == PTXM_ERROR_NOT_FOUND) return CUDA_ERROR_NOT_FOUND;
    if (status) return CUDA_ERROR_OUT_OF_MEMORY;
    result = driver_note_global(module, base, bytes);
    if (!result && address) *address = base;
    if (!result && size) *size = bytes;
    return result;
}

cu_result cuModuleGetGlobal_v2(cu_address *address, size_t *size, cu_module handle,
                               const char *name)
{
    struct module *module;
    cu_result result = enter_module(handle, &module);

    if (result) return result;
    if (!name || (!address && !size)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(find_global(address, size, module, name));
}

// ---- libraries ---------------------------------------------------------------------------------

// A library is a module of no context; its functions run in all.
cu_result cuLibraryLoadData(cu_library *handle, const void *image, cu_jit_option *options,
                            void **values, unsigned count, cu_library_option *library_options,
                            void **library_values, unsigned library_count)
{
    const struct jit_options jit = {count, options, values};
    cu_result result = driver_enter();
    struct library *library;
    struct loaded loaded;

    if (result) return result;
    driver_leave(CUDA_SUCCESS);
    if (!handle || !image || !options_are_valid(&jit) || (library_count && !library_options))
        return CUDA_ERROR_INVALID_VALUE;
    result = load(image, &jit, &loaded);
    if (result) return result;
    driver_enter();
    library = driver_new(KIND_LIBRARY, sizeof *library, NULL);
    if (library) library->module = make_module(NULL, &loaded);
    if (!library || !library->module) {
        driver_delete(library);
        unload(&loaded);
        return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    }
    library->module->library = library;
    *handle = HANDLE_OF(cu_library, library);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLibraryLoadFromFile(cu_library *library, const char *path, cu_jit_option *options,
                                void **values, unsigned count, cu_library_option *library_options,
                                void **library_values, unsigned library_count)
{
    cu_result result = driver_enter();
    size_t size;
    char *image;

    if (result) return result;
    driver_leave(CUDA_SUCCESS);
    if (!library || !path) return CUDA_ERROR_INVALID_VALUE;
    result = driver_read_file(path, &image, &size);
    if (result) return result;
    result = cuLibraryLoadData(library, image, options, values, count, library_options,
                               library_values, library_count);
    free(image);
    return result;
}

cu_result cuLibraryUnload(cu_library handle)
{
    cu_result result = driver_enter();
    struct library *library;

    if (result) return result;
    driver_drain();
    library = driver_find(handle, KIND_LIBRARY);
    if (!library) return driver_leave(CUDA_ERROR_INVALID_HANDLE);
    driver_free_library(library);
    return driver_leave(CUDA_SUCCESS);
}

static cu_result enter_library(cu_library handle, struct library **library)
{
    cu_result result = driver_enter();

    if (result) return result;
    *library = driver_find(handle, KIND_LIBRARY);
    return *library ? CUDA_SUCCESS : driver_leave(CUDA_ERROR_INVALID_HANDLE);
}

static struct kernel *kernel_of(struct library *library, struct function *function)
{
    struct kernel *kernel = function->kernel;

    if (kernel) return kernel;
    kernel = driver_new(KIND_KERNEL, sizeof *kernel, NULL);
    if (!kernel) return NULL;
    kernel->library = library;
    kernel->function = function;
    return function->kernel = kernel;
}

cu_result cuLibraryGetKernel(cu_kernel *handle, cu_library library_handle, const char *name)
{
    struct library *library;
    cu_result result = enter_library(library_handle, &library);
    struct function *function;
    struct kernel *kernel;

    if (result) return result;
    if (!handle || !name) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    result = find_by_name(library->module, name, &function);
    if (result) return driver_leave(result);
    kernel = kernel_of(library, function);
    if (!kernel) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
    *handle = HANDLE_OF(cu_kernel, kernel);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLibraryGetKernelCount(unsigned *count, cu_library handle)
{
    struct library *library;
    cu_result result = enter_library(handle, &library);

    if (result) return result;
    if (!count) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *count = (unsigned)library->module->kernel_count;
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLibraryEnumerateKernels(cu_kernel *handles, unsigned count, cu_library handle)
{
    struct library *library;
    cu_result result = enter_library(handle, &library);

    if (result) return result;
    if (!handles) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    for (unsigned i = 0; i < count && i < library->module->kernel_count; i++) {
        struct function *function = driver_function(library->module, i);
        struct kernel *kernel = function ? kernel_of(library, function) : NULL;

        if (!kernel) return driver_leave(CUDA_ERROR_OUT_OF_MEMORY);
        handles[i] = HANDLE_OF(cu_kernel, kernel);
    }
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLibraryGetModule(cu_module *handle, cu_library library_handle)
{
    struct library *library;
    cu_result result = enter_library(library_handle, &library);

    if (result) return result;
    if (!handle) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    *handle = HANDLE_OF(cu_module, library->module);
    return driver_leave(CUDA_SUCCESS);
}

cu_result cuLibraryGetGlobal(cu_address *address, size_t *size, cu_library handle, const char *name)
{
    struct library *library;
    cu_result result = enter_library(handle, &library);

    if (result) return result;
    if (!name || (!address && !size)) return driver_leave(CUDA_ERROR_INVALID_VALUE);
    return driver_leave(find_global(address, size, library->module, name));
}
