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
    const char *text; // minimized
    int exact;
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
    kg_pass_context passes = {.arena = &program->arena, .diags = diags, .no_share = o->no_share};
    return kg_sync_judge(&passes, program->kernel, &j->author, o->by_hand, &j->found);
}

// ---- the cheapest set ---------------------------------------------------------------------------
// Compiles and judges `text`; *next is what to try then, in the arena of `keep`, or NULL when
// nothing is left to do. false: it is no program, or has no cheaper text.
static bool one_round(kgen_context *quiet, const char *text, const kgen_sync_options *o,
                      bool as_kernel, kg_arena *keep, const char **next)
{
    kgen_judgement j = {.context = quiet};
    kgen_sync_options options = *o;
    jmp_buf recovery;
    *next = NULL;
    options.by_hand = 0;
    if (compile(quiet, text, strlen(text), &options, &j.program)) return false;
    kgen_program *program = j.program;
    kg_diags diags = {.arena = &program->arena};
    volatile bool ok = false;
    program->arena.recovery = &recovery;
    if (!setjmp(recovery) && judge(&j, &options, &diags)) {
        kg_sync_edits edits = {0};
        ok = !j.found.found.count || kg_sync_minimize(&j.found, &diags, &edits);
        kg_kernel *written = ok && edits.count ? parse_again(program, &diags, &options) : NULL;
        const char *made = NULL;
        if (written && !as_kernel)
            made = kg_sync_edit_text(&program->arena, &program->source, written->loc.line, &edits);
        else if (written && kg_sync_edit_kernel(written, &edits))
            made = kg_print_unit(&program->arena, written->unit);
        ok = ok && (!j.found.found.count || made);
        if (made) *next = kg_arena_strndup(keep, made, strlen(made));
    }
    program->arena.recovery = NULL;
    kgen_program_free(program);
    return ok;
}

static bool rounds(kgen_judgement *j, kgen_context *quiet, const kgen_sync_options *o,
                   bool as_kernel)
{
    const char *text = j->text, *next;
    for (int i = 0; i < MOST_ROUNDS; i++) {
        if (!one_round(quiet, text, o, as_kernel, &j->program->arena, &next)) return false;
        if (!next) {
            j->text = text;
            return true;
        }
        text = next;
    }
    return false;
}

static kgen_status minimize(kgen_judgement *j, const kgen_sync_options *o)
{
    kgen_options plain = {.allocator = (const kgen_allocator *)&j->context->allocator};
    kgen_context *quiet = NULL;
    jmp_buf recovery;
    kgen_status status = kgen_context_create(&plain, &quiet);
    if (status) return status;
    j->text = j->program->text;
    j->program->arena.recovery = &recovery;
    if (!setjmp(recovery))
        j->exact = rounds(j, quiet, o, false) || rounds(j, quiet, o, true);
    else
        status = KGEN_ERROR_MEMORY;
    j->program->arena.recovery = NULL;
    kgen_context_free(quiet);
    return status;
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

const char *kgen_judgement_program(const kgen_judgement *j, int *exact)
{
    if (exact) *exact = j ? j->exact : 0;
    return j ? j->text : NULL;
}
