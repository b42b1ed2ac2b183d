// SPDX-License-Identifier: MIT
// Runs a task of a shipped kernel on a device and compares what it wrote with the reference.
#pragma once
#include "kernels/kernels.h"
#include "schedules.h"
#include "session.h"

// A profile: what each instruction did, in the order of the PTX; owns its strings.
typedef struct instruction_list {
    kgen_instruction_profile *rows;
    size_t n, capacity;
} instruction_list;

typedef struct run_settings {
    const char *device_kind, *target; // target NULL: sm_80
    kgen_device_options device;
    const kgen_define *defines; // beside the task's own, which they override
    size_t n_defines;
    bool no_validate;               // run even what the validator refutes
    schedule_plan *plan;            // of the cpu device; NULL: as `device` says
    instruction_list *instructions; // NULL: no profile
    int reruns, repeat;
} run_settings;

typedef struct output_result {
    int tensor; // of the task
    kgen_comparison comparison;
    unsigned char *wrong; // by element; NULL when none is wrong
} output_result;

typedef enum rerun_outcome { NOT_RERUN, SAME_ELEMENTS, OTHER_ELEMENTS } rerun_outcome;

// What tells findings apart, and what they propose; the strings are owned.
typedef struct finding_key {
    char *rule, *repair; // repair NULL: nothing
    int line_a, line_b, repair_line;
} finding_key;

// What a launch tells: the checks' findings, in both forms, and a profile where one is wanted.
typedef struct finding_list {
    json_t *json;
    char *text; // rendered, one after the other; NULL when there are none
    size_t bytes, n;
    finding_key *keys;
    instruction_list *instructions; // of the caller; NULL: no profile
} finding_list;

typedef struct run_result {
    kgen_status status; // of the step that failed, or of the launch
    const char *doing;  // that step
    kgen_program *program;
    kgen_program_info info;
    kgen_statistics statistics;
    finding_list findings;
    output_result outputs[KGEN_TASK_TENSORS];
    int n_outputs; // 0: it did not get to comparing
    int schedule;  // number of the one that ran last
    bool mismatch;
    rerun_outcome stability;
    int reruns;           // done
    double timed_seconds; // of one launch, 0: not timed
    char device_name[160];
} run_result;

// The task's definitions and those given, which go before; free() the array.
kgen_define *task_defines(const kgen_task *task, const kgen_define *given, size_t n_given,
                          size_t *n_defines);
// The task's program, with the settings' definitions; needs no data.
kgen_status task_compile(cli_session *session, const kgen_task *task, const run_settings *settings,
                         kgen_program **program);
// Returns whether all is well; the result is complete in both cases. Errors are shown by the
// session. Free the result in any case.
bool task_run(cli_session *session, kgen_task *task, const run_settings *settings,
              run_result *result);
void run_result_free(run_result *result);

void findings_open(finding_list *findings);
void findings_keep(const kgen_finding *finding, void *user); // for kgen_launch_options
void findings_clear(finding_list *findings);                 // of the last launch
void findings_free(finding_list *findings);
// For kgen_launch_options, where `user` is a finding_list that has instructions.
void instructions_keep(const kgen_instruction_profile *instruction, void *user);
void instructions_free(instruction_list *list);

int64_t tensor_elements(const kgen_task_tensor *tensor);
// The largest error of all outputs as a part of its bound.
double run_result_worst_ratio(const run_result *result);
