// SPDX-License-Identifier: MIT
/*
 * Shared by the files of this folder: the table of driver functions, and how errors become
 * messages.
 */
#ifndef KGEN_RUNTIME_CUDA_DRIVER_H
#define KGEN_RUNTIME_CUDA_DRIVER_H

#include "cuda_device.h"
#include "driver_types.h"

/* The oldest driver that kgen works with: 11.0, the first that knows sm_80. */
#define KG_CUDA_OLDEST_DRIVER 11000

struct driver_api {
#define FUNCTION(name, export, version, need, parameters) cu_result(*name) parameters;
#include "driver.def"
};

struct kg_cuda_driver {
    struct kg_cuda_config config; /* driver_path and allocator are not used after opening */
    struct kg_cuda_allocator allocator;
    void *library; /* of dlopen */
    int version;
    struct driver_api api; /* constant after opening; optional functions may be NULL */
};

struct kg_cuda_context {
    struct kg_cuda_driver *driver;
    cu_device device;
    cu_context handle;
    struct kg_cuda_device_info info;
};

void *driver_malloc(struct kg_cuda_driver *driver, size_t bytes);
void driver_free(struct kg_cuda_driver *driver, void *memory);

/* Sends a message; returns `status`, so that a caller can report and return in one line. */
enum kg_cuda_status driver_report(const struct kg_cuda_config *config,
                                  enum kg_cuda_severity severity, enum kg_cuda_status status,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Sends a message that is about a line of PTX (0: about none). */
void driver_report_line(const struct kg_cuda_config *config, enum kg_cuda_severity severity,
                        enum kg_cuda_status status, int ptx_line, const char *text);

/*
 * KG_CUDA_OK when the driver answered 0. Otherwise reports "cannot <what>: <the driver's words>"
 * and, where driver.def has one, the help for this error, and returns the status of that row.
 */
enum kg_cuda_status driver_check(const struct kg_cuda_driver *driver, cu_result result,
                                 const char *what, ...) __attribute__((format(printf, 3, 4)));

/*
 * Makes the context current on this thread. Each enter that returns KG_CUDA_OK is followed by a
 * leave on the same thread; between the two only calls of the driver.
 */
enum kg_cuda_status context_enter(struct kg_cuda_context *context);
void context_leave(struct kg_cuda_context *context);

/*
 * Runs one driver call in the context and ends the enclosing function with its status: what nearly
 * every function of the interface does.
 */
#define RETURN_DRIVER_CALL(context, call, ...)                                                     \
    do {                                                                                           \
        enum kg_cuda_status entered = context_enter(context);                                      \
        if (entered != KG_CUDA_OK) return entered;                                                 \
        cu_result answer = (context)->driver->api.call;                                            \
        context_leave(context);                                                                    \
        return driver_check((context)->driver, answer, __VA_ARGS__);                               \
    } while (0)

#endif
