// SPDX-License-Identifier: MIT
// Programs: text to checked PTX.
#include "passes/sync/report.h"
#include "passes/validate/validate.h"
#include "runtime/internal.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- facts about the finished kernel
// -------------------------------------------------------------------
static bool count_syncs(kg_op *op, void *user)
{
    kgen_program *program = user;
    program->info.barriers += op->code == KG_OP_BARRIER;
    program->info.warp_syncs += op->code == KG_OP_WARP_SYNC;
    program->info.waits += op->code == KG_OP_WAIT;
    program->info.fences += op->code == KG_OP_FENCE;
    program->info.dependent |= op->code == KG_OP_GRID_WAIT;
    for (int i = 0; i < op->n_operands; i++) {
        kg_value *v = op->operands[i];
        if (v->kind == KG_VALUE_PARAM) program->used[v->index] = true;
    }
    return true;
}

static void collect_info(kgen_program *program)
{
    kg_kernel *kernel = program->kernel;
    program->used = KG_NEW_ARRAY(&program->arena, bool, kernel->n_params + 1);
    program->info.kernel = kernel->name;
    program->info.target = program->target->name;
    program->info.threads = 32 * kernel->warps;
    program->info.shared_bytes = kernel->shared_bytes;
    program->info.n_params = kernel->n_params;
    kg_walk(kernel->body, count_syncs, program);
    if (kernel->level == KG_LEVEL_SYNCED)
        kg_tensor_maps_collect(&program->arena, kernel, &program->maps);
}

// ---- the way from text to PTX
// --------------------------------------------------------------------------
typedef struct compilation {
    kgen_program *program;
    const kgen_compile_options *options;
    kg_diags diags;
    kg_codegen *codegen; // here, so that an interrupted compilation gives it back
    kg_arena scratch;    // likewise: of the validator
} compilation;

static void dump_pass(const kg_pass *pass, kg_kernel *kernel, void *user)
{
    compilation *c = user;
    if (c->options->after_pass)
        c->options->after_pass(pass ? pass->name : NULL,
                               kg_print_kernel(&c->program->arena, kernel), c->options->user);
}

static kg_kernel *choose_kernel(compilation *c, kg_unit *unit)
{
    const char *wanted = c->options->kernel;
    if (!wanted && unit->kernels && !unit->kernels->next) return unit->kernels;
    const char *names[32];
    int n = 0;
    for (kg_kernel *k = unit->kernels; k; k = k->next) {
        if (wanted && !strcmp(k->name, wanted)) return k;
        if (n < 32) names[n++] = k->name;
    }
    kg_loc nowhere = {.source = &c->program->source};
    if (!unit->kernels) {
        kg_error(&c->diags, KG_D_P002, nowhere, "the file has no kernel");
    } else if (!wanted) {
        kg_diag *d = kg_error(&c->diags, KG_D_P003, unit->kernels->next->loc,
                              "the file has several kernels");
        kg_diag_help(&c->diags, d, "choose one by name, for example '%s'", unit->kernels->name);
    } else {
        kg_diag *d = kg_error(&c->diags, KG_D_P003, nowhere, "no kernel '%s' in this file", wanted);
        const char *near = kg_nearest_name(wanted, names, n);
        kg_diag_help(&c->diags, d, near ? "did you mean '%s'?" : "the file has '%s'",
                     near ? near : names[0]);
    }
    return NULL;
}

static kgen_status unknown_target(compilation *c, const char *name)
{
    const struct cg_target *near = cg_target_suggest(name);
    kg_diag *d = kg_error(&c->diags, KG_D_C602, (kg_loc){0}, "unknown target '%s'", name);
    if (near)
        kg_diag_help(&c->diags, d, "did you mean '%s'?", near->name);
    else
        kg_diag_help(&c->diags, d, "`kgen list targets` shows them all");
    return KGEN_ERROR_INPUT;
}

// The code generator reports a failed allocation like any other finding.
static bool out_of_memory(const kg_diags *diags)
{
    for (const kg_diag *d = diags->first; d; d = d->next)
        if (d->id == KG_D_R707) return true;
    return false;
}

// What stands in the PTX behind each synchronization; nothing when the pass did not run.
static void list_reasons(kgen_program *program)
{
    enum { ROOM = 90 };
    kg_arena *arena = &program->arena;
    const kg_sync_report *report = &program->sync_report;
    const char **reasons = KG_NEW_ARRAY(arena, const char *, report->n_syncs + 1);
    for (int i = 0; i < report->n_syncs; i++) {
        reasons[i] = kg_sync_summary(arena, program->kernel, report, &report->syncs[i], ROOM);
        if (!*reasons[i]) reasons[i] = NULL;
    }
    program->sync_reasons = reasons;
}

static kg_codegen_options codegen_options(const kgen_program *program)
{
    return (kg_codegen_options){.target = program->target,
                                .sync_reasons = program->sync_reasons,
                                .n_sync_reasons = program->sync_report.n_syncs};
}

static kgen_status generate(compilation *c)
{
    kgen_program *program = c->program;
    list_reasons(program);
    c->codegen = context_take_codegen(program->context);
    if (!c->codegen) return KGEN_ERROR_MEMORY;
    kg_codegen_options options = codegen_options(program);
    kg_codegen_output out = {0};
    if (!kg_codegen_emit(c->codegen, program->kernel, &program->arena, &c->diags, &options, &out))
        return out_of_memory(&c->diags) ? KGEN_ERROR_MEMORY : KGEN_ERROR_INPUT;
    program->ptx = out.ptx;
    program->ptx_length = out.ptx_length;
    return KGEN_OK;
}

static void report_refuted(compilation *c, const kg_validation *v)
{
    kg_diag *d =
        kg_error(&c->diags, KG_D_S520, v->b->loc, "%s%s", v->what,
                 v->byte >= 0 ? kg_arena_printf(&c->program->arena,
                                                " (byte %lld of shared memory, threads %d "
                                                "and %d)",
                                                (long long)v->byte, v->thread_a, v->thread_b)
                              : "");
    if (v->a) kg_diag_note(&c->diags, d, v->a->loc, "the earlier access");
    kg_diag_note(&c->diags, d, v->b->loc, "it happens in this execution: %s", v->schedule);
    kg_diag_help(&c->diags, d, "synchronize between the two; `kgen explain` shows what is there");
}

// The second opinion. Its states take megabytes, so it has an arena of its own.
static bool validate(compilation *c)
{
    kgen_program *program = c->program;
    kgen_program_info *info = &program->info;
    static const char *const words[] = {
        [KG_PROVED] = "proved", [KG_WITNESS] = "refuted", [KG_UNKNOWN] = "unknown"};
    kg_validation v;
    double start = now();
    kg_arena_init(&c->scratch, &program->context->allocator);
    c->scratch.recovery = program->arena.recovery;
    kg_verdict verdict = kg_validate(&c->scratch, program->kernel, &v);
    info->proof_seconds = now() - start;
    info->proof = words[verdict];
    info->proof_cells = v.cells;
    info->proof_states = v.states;
    if (v.what) info->proof_reason = kg_arena_strndup(&program->arena, v.what, strlen(v.what));
    if (verdict == KG_WITNESS) report_refuted(c, &v);
    if (verdict == KG_UNKNOWN)
        kg_warn(&c->diags, KG_D_S521, v.b ? v.b->loc : program->kernel->loc,
                "the synchronization is not proved: %s", info->proof_reason);
    kg_arena_free(&c->scratch);
    c->scratch = (kg_arena){0};
    return verdict != KG_WITNESS;
}

static kgen_status compile(compilation *c)
{
    kgen_program *program = c->program;
    const kgen_compile_options *o = c->options;
    double start = now();
    const char *target = o->target ? o->target : "sm_80";
    program->target = cg_target_find(target);
    if (!program->target) return unknown_target(c, target);
    kg_unit *unit = kg_parse(&program->arena, &c->diags, &c->program->source,
                             (const kg_define *)o->defines, (int)o->n_defines);
    if (!unit) return KGEN_ERROR_INPUT;
    program->kernel = choose_kernel(c, unit);
    if (!program->kernel || !kg_verify(program->kernel, &c->diags)) return KGEN_ERROR_INPUT;

    kg_machine machine = {.target = program->target->name,
                          .sm = (int32_t)program->target->sm,
                          .shared_limit = program->target->shared_cta,
                          .registers = CG_REGISTERS_PER_THREAD,
                          .threads_sm = (int32_t)program->target->threads_sm,
                          .ctas_sm = (int32_t)program->target->ctas_sm,
                          .tma = program->target->features & CG_FEATURE_TMA,
                          .wgmma = program->target->features & CG_FEATURE_WGMMA,
                          .grid_dependency =
                              program->target->features & CG_FEATURE_GRID_DEPENDENCY};
    kg_pass_context passes = {.arena = &program->arena,
                              .diags = &c->diags,
                              .machine = &machine,
                              .no_share = o->no_share,
                              .no_repair = o->no_repair,
                              .sync_report = &program->sync_report,
                              .repairs = o->reasons ? &program->repairs : NULL};
    program->sync_report.wanted = o->reasons;
    kg_pipeline_options pipeline = {.passes = o->passes,
                                    .stop_after = o->stop_after,
                                    .after = o->after_pass ? dump_pass : NULL,
                                    .user = c};
    double before = now();
    if (!kg_run_pipeline(&passes, program->kernel, &pipeline)) return KGEN_ERROR_INPUT;
    program->info.passes_seconds = now() - before;
    if (program->kernel->level == KG_LEVEL_SYNCED && !o->no_validate && !validate(c))
        return KGEN_ERROR_INPUT;
    if (program->kernel->level == KG_LEVEL_SYNCED && !o->stop_after) {
        kgen_status status = generate(c);
        if (status) return status;
    }
    program->info.compile_seconds = now() - start;
    program->has_reasons = o->reasons && program->kernel->level == KG_LEVEL_SYNCED;
    collect_info(program);
    return KGEN_OK;
}

_Static_assert(sizeof(kgen_define) == sizeof(kg_define), "a define is passed through as it is");

static kgen_status guarded_compile(compilation *c)
{
    jmp_buf recovery;
    kgen_program *program = c->program;
    program->arena.recovery = &recovery;
    kgen_status status;
    if (setjmp(recovery)) {
        status = context_fail(program->context, KGEN_ERROR_MEMORY, KG_D_R707, NULL,
                              "out of memory while compiling");
    } else {
        status = compile(c);
        context_report(program->context, &program->arena, &c->diags);
    }
    program->arena.recovery = NULL;
    if (c->scratch.chunks) kg_arena_free(&c->scratch);
    context_give_codegen(program->context, c->codegen);
    return status;
}

static bool defines_are_whole(const kgen_compile_options *options)
{
    if (options->n_defines > 1000 || (options->n_defines && !options->defines)) return false;
    for (size_t i = 0; i < options->n_defines; i++)
        if (!options->defines[i].name || !options->defines[i].value) return false;
    return true;
}

kgen_status kgen_compile(kgen_context *context, const char *source, size_t length,
                         const kgen_compile_options *options, kgen_program **out)
{
    static const kgen_compile_options defaults;
    if (!context || !out || (!source && length)) return KGEN_ERROR_USAGE;
    *out = NULL;
    if (!options) options = &defaults;
    if (!defines_are_whole(options)) return KGEN_ERROR_USAGE;
    kgen_program *program = context_alloc(context, sizeof *program);
    // The IR points into the text (for messages), so the program keeps a copy of it.
    const char *name = options->name && *options->name ? options->name : "<memory>";
    char *text = program ? context_strdup(context, source ? source : "", length) : NULL;
    char *label = text ? context_strdup(context, name, strlen(name)) : NULL;
    if (!label) {
        context_release(context, text);
        context_release(context, program);
        return KGEN_ERROR_MEMORY;
    }
    program->context = context;
    program->text = text;
    program->label = label;
    pthread_mutex_init(&program->lock, NULL);
    pthread_mutex_lock(&context->lock);
    program->serial = context->next_serial++;
    pthread_mutex_unlock(&context->lock);
    kg_arena_init(&program->arena, &context->allocator);
    compilation c = {.program = program, .options = options};
    program->source = (kg_source){.name = label, .text = text, .length = length};
    c.diags.arena = &program->arena;
    kgen_status status = guarded_compile(&c);
    if (status) {
        kgen_program_free(program);
        return status;
    }
    *out = program;
    return KGEN_OK;
}

void kgen_program_free(kgen_program *program)
{
    if (!program) return;
    kgen_context *context = program->context;
    pthread_mutex_lock(&context->lock);
    for (kgen_device *d = context->devices; d; d = d->next) device_drop_program(d, program->serial);
    pthread_mutex_unlock(&context->lock);
    kg_arena_free(&program->arena);
    pthread_mutex_destroy(&program->lock);
    context_release(context, program->text);
    context_release(context, program->label);
    context_release(context, program->llvm_text);
    context_release(context, program);
}

// ---- what a program can tell
// ---------------------------------------------------------------------------
const char *kgen_program_ptx(const kgen_program *program, size_t *length)
{
    if (length) *length = program ? program->ptx_length : 0;
    return program ? program->ptx : NULL;
}

typedef const char *make_text(kgen_program *program);

// Makes a text once, under the program's lock; NULL without memory or on a finding.
static const char *on_demand(const kgen_program *constant, const char **slot, make_text *make)
{
    kgen_program *program = (kgen_program *)constant;
    jmp_buf recovery;
    pthread_mutex_lock(&program->lock);
    if (!*slot) {
        program->arena.recovery = &recovery;
        if (!setjmp(recovery)) *slot = make(program);
        program->arena.recovery = NULL;
    }
    const char *text = *slot;
    pthread_mutex_unlock(&program->lock);
    return text;
}

static const char *make_ir(kgen_program *program)
{
    return kg_print_kernel(&program->arena, program->kernel);
}

static const char *make_explain(kgen_program *program)
{
    if (!program->report) program->report = program_make_report(program);
    return program_make_explanation(program, program->report);
}

static const char *make_report(kgen_program *program)
{
    if (!program->report) program->report = program_make_report(program);
    return "made";
}

static const char *make_llvm(kgen_program *program)
{
    if (program->kernel->level != KG_LEVEL_SYNCED) return NULL;
    kg_codegen *codegen = context_take_codegen(program->context);
    if (!codegen) return NULL;
    kg_arena scratch; // its failures jump here, so that the code generator is not lost
    jmp_buf recovery;
    const char *text = NULL;
    kg_arena_init(&scratch, &program->context->allocator);
    scratch.recovery = &recovery;
    if (!setjmp(recovery)) {
        kg_diags diags = {.arena = &scratch};
        kg_codegen_options options = codegen_options(program);
        options.want_llvm = true;
        kg_codegen_output out = {0};
        if (kg_codegen_emit(codegen, program->kernel, &scratch, &diags, &options, &out) && out.llvm)
            text = context_strdup(program->context, out.llvm, strlen(out.llvm));
    }
    context_give_codegen(program->context, codegen);
    kg_arena_free(&scratch);
    if (!text) return NULL;
    program->llvm_text = (char *)text;
    return text;
}

const char *kgen_program_ir(const kgen_program *program)
{
    return program ? on_demand(program, &((kgen_program *)program)->ir, make_ir) : NULL;
}

const char *kgen_program_llvm(const kgen_program *program)
{
    return program ? on_demand(program, &((kgen_program *)program)->llvm, make_llvm) : NULL;
}

const kgen_report *kgen_program_report(const kgen_program *program)
{
    if (!program || !program->has_reasons) return NULL;
    return on_demand(program, &((kgen_program *)program)->report_made, make_report)
               ? program->report
               : NULL;
}

const char *kgen_program_explain(const kgen_program *program)
{
    if (!program || !program->has_reasons) return NULL;
    return on_demand(program, &((kgen_program *)program)->explain, make_explain);
}

kgen_status kgen_program_get_info(const kgen_program *program, kgen_program_info *out)
{
    if (!program || !out) return KGEN_ERROR_USAGE;
    *out = program->info;
    return KGEN_OK;
}

kgen_status kgen_program_get_param(const kgen_program *program, int index, kgen_param_info *out)
{
    if (!program || !out || index < 0 || index >= program->kernel->n_params)
        return KGEN_ERROR_USAGE;
    const kg_value *v = program->kernel->params[index];
    *out = (kgen_param_info){.name = v->name,
                             .type = kg_dtype_info_of(v->type.dtype)->name,
                             .is_tensor = v->tensor != NULL,
                             .rank = v->tensor ? v->type.rank : 0,
                             .implicit = index >= program->kernel->n_declared,
                             .used = program->used[index]};
    return KGEN_OK;
}

// ---- tables
// --------------------------------------------------------------------------------------------
const char *kgen_pass_name(int index, const char **doc)
{
    if (index < 0 || index >= kg_n_passes) return NULL;
    if (doc) *doc = kg_passes[index].doc;
    return kg_passes[index].name;
}

const char *kgen_op_name(int index, const char **doc)
{
    if (index < 0 || index >= KG_OP_COUNT) return NULL;
    if (doc) *doc = kg_op_info_of((kg_opcode)index)->doc;
    return kg_op_info_of((kg_opcode)index)->name;
}

const char *kgen_target_name(int index, const char **doc)
{
    if (index < 0 || (size_t)index >= cg_target_count()) return NULL;
    if (doc) *doc = NULL;
    return cg_target_at((size_t)index)->name;
}
