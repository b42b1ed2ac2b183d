// SPDX-License-Identifier: MIT
// The PTX machine: runs PTX text on the CPU, whole grids, and checks every access while it does.
//
// Order of use: ptxm_device_create, ptxm_module_load, ptxm_memory_allocate, ptxm_memory_write,
// ptxm_launch, ptxm_memory_read, ptxm_report_*; everything created is freed by the caller.
// Nothing here prints, ends the process, reads the environment or keeps process-wide state.
// Thread safety: a module is immutable after loading and may be shared; a device serves one call
// at a time (a launch may itself use several threads).
#ifndef PTXM_H
#define PTXM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ptxm_status {
    PTXM_OK = 0,
    PTXM_ERROR_ARGUMENT,   // a call that cannot be meant: null handle, zero grid, bad size
    PTXM_ERROR_MEMORY,     // the allocator hook returned NULL
    PTXM_ERROR_PARSE,      // the PTX was refused; diagnostics say where and why
    PTXM_ERROR_NOT_FOUND,  // no such kernel or symbol
    PTXM_ERROR_BOUNDS,     // a host copy outside a live allocation
    PTXM_ERROR_RUN,        // the grid did not finish: deadlock, trap, budget; see the report
};
const char *ptxm_status_text(enum ptxm_status status);

// Every allocation goes through this hook. `user` is passed back unchanged. Must be thread-safe
// if launches use more than one thread.
struct ptxm_allocator {
    void *(*malloc)(void *user, size_t size);
    void *(*realloc)(void *user, void *block, size_t size);
    void (*free)(void *user, void *block);
    void *user;
};

// ---- modules ------------------------------------------------------------------------------------

// One complaint about PTX text. Strings live during the callback only. line and column from 1.
struct ptxm_diagnostic {
    unsigned line, column;
    const char *message;
    const char *text; // the offending line of PTX
};
typedef void ptxm_diagnostic_fn(void *user, const struct ptxm_diagnostic *diagnostic);

struct ptxm_load_options {
    const struct ptxm_allocator *allocator; // NULL: libc
    ptxm_diagnostic_fn *diagnostic;         // NULL: complaints are dropped
    void *diagnostic_user;
    unsigned max_errors; // stop after so many complaints; 0: 20
};

struct ptxm_module;
// Parses and decodes all of the text; whatever is not understood is refused here, before anything
// runs. What is understood and not supported is refused when a kernel that has it is launched, or
// here, if that is so for every kernel. `text` need not end in a NUL (a NUL inside ends it).
// options may be NULL.
enum ptxm_status ptxm_module_load(const char *text, size_t length,
                                  const struct ptxm_load_options *options,
                                  struct ptxm_module **module);
void ptxm_module_free(struct ptxm_module *module);

struct ptxm_param {
    const char *name;
    size_t size, align, offset; // bytes; offset in the packed parameter buffer
    bool is_pointer;            // declared with .ptr
};

struct ptxm_kernel {
    const char *name;
    const struct ptxm_param *params;
    size_t param_count, param_bytes;
    size_t static_shared;      // bytes of .shared variables
    size_t local_bytes;        // bytes of .local memory a thread uses
    uint32_t max_threads[3];   // .maxntid, 0 if absent
    uint32_t required_threads[3]; // .reqntid, 0 if absent
    uint32_t required_cluster[3]; // .reqnctapercluster, 0 if absent
    uint32_t max_cluster_rank;    // .maxclusterrank, 0 if absent
    bool explicit_cluster;        // .explicitcluster: the launch must say its clusters
    unsigned line;
    // It has an instruction that this machine knows and does not support, as for textures: a
    // launch is refused with this message, naming this line. NULL: it can run.
    const char *refused;
    unsigned refused_line;
};

size_t ptxm_module_kernel_count(const struct ptxm_module *module);
const struct ptxm_kernel *ptxm_module_kernel(const struct ptxm_module *module, size_t index);
const struct ptxm_kernel *ptxm_module_find(const struct ptxm_module *module, const char *name);
const char *ptxm_module_target(const struct ptxm_module *module);  // "sm_80"
unsigned ptxm_module_version(const struct ptxm_module *module);    // 7.8 is 708
size_t ptxm_module_instruction_count(const struct ptxm_module *module);

// ---- devices and global memory ------------------------------------------------------------------

struct ptxm_device;
struct ptxm_device_options {
    const struct ptxm_allocator *allocator; // NULL: libc
    size_t memory_limit;                    // bytes of global memory; 0: no limit of ours
};
enum ptxm_status ptxm_device_create(const struct ptxm_device_options *options,
                                    struct ptxm_device **device);
void ptxm_device_free(struct ptxm_device *device);

// Addresses are never handed out twice, so a use after free is always found.
// `name` (may be NULL) is how reports call the allocation.
enum ptxm_status ptxm_memory_allocate(struct ptxm_device *device, size_t size, const char *name,
                                      uint64_t *address);
// An allocation whose bytes are the caller's, and stay so: host and kernels see the same memory.
// `place` is told the address, a multiple of 4096, and returns where the bytes live until
// ptxm_memory_free (at that very address, if it likes), or NULL: no memory. They count as written.
typedef void *ptxm_place_fn(void *user, uint64_t address, size_t size);
enum ptxm_status ptxm_memory_adopt(struct ptxm_device *device, size_t size, const char *name,
                                   ptxm_place_fn *place, void *user, uint64_t *address);
enum ptxm_status ptxm_memory_free(struct ptxm_device *device, uint64_t address);
enum ptxm_status ptxm_memory_write(struct ptxm_device *device, uint64_t address, const void *from,
                                   size_t size);
enum ptxm_status ptxm_memory_read(struct ptxm_device *device, uint64_t address, void *to,
                                  size_t size);
enum ptxm_status ptxm_memory_fill(struct ptxm_device *device, uint64_t address, int byte,
                                  size_t size);
// The address of a .global or .const variable of a module on this device, and its size.
enum ptxm_status ptxm_module_symbol(struct ptxm_device *device, struct ptxm_module *module,
                                    const char *name, uint64_t *address, size_t *size);
// Drops the module's variables from the device. Call before freeing a module that was launched.
void ptxm_device_forget(struct ptxm_device *device, struct ptxm_module *module);

// ---- tensor maps --------------------------------------------------------------------------------

// The values are those of the driver's CUtensorMapDataType, ...Interleave, ...Swizzle,
// ...L2promotion and ...FloatOOBfill.
enum ptxm_tensor_type {
    PTXM_TENSOR_UINT8,
    PTXM_TENSOR_UINT16,
    PTXM_TENSOR_UINT32,
    PTXM_TENSOR_INT32,
    PTXM_TENSOR_UINT64,
    PTXM_TENSOR_INT64,
    PTXM_TENSOR_FLOAT16,
    PTXM_TENSOR_FLOAT32,
    PTXM_TENSOR_FLOAT64,
    PTXM_TENSOR_BFLOAT16,
    PTXM_TENSOR_FLOAT32_FTZ,  // refused
    PTXM_TENSOR_TFLOAT32,     // copied as it is
    PTXM_TENSOR_TFLOAT32_FTZ, // refused
};
enum ptxm_tensor_interleave { PTXM_TENSOR_INTERLEAVE_NONE }; // others are refused
enum ptxm_tensor_swizzle {
    PTXM_TENSOR_SWIZZLE_NONE,
    PTXM_TENSOR_SWIZZLE_32B,
    PTXM_TENSOR_SWIZZLE_64B,
    PTXM_TENSOR_SWIZZLE_128B,
};
enum ptxm_tensor_promotion {
    PTXM_TENSOR_L2_NONE,
    PTXM_TENSOR_L2_64B,
    PTXM_TENSOR_L2_128B,
    PTXM_TENSOR_L2_256B,
};
enum ptxm_tensor_fill { PTXM_TENSOR_FILL_ZERO }; // others are refused

// A tensor in global memory and the box that one copy moves. Dimension 0 is the fastest.
struct ptxm_tensor {
    enum ptxm_tensor_type type;
    uint32_t rank;                   // 1 to 5
    uint64_t address;                // of element 0, a multiple of 16
    const uint64_t *dims;            // rank of them: elements
    const uint64_t *strides;         // rank - 1 of them: bytes, of dimension 1 and up
    const uint32_t *box;             // rank of them: elements, 1 to 256
    const uint32_t *element_strides; // rank of them: 1 to 8; the first is not looked at
    enum ptxm_tensor_interleave interleave;
    enum ptxm_tensor_swizzle swizzle;
    enum ptxm_tensor_promotion promotion; // changes nothing here
    enum ptxm_tensor_fill fill;
};

// 128 opaque bytes, aligned to 64. The layout is this machine's own, not the hardware's: a kernel
// may copy a map and may not look into it.
struct ptxm_tensor_map {
    uint64_t opaque[16] __attribute__((aligned(64)));
};
// Encodes a map with the checks of cuTensorMapEncodeTiled. `diagnostic` (may be NULL) hears what is
// wrong. Im2col maps do not exist here.
enum ptxm_status ptxm_tensor_map_encode_tiled(struct ptxm_tensor_map *map,
                                              const struct ptxm_tensor *tensor,
                                              ptxm_diagnostic_fn *diagnostic, void *user);

// ---- launches -----------------------------------------------------------------------------------

enum ptxm_completion { PTXM_EAGER, PTXM_LATE, PTXM_SEEDED };

// Zero-initialised options are the defaults: all checks on, one thread, eager.
struct ptxm_launch_options {
    enum ptxm_completion completion; // when cp.async lands: at issue, at its wait, by seed
    uint64_t seed;                   // 0: in order; else orders and turns of warps and CTAs by it
    unsigned threads;                // CPU threads for CTAs; 0: 1
    uint64_t instruction_budget;     // warp instructions for the grid; 0: 2^40
    bool no_checks;                  // bounds and barriers only: no race or initialised-ness check
    bool no_global_races;            // races in shared memory only
    bool check_global_init;          // report reads of global bytes that nobody ever wrote
    bool volatile_is_relaxed;        // the letter of the ISA; default: volatile is a weak access
    bool strict;                     // every tier that the ISA's letter demands
    bool no_counters;                // skip bank conflict and sector counting
    bool profile;                    // count for each instruction: ptxm_report_profile
    // For whoever wants to know where the time goes, and looks here now and then, as from a signal
    // handler: the text of the instruction that runs, NULL between two turns of warps. Kept by
    // launches with one CPU thread that do not profile. NULL: not kept, and nothing is spent on it.
    const char *volatile *running;
    size_t max_findings;             // distinct findings kept; 0: 1000
    // A later launch of this stream may be programmatic: what this one touches is remembered.
    bool dependents;
    // What printf of the kernel prints, a call at a time; NULL: dropped. Called with a lock held,
    // from the thread that runs the CTA. The text ends in a NUL that length does not count.
    void (*print)(void *user, const char *text, size_t length);
    void *print_user;
};

enum ptxm_severity {
    PTXM_RACE,
    PTXM_RACE_SAME_VALUE,
    PTXM_RACE_IN_WARP,
    PTXM_PROXY,
    PTXM_PROXY_STRICT,
    PTXM_CLUSTER_SCOPE,
    PTXM_UNINITIALISED,
    PTXM_PROTOCOL,
    PTXM_DEADLOCK,
    PTXM_BOUNDS,
};
const char *ptxm_severity_text(enum ptxm_severity severity); // "race (within a warp)"

// One end of a finding. line == 0: this end is not known or does not apply.
struct ptxm_place {
    unsigned line;           // of the PTX text
    const char *source_file; // of .loc, or NULL
    unsigned source_line;
    const char *instruction; // the opcode as written
    uint32_t thread[3], warp, lane, cta[3];
    uint32_t cluster[3]; // of the CTA, if the launch has clusters
    bool clustered;
    const char *space;  // "shared", "global", "local", "param", "const" or NULL
    uint64_t address;   // in the space; offset is counted from the start of `object`
    const char *object; // name of the variable or allocation, or NULL
    uint64_t offset;
    uint32_t size;       // bytes of the access
    const char *kind;    // "read", "write", "atomic", "cp.async write", "cp.async read"
};

struct ptxm_finding {
    const char *rule; // stable id: "race", "shared-uninitialised", "global-bounds", ...
    enum ptxm_severity severity;
    const char *message;
    const char *hint;  // what would repair it
    const char *where; // where that could stand, or NULL; the same for a program to try:
    const char *repair;   // statements of PTX, or NULL
    unsigned repair_line; // in front of which they go
    uint64_t count;    // how often seen
    struct ptxm_place a, b; // a is the earlier one in the text
};

struct ptxm_counters {
    uint64_t warp_instructions, lane_instructions;
    uint64_t barriers;        // CTA-wide and named barrier generations completed
    uint64_t warp_syncs;
    uint64_t shared_accesses; // warp-level accesses to shared memory
    uint64_t shared_wavefronts, bank_conflicts; // conflicts = wavefronts beyond the least possible
    uint64_t global_accesses, global_sectors;   // 32-byte sectors touched
    uint64_t async_copies, matrix_multiplies, atomics; // mma: of a warp; wgmma: of a warpgroup
    uint64_t multiply_adds; // of mma and wgmma
};

// What one statement of the PTX did, all warps and CTAs together. Bytes, sectors and lanes are
// those that were asked for, whether or not the access was in bounds.
struct ptxm_instruction_profile {
    unsigned line;           // of the PTX text
    const char *source_file; // of .loc, or NULL
    unsigned source_line;
    const char *instruction; // the opcode as written; lives as long as the module
    uint64_t executions;     // by warps
    uint64_t lanes;          // that took part
    uint64_t skipped;        // executions that a guard keeps all lanes out of
    uint64_t partial;        // executions by some, not all, of the warp's live lanes
    // Accesses by warps; wavefronts beyond the ideal are bank conflicts (profile.c has the model).
    uint64_t shared_accesses, shared_wavefronts, shared_ideal;
    // 32-byte sectors and 128-byte lines touched; the ideal: as few as the different bytes fill.
    uint64_t global_accesses, global_sectors, global_ideal_sectors, global_lines,
        global_ideal_lines;
    uint64_t global_read, global_written, shared_read, shared_written, local_read,
        local_written;      // bytes, by lanes: a byte that two lanes read counts twice
    uint64_t arrivals, waits; // at barriers: warps; at mbarriers: lanes
    uint64_t atomics, atomics_contended; // lanes; lanes behind another one on the same address
    uint64_t multiply_adds;   // of tensor cores
};

struct ptxm_report;
size_t ptxm_report_count(const struct ptxm_report *report);
const struct ptxm_finding *ptxm_report_finding(const struct ptxm_report *report, size_t index);
const struct ptxm_counters *ptxm_report_counters(const struct ptxm_report *report);
// Statements that ran, in the order of the text; none without ptxm_launch_options.profile. The
// counts do not depend on the number of CPU threads unless the kernel waits in loops.
size_t ptxm_report_profile_count(const struct ptxm_report *report);
const struct ptxm_instruction_profile *ptxm_report_profile(const struct ptxm_report *report,
                                                           size_t index);
bool ptxm_report_truncated(const struct ptxm_report *report); // max_findings was reached
void ptxm_report_free(struct ptxm_report *report);

struct ptxm_launch {
    const char *kernel;
    uint32_t grid[3], block[3];
    uint32_t cluster[3];     // CTAs of a cluster; 0: as the kernel says, else none
    uint32_t dynamic_shared; // bytes
    const void *params;      // packed as ptxm_param.offset says
    size_t param_bytes;
    uint64_t stream; // launches of one stream follow each other; any number, 0 as well
    // Programmatic stream serialization: the grid may begin while the launch before it in its
    // stream still runs, and learns of that one's end by griddepcontrol.wait. Grids run one after
    // the other here; what is found is memory that one touches too early, if the launches before
    // it had the option `dependents`.
    bool programmatic;
    const struct ptxm_launch_options *options; // NULL: defaults
};
// Runs the grid to its end. PTXM_ERROR_RUN: it did not get there; the report (always made, except
// on PTXM_ERROR_ARGUMENT, _NOT_FOUND and _MEMORY) says why. `diagnostic` (may be NULL) hears about
// refused arguments.
enum ptxm_status ptxm_launch(struct ptxm_device *device, struct ptxm_module *module,
                             const struct ptxm_launch *launch, ptxm_diagnostic_fn *diagnostic,
                             void *diagnostic_user, struct ptxm_report **report);

#ifdef __cplusplus
}
#endif
#endif
