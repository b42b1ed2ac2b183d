// SPDX-License-Identifier: MIT
// Objects behind the handles of kgen.h. Private to runtime/.
#pragma once
#include "codegen/codegen.h"
#include "ir/tensor_map.h"
#include "passes/passes.h"
#include "passes/repair.h"
#include "passes/sync/report.h"
#include "runtime/kgen.h"
#include <pthread.h>
#include <stdbool.h>

typedef struct codegen_slot codegen_slot;

struct kgen_context {
    kg_allocator allocator;
    void (*diagnostic)(const kgen_diagnostic *diagnostic, void *user);
    void *user;
    bool color;
    pthread_mutex_t lock; // over what follows
    codegen_slot *idle;   // code generators that wait for work: LLVM's set-up is paid once
    kgen_device *devices; // so that a freed program's modules go too
    uint64_t next_serial;
};

void *context_alloc(kgen_context *context, size_t bytes); // zeroed, NULL on failure
void context_release(kgen_context *context, void *memory);
char *context_strdup(kgen_context *context, const char *text, size_t length);
// Hands collected findings to the callback.
void context_report(kgen_context *context, kg_arena *arena, const kg_diags *diags);
// One finding without a place in a source.
kgen_status context_fail(kgen_context *context, kgen_status status, kg_diag_id id, const char *help,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));
kg_codegen *context_take_codegen(kgen_context *context); // NULL without memory
void context_give_codegen(kgen_context *context, kg_codegen *codegen);

struct kgen_program {
    kgen_context *context;
    uint64_t serial;
    kg_arena arena;
    char *text, *label; // the source and its name, which the IR points into
    kg_source source;
    kg_kernel *kernel;
    const struct cg_target *target;
    const char *ptx, *ir, *llvm, *explain;
    const char *report_made; // set once `report` is
    const kgen_report *report;
    const char **sync_reasons; // by id - 1, for the comments of the PTX
    char *llvm_text; // owned
    size_t ptx_length;
    kgen_program_info info;
    kg_sync_report sync_report;
    kg_repairs repairs; // what was considered instead of synchronization; with sync_report
    bool has_reasons; // sync_report is filled
    bool *used;           // by parameter
    kg_tensor_maps maps;  // behind the other parameters
    pthread_mutex_t lock; // over what is made on demand
};

// Of a program that was compiled with reasons; in its arena (report.c, report_text.c).
const kgen_report *program_make_report(kgen_program *program);
const char *program_make_explanation(kgen_program *program, const kgen_report *report);

// What a device can do; one table for each kind.
typedef struct device_ops {
    kgen_status (*open)(kgen_device *device, const kgen_device_options *options);
    void (*close)(kgen_device *device);
    kgen_status (*allocate)(kgen_device *device, size_t bytes, uint64_t *address);
    void (*release)(kgen_device *device, uint64_t address);
    kgen_status (*write)(kgen_device *device, uint64_t address, const void *data, size_t bytes);
    kgen_status (*read)(kgen_device *device, uint64_t address, void *data, size_t bytes);
    kgen_status (*fill)(kgen_device *device, uint64_t address, unsigned char byte, size_t bytes);
    kgen_status (*load)(kgen_device *device, kgen_module *module, const void *image, size_t bytes);
    void (*unload)(kgen_module *module);
    kgen_status (*launch)(kgen_module *module, const kgen_raw_launch *launch,
                          const kgen_launch_options *options, int repeats);
    // Fills KG_MAP_BYTES bytes, aligned to KG_MAP_ALIGN, that a kernel of this device understands.
    kgen_status (*encode_map)(kgen_device *device, const kgen_tensor_map_info *info,
                              uint64_t address, void *map);
} device_ops;
extern const device_ops device_ops_cpu, device_ops_cuda;

struct kgen_module {
    kgen_device *device;
    void *loaded;            // of the device's kind
    uint64_t program_serial; // 0: loaded by hand
    const char *name;
    kgen_module *next;
};

struct kgen_device {
    kgen_context *context;
    const device_ops *ops;
    void *state;
    char name[160], target[16];
    pthread_mutex_t lock; // one launch or copy at a time
    kgen_module *modules; // of programs
    kgen_device *next;
};

struct kgen_buffer {
    kgen_device *device;
    uint64_t address;
    size_t bytes;
};

// A map for sizes and strides by parameter. Findings name the tensor (tensor_map.c).
kgen_status program_describe_map(kgen_context *context, const kg_tensor_map *map,
                                 const int64_t *values, kgen_tensor_map_info *out);

void device_drop_program(kgen_device *device, uint64_t serial);
// The module of a program on a device, loaded at the first launch. The caller holds the device's
// lock.
kgen_status device_program_module(kgen_device *device, const kgen_program *program,
                                  kgen_module **out);
