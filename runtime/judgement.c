// SPDX-License-Identifier: MIT
// Judges a program's own synchronization, and makes the program with the cheapest set.
//
// A judgement compiles up to pass `place` and looks at what is there. The cheapest set is found in
// rounds: edit the text, compile and judge it anew, until nothing is left to say; placement may
// change with the syncs, so one round need not do. The text is edited line by line; where a sync
// has to stand inside of a statement, the kernel is printed from its IR instead.
#include "passes/sync/minimize.h"
#include "runtime/internal.h"
#include <string.h>

enum { MOST_ROUNDS = 6 };

struct kgen_judgement {
    kgen_context *context;
    kgen_program *program; // owns all memory below
    kg_author author;
    kg_judgement found;
    char *text; // minimized, owned; NULL: not asked for, or there is none
};

static kg_kernel *parse_again(kgen_program *program, kg_diags *diags,
                              const kgen_sync_options *options)
{
    kg_unit *unit = kg_parse(&program->arena, diags, &program->source,
                             (const kg_define *)options->defines, (int)options->n_defines);
    for (kg_kernel *k = unit ? unit->kernels : NULL; k; k = k->next)
        if (!strcmp(k->name, program->kernel->name)) return k;
    return NULL;
}

// Compiled up to pass place.
static kgen_status compile(kgen_context *context, const char *text, size_t length,
                           const kgen_sync_options *o, kgen_program **program)
{
    kgen_compile_options c = {.name = o->name,
                              .kernel = o->kernel,
                              .target = o->target,
                              .defines = o->defines,
                              .n_defines = o->n_defines,
                              .no_share = o->no_share,
                              .no_repair = 1,
                              .stop_after = "place"};
    return kgen_compile(context, text, length, &c, program);
}

static bool judge(kgen_judgement *j, const kgen_sync_options *o, kg_diags *diags)
{
    kgen_program *program = j->program;
    kg_kernel *written = parse_again(program, diags, o);
    if (!written) return false;
    if (program->kernel->level == KG_LEVEL_SYNCED) {
        kg_error(diags, KG_D_V201, program->kernel->loc,
                 "the kernel is synchronized already: its syncs are not an author's");
        return false;
    }
    kg_author_collect(&program->arena, written, &j->author);
    kg_pass_context passes = {.arena = &program->arena,
                              .diags = diags,
                              .no_share = o->no_share,
                              .no_repair = true}; // judged is what the author wrote
    return kg_sync_judge(&passes, program->kernel, &j->author, o->by_hand, &j->found);
}

// ---- the cheapest set ---------------------------------------------------------------------------
typedef enum round_result {
    ROUND_DONE,   // nothing is left to say about the text
    ROUND_EDITED, // *next is the text to try then, owned by the caller
    ROUND_FAILED, // the text is no program, or has no cheaper one in this form
    ROUND_MEMORY
} round_result;

// The edited text, in the program's arena; NULL when it has no place for an edit.
static const char *edited(kgen_judgement *j, const kgen_sync_options *o, kg_diags *diags,
                          bool as_kernel)
{
    kgen_program *program = j->program;
    kg_sync_edits edits = {0};
    if (!kg_sync_minimize(&j->found, diags, &edits)) return NULL;
    kg_kernel *written = parse_again(program, diags, o);
    if (!written || !edits.count) return NULL;
    if (!as_kernel)
        return kg_sync_edit_text(&program->arena, &program->source, written->loc.line, &edits);
    return kg_sync_edit_kernel(written, &edits) ? kg_print_unit(&program->arena, written->unit)
                                                : NULL;
}

// Compiles and judges `text`.
static round_result one_round(kgen_context *quiet, const char *text, const kgen_sync_options *o,
                              bool as_kernel, char **next)
{
    kgen_judgement j = {.context = quiet};
    jmp_buf recovery;
    kgen_status status = compile(quiet, text, strlen(text), o, &j.program);
    if (status) return status == KGEN_ERROR_MEMORY ? ROUND_MEMORY : ROUND_FAILED;
    kg_arena *arena = &j.program->arena;
    kg_diags diags = {.arena = arena};
    volatile round_result result = ROUND_FAILED;
    arena->recovery = &recovery;
    if (setjmp(recovery)) {
        result = ROUND_MEMORY;
    } else if (judge(&j, o, &diags)) {
        const char *made = NULL;
        if (!j.found.found.count)
            result = ROUND_DONE;
        else
            made = edited(&j, o, &diags, as_kernel);
        if (made) {
            *next = context_strdup(quiet, made, strlen(made));
            result = *next ? ROUND_EDITED : ROUND_MEMORY;
        }
    }
    arena->recovery = NULL;
    kgen_program_free(j.program);
    return result;
}

static round_result rounds(kgen_judgement *j, kgen_context *quiet, const kgen_sync_options *o,
                           bool as_kernel)
{
    kgen_sync_options options = *o;
    options.by_hand = 0; // what is missing is added, not an error
    char *text = context_strdup(quiet, j->program->text, strlen(j->program->text)), *next = NULL;
    round_result result = text ? ROUND_EDITED : ROUND_MEMORY;
    for (int i = 0; i < MOST_ROUNDS && result == ROUND_EDITED; i++) {
        result = one_round(quiet, text, &options, as_kernel, &next);
        if (result != ROUND_EDITED) break;
        context_release(quiet, text);
        text = next;
    }
    if (result == ROUND_DONE) j->text = context_strdup(j->context, text, strlen(text));
    context_release(quiet, text);
    return result == ROUND_DONE && !j->text ? ROUND_MEMORY : result;
}

static kgen_status minimize(kgen_judgement *j, const kgen_sync_options *o)
{
    kgen_allocator allocator = {j->context->allocator.allocate, j->context->allocator.release,
                                j->context->allocator.user};
    kgen_context *quiet = NULL;
    kgen_status status = kgen_context_create(&(kgen_options){.allocator = &allocator}, &quiet);
    if (status) return status;
    round_result result = rounds(j, quiet, o, false);
    if (result == ROUND_FAILED || result == ROUND_EDITED) result = rounds(j, quiet, o, true);
    kgen_context_free(quiet);
    return result == ROUND_MEMORY ? KGEN_ERROR_MEMORY : KGEN_OK;
}

// ---- the interface ------------------------------------------------------------------------------
static kgen_status judge_guarded(kgen_judgement *j, const kgen_sync_options *o)
{
    jmp_buf recovery;
    kg_arena *arena = &j->program->arena;
    kg_diags diags = {.arena = arena};
    kgen_status status;
    arena->recovery = &recovery;
    if (setjmp(recovery)) {
        status = context_fail(j->context, KGEN_ERROR_MEMORY, KG_D_R707, NULL,
                              "out of memory while judging");
    } else {
        status = judge(j, o, &diags) ? KGEN_OK : KGEN_ERROR_INPUT;
        context_report(j->context, arena, &diags);
    }
    arena->recovery = NULL;
    return status;
}

kgen_status kgen_judge_sync(kgen_context *context, const char *source, size_t length,
                            const kgen_sync_options *options, kgen_judgement **out)
{
    static const kgen_sync_options defaults;
    if (!context || !out || (!source && length)) return KGEN_ERROR_USAGE;
    if (!options) options = &defaults;
    *out = NULL;
    kgen_judgement *j = context_alloc(context, sizeof *j);
    if (!j) return KGEN_ERROR_MEMORY;
    j->context = context;
    kgen_status status = compile(context, source, length, options, &j->program);
    if (!status) status = judge_guarded(j, options);
    if (!status && options->minimize) status = minimize(j, options);
    if (status) {
        kgen_judgement_free(j);
        return status;
    }
    *out = j;
    return KGEN_OK;
}

void kgen_judgement_free(kgen_judgement *j)
{
    if (!j) return;
    kgen_context *context = j->context;
    kgen_program_free(j->program);
    context_release(context, j->text);
    context_release(context, j);
}

int kgen_judgement_item(const kgen_judgement *j, int index, kgen_sync_item *out)
{
    static const kgen_sync_kind kinds[] = {KGEN_SYNC_MISSING, KGEN_SYNC_REDUNDANT,
                                           KGEN_SYNC_STRICT};
    if (!j || !out || index < 0 || index >= j->found.found.count) return 0;
    const kg_judged *item = &j->found.found.items[index];
    *out = (kgen_sync_item){kinds[item->kind], item->what, item->text, item->line, item->column};
    return 1;
}

int kgen_judgement_syncs(const kgen_judgement *j)
{
    return j ? j->found.syncs.count : 0;
}

const char *kgen_judgement_program(const kgen_judgement *j)
{
    return j ? j->text : NULL;
}
