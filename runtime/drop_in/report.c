// SPDX-License-Identifier: MIT
// What the machine found in a launch, in words for people and as a result for the host.
#include "driver.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- writing -----------------------------------------------------------------------------------

// The report's file, or stderr. A file that cannot be opened is no reason to lose what is found.
static FILE *open_report(void)
{
    const char *path = the_driver.settings.report_path;
    FILE *file = path ? fopen(path, "a") : NULL;

    return file ? file : stderr;
}

static void close_report(FILE *file)
{
    if (file == stderr)
        fflush(file);
    else
        fclose(file);
}

void driver_note(const char *format, ...)
{
    va_list arguments;
    FILE *file;

    pthread_mutex_lock(&the_driver.report_lock);
    file = open_report();
    fputs("kgen driver: ", file);
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
    fputc('\n', file);
    close_report(file);
    pthread_mutex_unlock(&the_driver.report_lock);
}

static void write_place(FILE *file, const struct ptxm_place *p)
{
    if (!p->line) return;
    fprintf(file, "    PTX line %u", p->line);
    if (p->source_line)
        fprintf(file, " (%s:%u)", p->source_file ? p->source_file : "source", p->source_line);
    if (p->instruction) fprintf(file, ": %s", p->instruction);
    fprintf(file, ", thread %u,%u,%u of block %u,%u,%u", p->thread[0], p->thread[1], p->thread[2],
            p->cta[0], p->cta[1], p->cta[2]);
    if (p->space && p->kind) fprintf(file, ", %s of %u bytes in %s", p->kind, p->size, p->space);
    if (p->space && p->object)
        fprintf(file, ", %s + %llu", p->object, (unsigned long long)p->offset);
    fputc('\n', file);
}

static void write_finding(FILE *file, const struct ptxm_finding *f)
{
    fprintf(file, "  %s [%s]: %s", ptxm_severity_text(f->severity), f->rule, f->message);
    if (f->count > 1) fprintf(file, " (seen %llu times)", (unsigned long long)f->count);
    fputc('\n', file);
    write_place(file, &f->a);
    write_place(file, &f->b);
    if (f->hint) fprintf(file, "    help: %s\n", f->hint);
    if (f->where) fprintf(file, "    where: %s\n", f->where);
}

static void write_report(const struct ptxm_launch *launch, const struct ptxm_report *report)
{
    size_t count = ptxm_report_count(report);
    const uint32_t *g = launch->grid, *b = launch->block;
    FILE *file;

    pthread_mutex_lock(&the_driver.report_lock);
    file = open_report();
    fprintf(file, "kgen driver: kernel '%s', grid %u,%u,%u, block %u,%u,%u: %zu finding%s%s\n",
            launch->kernel, g[0], g[1], g[2], b[0], b[1], b[2], count, count == 1 ? "" : "s",
            ptxm_report_truncated(report) ? ", and more" : "");
    for (size_t i = 0; i < count; i++) write_finding(file, ptxm_report_finding(report, i));
    close_report(file);
    pthread_mutex_unlock(&the_driver.report_lock);
}

// ---- judging -----------------------------------------------------------------------------------

// What a GPU would have said; the first row that fits one of the findings counts. Findings of other
// rules (races, uninitialised memory, protocols) are failed launches.
static const struct {
    const char *rule;
    cu_result result;
} results[] = {
    {"out-of-memory", CUDA_ERROR_OUT_OF_MEMORY},
    {"assertion", CUDA_ERROR_ASSERT},
    {"global-bounds", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"use-after-free", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"shared-bounds", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"local-bounds", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"param-bounds", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"read-only", CUDA_ERROR_ILLEGAL_ADDRESS},
    {"misaligned", CUDA_ERROR_MISALIGNED_ADDRESS},
    {"branch-index", CUDA_ERROR_INVALID_PC},
    {"call", CUDA_ERROR_HARDWARE_STACK_ERROR},
    {"deadlock", CUDA_ERROR_LAUNCH_TIMEOUT},
    {"endless-wait", CUDA_ERROR_LAUNCH_TIMEOUT},
    {"instruction-budget", CUDA_ERROR_LAUNCH_TIMEOUT},
};

static cu_result result_of(const struct ptxm_report *report)
{
    for (size_t row = 0; row < sizeof results / sizeof results[0]; row++)
        for (size_t i = 0; i < ptxm_report_count(report); i++)
            if (strcmp(ptxm_report_finding(report, i)->rule, results[row].rule) == 0)
                return results[row].result;
    return CUDA_ERROR_LAUNCH_FAILED;
}

cu_result driver_judge(const struct ptxm_launch *launch, const struct ptxm_report *report,
                       enum ptxm_status status)
{
    if (status == PTXM_ERROR_MEMORY) return CUDA_ERROR_OUT_OF_MEMORY;
    if (status && status != PTXM_ERROR_RUN) return CUDA_ERROR_LAUNCH_FAILED;
    if (!ptxm_report_count(report)) return status ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
    write_report(launch, report);
    if (!status && the_driver.settings.go_on) return CUDA_SUCCESS;
    return result_of(report);
}
