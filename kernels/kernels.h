// SPDX-License-Identifier: MIT
// The shipped kernel families: their texts, the launch rules, inputs and references.
//
// A family turns keys ("M=256 dtype=bf16") into a task: host tensors filled from a seed, one launch
// with its definitions and arguments, and a reference in plain C with f64 accumulation. The library
// knows nothing of devices; whoever runs the task moves the tensors.
//
// Ownership: a task owns all it points to. Thread safety: a task belongs to one thread at a time.
#ifndef KGEN_KERNELS_H
#define KGEN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KGEN_TASK_RANK 5
#define KGEN_TASK_TENSORS 16
#define KGEN_TASK_DEFINES 32
#define KGEN_TASK_SCALARS 16

typedef struct kgen_task_key {
    const char *name, *value; // key as given; default when describing a family
    const char *doc;
} kgen_task_key;

typedef enum kgen_task_role {
    KGEN_TASK_INPUT,   // filled
    KGEN_TASK_OUTPUT,  // compared; starts as NaN poison
    KGEN_TASK_UPDATED, // filled, and compared afterwards against another expectation
    KGEN_TASK_ZEROED,  // workspace that must be zero before the first launch (and is left zero)
    KGEN_TASK_SCRATCH  // workspace, any content
} kgen_task_role;

typedef struct kgen_task_tensor {
    const char *name;  // parameter of the kernel
    const char *dtype; // "f32", "bf16", "f16", "i32"
    kgen_task_role role;
    int rank;
    int64_t dims[KGEN_TASK_RANK];
    size_t bytes;
    void *data;     // row-major host content; NULL when bytes == 0
    double *expect; // of outputs, after kgen_task_reference
    double *bound;  // largest acceptable |result - expect| by element
    int alias;      // index of the tensor whose memory this one shares, or -1
} kgen_task_tensor;

typedef struct kgen_task_scalar {
    const char *name;
    int64_t i;
    double f;
} kgen_task_scalar;

typedef struct kgen_task {
    const char *family;
    char shape[128];    // "256x256x256 bf16", for tables
    const char *source; // .kg text
    size_t source_bytes;
    const char *source_name; // "matmul.kg"
    struct {
        char name[24], value[24];
    } defines[KGEN_TASK_DEFINES];
    int n_defines;
    kgen_task_tensor tensors[KGEN_TASK_TENSORS];
    int n_tensors;
    kgen_task_scalar scalars[KGEN_TASK_SCALARS];
    int n_scalars;
    char target[16];    // GPU that the plan is made for; empty: any
    char reasons[4096]; // why this schedule, a line each; empty: nothing was to be chosen
    double flop, bytes;                        // of the whole task, by the usual formulas
    void (*prepare)(struct kgen_task *task);   // inputs that are not uniform noise; NULL: none
    bool (*reference)(struct kgen_task *task); // false: out of memory
} kgen_task;

typedef struct kgen_family {
    const char *name, *doc;
    const kgen_task_key *keys; // with defaults; ends with a NULL name
    // false: `error` (256 bytes) says which key is wrong and what would do.
    bool (*plan)(kgen_task *task, const int64_t *values, const char *const *texts, char *error);
    const char *source_name;
} kgen_family;

extern const kgen_family *const kgen_families[]; // ends with NULL
// What tests and tools hold the families to, each "family key=value ..."; ends with NULL.
extern const char *const kgen_configurations[];
extern const char *const kgen_target_configurations[]; // the same, of schedules for one GPU
const kgen_family *kgen_family_named(const char *name);
// The text of a shipped kernel by source name ("matmul.kg") or family name; NULL when unknown.
const char *kgen_kernel_source(const char *name, size_t *length);

// Plans a task and fills its inputs from the seed: uniform in [-1, 1] unless the family needs
// otherwise. NULL with a text in `error` (256 bytes) for an unknown key, a bad value or memory.
kgen_task *kgen_task_create(const kgen_family *family, const kgen_task_key *keys, int n_keys,
                            uint64_t seed, char *error);
// The plan alone: no tensor has data, so it can be had for tasks larger than the host's memory.
kgen_task *kgen_task_plan(const kgen_family *family, const kgen_task_key *keys, int n_keys,
                          char *error);
void kgen_task_free(kgen_task *task);
bool kgen_task_reference(kgen_task *task); // fills expect and bound; false: out of memory

typedef struct kgen_comparison {
    int64_t elements, wrong; // wrong: above its bound, or not a number where a number is expected
    double max_error;        // largest |result - expect|
    double max_ratio;        // largest error / bound
    double rms_relative;     // ||result - expect|| / ||expect||
    int64_t worst;           // flat index of the largest ratio; -1 when no element is compared
    int64_t worst_index[KGEN_TASK_RANK];
    double worst_result, worst_expect;
} kgen_comparison;
void kgen_task_compare(const kgen_task *task, int tensor, const void *result, kgen_comparison *out);
// Marks each wrong element; returns how many. `wrong` has one byte an element.
int64_t kgen_task_mark_wrong(const kgen_task *task, int tensor, const void *result,
                             unsigned char *wrong);
double kgen_task_element(const char *dtype, const void *data,
                         int64_t i);             // any supported dtype as a double
size_t kgen_task_dtype_bytes(const char *dtype); // 0: unknown

#endif
