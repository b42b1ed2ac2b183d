// SPDX-License-Identifier: MIT
/*
 * A GPU through the CUDA driver, found at run time: nothing of NVIDIA's is needed to build or to
 * link.
 *
 *     struct kg_cuda_driver *driver;
 *     struct kg_cuda_context *context;
 *     if (kg_cuda_open(&config, &driver) == KG_CUDA_OK &&
 *         kg_cuda_context_retain(driver, 0, &context) == KG_CUDA_OK) ...
 *
 * Every function that can fail returns a status. What went wrong, in words, goes to the report
 * function of the configuration, on the calling thread, before the function returns.
 *
 * Threads: a driver and everything made from it may be used from any number of threads at once,
 * also the report function and the allocator may then be called from several. The only orders that
 * the caller must keep are the natural ones: nothing is used after it was released, and what is
 * released is not in use. No function leaves a context current that was not so before, so that a
 * host which uses CUDA itself sees no change.
 *
 * Addresses on the device are 64-bit numbers. Copies, fills and launches are put on a stream in
 * order and may return before they ran; NULL is the default stream. An error of a kernel shows in
 * the next synchronizing call.
 */
#ifndef KGEN_RUNTIME_CUDA_CUDA_DEVICE_H
#define KGEN_RUNTIME_CUDA_CUDA_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kg_cuda_status {
    KG_CUDA_OK,
    KG_CUDA_NO_DRIVER,            /* no libcuda.so.1, or one that does not work here */
    KG_CUDA_TOO_OLD,              /* the driver lacks what was asked */
    KG_CUDA_NO_DEVICE,            /* no GPU, or not that many */
    KG_CUDA_BAD_ARGUMENT,         /* the call makes no sense */
    KG_CUDA_OUT_OF_HOST_MEMORY,   /* the allocator of the configuration returned NULL */
    KG_CUDA_OUT_OF_DEVICE_MEMORY, /* the GPU's memory is used up */
    KG_CUDA_BAD_MODULE,           /* PTX or cubin refused; the log of the JIT was reported */
    KG_CUDA_NOT_FOUND,            /* no kernel of this name */
    KG_CUDA_LAUNCH_REFUSED,       /* this kernel cannot be launched like that */
    KG_CUDA_NOT_READY,            /* the work is still running */
    KG_CUDA_DEVICE_LOST,          /* a kernel failed; the context is of no use any more */
    KG_CUDA_DRIVER_FAILED,        /* any other error of the driver */
};

enum kg_cuda_severity { KG_CUDA_NOTE, KG_CUDA_WARNING, KG_CUDA_ERROR, KG_CUDA_HELP };

/* One message. An error may be followed by a HELP that says what to do about it. */
struct kg_cuda_message {
    enum kg_cuda_severity severity;
    enum kg_cuda_status
        status;       /* what the function is about to return; KG_CUDA_OK for mere notes */
    int driver_error; /* the driver's number, or 0 */
    int ptx_line;     /* line in the PTX that a message of the JIT speaks of, or 0 */
    const char *text; /* no newline; valid during the call */
};

/* Where host memory comes from; malloc's memory is aligned for any type. */
struct kg_cuda_allocator {
    void *(*malloc)(void *user, size_t bytes);
    void (*free)(void *user, void *memory);
    void *user;
};

/* All zero is a good configuration: the system's driver, libc's memory, no messages. */
struct kg_cuda_config {
    const char *driver_path; /* NULL: libcuda.so.1 by the usual search of the dynamic linker */
    const struct kg_cuda_allocator *allocator; /* copied */
    void (*report)(void *user, const struct kg_cuda_message *message);
    void *report_user;
};

struct kg_cuda_driver;  /* an opened driver library */
struct kg_cuda_context; /* a retained primary context of one device */
struct kg_cuda_module;  /* loaded PTX or cubin */
struct kg_cuda_stream;  /* what the driver calls a stream, unwrapped */
struct kg_cuda_event;   /* likewise */

/* The word for a status, "out of device memory". Never NULL. */
const char *kg_cuda_status_text(enum kg_cuda_status status);

/* ---- driver and devices ---- */

enum kg_cuda_status kg_cuda_open(const struct kg_cuda_config *config,
                                 struct kg_cuda_driver **driver);
/* All contexts must be released before. NULL is ignored. */
void kg_cuda_close(struct kg_cuda_driver *driver);

/* The newest CUDA that the driver supports, 1000 * major + 10 * minor: 12080 is 12.8. */
int kg_cuda_driver_version(const struct kg_cuda_driver *driver);
enum kg_cuda_status kg_cuda_device_count(struct kg_cuda_driver *driver, int *count);

struct kg_cuda_device_info {
    char name[128];
    int ordinal;
    int sm; /* 80 for sm_80, 103 for sm_103 */
    int driver_version;
    int multiprocessors;
    int warp_size;
    int threads_per_block;
    int threads_per_multiprocessor;
    int registers_per_multiprocessor;
    int shared_per_block;          /* bytes that any kernel may use */
    int shared_per_block_opt_in;   /* bytes after kg_cuda_kernel_allow_shared */
    int shared_per_multiprocessor; /* bytes */
    int l2_bytes;
    int clock_khz;        /* 0 where the driver does not say */
    int memory_clock_khz; /* 0 where the driver does not say */
    int memory_bus_bits;  /* 0 where the driver does not say */
    bool has_clusters;    /* cluster launch works on this device and with this driver */
    uint64_t memory_bytes;
};

enum kg_cuda_status kg_cuda_device_info(struct kg_cuda_driver *driver, int ordinal,
                                        struct kg_cuda_device_info *info);

/* ---- contexts ---- */

enum kg_cuda_status kg_cuda_context_retain(struct kg_cuda_driver *driver, int ordinal,
                                           struct kg_cuda_context **context);
void kg_cuda_context_release(struct kg_cuda_context *context); /* NULL is ignored */
const struct kg_cuda_device_info *kg_cuda_context_device(const struct kg_cuda_context *context);
/* Waits for everything on every stream. The place where a failed kernel is reported. */
enum kg_cuda_status kg_cuda_synchronize(struct kg_cuda_context *context);

/* ---- memory ---- */

/* 0 bytes are allowed and give address 0. Addresses are aligned to 256 bytes at least. */
enum kg_cuda_status kg_cuda_memory_alloc(struct kg_cuda_context *context, size_t bytes,
                                         uint64_t *address);
enum kg_cuda_status kg_cuda_memory_free(struct kg_cuda_context *context, uint64_t address);
enum kg_cuda_status kg_cuda_memory_info(struct kg_cuda_context *context, size_t *available,
                                        size_t *total);

/* Page-locked host memory, from and to which copies run beside kernels. */
enum kg_cuda_status kg_cuda_host_alloc(struct kg_cuda_context *context, size_t bytes,
                                       void **memory);
enum kg_cuda_status kg_cuda_host_free(struct kg_cuda_context *context, void *memory);

/* Host memory must stay as it is until the stream was synchronized. 0 bytes do nothing. */
enum kg_cuda_status kg_cuda_copy_to_device(struct kg_cuda_context *context, uint64_t to,
                                           const void *from, size_t bytes,
                                           struct kg_cuda_stream *stream);
enum kg_cuda_status kg_cuda_copy_to_host(struct kg_cuda_context *context, void *to, uint64_t from,
                                         size_t bytes, struct kg_cuda_stream *stream);
enum kg_cuda_status kg_cuda_copy_on_device(struct kg_cuda_context *context, uint64_t to,
                                           uint64_t from, size_t bytes,
                                           struct kg_cuda_stream *stream);
enum kg_cuda_status kg_cuda_fill_bytes(struct kg_cuda_context *context, uint64_t to, uint8_t value,
                                       size_t bytes, struct kg_cuda_stream *stream);
/* The address is a multiple of 4. */
enum kg_cuda_status kg_cuda_fill_words(struct kg_cuda_context *context, uint64_t to, uint32_t value,
                                       size_t words, struct kg_cuda_stream *stream);

/* ---- streams and events ---- */

/* A stream that does not wait for the default stream. */
enum kg_cuda_status kg_cuda_stream_create(struct kg_cuda_context *context,
                                          struct kg_cuda_stream **stream);
enum kg_cuda_status kg_cuda_stream_destroy(struct kg_cuda_context *context,
                                           struct kg_cuda_stream *stream);
enum kg_cuda_status kg_cuda_stream_synchronize(struct kg_cuda_context *context,
                                               struct kg_cuda_stream *stream);
/* What is put on the stream from now on runs after the event. */
enum kg_cuda_status kg_cuda_stream_wait(struct kg_cuda_context *context,
                                        struct kg_cuda_stream *stream, struct kg_cuda_event *event);

enum kg_cuda_status kg_cuda_event_create(struct kg_cuda_context *context,
                                         struct kg_cuda_event **event);
enum kg_cuda_status kg_cuda_event_destroy(struct kg_cuda_context *context,
                                          struct kg_cuda_event *event);
enum kg_cuda_status kg_cuda_event_record(struct kg_cuda_context *context,
                                         struct kg_cuda_event *event,
                                         struct kg_cuda_stream *stream);
enum kg_cuda_status kg_cuda_event_synchronize(struct kg_cuda_context *context,
                                              struct kg_cuda_event *event);
/* Time between two recorded events. KG_CUDA_NOT_READY (and no message) while one of them is ahead.
 */
enum kg_cuda_status kg_cuda_event_elapsed(struct kg_cuda_context *context,
                                          struct kg_cuda_event *start, struct kg_cuda_event *end,
                                          float *milliseconds);

/* ---- modules and kernels ---- */

struct kg_cuda_load_options {
    bool line_info; /* keep the .loc lines of the PTX, for profilers */
    bool verbose;   /* registers, spills and so on come as notes */
};

/*
 * Loads PTX text (with or without a terminating zero inside `bytes`) or a cubin. The image is not
 * needed afterwards. Each line of the JIT's logs becomes a message, with its line in the PTX.
 * `options` may be NULL.
 */
enum kg_cuda_status kg_cuda_module_load(struct kg_cuda_context *context, const void *image,
                                        size_t bytes, const struct kg_cuda_load_options *options,
                                        struct kg_cuda_module **module);
void kg_cuda_module_unload(struct kg_cuda_module *module); /* NULL is ignored */

/* A kernel is a plain value: copy it as you like, as long as the module is loaded. */
struct kg_cuda_kernel {
    struct kg_cuda_module *module;
    void *function;
};

enum kg_cuda_status kg_cuda_module_kernel(struct kg_cuda_module *module, const char *name,
                                          struct kg_cuda_kernel *kernel);

struct kg_cuda_kernel_attributes {
    int registers;            /* of a thread */
    int local_bytes;          /* of a thread: spills and stack; 0 is what one wants */
    int static_shared_bytes;  /* of a block, besides the dynamic shared memory */
    int dynamic_shared_limit; /* what a launch may ask for now */
    int constant_bytes;
    int max_threads_per_block;
    int binary_sm; /* the target that the code was compiled for */
    int ptx_sm;    /* the target of the PTX that it came from */
};

enum kg_cuda_status kg_cuda_kernel_attributes(struct kg_cuda_kernel kernel,
                                              struct kg_cuda_kernel_attributes *attributes);
/*
 * Lets launches ask for that much dynamic shared memory. Needed above 48 KiB, once for each kernel.
 * KG_CUDA_LAUNCH_REFUSED, with the bytes in words, where the device has less.
 */
enum kg_cuda_status kg_cuda_kernel_allow_shared(struct kg_cuda_kernel kernel, size_t bytes);
/* How many blocks of this size fit on a multiprocessor at the same time. */
enum kg_cuda_status kg_cuda_kernel_occupancy(struct kg_cuda_kernel kernel, int threads,
                                             size_t shared_bytes, int *blocks);

struct kg_cuda_launch {
    unsigned grid[3];    /* blocks; none is 0 */
    unsigned block[3];   /* threads; none is 0 */
    unsigned cluster[3]; /* blocks; all 0 (or 1) where there are no clusters */
    size_t shared_bytes; /* dynamic shared memory */
    bool cooperative;    /* the whole grid is resident at once, or the launch is refused */
    bool programmatic;   /* may begin before the kernel ahead in the stream has ended: the kernel
                            waits for that itself; an sm_90 device is needed */
    struct kg_cuda_stream *stream;
    void **arguments; /* a pointer to each argument's value, as the kernel declares them */
};

enum kg_cuda_status kg_cuda_launch(struct kg_cuda_kernel kernel,
                                   const struct kg_cuda_launch *launch);

/* What an update by the copy engine takes elements for; a copy takes them as they are. */
enum kg_cuda_element {
    KG_CUDA_BITS,
    KG_CUDA_UNSIGNED,
    KG_CUDA_SIGNED,
    KG_CUDA_FLOAT,
    KG_CUDA_BFLOAT
};

/* A tensor in global memory and the boxes that the copy engine moves of it; dimension 0 is the
   fastest. */
struct kg_cuda_tensor {
    unsigned rank; /* 1 to 5 */
    unsigned element_bytes;
    enum kg_cuda_element element;
    uint64_t address;
    uint64_t sizes[5];   /* elements */
    uint64_t strides[4]; /* bytes, of dimension 1 and up */
    uint32_t box[5];     /* elements */
    unsigned swizzle;    /* bytes of the rows whose chunks change places: 0, 32, 64, 128 */
};

/*
 * Writes the tensor's map, 128 bytes aligned to 64 that a kernel takes by value, to `map`. What
 * lies outside of the tensor reads as zero. KG_CUDA_TOO_OLD before CUDA 12.0.
 */
enum kg_cuda_status kg_cuda_encode_map(struct kg_cuda_context *context,
                                       const struct kg_cuda_tensor *tensor, void *map);

#endif
