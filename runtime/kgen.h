// SPDX-License-Identifier: MIT
// kgen: compile tile programs to checked PTX, load and launch them.
//
// The embeddable library. It never prints, never exits, never aborts, reads no environment variable
// and keeps no global state. Findings go to the diagnostics callback of the context; every call
// returns a status.
//
// Thread safety: a context may be used from several threads at once; programs and devices made from
// it too, except that two launches on one device are serialized. Objects must not be freed while in
// use. Ownership: what a call creates is freed by the matching _free; strings returned by accessors
// live as long as their object. All objects must be freed before their context.
#ifndef KGEN_H
#define KGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KGEN_VERSION "0.1.0"
#if defined(__GNUC__)
#define KGEN_API __attribute__((visibility("default")))
#else
#define KGEN_API
#endif

typedef enum kgen_status {
    KGEN_OK = 0,
    KGEN_ERROR_INPUT,     // the program or arguments are wrong; diagnostics say where
    KGEN_ERROR_USAGE,     // a call was made with invalid arguments (NULL, unknown name)
    KGEN_ERROR_MEMORY,    // an allocation failed, on the host or the device
    KGEN_ERROR_NO_DEVICE, // no driver, no GPU, or not able to run this target
    KGEN_ERROR_DEVICE,    // the driver reported an error
    KGEN_ERROR_FINDINGS,  // the kernel ran on the cpu device and the checks found something
    KGEN_ERROR_IO,        // a file could not be read or written
    KGEN_ERROR_INTERNAL   // our bug
} kgen_status;
KGEN_API const char *kgen_status_name(kgen_status status); // "no-device"

// ---- context
// -----------------------------------------------------------------------------------------
typedef struct kgen_context kgen_context;

typedef struct kgen_allocator {
    void *(*allocate)(void *user, size_t bytes); // 16-byte aligned; NULL on failure
    void (*release)(void *user, void *memory);   // memory may be NULL
    void *user;
} kgen_allocator;

typedef enum kgen_severity { KGEN_NOTE, KGEN_WARNING, KGEN_ERROR } kgen_severity;

typedef struct kgen_diagnostic {
    kgen_severity severity;
    const char *id;       // "KG-P003", stable
    const char *file;     // or NULL
    int line, column;     // from 1; 0 when there is no place
    const char *text;     // one line
    const char *help;     // or NULL
    const char *rendered; // the whole message with source line, caret, notes; ends with '\n'
} kgen_diagnostic;

typedef struct kgen_options {
    const kgen_allocator *allocator;                                   // NULL: malloc and free
    void (*diagnostic)(const kgen_diagnostic *diagnostic, void *user); // NULL: findings are dropped
    void *user;
    int color; // rendered text with ANSI colours
} kgen_options;

KGEN_API kgen_status kgen_context_create(const kgen_options *options,
                                         kgen_context **out); // options may be NULL
KGEN_API void kgen_context_free(kgen_context *context);

// ---- compile
// -----------------------------------------------------------------------------------------
typedef struct kgen_program kgen_program;

typedef struct kgen_define {
    const char *name, *value; // as -D NAME=VALUE of the command: "128", "0.5", "true", "bf16"
} kgen_define;

typedef struct kgen_compile_options {
    const char *name;   // of the source, for messages; NULL = "<memory>"
    const char *kernel; // which kernel of the source; NULL = its only one
    const char *target; // NULL = "sm_80"
    const kgen_define *defines;
    size_t n_defines;
    const char *passes;     // comma-separated pass names; NULL = whole pipeline
    const char *stop_after; // pass name; the program then has IR but no PTX
    int no_share;           // give every shared buffer bytes of its own
    int reasons;            // keep what kgen_program_explain tells; takes a few milliseconds more
    int no_validate;        // compile without the proof of synchronization, and so even what it
                            // would refute: for experiments
    // Called with the IR text before the first pass (pass NULL) and after each pass. May be NULL.
    void (*after_pass)(const char *pass, const char *ir, void *user);
    void *user;
} kgen_compile_options;

// Source text: `length` bytes, need not end in NUL. options may be NULL.
KGEN_API kgen_status kgen_compile(kgen_context *context, const char *source, size_t length,
                                  const kgen_compile_options *options, kgen_program **out);
KGEN_API void kgen_program_free(kgen_program *program);

KGEN_API const char *kgen_program_ptx(const kgen_program *program,
                                      size_t *length);               // NULL after stop_after
KGEN_API const char *kgen_program_ir(const kgen_program *program);   // final IR text
KGEN_API const char *kgen_program_llvm(const kgen_program *program); // LLVM IR text, made on demand

typedef struct kgen_program_info {
    const char *kernel, *target;
    int threads;                             // of a CTA
    int64_t shared_bytes;                    // dynamic shared memory of a CTA
    int n_params;                            // in launch order
    int barriers, warp_syncs, waits, fences; // synchronization ops in the program (static count)
    double compile_seconds;                  // text to PTX, the proof included
    // The second opinion on the synchronization: "proved": every execution is ordered; "unknown":
    // neither that nor the opposite could be shown, `proof_reason` says why; NULL: not asked, or
    // the program stops before its synchronization. What is refuted does not compile.
    const char *proof, *proof_reason;
    double passes_seconds, proof_seconds; // parts of compile_seconds
    int proof_cells, proof_states; // bytes told apart, states looked at
} kgen_program_info;
KGEN_API kgen_status kgen_program_get_info(const kgen_program *program, kgen_program_info *out);

typedef struct kgen_param_info {
    const char *name;
    const char *type; // element type: "f32", "bf16", "i32", ...
    int is_tensor;    // a pointer to global memory
    int rank;         // of a tensor
    int implicit;     // a size or stride that the program names but does not declare
    int used;         // the kernel reads or writes it; an unused tensor may be NULL at launch
} kgen_param_info;
KGEN_API kgen_status kgen_program_get_param(const kgen_program *program, int index,
                                            kgen_param_info *out);
// How the syncs came about, one paragraph each; NULL unless compiled with `reasons`.
KGEN_API const char *kgen_program_explain(const kgen_program *program);

// ---- devices
// -----------------------------------------------------------------------------------------
typedef struct kgen_device kgen_device;
typedef struct kgen_buffer kgen_buffer;

typedef enum kgen_completion {
    KGEN_COMPLETE_EAGER,
    KGEN_COMPLETE_LATE,
    KGEN_COMPLETE_SEEDED
} kgen_completion;
typedef struct kgen_device_options {
    int index;                  // cuda: ordinal
    const char *driver;         // cuda: path of the driver library; NULL = libcuda.so.1
    int cpu_threads;            // cpu: 0 = all cores
    kgen_completion completion; // cpu: when asynchronous copies complete
    uint64_t seed;              // cpu: schedule
    int unchecked;              // cpu: run without the checks
} kgen_device_options;

// kind: "cpu" (the PTX machine, with its checks) or "cuda".
KGEN_API kgen_status kgen_device_open(kgen_context *context, const char *kind,
                                      const kgen_device_options *options, kgen_device **out);
KGEN_API void kgen_device_close(kgen_device *device);
KGEN_API const char *kgen_device_name(const kgen_device *device); // "PTX machine", "NVIDIA H200"
KGEN_API const char *
kgen_device_target(const kgen_device *device); // best target it runs: "sm_90a"; cpu: "sm_80"

KGEN_API kgen_status kgen_buffer_create(kgen_device *device, size_t bytes, kgen_buffer **out);
KGEN_API void kgen_buffer_free(kgen_buffer *buffer);
KGEN_API kgen_status kgen_buffer_write(kgen_buffer *buffer, size_t offset, const void *data,
                                       size_t bytes);
KGEN_API kgen_status kgen_buffer_read(kgen_buffer *buffer, size_t offset, void *data, size_t bytes);
KGEN_API kgen_status kgen_buffer_fill(kgen_buffer *buffer, unsigned char byte);

// ---- launch
// ------------------------------------------------------------------------------------------
// Arguments by name, in any order. A tensor takes a buffer and an offset in bytes; its sizes are
// the program's scalar parameters. Checked before the launch: every parameter given, assumptions,
// sizes positive, buffers as large as the tensor's extent, base alignment.
typedef struct kgen_arg {
    const char *name;
    kgen_buffer *buffer; // tensor; NULL for a scalar or an unused tensor
    size_t offset;
    int64_t i; // integer scalar
    double f;  // floating scalar
} kgen_arg;

// One end of a finding of the PTX machine. line 0: this end is not known.
typedef struct kgen_place {
    int line;                // of the PTX text
    const char *source_file; // of .loc, or NULL
    int source_line;
    const char *instruction; // opcode as written, or NULL
    const char *kind;        // "read", "write", "atomic", "cp.async write", ...
    const char *space;       // "shared", "global", ... or NULL
    const char *object;      // variable or allocation, or NULL
    uint64_t offset;         // bytes from the start of object
    int bytes;
    unsigned cta[3], thread[3], warp, lane;
} kgen_place;

typedef struct kgen_finding {
    const char *rule;     // stable id: "race", "shared-uninitialised", "global-bounds", ...
    const char *severity; // "race", "race (within a warp)", "protocol", "bounds", ...
    const char *message;  // one line
    const char *hint;     // what would repair it, or NULL
    const char *rendered; // the message with both places; ends with '\n'
    uint64_t count;
    kgen_place a, b;
} kgen_finding;

typedef struct kgen_statistics {
    double seconds; // cuda: by events around the launch; cpu: wall time
    // cpu device only:
    uint64_t lane_instructions, barriers, warp_syncs, bank_conflicts, shared_wavefronts,
        global_sectors, async_copies;
} kgen_statistics;

typedef struct kgen_launch_options {
    void (*finding)(const kgen_finding *finding, void *user); // cpu device; may be NULL
    void *user;
    kgen_statistics *statistics; // may be NULL
    unsigned cluster[3];         // CTAs of a cluster; all 0 = none
} kgen_launch_options;

// Loads the program on the device on first use (JIT log as diagnostics) and runs the whole grid;
// returns when it is done. The grid follows from the scalar arguments. KGEN_ERROR_FINDINGS: it ran
// on the cpu device and the checks found something. options may be NULL.
KGEN_API kgen_status kgen_launch(kgen_device *device, kgen_program *program, const kgen_arg *args,
                                 size_t n_args, const kgen_launch_options *options);
// The grid of a launch with these arguments, after the same checks; tensors may be left out.
KGEN_API kgen_status kgen_program_get_grid(kgen_program *program, const kgen_arg *args,
                                           size_t n_args, unsigned grid[3]);
// The same launch `repeats` times back to back without waiting in between; statistics->seconds is
// the time of one.
KGEN_API kgen_status kgen_launch_repeated(kgen_device *device, kgen_program *program,
                                          const kgen_arg *args, size_t n_args,
                                          const kgen_launch_options *options, int repeats);

// ---- any PTX
// ----------------------------------------------------------------------------------------- PTX
// text (or, on cuda, a cubin) from any compiler, launched with explicit arguments.
typedef struct kgen_module kgen_module;
KGEN_API kgen_status kgen_module_load(kgen_device *device, const char *name, const void *image,
                                      size_t bytes, kgen_module **out);
KGEN_API void kgen_module_free(kgen_module *module);
// Names of the module's kernels (cpu device); NULL past the last.
KGEN_API const char *kgen_module_kernel(const kgen_module *module, int index);

typedef struct kgen_raw_arg {
    kgen_buffer *buffer; // its address is passed; or
    const void *value;   // `bytes` bytes are copied
    size_t bytes;
} kgen_raw_arg;

typedef struct kgen_raw_launch {
    const char *kernel;
    unsigned grid[3], block[3];
    size_t shared_bytes; // dynamic
    const kgen_raw_arg *args;
    size_t n_args;
} kgen_raw_launch;
KGEN_API kgen_status kgen_module_launch(kgen_module *module, const kgen_raw_launch *launch,
                                        const kgen_launch_options *options);

// ---- tables
// ------------------------------------------------------------------------------------------ Rows
// of the library's own tables, for listings; NULL past the last. `doc` (may be NULL) gets one line.
KGEN_API const char *kgen_pass_name(int index, const char **doc);
KGEN_API const char *kgen_op_name(int index, const char **doc);
KGEN_API const char *kgen_target_name(int index, const char **doc);

#ifdef __cplusplus
}
#endif
#endif
