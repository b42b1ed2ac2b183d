// SPDX-License-Identifier: MIT
// Runs a task: compile, move the tensors, launch, read back, compare, and run again where elements
// are wrong.
#include "task_runner.h"
#include "json.h"
#include "output.h"
#include <stdlib.h>
#include <string.h>

// ---- findings ----------------------------------------------------------------------------------

void findings_open(finding_list *findings)
{
    memset(findings, 0, sizeof *findings);
    findings->json = must(json_array());
}

void findings_keep(const kgen_finding *finding, void *user)
{
    finding_list *f = user;
    size_t length = strlen(finding->rendered);
    f->text = must(realloc(f->text, f->bytes + length + 1));
    memcpy(f->text + f->bytes, finding->rendered, length + 1);
    f->bytes += length;
    f->keys = must(realloc(f->keys, (f->n + 1) * sizeof *f->keys));
    f->keys[f->n++] =
        (finding_key){.rule = format_text("%s", finding->rule),
                      .repair = finding->repair ? format_text("%s", finding->repair) : NULL,
                      .line_a = finding->a.line,
                      .line_b = finding->b.line,
                      .repair_line = finding->repair_line};
    json_array_append_new(f->json, json_of_finding(finding));
}

void findings_clear(finding_list *findings)
{
    instruction_list *instructions = findings->instructions;
    findings_free(findings);
    findings_open(findings);
    findings->instructions = instructions;
    if (instructions) instructions_free(instructions);
}

void findings_free(finding_list *findings)
{
    for (size_t i = 0; i < findings->n; i++) {
        free(findings->keys[i].rule);
        free(findings->keys[i].repair);
    }
    free(findings->keys);
    json_decref(findings->json);
    free(findings->text);
}

void instructions_keep(const kgen_instruction_profile *instruction, void *user)
{
    instruction_list *list = ((finding_list *)user)->instructions;
    if (list->n == list->capacity) {
        list->capacity = 2 * list->capacity + 64;
        list->rows = must(realloc(list->rows, list->capacity * sizeof *list->rows));
    }
    kgen_instruction_profile *row = &list->rows[list->n++];
    *row = *instruction;
    row->instruction = format_text("%s", instruction->instruction);
    if (row->source_file) row->source_file = format_text("%s", row->source_file);
}

void instructions_free(instruction_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free((char *)list->rows[i].instruction);
        free((char *)list->rows[i].source_file);
    }
    free(list->rows);
    *list = (instruction_list){0};
}

// ---- compile -----------------------------------------------------------------------------------

int64_t tensor_elements(const kgen_task_tensor *tensor)
{
    int64_t n = 1;
    for (int d = 0; d < tensor->rank; d++) n *= tensor->dims[d];
    return n;
}

static bool overridden(const kgen_define *given, size_t n_given, const char *name)
{
    for (size_t i = 0; i < n_given; i++)
        if (!strcmp(given[i].name, name)) return true;
    return false;
}

kgen_define *task_defines(const kgen_task *task, const kgen_define *given, size_t n_given,
                          size_t *n_defines)
{
    kgen_define *defines = must(calloc((size_t)task->n_defines + n_given + 1, sizeof *defines));
    size_t n = 0;
    for (int i = 0; i < task->n_defines; i++)
        if (!overridden(given, n_given, task->defines[i].name))
            defines[n++] = (kgen_define){task->defines[i].name, task->defines[i].value};
    for (size_t i = 0; i < n_given; i++) defines[n++] = given[i];
    *n_defines = n;
    return defines;
}

kgen_status task_compile(cli_session *session, const kgen_task *task, const run_settings *settings,
                         kgen_program **program)
{
    size_t n;
    kgen_define *defines = task_defines(task, settings->defines, settings->n_defines, &n);
    const char *planned = task->target[0] ? task->target : NULL;
    kgen_compile_options o = {.name = task->source_name,
                              .target = settings->target ? settings->target : planned,
                              .defines = defines,
                              .n_defines = n,
                              .no_validate = settings->no_validate};
    kgen_status status =
        kgen_compile(session->context, task->source, task->source_bytes, &o, program);
    free(defines);
    return status;
}

// ---- one launch --------------------------------------------------------------------------------

// What a launch needs and leaves: buffers and arguments for one device.
typedef struct launch_state {
    kgen_device *device;
    kgen_buffer *buffers[KGEN_TASK_TENSORS]; // NULL: no bytes, or those of the tensor it aliases
    kgen_arg args[KGEN_TASK_TENSORS + KGEN_TASK_SCALARS];
    size_t n_args;
} launch_state;

static bool has_param(const kgen_program *program, const char *name)
{
    kgen_param_info param;
    for (int i = 0; kgen_program_get_param(program, i, &param) == KGEN_OK; i++)
        if (!strcmp(param.name, name)) return true;
    return false;
}

static kgen_buffer *buffer_of(const launch_state *l, const kgen_task *task, int tensor)
{
    while (task->tensors[tensor].alias >= 0) tensor = task->tensors[tensor].alias;
    return l->buffers[tensor];
}

static kgen_status bind(launch_state *l, const kgen_task *task, const kgen_program *program)
{
    kgen_status status = KGEN_OK;
    for (int i = 0; i < task->n_tensors && !status; i++) {
        const kgen_task_tensor *t = &task->tensors[i];
        if (t->alias >= 0 || !t->bytes) continue;
        status = kgen_buffer_create(l->device, t->bytes, &l->buffers[i]);
        if (!status) status = kgen_buffer_write(l->buffers[i], 0, t->data, t->bytes);
    }
    for (int i = 0; i < task->n_tensors && !status; i++)
        l->args[l->n_args++] =
            (kgen_arg){.name = task->tensors[i].name, .buffer = buffer_of(l, task, i)};
    for (int i = 0; i < task->n_scalars && !status; i++) {
        const kgen_task_scalar *s = &task->scalars[i];
        if (has_param(program, s->name))
            l->args[l->n_args++] = (kgen_arg){.name = s->name, .i = s->i, .f = s->f};
    }
    return status;
}

static void unbind(launch_state *l, const kgen_task *task)
{
    for (int i = 0; i < task->n_tensors; i++) kgen_buffer_free(l->buffers[i]);
}

static bool is_compared(const kgen_task_tensor *t)
{
    return (t->role == KGEN_TASK_OUTPUT || t->role == KGEN_TASK_UPDATED) && t->bytes;
}

// The bytes of a compared tensor after the launch; to be freed.
static kgen_status read_back(const launch_state *l, const kgen_task *task, int tensor, void **data)
{
    size_t bytes = task->tensors[tensor].bytes;
    *data = must(malloc(bytes));
    kgen_status status = kgen_buffer_read(buffer_of(l, task, tensor), 0, *data, bytes);
    if (!status) return KGEN_OK;
    free(*data);
    return status;
}

// KGEN_ERROR_FINDINGS is no obstacle: the outputs are there.
static bool launched(kgen_status status)
{
    return status == KGEN_OK || status == KGEN_ERROR_FINDINGS;
}

// ---- comparison --------------------------------------------------------------------------------

static kgen_status compare(const launch_state *l, const kgen_task *task, run_result *result)
{
    for (int i = 0; i < task->n_tensors; i++) {
        const kgen_task_tensor *t = &task->tensors[i];
        void *data;
        if (!is_compared(t)) continue;
        kgen_status status = read_back(l, task, i, &data);
        if (status) return status;
        output_result *out = &result->outputs[result->n_outputs++];
        *out = (output_result){.tensor = i};
        kgen_task_compare(task, i, data, &out->comparison);
        if (out->comparison.wrong) {
            result->mismatch = true;
            out->wrong = must(malloc((size_t)tensor_elements(t)));
            kgen_task_mark_wrong(task, i, data, out->wrong);
        }
        free(data);
    }
    return KGEN_OK;
}

// Whether the elements that are wrong now are those that were wrong the first time.
static kgen_status same_elements(const launch_state *l, const kgen_task *task,
                                 const run_result *result, bool *same)
{
    *same = true;
    for (int i = 0; i < result->n_outputs && *same; i++) {
        const output_result *out = &result->outputs[i];
        size_t n = (size_t)out->comparison.elements;
        void *data;
        kgen_status status = read_back(l, task, out->tensor, &data);
        if (status) return status;
        unsigned char *wrong = must(malloc(n + 1));
        int64_t count = kgen_task_mark_wrong(task, out->tensor, data, wrong);
        *same = count == out->comparison.wrong && (!count || !memcmp(wrong, out->wrong, n));
        free(wrong);
        free(data);
    }
    return KGEN_OK;
}

// The same inputs again. The cpu device repeats itself exactly, so it gets another schedule.
static kgen_status rerun(cli_session *session, const kgen_task *task, const run_settings *settings,
                         const run_result *result, int number, bool *same)
{
    launch_state l = {0};
    kgen_device_options o = settings->device;
    o.seed += (uint64_t)number;
    if (number > 1) o.completion = KGEN_COMPLETE_SEEDED;
    kgen_status status = kgen_device_open(session->context, settings->device_kind, &o, &l.device);
    if (status) return status;
    status = bind(&l, task, result->program);
    if (!status) status = kgen_launch(l.device, result->program, l.args, l.n_args, NULL);
    if (launched(status)) status = same_elements(&l, task, result, same);
    unbind(&l, task);
    kgen_device_close(l.device);
    return status;
}

static void find_stability(cli_session *session, const kgen_task *task,
                           const run_settings *settings, run_result *result)
{
    for (int i = 1; i <= settings->reruns; i++) {
        bool same = true;
        if (rerun(session, task, settings, result, i, &same)) return;
        result->reruns = i;
        if (result->stability != OTHER_ELEMENTS)
            result->stability = same ? SAME_ELEMENTS : OTHER_ELEMENTS;
    }
}

// ---- all of it ---------------------------------------------------------------------------------

static kgen_status run_on_device(cli_session *session, const kgen_task *task,
                                 const run_settings *settings, launch_state *l, run_result *result)
{
    kgen_launch_options o = {.finding = findings_keep,
                             .instruction = settings->instructions ? instructions_keep : NULL,
                             .user = &result->findings,
                             .statistics = &result->statistics};
    result->doing = "opening the device";
    kgen_status status =
        kgen_device_open(session->context, settings->device_kind, &settings->device, &l->device);
    if (status) return status;
    snprintf(result->device_name, sizeof result->device_name, "%s", kgen_device_name(l->device));
    result->doing = "moving the tensors";
    status = bind(l, task, result->program);
    if (status) return status;
    result->doing = "launching";
    kgen_status launch_status = kgen_launch(l->device, result->program, l->args, l->n_args, &o);
    if (!launched(launch_status)) return launch_status;
    result->doing = "reading the results";
    status = compare(l, task, result);
    if (status) return status;
    if (settings->repeat && !result->mismatch && !launch_status) {
        kgen_statistics timed = {0};
        kgen_launch_options quiet = {.statistics = &timed};
        result->doing = "timing";
        status = kgen_launch_repeated(l->device, result->program, l->args, l->n_args, &quiet,
                                      settings->repeat);
        if (status) return status;
        result->timed_seconds = timed.seconds;
    }
    result->doing = "running";
    return launch_status;
}

// One schedule after the other, up to the first under which anything is wrong.
static void run_schedules(cli_session *session, const kgen_task *task, run_settings *settings,
                          run_result *result)
{
    int count = settings->plan ? settings->plan->count : 1;
    for (int i = 0; i < count && !result->status && !result->mismatch; i++) {
        launch_state l = {0};
        if (settings->plan) {
            schedule s = schedules_at(settings->plan, i);
            settings->device.completion = s.completion;
            settings->device.seed = s.order;
            schedules_progress(settings->plan, i);
        }
        result->schedule = i;
        result->n_outputs = 0;
        findings_clear(&result->findings);
        result->status = run_on_device(session, task, settings, &l, result);
        unbind(&l, task);
        kgen_device_close(l.device);
    }
    if (settings->plan) schedules_progress_end(settings->plan);
}

bool task_run(cli_session *session, kgen_task *task, const run_settings *settings,
              run_result *result)
{
    run_settings one = *settings; // with the schedule that ran last
    *result = (run_result){.doing = "compiling"};
    findings_open(&result->findings);
    result->findings.instructions = settings->instructions;
    result->status = task_compile(session, task, settings, &result->program);
    if (result->status) return false;
    kgen_program_get_info(result->program, &result->info);
    result->doing = "computing the reference";
    if (!kgen_task_reference(task)) {
        result->status = KGEN_ERROR_MEMORY;
        return false;
    }
    run_schedules(session, task, &one, result);
    if (result->mismatch) find_stability(session, task, &one, result);
    return result->status == KGEN_OK && !result->mismatch;
}

void run_result_free(run_result *result)
{
    for (int i = 0; i < result->n_outputs; i++) free(result->outputs[i].wrong);
    kgen_program_free(result->program);
    findings_free(&result->findings);
}

double run_result_worst_ratio(const run_result *result)
{
    double worst = 0;
    for (int i = 0; i < result->n_outputs; i++)
        if (result->outputs[i].comparison.max_ratio > worst)
            worst = result->outputs[i].comparison.max_ratio;
    return worst;
}
