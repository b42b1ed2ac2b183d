// SPDX-License-Identifier: MIT
// kgen-instructions: every form on a GPU and on the PTX machine, with the same operands, compared
// bit by bit and with the reference. JSON on stdout: the forms whose bits differ. Exit status: 0 no
// difference that the reference does not allow, 1 some, 2 usage, 77 there is no GPU to ask.
#include "forms.h"
#include "ptxm.h"
#include "runtime/cuda/cuda_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = FORM_OPERANDS * 8, EXAMPLES = 3 };

struct trial {
    struct kg_cuda_context *gpu;
    struct ptxm_device *machine;
    char target[16];
    uint64_t gpu_buffer, machine_buffer; // four of BYTES each: a, b, c, result
    uint64_t *in[3], *on_gpu, *on_machine;
    unsigned forms, differing, wrong, refused, printed;
};

static void say(void *user, const struct kg_cuda_message *message)
{
    fprintf(stderr, "kgen-instructions: %s\n", message->text);
}

static bool run_on_gpu(struct trial *t, struct kg_cuda_module *module, const char *name,
                       unsigned count)
{
    struct kg_cuda_kernel kernel;
    uint64_t address[4];
    void *arguments[4];
    for (unsigned k = 0; k < 4; k++) {
        address[k] = t->gpu_buffer + k * BYTES;
        arguments[k] = &address[k];
        if (k < 3 && kg_cuda_copy_to_device(t->gpu, address[k], t->in[k], count * 8, NULL))
            return false;
    }
    struct kg_cuda_launch launch = {.grid = {count / 256, 1, 1}, .block = {256, 1, 1},
                                    .arguments = arguments};
    return kg_cuda_fill_bytes(t->gpu, address[3], 0, count * 8, NULL) == KG_CUDA_OK &&
           kg_cuda_module_kernel(module, name, &kernel) == KG_CUDA_OK &&
           kg_cuda_launch(kernel, &launch) == KG_CUDA_OK &&
           kg_cuda_copy_to_host(t->gpu, t->on_gpu, address[3], count * 8, NULL) == KG_CUDA_OK &&
           kg_cuda_synchronize(t->gpu) == KG_CUDA_OK;
}

static bool run_on_machine(struct trial *t, struct ptxm_module *module, const char *name,
                           unsigned count)
{
    uint64_t address[4];
    struct ptxm_launch_options options = {.no_checks = true, .no_counters = true};
    struct ptxm_launch launch = {.kernel = name, .grid = {count / 256, 1, 1}, .block = {256, 1, 1},
                                 .params = address, .param_bytes = sizeof address,
                                 .options = &options};
    struct ptxm_report *report = NULL;
    for (unsigned k = 0; k < 4; k++) {
        address[k] = t->machine_buffer + k * BYTES;
        if (k < 3 && ptxm_memory_write(t->machine, address[k], t->in[k], count * 8) != PTXM_OK)
            return false;
    }
    bool good = ptxm_memory_fill(t->machine, address[3], 0, count * 8) == PTXM_OK &&
                ptxm_launch(t->machine, module, &launch, NULL, NULL, &report) == PTXM_OK &&
                ptxm_memory_read(t->machine, address[3], t->on_machine, count * 8) == PTXM_OK;
    ptxm_report_free(report);
    return good;
}

// ---- JSON --------------------------------------------------------------------------------------
// Patterns and names here hold nothing that needs an escape but quotes, which none has.

static void begin_form(struct trial *t, const char *group, const char *text)
{
    printf("%s\n {\"group\": \"%s\", \"form\": \"%s\"", t->printed++ ? "," : "", group, text);
}

static void print_example(const struct trial *t, unsigned i, const struct answer *answer,
                          bool first)
{
    printf("%s\n   {\"a\": \"%" PRIx64 "\", \"b\": \"%" PRIx64 "\", \"c\": \"%" PRIx64
           "\", \"machine\": \"%" PRIx64 "\", \"gpu\": \"%" PRIx64 "\", \"reference\": \"%" PRIx64
           "\"}", first ? "" : ",", t->in[0][i], t->in[1][i], t->in[2][i], t->on_machine[i],
           t->on_gpu[i], answer->bits);
}

// `differ` results have other bits than the machine's, `wrong` of those the reference forbids.
// The examples are of what is wrong where something is.
static void print_form(struct trial *t, const char *group, const struct form *form, unsigned differ,
                       unsigned wrong)
{
    unsigned shown = 0, count = form_operand_count(form);
    begin_form(t, group, form->text);
    printf(", \"operands\": %u, \"differ\": %u, \"wrong\": %u,\n  \"examples\": [", count, differ,
           wrong);
    for (unsigned i = 0; i < count && shown < EXAMPLES; i++) {
        struct answer answer[2];
        form_expect(form, (uint64_t[]){t->in[0][i], t->in[1][i], t->in[2][i]}, answer);
        if (t->on_gpu[i] != t->on_machine[i] &&
            (!wrong || !form_agrees(form, t->on_gpu[i], answer)))
            print_example(t, i, answer, shown++ == 0);
    }
    printf("]}");
}

static void print_refused(struct trial *t, const char *group, const char *text, const char *who)
{
    begin_form(t, group, text);
    printf(", \"refused\": \"%s\"}", who);
    t->refused++;
}

// ---- forms -------------------------------------------------------------------------------------

static void compare(struct trial *t, const char *group, const struct form *form)
{
    unsigned differ = 0, wrong = 0, count = form_operand_count(form);
    for (unsigned i = 0; i < count; i++) {
        struct answer answer[2];
        if (t->on_gpu[i] == t->on_machine[i])
            continue;
        form_expect(form, (uint64_t[]){t->in[0][i], t->in[1][i], t->in[2][i]}, answer);
        wrong += !form_agrees(form, t->on_gpu[i], answer);
        differ++;
    }
    t->differing += differ != 0;
    t->wrong += wrong != 0;
    if (differ)
        print_form(t, group, form, differ, wrong);
}

static void try_row(struct trial *t, const char *group, const struct form_row *row)
{
    size_t count = 0;
    struct kg_cuda_module *gpu = NULL;
    struct ptxm_module *machine = NULL;
    struct form *forms = forms_of(row, &count);
    char *text = forms ? forms_text(forms, count, t->target) : NULL;
    if (!text || ptxm_module_load(text, strlen(text), NULL, &machine) != PTXM_OK)
        print_refused(t, group, row->pattern, "machine");
    else if (kg_cuda_module_load(t->gpu, text, strlen(text) + 1, NULL, &gpu) != KG_CUDA_OK)
        print_refused(t, group, row->pattern, "gpu");
    for (size_t i = 0; gpu && i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "k%zu", i);
        form_operands(&forms[i], t->in);
        unsigned operands = form_operand_count(&forms[i]);
        t->forms++;
        if (run_on_gpu(t, gpu, name, operands) && run_on_machine(t, machine, name, operands))
            compare(t, group, &forms[i]);
        else
            print_refused(t, group, forms[i].text, "launch");
    }
    kg_cuda_module_unload(gpu);
    ptxm_module_free(machine);
    free(text);
    free(forms);
}

static int try_all(struct trial *t, const char *only)
{
    const struct kg_cuda_device_info *info = kg_cuda_context_device(t->gpu);
    struct form_group group;
    snprintf(t->target, sizeof t->target, info->sm == 90 ? "sm_90a" : "sm_%d", info->sm);
    printf("{\"format\": 1, \"gpu\": \"%s\", \"target\": \"%s\", \"driver\": %d,\n\"differing\": [",
           info->name, t->target, info->driver_version);
    for (size_t g = 0; (group = form_group(g)).name; g++)
        for (size_t r = 0; r < group.count; r++)
            if (!only || strstr(group.rows[r].pattern, only) || !strcmp(group.name, only))
                try_row(t, group.name, &group.rows[r]);
    printf("],\n\"counts\": {\"forms\": %u, \"differing\": %u, \"wrong\": %u, \"refused\": %u}}\n",
           t->forms, t->differing, t->wrong, t->refused);
    return t->wrong || !t->forms;
}

static bool make_buffers(struct trial *t)
{
    for (unsigned k = 0; k < 3; k++) t->in[k] = calloc(1, BYTES);
    t->on_gpu = calloc(1, BYTES);
    t->on_machine = calloc(1, BYTES);
    return t->in[0] && t->in[1] && t->in[2] && t->on_gpu && t->on_machine &&
           ptxm_device_create(NULL, &t->machine) == PTXM_OK &&
           ptxm_memory_allocate(t->machine, 4 * BYTES, NULL, &t->machine_buffer) == PTXM_OK &&
           kg_cuda_memory_alloc(t->gpu, 4 * BYTES, &t->gpu_buffer) == KG_CUDA_OK;
}

static void drop_buffers(struct trial *t)
{
    for (unsigned k = 0; k < 3; k++) free(t->in[k]);
    free(t->on_gpu);
    free(t->on_machine);
    ptxm_device_free(t->machine);
    if (t->gpu_buffer)
        kg_cuda_memory_free(t->gpu, t->gpu_buffer);
}

static int usage(void)
{
    fprintf(stderr, "usage: kgen-instructions [--only=TEXT] [--driver=PATH]\n"
                    "--only takes the name of a group or a part of a pattern\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    struct kg_cuda_config config = {.report = say};
    struct kg_cuda_driver *driver = NULL;
    struct trial trial = {0};
    int status = 77;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "--only=", 7))
            only = argv[i] + 7;
        else if (!strncmp(argv[i], "--driver=", 9))
            config.driver_path = argv[i] + 9;
        else
            return usage();
    }
    if (kg_cuda_open(&config, &driver) != KG_CUDA_OK ||
        kg_cuda_context_retain(driver, 0, &trial.gpu) != KG_CUDA_OK)
        fprintf(stderr, "kgen-instructions: skipped, there is no GPU to ask\n");
    else if (make_buffers(&trial))
        status = try_all(&trial, only);
    else
        status = 1;
    if (trial.gpu)
        drop_buffers(&trial);
    kg_cuda_context_release(trial.gpu);
    kg_cuda_close(driver);
    return status;
}
