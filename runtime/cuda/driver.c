// SPDX-License-Identifier: MIT
/*
 * Finding the driver: dlopen, the table of functions, versions, and errors in words.
 *
 * The library is opened with RTLD_NODELETE: the driver keeps threads and exit handlers of its own,
 * and taking its code away from under them ends the process.
 */
#define _GNU_SOURCE
#include "driver.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LIBRARY "libcuda.so.1"

/* ---- memory ---- */

static void *libc_malloc(void *user, size_t bytes)
{
    return malloc(bytes);
}

static void libc_free(void *user, void *memory)
{
    free(memory);
}

static const struct kg_cuda_allocator libc_allocator = {libc_malloc, libc_free, NULL};

void *driver_malloc(struct kg_cuda_driver *driver, size_t bytes)
{
    void *memory = driver->allocator.malloc(driver->allocator.user, bytes ? bytes : 1);

    if (!memory)
        driver_report(&driver->config, KG_CUDA_ERROR, KG_CUDA_OUT_OF_HOST_MEMORY,
                      "no host memory for %zu bytes", bytes);
    return memory;
}

void driver_free(struct kg_cuda_driver *driver, void *memory)
{
    if (memory) driver->allocator.free(driver->allocator.user, memory);
}

/* ---- messages ---- */

const char *kg_cuda_status_text(enum kg_cuda_status status)
{
    static const char *const text[] = {
        [KG_CUDA_OK] = "ok",
        [KG_CUDA_NO_DRIVER] = "no CUDA driver",
        [KG_CUDA_TOO_OLD] = "CUDA driver too old",
        [KG_CUDA_NO_DEVICE] = "no such CUDA device",
        [KG_CUDA_BAD_ARGUMENT] = "bad argument",
        [KG_CUDA_OUT_OF_HOST_MEMORY] = "out of host memory",
        [KG_CUDA_OUT_OF_DEVICE_MEMORY] = "out of device memory",
        [KG_CUDA_BAD_MODULE] = "module refused",
        [KG_CUDA_NOT_FOUND] = "not found",
        [KG_CUDA_LAUNCH_REFUSED] = "launch refused",
        [KG_CUDA_NOT_READY] = "not ready",
        [KG_CUDA_DEVICE_LOST] = "device lost",
        [KG_CUDA_DRIVER_FAILED] = "CUDA driver failed",
    };

    return (size_t)status < sizeof text / sizeof text[0] ? text[status] : "unknown status";
}

static void send(const struct kg_cuda_config *config, struct kg_cuda_message message)
{
    if (config->report) config->report(config->report_user, &message);
}

enum kg_cuda_status driver_report(const struct kg_cuda_config *config,
                                  enum kg_cuda_severity severity, enum kg_cuda_status status,
                                  const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    send(config, (struct kg_cuda_message){severity, status, 0, 0, text});
    return status;
}

void driver_report_line(const struct kg_cuda_config *config, enum kg_cuda_severity severity,
                        enum kg_cuda_status status, int ptx_line, const char *text)
{
    send(config, (struct kg_cuda_message){severity, status, 0, ptx_line, text});
}

struct error_row {
    cu_result result;
    enum kg_cuda_status status;
    const char *help;
};

static struct error_row error_row_of(cu_result result)
{
    static const struct error_row rows[] = {
#define ERROR(name, number, status, help) {number, KG_CUDA_##status, help},
#include "driver.def"
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].result == result) return rows[i];
    return (struct error_row){result, KG_CUDA_DRIVER_FAILED, NULL};
}

enum kg_cuda_status driver_check(const struct kg_cuda_driver *driver, cu_result result,
                                 const char *what, ...)
{
    const char *name = NULL, *words = NULL;
    char doing[512], text[1024];
    struct error_row row;
    va_list arguments;

    if (result == 0) return KG_CUDA_OK;
    row = error_row_of(result);
    va_start(arguments, what);
    vsnprintf(doing, sizeof doing, what, arguments);
    va_end(arguments);
    /* Both leave NULL behind for numbers that this driver does not know. */
    driver->api.cuGetErrorName(result, &name);
    driver->api.cuGetErrorString(result, &words);
    snprintf(text, sizeof text, "cannot %s: %s (%s, %d)", doing,
             words ? words : "the driver has no words for it", name ? name : "unknown error",
             result);
    send(&driver->config, (struct kg_cuda_message){KG_CUDA_ERROR, row.status, result, 0, text});
    if (row.help)
        send(&driver->config,
             (struct kg_cuda_message){KG_CUDA_HELP, row.status, result, 0, row.help});
    return row.status;
}

/* ---- opening ---- */

enum need { REQUIRED, OPTIONAL };

struct function_row {
    const char *name, *export;
    int version;
    enum need need;
    size_t offset; /* of the pointer in struct driver_api */
};

static const struct function_row function_rows[] = {
#define FUNCTION(name, export, version, need, parameters)                                          \
    {#name, #export, version, need, offsetof(struct driver_api, name)},
#include "driver.def"
};

/* cuGetProcAddress before 12.0 (four parameters) and since (a fifth says why there is no address).
 */
typedef cu_result (*get_address_11)(const char *, void **, int, unsigned long long);
typedef cu_result (*get_address_12)(const char *, void **, int, unsigned long long, int *);

struct resolver {
    void *library;
    get_address_11 get_11;
    get_address_12 get_12;
};

static struct resolver make_resolver(void *library)
{
    struct resolver resolver = {library};
    void *symbol = dlsym(library, "cuGetProcAddress_v2");

    memcpy(&resolver.get_12, &symbol, sizeof symbol);
    symbol = dlsym(library, "cuGetProcAddress");
    memcpy(&resolver.get_11, &symbol, sizeof symbol);
    return resolver;
}

/* NULL when this driver has no such function. */
static void *resolve(const struct resolver *resolver, const struct function_row *row)
{
    void *address = NULL;
    cu_result result;
    int found;

    if (resolver->get_12)
        result = resolver->get_12(row->name, &address, row->version, 0, &found);
    else if (resolver->get_11)
        result = resolver->get_11(row->name, &address, row->version, 0);
    else
        return dlsym(resolver->library, row->export);
    return result == 0 ? address : NULL;
}

static enum kg_cuda_status fill_table(struct kg_cuda_driver *driver)
{
    struct resolver resolver = make_resolver(driver->library);

    for (size_t i = 0; i < sizeof function_rows / sizeof function_rows[0]; i++) {
        const struct function_row *row = &function_rows[i];
        void *address = resolve(&resolver, row);

        if (!address && row->need == REQUIRED)
            return driver_report(&driver->config, KG_CUDA_ERROR, KG_CUDA_TOO_OLD,
                                 "the CUDA driver has no %s, which every driver since 11.0 has",
                                 row->name);
        memcpy((char *)&driver->api + row->offset, &address, sizeof address);
    }
    return KG_CUDA_OK;
}

static enum kg_cuda_status open_library(struct kg_cuda_driver *driver)
{
    const char *path = driver->config.driver_path;

    if (!path) path = DEFAULT_LIBRARY;
    driver->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (driver->library) return KG_CUDA_OK;
    driver_report(&driver->config, KG_CUDA_ERROR, KG_CUDA_NO_DRIVER, "no CUDA driver: %s",
                  dlerror());
    return driver_report(&driver->config, KG_CUDA_HELP, KG_CUDA_NO_DRIVER,
                         "install NVIDIA's driver, or use the cpu device, which needs none");
}

static enum kg_cuda_status check_version(struct kg_cuda_driver *driver)
{
    int version = 0;
    enum kg_cuda_status status = driver_check(driver, driver->api.cuDriverGetVersion(&version),
                                              "ask the CUDA driver for its version");

    if (status != KG_CUDA_OK) return status;
    driver->version = version;
    if (version >= KG_CUDA_OLDEST_DRIVER) return KG_CUDA_OK;
    return driver_report(&driver->config, KG_CUDA_ERROR, KG_CUDA_TOO_OLD,
                         "the CUDA driver supports CUDA %d.%d; kgen needs 11.0 or newer",
                         version / 1000, version % 1000 / 10);
}

/* The version comes before cuInit: a driver that is too old says so even where no GPU is left. */
static enum kg_cuda_status start_driver(struct kg_cuda_driver *driver)
{
    enum kg_cuda_status status = open_library(driver);

    if (status == KG_CUDA_OK) status = fill_table(driver);
    if (status == KG_CUDA_OK) status = check_version(driver);
    if (status == KG_CUDA_OK)
        status = driver_check(driver, driver->api.cuInit(0), "start the CUDA driver");
    return status;
}

enum kg_cuda_status kg_cuda_open(const struct kg_cuda_config *config,
                                 struct kg_cuda_driver **driver)
{
    struct kg_cuda_allocator allocator = config->allocator ? *config->allocator : libc_allocator;
    struct kg_cuda_driver *opened = allocator.malloc(allocator.user, sizeof *opened);
    enum kg_cuda_status status;

    *driver = NULL;
    if (!opened)
        return driver_report(config, KG_CUDA_ERROR, KG_CUDA_OUT_OF_HOST_MEMORY,
                             "no host memory for the CUDA driver's table");
    *opened = (struct kg_cuda_driver){.config = *config, .allocator = allocator};
    status = start_driver(opened);
    opened->config.driver_path = NULL;
    opened->config.allocator = NULL;
    if (status == KG_CUDA_OK)
        *driver = opened;
    else
        kg_cuda_close(opened);
    return status;
}

void kg_cuda_close(struct kg_cuda_driver *driver)
{
    if (!driver) return;
    if (driver->library) dlclose(driver->library);
    driver_free(driver, driver);
}

int kg_cuda_driver_version(const struct kg_cuda_driver *driver)
{
    return driver->version;
}
