// SPDX-License-Identifier: MIT
// The driver's state and what its files share. A driver has process-wide state by nature: all of it
// is in `the_driver`, behind its lock; only which contexts a thread has made current is the
// thread's own.
//
// Work of streams (copies, fills, launches, host functions, events) goes into one queue, in the
// order in which it was issued, and one thread runs it. That is a legal order for any program: a
// stream waits only for what was issued before. The host goes on meanwhile.
//
// Two locks: `lock` for the books, `machine_lock` for the PTX machine, which serves one call at a
// time and may take long. Nobody takes `lock` while holding the other, and `machine_lock` while
// holding `lock` only when the queue is drained.
#ifndef KGEN_DROP_IN_DRIVER_H
#define KGEN_DROP_IN_DRIVER_H

#include "cuda_types.h"
#include "runtime/cpu/ptxm.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define ALSO(name, also)                                                                           \
    extern __typeof__(name) also __attribute__((alias(#name), visibility("default")))
#define FUNCTION(export, name, version, parameters) EXPORT cu_result export parameters;
#include "functions.def"

enum { DRIVER_VERSION = 13000, MAX_CONTEXTS_OF_THREAD = 256 };

// ---- settings ----------------------------------------------------------------------------------

struct model {
    int sm, multiprocessors, shared_kib, threads, blocks, l2_mib, clock_khz, memory_khz, bus_bits;
    int double_ratio;
    bool managed; // host and device can share addresses in this process
};

struct settings {
    struct model model;
    struct ptxm_launch_options launch;
    size_t memory_bytes;
    char *report_path; // NULL: stderr
    bool go_on;        // after a finding, with the report only
    bool blocking;     // CUDA_LAUNCH_BLOCKING
    bool invisible;    // CUDA_VISIBLE_DEVICES names no device 0
};
// False after a word on the setting that is not understood.
bool driver_read_settings(struct settings *settings);
const struct model *driver_model(int sm);
int driver_attribute(const struct model *model, int attribute, bool *known);

// ---- objects -----------------------------------------------------------------------------------

enum kind {
    KIND_CONTEXT = 1,
    KIND_MODULE,
    KIND_LIBRARY,
    KIND_FUNCTION,
    KIND_KERNEL,
    KIND_STREAM,
    KIND_EVENT,
    KIND_POOL,
    KIND_LINK,
};

// The first member of everything that the host has a handle of. A handle is a number, not an
// address: one that was destroyed, or never was one, is found out.
struct object {
    enum kind kind;
    uint64_t handle;
    struct context *context; // NULL: belongs to none
};

enum { LIMIT_COUNT = 7 };
struct context {
    struct object object;
    unsigned flags;
    bool primary;
    unsigned retained;
    cu_result error; // of a kernel; from then on every call says it
    size_t limits[LIMIT_COUNT];
    cu_cache_config cache;
    uint64_t issued;   // the last piece of work
    uint64_t launched; // the last kernel in a default stream
};

struct module {
    struct object object;
    struct ptxm_module *machine;
    struct function **functions; // a place for each kernel; NULL until asked for
    size_t kernel_count;
    struct library *library; // NULL: the host's own
    int ptx_sm;
};

struct function {
    struct object object;
    struct module *module;
    struct kernel *kernel; // NULL until a library's kernel is asked for
    const struct ptxm_kernel *info;
    int dynamic_shared; // the most that a launch may ask for; negative: never set
    int carveout, cluster[3], nonportable, policy;
};

struct library {
    struct object object;
    struct module *module;
};
struct kernel {
    struct object object;
    struct library *library;
    struct function *function;
};

struct stream {
    struct object object;
    unsigned flags;
    int priority;
    uint64_t issued;
    uint64_t launched; // the last kernel
};

struct event {
    struct object object;
    unsigned flags;
    uint64_t issued; // the work that records it; 0: never recorded
    uint64_t nanoseconds;
};

struct pool {
    struct object object;
    bool is_default;
    int switches[4];
    uint64_t threshold, used, most;
};

enum memory_kind { MEMORY_DEVICE, MEMORY_HOST, MEMORY_REGISTERED, MEMORY_MANAGED, MEMORY_GLOBAL };
struct memory {
    cu_address base;
    size_t size;
    enum memory_kind kind;
    char *host;     // NULL: the device's alone
    size_t mapped;  // bytes to unmap
    unsigned flags; // as given
    uint64_t id;
    struct context *context;
    struct module *module; // of a global
    uint64_t pool;         // handle, or 0
};

struct slot {
    struct object *object;
    uint32_t generation;
    uint32_t next_free; // index plus one
};

// A piece of work: allocated by driver_work, freed by the queue. What it needs beyond this follows
// it in memory.
struct work {
    struct work *next;
    uint64_t ticket, context; // handle
    cu_result (*run)(struct work *work);
    bool even_after_error;
    cu_result status; // of the context, when it runs
};

struct driver {
    pthread_mutex_t lock, machine_lock, report_lock;
    pthread_cond_t more, done;
    bool started;
    pthread_t worker;
    struct settings settings;
    struct ptxm_device *machine;
    struct slot *slots;
    size_t slot_count, slot_capacity;
    uint32_t free_slot;
    struct memory *memories; // by base
    size_t memory_count, memory_capacity, memory_used;
    uint64_t memory_id;
    struct context *primary; // made at the first need, never freed
    unsigned primary_flags;
    struct pool *default_pool, *current_pool;
    struct work *first, *last;
    uint64_t issued, finished;
    uint64_t told; // that all work up to here has ended: to the host, when it waited or asked
};
extern struct driver the_driver;

// ---- entering ----------------------------------------------------------------------------------

// Takes the lock. On failure it is free again. Refuses calls from host functions.
cu_result driver_enter(void);
// The same, with the thread's current context, which must be without error.
cu_result driver_enter_context(struct context **context);
// Gives the lock back. Here, so that the compiler sees that an error stays one.
static inline cu_result driver_leave(cu_result result)
{
    pthread_mutex_unlock(&the_driver.lock);
    return result;
}
void driver_note(const char *format, ...) __attribute__((format(printf, 1, 2), nonnull(1)));

// With the lock held, as everything from here on unless it says otherwise.
void *driver_new(enum kind kind, size_t size, struct context *context);
void driver_delete(void *object);
void *driver_find(const void *handle, enum kind kind);
void *driver_find_number(uint64_t handle, enum kind kind);
#define HANDLE_OF(type, thing) ((type)(uintptr_t)(thing)->object.handle)
// The object in that slot if it belongs to the context, else NULL; for going over all of them.
struct object *driver_slot_object(size_t slot, const struct context *context);
struct context *driver_primary(void); // NULL: no memory
bool driver_is_device(cu_device device);

// ---- the queue ---------------------------------------------------------------------------------

bool driver_start_worker(void);
void *driver_work(cu_result (*run)(struct work *work), size_t size);
// Takes `work`, also when it is NULL (no memory). stream may be NULL.
cu_result driver_submit(struct context *context, struct stream *stream, void *work);
cu_result driver_submit_and_wait(struct context *context, struct stream *stream, void *work);
// Lets the lock go while it waits; returns the context's error, or that it is gone.
cu_result driver_wait(struct context *context, uint64_t ticket);
bool driver_has_ended(uint64_t ticket); // the host asks
void driver_drain(void); // may let the lock go: find objects after it, not before
// The stream of a handle: NULL for the default ones. False: no stream of this context.
bool driver_stream(struct context *context, cu_stream handle, struct stream **stream);
extern __thread bool driver_in_host_function;
// Records the event, behind all work of the stream, in the event's context.
cu_result driver_record(struct event *event, struct stream *stream);

// ---- memory ------------------------------------------------------------------------------------

// The allocation that holds the range, or NULL.
struct memory *driver_memory(cu_address address, size_t size);
struct memory *driver_host_memory(const void *host, size_t size);
void driver_forget_memories(const struct context *context, const struct module *module);
bool driver_is_device_range(cu_address address);
// Whether the device may touch the range. Asks the machine too: a kernel may have handed out the
// address of a variable that the host never asked for. May let the lock go, then looks for the
// context again.
bool driver_range_is_valid(struct context **context, cu_address address, size_t size);
bool driver_can_share_addresses(void);
cu_result driver_note_global(struct module *module, cu_address base, size_t size);

// ---- modules -----------------------------------------------------------------------------------

struct jit_log {
    char *info, *error;
    size_t info_size, error_size, info_length, error_length;
    bool verbose;
};
// Without the lock. *text is what to load, from malloc; *complaint says why there is none.
cu_result driver_image_text(const void *image, int sm, char **text, const char **complaint);
bool driver_target_fits(const char *target, int sm);
struct function *driver_function(struct module *module, size_t index);
struct function *driver_find_function(cu_function handle);
void driver_free_module(struct module *module);
void driver_free_library(struct library *library);
struct link;
void driver_free_link(struct link *link);
void driver_free_context_objects(struct context *context);
// Reads a file into memory with a NUL behind it, from malloc.
cu_result driver_read_file(const char *path, char **text, size_t *size);
cu_result driver_function_get(const struct function *function, int attribute, int *value);
cu_result driver_function_set(struct function *function, int attribute, int value);
int driver_shared_limit(const struct function *function);
int driver_threads_limit(const struct function *function);
int driver_occupancy(const struct function *function, int threads, size_t dynamic_shared);

// ---- reports -----------------------------------------------------------------------------------

// Without the lock: writes the report of a launch, returns the result that the launch has.
cu_result driver_judge(const struct ptxm_launch *launch, const struct ptxm_report *report,
                       enum ptxm_status status);

#endif
