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
    int no_repair;          // keep buffers and order as they are, whatever barriers they need
    int reasons;            // keep what kgen_program_report tells; takes a few milliseconds more
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
    // It waits for the kernel ahead before it touches global memory: it may be launched with
    // programmatic stream serialization, as kgen_launch_repeated does.
    int dependent;
    double compile_seconds;                  // text to PTX, the proof included
    // The second opinion on the synchronization: "proved": every execution is ordered; "unknown":
    // neither that nor the opposite could be shown, `proof_reason` says why; NULL: not asked, or
    // the program stops before its synchronization. What is refuted does not compile.
    const char *proof, *proof_reason;
    double passes_seconds, proof_seconds; // parts of compile_seconds
    int proof_cells, proof_states;        // bytes told apart, states looked at
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

// ---- why a program synchronizes as it does
// -----------------------------------------------------------------------------------------
// All of it hangs on the program and lives as long. Made on first use, under the program's lock;
// after that it is only read. Lines count from 1 in the source text, 0: none. "Runs" say how often
// a point is passed: 16 times for each loop around it, a little less than once in a branch.

typedef enum kgen_meet { KGEN_MEET_THREAD, KGEN_MEET_WARP, KGEN_MEET_CTA } kgen_meet;

// One of the two accesses of an obligation.
typedef struct kgen_access_info {
    int line;
    const char *op;     // "copy", "dot", "store", ...
    const char *does;   // "reads", "writes", "copies into", "updates", "releases", "acquires"
    const char *buffer; // the author's name, or "scratch of sum, line 40", or "global memory"
    int thread;         // of the CTA, at the common byte; -1: not known
} kgen_access_info;

// Two accesses that may touch the same byte, at least one writing, by different threads or the
// copy unit: the first has to come before the second.
typedef struct kgen_obligation {
    int number; // from 1; `why=[...]` of the IR text
    kgen_access_info first, second;
    int64_t distance;  // trips of the loop between them; 0: in the same trip
    int loop_line;     // of the loop whose back edge lies between, 0: none
    int64_t byte;      // of shared memory, where both meet; -1: not known
    kgen_meet meet;    // who has to meet: nobody (a wait will do), the lanes of a warp, the CTA
    int completion;    // the first access is an asynchronous copy, and counts when it is complete
    int other_buffer;  // the two are different buffers on the same bytes
    int sync;          // id of what orders them; 0: nothing alone (by_hand, by_author, wait 0)
    int wait;          // id of the wait that completes the copy, 0: none alone
    int needs_sync;    // nothing else in the program would order them
    int by_hand;       // ordered by what the author wrote
    int by_author;     // between roles that the author synchronizes: taken as ordered
    int choices;       // points of the program of which any one would do
    const char *alone; // the cheapest of them, or NULL: what it would have taken by itself
    double alone_runs;
} kgen_obligation;

// A repair that was looked at.
typedef struct kgen_repair {
    const char *repair;  // "nothing", "warp sync", "in front of dot (line 9), in the loop ..."
    const char *verdict; // "chosen", "rejected", "equal" (does as well)
    double runs;         // estimated; -1: has none
    const char *text;    // why
} kgen_repair;

typedef struct kgen_sync_info {
    int id;              // 3: S3, as in the IR text and in the comments of the PTX
    const char *kind;    // name of the op: "barrier", "wait", "commit", "warp_sync", ...
    const char *name;    // with its numbers: "wait 1"
    int count;           // wait: groups left in flight; barrier: threads, 0 = the CTA; else -1
    int line;            // of the access in front of which it stands, or of the region it ends
    int after_line;      // where to show it: behind this line of the source
    int ir_line;         // of kgen_program_ir
    const char *where;   // "in front of dot (line 9), in the loop at line 7"
    const char *summary; // one line
    int loops;           // around it
    double runs;         // estimated; 0 where it was not priced (commits, by hand)
    int by_hand;
    int sharing_only;       // all that needs it are buffers that share bytes
    const int *obligations; // indices into the report's
    int n_obligations;
    int first; // of these the one with the fewest other ways out: an index, -1: none
    const kgen_repair *repairs;
    int n_repairs;
    const int *copy_lines; // commit: lines of the copies of its group
    int n_copy_lines;
} kgen_sync_info;

// A point of the lowered program: an op that touches memory or synchronizes, in program order.
typedef struct kgen_point_info {
    const char *op;
    int line;
    int loops; // around it
    int loop;  // index of the point that is the innermost loop around it, -1: none
    int sync;  // id, 0: none
} kgen_point_info;

typedef struct kgen_shared_info {
    const char *name, *type; // "sa", "bf16[128, 32]"
    int line;
    int64_t offset, bytes; // in the CTA's shared memory; all slots
    int64_t slot_bytes;
    int slots;       // of its ring; 1: no ring
    int first, last; // points between which it lives; -1: never touched
} kgen_shared_info;

// Two buffers on the same bytes.
typedef struct kgen_overlap_info {
    int a, b;         // indices of buffers
    int64_t bytes;    // in common
    const int *syncs; // ids that order accesses of the one against the other
    int n_syncs;
} kgen_overlap_info;

typedef struct kgen_event_info {
    const char *kind; // "copy", "commit", "wait", "meet", "write", "read"
    int step;         // from 0; accesses of one op share it
    int phase;        // 0 in front of the loop, 1 in it, 2 behind it
    int trip;         // of the loop, from 0
    int round;        // of the loop around it in a role, as of a CTA that goes from tile to tile
    const char *op;
    const char *role; // of the warps that do it, or NULL: all
    int line;
    int sync;      // id, 0: none
    int buffer;    // index, -1: none
    int slot;      // of its ring; -1: not known
    int group;     // of cp.async. copy, commit: its group, from 1; wait: the newest complete one
    int in_flight; // groups of copies, products and bulk stores, and phases with bulk copies, that
                   // may be under way behind this event, as far as these warps know
} kgen_event_info;

// What happens in and around a loop, for a few trips.
typedef struct kgen_timeline_info {
    int line;   // of the loop
    int trips;  // shown
    int rounds; // of loops around it in roles; 0: there are none
    int ring;   // slots of its deepest ring
    int cut;    // the loop has more trips than shown
    const kgen_event_info *events;
    int n_events;
} kgen_timeline_info;

// A change of the program that was tried instead of synchronization: a wider ring, a value kept in
// registers, a store moved ahead, bytes shared.
typedef struct kgen_change {
    int line; // of the buffer or access, 0: none
    const char *what, *text;
    int taken;
    int64_t cost_before, cost_after; // of the whole kernel, in the units of `kgen explain`
    int fits;                        // 0: with it (or, taken, without it) memory would not suffice
} kgen_change;

typedef struct kgen_report {
    const char *kernel, *target, *source_name, *source;
    int threads;
    const kgen_sync_info *syncs; // S1 first
    int n_syncs;
    const kgen_obligation *obligations;
    int n_obligations;
    // Pairs of accesses that need nothing: one thread does both; a ring never gives them one slot;
    // no common byte.
    int same_thread, by_ring, apart;
    int64_t shared_bytes, shared_limit; // of a CTA; what the target allows
    int64_t shared_apart;               // if no buffers shared bytes
    const kgen_shared_info *buffers;
    int n_buffers;
    const kgen_overlap_info *overlaps;
    int n_overlaps;
    const kgen_point_info *points;
    int n_points;
    const kgen_timeline_info *timelines;
    int n_timelines;
    const kgen_change *changes;
    int n_changes;
    // For each buffer of the copy engine or the tensor core: its fences, or why it has none.
    const char *const *proxies;
    int n_proxies;
    const char *fewest; // how near the barriers are to the fewest there can be; NULL: not asked
    // As in kgen_program_info; NULL with no_validate.
    const char *proof, *proof_reason;
    int proof_states, proof_cells;
} kgen_report;

// NULL unless compiled with `reasons` through all passes, or without memory.
KGEN_API const kgen_report *kgen_program_report(const kgen_program *program);
// The same as text: each sync with what it orders and what else was considered.
KGEN_API const char *kgen_program_explain(const kgen_program *program);

// ---- synchronization by hand
// ------------------------------------------------------------------------- Judges the barriers,
// waits and commits that the author of a program wrote. Findings go to the diagnostics callback:
// warnings for what is not needed (KG-S506, KG-S507), errors for what is missing (KG-S505) where
// `by_hand` is set. Without `by_hand` what is missing is what the compiler adds.
typedef struct kgen_sync_options {
    const char *name, *kernel, *target; // as in kgen_compile_options
    const kgen_define *defines;
    size_t n_defines;
    int no_share;
    int by_hand;  // the author means to write all of it
    int minimize; // make the program with the cheapest set of syncs
} kgen_sync_options;

typedef enum kgen_sync_kind {
    KGEN_SYNC_MISSING,   // two accesses that the author's syncs leave unordered
    KGEN_SYNC_REDUNDANT, // a sync that the others make up for
    KGEN_SYNC_STRICT     // a wait that waits for more than anyone needs
} kgen_sync_kind;

typedef struct kgen_sync_item {
    kgen_sync_kind kind;
    const char *what; // MISSING: what to write where; REDUNDANT: the sync; STRICT: the better one
    const char *text; // one line
    int line, column; // of the access, or of the sync
} kgen_sync_item;

typedef struct kgen_judgement kgen_judgement;
// options may be NULL. KGEN_OK also when something was found.
KGEN_API kgen_status kgen_judge_sync(kgen_context *context, const char *source, size_t length,
                                     const kgen_sync_options *options, kgen_judgement **out);
KGEN_API void kgen_judgement_free(kgen_judgement *judgement);
// false past the last.
KGEN_API int kgen_judgement_item(const kgen_judgement *judgement, int index, kgen_sync_item *out);
KGEN_API int kgen_judgement_syncs(const kgen_judgement *judgement); // that the author wrote
// The text with the cheapest set: judged again, nothing is found. NULL unless `minimize`, and where
// the text's level cannot say it.
KGEN_API const char *kgen_judgement_program(const kgen_judgement *judgement);

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
    uint64_t step_limit;        // cpu: instructions of warps a launch may take; 0: 2^40
    int strict;                 // cpu: find also what only the letter of the ISA forbids
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
    unsigned cluster[3]; // of the CTA, where `clustered`
    int clustered;
} kgen_place;

typedef struct kgen_finding {
    const char *rule;     // stable id: "race", "shared-uninitialised", "global-bounds", ...
    const char *severity; // "race", "race (within a warp)", "protocol", "bounds", ...
    const char *message;  // one line
    const char *hint;     // what would repair it, or NULL
    const char *where;    // where that could stand, or NULL; the same for a program to try:
    const char *repair;   // statements of PTX, or NULL
    int repair_line;      // in front of which they go
    const char *rendered; // the message with both places; ends with '\n'
    uint64_t count;
    kgen_place a, b; // a is the earlier one in the text
} kgen_finding;

typedef struct kgen_statistics {
    double seconds; // cuda: by events around the launch; cpu: wall time
    // cpu device only:
    uint64_t lane_instructions, barriers, warp_syncs, bank_conflicts, shared_wavefronts,
        global_sectors, async_copies;
} kgen_statistics;

// What one instruction of the PTX did, all warps and CTAs together (cpu device).
typedef struct kgen_instruction_profile {
    int line;                // of the PTX text
    const char *source_file; // of .loc, or NULL
    int source_line;
    const char *instruction; // opcode as written
    uint64_t executions;     // by warps
    uint64_t lanes;          // that took part
    uint64_t skipped;        // executions that a guard keeps all lanes out of
    uint64_t partial;        // executions by some, not all, of the warp's live lanes
    // Accesses of warps to shared memory; wavefronts beyond the ideal are bank conflicts.
    uint64_t shared_accesses, shared_wavefronts, shared_ideal;
    // 32-byte sectors and 128-byte lines touched; ideal: as few as the different bytes fill.
    uint64_t global_accesses, global_sectors, global_ideal_sectors, global_lines,
        global_ideal_lines;
    uint64_t global_read, global_written, shared_read, shared_written, local_read,
        local_written;                   // bytes, by lanes: a byte that two lanes read counts twice
    uint64_t arrivals, waits;            // at barriers: warps; at mbarriers: lanes
    uint64_t atomics, atomics_contended; // lanes; lanes behind another one on the same address
    uint64_t multiply_adds;              // of tensor cores
} kgen_instruction_profile;

typedef struct kgen_launch_options {
    void (*finding)(const kgen_finding *finding, void *user); // cpu device; may be NULL
    void *user;
    kgen_statistics *statistics; // may be NULL
    unsigned cluster[3];         // CTAs of a cluster; all 0 = none
    // cpu device: what printf of a kernel prints, a call at a time, from whichever thread runs it,
    // one at a time; `text` ends in a NUL that length does not count. NULL: it is dropped.
    void (*print)(const char *text, size_t length, void *user);
    // cpu device: called after the launch for each instruction that ran, in the order of the PTX.
    // Counting takes time; NULL: nothing is counted.
    void (*instruction)(const kgen_instruction_profile *instruction, void *user);
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
    int dependent; // may begin before the kernel ahead of it has ended: the kernel waits itself
} kgen_raw_launch;
KGEN_API kgen_status kgen_module_launch(kgen_module *module, const kgen_raw_launch *launch,
                                        const kgen_launch_options *options);

// ---- tensor maps
// ------------------------------------------------------------------------------------- What the
// copy engine of a GPU from sm_90 on reads and writes a tensor through (a CUtensorMap): opaque, and
// of one device. A program's kernel takes its maps behind its other parameters, by value.
// kgen_launch encodes them; the calls here are for a host that launches by itself.
#define KGEN_TENSOR_MAP_BYTES 128
#define KGEN_TENSOR_MAP_ALIGN 64

typedef struct kgen_tensor_map_info {
    const char *tensor; // of a program: the parameter whose address the map holds
    int rank;           // 1 to 5; dimension 0 is the fastest
    int element_bytes;  // 1, 2, 4, 8
    int64_t sizes[5];   // elements
    int64_t strides[5]; // bytes; of dimension 0 element_bytes, of others a multiple of 16
    int box[5];         // elements that one instruction moves, at most 256
    int swizzle;        // bytes of the rows whose 16-byte chunks change places: 0, 32, 64, 128
    const char *dtype;  // of the elements: "i32", "f16", ..; what updates by the copy engine go by.
                        // NULL: of no kind, good for copies
} kgen_tensor_map_info;

// The program's map `index` for scalar arguments by name; tensors are not looked at.
// KGEN_ERROR_USAGE past the last.
KGEN_API kgen_status kgen_program_get_map(kgen_program *program, int index, const kgen_arg *args,
                                          size_t n_args, kgen_tensor_map_info *out);
// Writes KGEN_TENSOR_MAP_BYTES to `map`, which is aligned to KGEN_TENSOR_MAP_ALIGN. The tensor
// begins `offset` bytes into the buffer.
KGEN_API kgen_status kgen_tensor_map_encode(kgen_buffer *buffer, size_t offset,
                                            const kgen_tensor_map_info *info, void *map);

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
