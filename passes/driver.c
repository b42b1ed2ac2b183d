// SPDX-License-Identifier: MIT
// Runs the passes of pipeline.def on one kernel.
//
// Needs: a kernel that the verifier accepts, at any level.
// Guarantees: after each pass the kernel is verified at the level that the pass gives; a failure
//   there is reported as our bug, with the pass's name. Resuming from a printed kernel gives the
//   same as running on.
// Never: prints, or runs a pass on a kernel of another level than the pass needs.
//
//   kernel at tile            fold home pipeline layout lower place sync
//   kernel at staged                             layout lower place sync
//   --passes=fold,home        fold home, and only on a kernel at tile
//   --stop-after=home         fold home
#include "passes/pass_list.h"
#include "passes/sync/program.h"

#include <string.h>

const kg_pass kg_passes[] = {
#define KG_PASS(name, needs, gives, doc)                                                           \
    {#name, KG_LEVEL_##needs, KG_LEVEL_##gives, kg_pass_##name, doc},
#include "passes/pipeline.def"
#undef KG_PASS
};
const int kg_n_passes = sizeof kg_passes / sizeof kg_passes[0];

enum { PASS_COUNT = sizeof kg_passes / sizeof kg_passes[0], PLAN_LIMIT = 64 };

static const char *const level_names[] = {"tile", "staged", "laid_out", "placed", "synced"};

// Index of the pass of that name, or -1 and a finding.
static int find_pass(kg_pass_context *context, const char *name, const char *option)
{
    const char *names[PASS_COUNT];
    for (int i = 0; i < PASS_COUNT; i++) {
        if (strcmp(kg_passes[i].name, name) == 0)
            return i;
        names[i] = kg_passes[i].name;
    }
    kg_diag *diag =
        kg_error(context->diags, KG_D_P006, (kg_loc){0}, "unknown pass '%s' in %s", name, option);
    const char *near = kg_nearest_name(name, names, PASS_COUNT);
    if (near) {
        kg_diag_help(context->diags, diag, "did you mean '%s'?", near);
        return -1;
    }
    const char *all = names[0];
    for (int i = 1; i < PASS_COUNT; i++)
        all = kg_arena_printf(context->arena, "%s, %s", all, names[i]);
    kg_diag_help(context->diags, diag, "the passes are %s", all);
    return -1;
}

// The passes to run, in order; -1 after a finding.
typedef struct plan {
    int pass[PLAN_LIMIT];
    int count;
} plan;

static bool plan_named(kg_pass_context *context, const char *list, plan *out)
{
    bool ok = true;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        int pass = find_pass(context, kg_arena_strndup(context->arena, at, length), "passes");
        if (out->count == PLAN_LIMIT) {
            kg_error(context->diags, KG_D_P011, (kg_loc){0}, "more than %d passes asked for",
                     PLAN_LIMIT);
            return false;
        }
        if (pass >= 0)
            out->pass[out->count++] = pass;
        else
            ok = false;
        at += length;
        at += *at == ',';
    }
    return ok;
}

static void plan_from_level(kg_level level, plan *out)
{
    for (int i = 0; i < PASS_COUNT; i++)
        if (kg_passes[i].needs >= level)
            out->pass[out->count++] = i;
}

// Ends the plan after the named pass. In a list given by name the pass must stand in it; in the
// whole pipeline a pass that the kernel has behind it means that nothing is left to run.
static bool plan_cut(kg_pass_context *context, const kg_pipeline_options *options, plan *out)
{
    int last = find_pass(context, options->stop_after, "stop-after");
    if (last < 0)
        return false;
    if (!options->passes) {
        while (out->count > 0 && out->pass[out->count - 1] > last)
            out->count--;
        return true;
    }
    for (int i = 0; i < out->count; i++)
        if (out->pass[i] == last) {
            out->count = i + 1;
            return true;
        }
    kg_diag *diag =
        kg_error(context->diags, KG_D_P006, (kg_loc){0},
                 "pass '%s' of stop-after is not among the passes to run", options->stop_after);
    kg_diag_help(context->diags, diag, "the list is '%s'", options->passes);
    return false;
}

static bool make_plan(kg_pass_context *context, kg_kernel *kernel,
                      const kg_pipeline_options *options, plan *out)
{
    out->count = 0;
    if (options->passes) {
        if (!plan_named(context, options->passes, out))
            return false;
    } else {
        plan_from_level(kernel->level, out);
    }
    return !options->stop_after || plan_cut(context, options, out);
}

// The verifier's findings after a pass become notes of one error: the author of the kernel is not
// to blame.
static bool verify_after(kg_pass_context *context, const kg_pass *pass, kg_kernel *kernel)
{
    kg_diags found = {.arena = context->arena, .limit = 8};
    if (kg_verify(kernel, &found))
        return true;
    kg_diag *diag =
        kg_error(context->diags, KG_D_V206, kernel->loc,
                 "internal error: pass '%s' made kernel '%s' illegal", pass->name, kernel->name);
    for (const kg_diag *d = found.first; d; d = d->next)
        kg_diag_note(context->diags, diag, d->loc, "%s [%s]", d->text, kg_diag_id_name(d->id));
    kg_diag_help(context->diags, diag,
                 "this is a bug in kgen; please report it with the kernel's text");
    return false;
}

static bool run_pass(kg_pass_context *context, const kg_pass *pass, kg_kernel *kernel)
{
    if (kernel->level != pass->needs) {
        kg_diag *diag =
            kg_error(context->diags, KG_D_V201, kernel->loc,
                     "pass '%s' needs a kernel at level %s; '%s' is at level %s", pass->name,
                     level_names[pass->needs], kernel->name, level_names[kernel->level]);
        for (int i = 0; i < PASS_COUNT; i++)
            if (kg_passes[i].gives == pass->needs && kg_passes[i].needs < pass->needs)
                kg_diag_help(context->diags, diag, "pass '%s' gives level %s", kg_passes[i].name,
                             level_names[pass->needs]);
        return false;
    }
    int errors = context->diags->errors;
    if (!pass->run(context, kernel) || context->diags->errors > errors)
        return false;
    kernel->level = pass->gives;
    return verify_after(context, pass, kernel);
}

bool kg_run_pipeline(kg_pass_context *context, kg_kernel *kernel,
                     const kg_pipeline_options *options)
{
    static const kg_pipeline_options none = {0};
    if (!options)
        options = &none;
    plan todo;
    if (!make_plan(context, kernel, options, &todo))
        return false;
    if (options->after)
        options->after(NULL, kernel, options->user);
    bool fine = true;
    context->footprints = KG_NEW(context->arena, kg_footprints);
    for (int i = 0; i < todo.count && fine; i++) {
        const kg_pass *pass = &kg_passes[todo.pass[i]];
        fine = run_pass(context, pass, kernel);
        if (fine && options->after)
            options->after(pass, kernel, options->user);
    }
    context->footprints = NULL;
    return fine;
}
