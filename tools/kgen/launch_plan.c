// SPDX-License-Identifier: MIT
// kgen run --plan: what would be launched, for a program that launches it by itself.
#include "launch_plan.h"
#include "json.h"
#include "output.h"
#include <string.h>

typedef struct launch_plan {
    const kgen_task *task;
    kgen_program *program;
    kgen_program_info info;
    unsigned grid[3];
} launch_plan;

static const kgen_task_tensor *tensor_named(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_tensors; i++)
        if (!strcmp(task->tensors[i].name, name)) return &task->tensors[i];
    return NULL;
}

static const kgen_task_scalar *scalar_named(const kgen_task *task, const char *name)
{
    for (int i = 0; i < task->n_scalars; i++)
        if (!strcmp(task->scalars[i].name, name)) return &task->scalars[i];
    return NULL;
}

static size_t scalar_args(const launch_plan *plan, kgen_arg *args)
{
    kgen_param_info param;
    size_t n = 0;
    for (int i = 0; kgen_program_get_param(plan->program, i, &param) == KGEN_OK; i++) {
        const kgen_task_scalar *s = scalar_named(plan->task, param.name);
        if (s && !param.is_tensor)
            args[n++] = (kgen_arg){.name = s->name, .i = s->i, .f = s->f};
    }
    return n;
}

static kgen_status find_grid(launch_plan *plan)
{
    kgen_arg args[KGEN_TASK_SCALARS];
    size_t n = scalar_args(plan, args);
    return kgen_program_get_grid(plan->program, args, n, plan->grid);
}

static bool find_map(const launch_plan *plan, int index, kgen_tensor_map_info *map)
{
    kgen_arg args[KGEN_TASK_SCALARS];
    size_t n = scalar_args(plan, args);
    return kgen_program_get_map(plan->program, index, args, n, map) == KGEN_OK;
}

// ---- text --------------------------------------------------------------------------------------

static const char *role_name(kgen_task_role role)
{
    static const char *const names[] = {"input", "output", "updated", "zeroed", "scratch"};
    return names[role];
}

static void print_param(const launch_plan *plan, const kgen_param_info *param)
{
    const kgen_task_scalar *s = scalar_named(plan->task, param->name);
    const kgen_task_tensor *t = tensor_named(plan->task, param->name);
    if (s && !param->is_tensor) {
        printf("  %-8s %s = %.9g\n", s->name, param->type, s->f);
    } else if (t) {
        printf("  %-8s %s[", t->name, t->dtype);
        for (int d = 0; d < t->rank; d++) printf("%s%lld", d ? ", " : "", (long long)t->dims[d]);
        printf("] %s", role_name(t->role));
        if (t->alias >= 0) printf(", may be %s", plan->task->tensors[t->alias].name);
        puts(t->bytes ? "" : ", unused: NULL");
    }
}

static void print_map(const kgen_tensor_map_info *map)
{
    printf("  map      of %s: ", map->tensor);
    for (int i = 0; i < map->rank; i++) printf("%s%lld", i ? ", " : "", (long long)map->sizes[i]);
    printf("; boxes of ");
    for (int i = 0; i < map->rank; i++) printf("%s%d", i ? ", " : "", map->box[i]);
    printf(map->swizzle ? "; swizzle %d\n" : "\n", map->swizzle);
}

static void print_plan(const launch_plan *plan)
{
    kgen_param_info param;
    kgen_tensor_map_info map;
    printf("%s %s, %s\n  kernel %s: grid %u,%u,%u, block %d,1,1, %lld bytes of shared memory\n",
           plan->task->family, plan->task->shape, plan->info.target, plan->info.kernel,
           plan->grid[0], plan->grid[1], plan->grid[2], plan->info.threads,
           (long long)plan->info.shared_bytes);
    for (int i = 0; kgen_program_get_param(plan->program, i, &param) == KGEN_OK; i++)
        print_param(plan, &param);
    for (int i = 0; find_map(plan, i, &map); i++) print_map(&map);
}

// ---- JSON --------------------------------------------------------------------------------------

static json_t *json_of_tensor(const launch_plan *plan, const kgen_task_tensor *t)
{
    json_t *dims = must(json_array());
    for (int d = 0; d < t->rank; d++) json_array_append_new(dims, json_integer(t->dims[d]));
    const char *alias = t->alias >= 0 ? plan->task->tensors[t->alias].name : NULL;
    return must(json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:o}", "kind", "tensor", "name", t->name,
                          "dtype", t->dtype, "dims", dims, "role", role_name(t->role), "bytes",
                          (json_int_t)t->bytes, "alias", json_text(alias)));
}

static json_t *json_of_param(const launch_plan *plan, const kgen_param_info *param)
{
    const kgen_task_scalar *s = scalar_named(plan->task, param->name);
    const kgen_task_tensor *t = tensor_named(plan->task, param->name);
    if (param->is_tensor && t) return json_of_tensor(plan, t);
    if (!s) return NULL;
    json_t *value = param->type[0] == 'f' ? json_number(s->f) : json_integer((json_int_t)s->i);
    return must(json_pack("{s:s, s:s, s:s, s:o}", "kind", "scalar", "name", s->name, "dtype",
                          param->type, "value", value));
}

static json_t *json_of_map(const kgen_tensor_map_info *map)
{
    json_t *sizes = must(json_array()), *strides = must(json_array()), *box = must(json_array());
    for (int i = 0; i < map->rank; i++) {
        json_array_append_new(sizes, json_integer(map->sizes[i]));
        json_array_append_new(strides, json_integer(map->strides[i]));
        json_array_append_new(box, json_integer(map->box[i]));
    }
    return must(json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:i}", "kind", "map", "tensor",
                          map->tensor, "dtype", map->dtype, "element_bytes", map->element_bytes,
                          "sizes", sizes, "strides", strides, "box", box, "swizzle", map->swizzle));
}

static void print_json(const launch_plan *plan)
{
    json_t *args = must(json_array());
    kgen_param_info param;
    kgen_tensor_map_info map;
    for (int i = 0; kgen_program_get_param(plan->program, i, &param) == KGEN_OK; i++) {
        json_t *arg = json_of_param(plan, &param);
        if (arg) json_array_append_new(args, arg);
    }
    for (int i = 0; find_map(plan, i, &map); i++) json_array_append_new(args, json_of_map(&map));
    const unsigned *g = plan->grid;
    json_print(must(json_pack(
        "{s:s, s:o, s:o, s:o, s:[i, i, i], s:[i, i, i], s:I, s:o, s:o, s:o, s:o}", "family",
        plan->task->family, "shape", json_text(plan->task->shape), "kernel",
        json_text(plan->info.kernel), "target", json_text(plan->info.target), "grid", (int)g[0],
        (int)g[1], (int)g[2], "block", plan->info.threads, 1, 1, "shared_bytes",
        (json_int_t)plan->info.shared_bytes, "args", args, "flop", json_number(plan->task->flop),
        "bytes", json_number(plan->task->bytes), "ptx",
        json_text(kgen_program_ptx(plan->program, NULL)))));
}

int launch_plan_print(const kgen_task *task, const run_settings *settings, bool as_json)
{
    cli_session session;
    launch_plan plan = {.task = task};
    if (!session_open(&session)) return EXIT_PROBLEM;
    kgen_status status = task_compile(&session, task, settings, &plan.program);
    if (!status) status = kgen_program_get_info(plan.program, &plan.info);
    if (!status) status = find_grid(&plan);
    if (!status && as_json) print_json(&plan);
    if (!status && !as_json) print_plan(&plan);
    int code = session_exit(&session, status, "planning");
    kgen_program_free(plan.program);
    session_close(&session);
    return code;
}
