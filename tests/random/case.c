// SPDX-License-Identifier: MIT
// See case.h. Inputs follow from the names of the tensors (gen.h), sizes from the line `// run:`,
// so that a saved program says everything.
#include "eval.h"
#include "case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mode_names[MODES] = {"eager", "late", "seed 1", "seed 2"};

enum { ARGS = 64 };

static void set(report *out, outcome what, const char *kind)
{
    out->outcome = what;
    snprintf(out->kind, sizeof out->kind, "%s", kind);
}

static void add(report *out, const char *format, ...)
{
    size_t n = strlen(out->detail);
    va_list args;
    va_start(args, format);
    vsnprintf(out->detail + n, sizeof out->detail - n, format, args);
    va_end(args);
}

// ---- values -------------------------------------------------------------------------------------
static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 31)) * UINT64_C(0x7fb5d329728ea185);
    h = (h ^ (h >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
    return h ^ (h >> 33);
}

static int64_t initial(const char *name, int64_t i)
{
    uint64_t h = mix((uint64_t)i + 1);
    for (const char *p = name; *p; p++) h = mix(h + (unsigned char)*p);
    if (!strncmp(name, "zero", 4)) return 0;
    if (!strncmp(name, "idx", 3)) return (int64_t)(h % 40) - 4;
    if (name[0] == 'y') return 97 + (int64_t)(h % 16); // what no store may leave behind
    return (int64_t)(h % 9) - 4;
}

static void encode(kg_dtype dtype, void *at, cell c)
{
    float f = (float)c.f;
    _Float16 half;
    uint32_t bits;
    switch (dtype) {
    case KG_F32:
        memcpy(at, &f, 4);
        break;
    case KG_F64:
        memcpy(at, &c.f, 8);
        break;
    case KG_F16:
        half = (_Float16)f;
        memcpy(at, &half, 2);
        break;
    case KG_BF16:
        memcpy(&bits, &f, 4);
        memcpy(at, (char *)&bits + 2, 2);
        break;
    default:
        memcpy(at, &c.i, (size_t)kg_dtype_bytes(dtype));
        break; // little endian
    }
}

static cell decode(kg_dtype dtype, const void *at)
{
    float f = 0;
    _Float16 half;
    cell c = {0};
    int bits = kg_dtype_info_of(dtype)->bits;
    switch (dtype) {
    case KG_F32:
        memcpy(&f, at, 4);
        return (cell){.f = (double)f};
    case KG_F64:
        memcpy(&c.f, at, 8);
        return c;
    case KG_F16:
        memcpy(&half, at, 2);
        return (cell){.f = (double)half};
    case KG_BF16:
        memcpy((char *)&f + 2, at, 2);
        return (cell){.f = (double)f};
    default:
        memcpy(&c.i, at, (size_t)bits / 8);
        break;
    }
    int64_t sign = bits < 64 ? (int64_t)1 << (bits - 1) : 0;
    c.i = (c.i ^ sign) - sign;
    return c;
}

// ---- what the program says ----------------------------------------------------------------------
static bool read_sizes(const char *text, kg_kernel *kernel, int64_t *params)
{
    const char *line = strstr(text, "// run:");
    for (int p = 0; p < kernel->n_params; p++) {
        char key[64];
        if (kernel->params[p]->tensor) continue;
        snprintf(key, sizeof key, " %s=", kernel->params[p]->name);
        const char *at = line ? strstr(line, key) : NULL;
        const char *end = line ? strchr(line, '\n') : NULL;
        if (!at || (end && at > end)) return false;
        params[p] = strtoll(at + strlen(key), NULL, 10);
    }
    return true;
}

// The line `// target:`; NULL: the default.
static const char *target_of(const char *text)
{
    return strstr(text, "// target: sm_90a\n") ? "sm_90a" : NULL;
}

static bool prepare(kg_kernel *kernel, const char *text, evaluation *e)
{
    e->params = KG_NEW_ARRAY(e->arena, int64_t, kernel->n_params + 1);
    e->tensors = KG_NEW_ARRAY(e->arena, eval_tensor, kernel->n_params + 1);
    if (kernel->n_params > ARGS || !read_sizes(text, kernel, e->params) || !eval_sizes(kernel, e))
        return false;
    for (int p = 0; p < kernel->n_params; p++) {
        eval_tensor *t = &e->tensors[p];
        if (!t->value) continue;
        t->cells = KG_NEW_ARRAY(e->arena, cell, t->elements);
        for (int64_t i = 0; i < t->elements; i++) {
            int64_t v = initial(t->value->name, i);
            t->cells[i] =
                kg_dtype_info_of(t->dtype)->is_float ? (cell){.f = (double)v} : (cell){.i = v};
        }
    }
    for (int i = 0; i < kernel->n_assumes; i++) {
        int64_t holds;
        if (!kg_sexpr_eval(kernel->assumes[i], e->params, &holds) || !holds) return false;
    }
    return true;
}

// ---- launching ----------------------------------------------------------------------------------
static void on_diagnostic(const kgen_diagnostic *d, void *user)
{
    machine *m = user;
    if (!m->report || d->severity != KGEN_ERROR) return;
    if (!m->report->kind[0]) snprintf(m->report->kind, sizeof m->report->kind, "%s", d->id);
    add(m->report, "%s", d->rendered);
}

static void on_finding(const kgen_finding *f, void *user)
{
    report *out = user;
    if (!out->kind[0]) snprintf(out->kind, sizeof out->kind, "finding %s", f->rule);
    add(out, "%s", f->rendered);
}

static bool same(kg_dtype dtype, cell got, cell want, double error)
{
    if (!kg_dtype_info_of(dtype)->is_float) return got.i == want.i;
    if (got.f == want.f || (isnan(got.f) && isnan(want.f))) return true;
    return fabs(got.f - want.f) <= 2 * error;
}

static void compare(const eval_tensor *t, const char *data, report *out)
{
    int bytes = kg_dtype_bytes(t->dtype), wrong = 0;
    for (int64_t i = 0; i < t->elements; i++) {
        cell got = decode(t->dtype, data + i * bytes);
        if (same(t->dtype, got, t->cells[i], t->error)) continue;
        if (!out->kind[0]) set(out, FAILED, "mismatch");
        bool real = kg_dtype_info_of(t->dtype)->is_float;
        if (wrong++ < 4)
            add(out, "%s[%lld] is %.9g, should be %.9g (within %.3g)\n", t->value->name,
                (long long)i, real ? got.f : (double)got.i,
                real ? t->cells[i].f : (double)t->cells[i].i, t->error);
    }
    if (wrong > 4) add(out, "%s: %d elements are wrong\n", t->value->name, wrong);
}

typedef struct arguments {
    kgen_arg args[ARGS];
    kgen_buffer *buffers[ARGS];
    char *data[ARGS]; // before the launch
    size_t bytes[ARGS];
} arguments;

static void encode_inputs(kg_kernel *kernel, evaluation *e, arguments *a)
{
    for (int p = 0; p < kernel->n_params; p++) {
        a->args[p] = (kgen_arg){.name = kernel->params[p]->name, .i = e->params[p]};
        const eval_tensor *t = &e->tensors[p];
        if (!t->value) continue;
        size_t size = (size_t)kg_dtype_bytes(t->dtype);
        a->bytes[p] = size * (size_t)t->elements;
        a->data[p] = kg_arena_alloc(e->arena, a->bytes[p]);
        for (int64_t i = 0; i < t->elements; i++)
            encode(t->dtype, a->data[p] + (size_t)i * size, t->cells[i]);
    }
}

static bool make_buffers(kgen_device *device, int n, arguments *a)
{
    for (int p = 0; p < n; p++) {
        if (!a->data[p]) continue;
        if (kgen_buffer_create(device, a->bytes[p], &a->buffers[p]) ||
            kgen_buffer_write(a->buffers[p], 0, a->data[p], a->bytes[p]))
            return false;
        a->args[p].buffer = a->buffers[p];
    }
    return true;
}

static void launch(machine *m, int mode, kgen_program *program, kg_kernel *kernel, evaluation *e,
                   arguments *a, report *out)
{
    kgen_launch_options options = {.finding = on_finding, .user = out};
    if (!make_buffers(m->devices[mode], kernel->n_params, a)) {
        set(out, FAILED, "buffers");
    } else {
        kgen_status status =
            kgen_launch(m->devices[mode], program, a->args, (size_t)kernel->n_params, &options);
        if (status && !out->kind[0]) set(out, FAILED, kgen_status_name(status));
        if (status) out->outcome = FAILED;
    }
    for (int p = 0; p < kernel->n_params; p++) {
        if (!a->buffers[p]) continue;
        char *data = kg_arena_alloc(e->arena, a->bytes[p]);
        kgen_status status = kgen_buffer_read(a->buffers[p], 0, data, a->bytes[p]);
        if (!out->outcome && status) set(out, FAILED, "read of a buffer");
        if (!out->outcome) compare(&e->tensors[p], data, out);
        kgen_buffer_free(a->buffers[p]);
        a->buffers[p] = NULL;
    }
    out->launches[mode]++;
    if (out->outcome) add(out, "completion: %s\n", mode_names[mode]);
}

// Refusals that say that the program is too large, or that its schedule cannot be met, which the
// generator cannot know.
static bool is_resource(const char *id)
{
    static const char *const ids[] = {"KG-M401", "KG-C605", "KG-L305"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (!strcmp(id, ids[i])) return true;
    return false;
}

// The compiler has asked the validator already, and a witness is an error of the compilation.
static void prove(const kgen_program *program, report *out)
{
    kgen_program_info info;
    kgen_program_get_info(program, &info);
    out->proved = info.proof && !strcmp(info.proof, "proved");
    if (!out->proved)
        snprintf(out->unproved, sizeof out->unproved, "%s",
                 info.proof_reason ? info.proof_reason : "");
}

static void run_modes(machine *m, kgen_program *program, kg_kernel *kernel, evaluation *e,
                      arguments *a, report *out)
{
    for (int mode = 0; mode < MODES && !out->outcome; mode++)
        launch(m, mode, program, kernel, e, a, out);
    kgen_program_free(program);
}

// ---- mutants ------------------------------------------------------------------------------------
typedef struct mutation {
    machine *m;
    const char *target;
    kg_kernel *kernel;
    evaluation *e;
    arguments *a;
    report *out;
} mutation;

// 1: proved, 0: refuted, -1: neither.
static int ask_validator(const mutation *t, const char *text, report *r)
{
    kgen_program *program = NULL;
    kgen_compile_options options = {.name = "mutant.kg", .target = t->target};
    t->m->report = r;
    if (kgen_compile(t->m->context, text, strlen(text), &options, &program))
        return strcmp(r->kind, "KG-S520") ? -1 : 0;
    prove(program, r);
    kgen_program_free(program);
    return r->proved ? 1 : -1;
}

static fate run_mutant(const char *text, void *user)
{
    const mutation *t = user;
    kgen_program *program = NULL;
    kgen_compile_options options = {.name = "mutant.kg", .target = t->target, .no_validate = 1};
    report asked = {0}, ran = {0};
    int proof = ask_validator(t, text, &asked);
    t->m->report = &ran;
    bool compiled = !kgen_compile(t->m->context, text, strlen(text), &options, &program);
    if (compiled) run_modes(t->m, program, t->kernel, t->e, t->a, &ran);
    t->m->report = t->out;
    if (!compiled || proof < 0) return FATE_OPEN;
    // Nobody waits for that mbarrier any more, nor has to: what it says is said by another one.
    if (!strcmp(ran.kind, "finding mbarrier-phase-unobserved") && proof) return FATE_NEEDLESS;
    if (ran.outcome && proof) {
        set(t->out, FAILED, "mutant proved");
        add(t->out, "%s\n%s%s", t->out->mutant, ran.detail, text);
    }
    return ran.outcome ? proof ? FATE_MACHINE : FATE_CAUGHT
           : proof     ? FATE_NEEDLESS
                       : FATE_VALIDATOR;
}

// The PTX machine has the last word on what the validator refuted: it finds the same, or nothing.
static void run_refuted(machine *m, const char *text, kg_kernel *kernel, evaluation *e,
                        arguments *a, report *out)
{
    kgen_program *program = NULL;
    kgen_compile_options options = {
        .name = "random.kg", .target = target_of(text), .no_validate = 1};
    if (kgen_compile(m->context, text, strlen(text), &options, &program)) {
        out->outcome = FAILED;
        return;
    }
    out->kind[0] = 0;
    run_modes(m, program, kernel, e, a, out);
    if (!out->outcome) set(out, DISPUTED, "KG-S520");
}

static void compile_and_run(machine *m, const char *text, kg_kernel *kernel, evaluation *e,
                            arguments *a, report *out)
{
    kgen_program *program = NULL;
    kgen_compile_options options = {.name = "random.kg", .target = target_of(text)};
    if (!kgen_compile(m->context, text, strlen(text), &options, &program)) {
        prove(program, out);
        const char *ir =
            kg_arena_strndup(e->arena, kgen_program_ir(program), strlen(kgen_program_ir(program)));
        run_modes(m, program, kernel, e, a, out);
        mutation t = {m, options.target, kernel, e, a, out};
        if (m->mutate && out->outcome == PASSED && out->proved)
            out->fate = try_mutant(ir, run_mutant, &t, out->mutant, sizeof out->mutant);
    } else if (!strcmp(out->kind, "KG-S520")) {
        run_refuted(m, text, kernel, e, a, out);
    } else {
        out->outcome = is_resource(out->kind) ? REFUSED : FAILED;
    }
}

static void parse_and_run(machine *m, kg_arena *arena, const char *text, report *out)
{
    kg_diags diags = {.arena = arena};
    kg_source source = {"random.kg", text, strlen(text)};
    kg_unit *unit = kg_parse(arena, &diags, &source, NULL, 0);
    if (!unit) {
        set(out, FAILED, kg_diag_id_name(diags.first->id));
        add(out, "%s", kg_diag_render(arena, diags.first, false));
        return;
    }
    evaluation *e = KG_NEW(arena, evaluation);
    arguments *a = KG_NEW(arena, arguments);
    e->arena = arena;
    if (!prepare(unit->kernels, text, e)) {
        set(out, UNSUITABLE, "sizes");
        return;
    }
    encode_inputs(unit->kernels, e, a);
    if (!evaluate(unit->kernels, e)) {
        set(out, UNSUITABLE, e->refused);
        add(out, "line %d: %s\n", e->refused_line, e->refused);
        return;
    }
    compile_and_run(m, text, unit->kernels, e, a, out);
}

void run_case(machine *m, const char *text, report *out)
{
    kg_arena arena;
    jmp_buf recovery;
    memset(out, 0, sizeof *out);
    m->report = out;
    kg_arena_init(&arena, NULL);
    arena.recovery = &recovery;
    if (setjmp(recovery))
        set(out, FAILED, "out of memory");
    else
        parse_and_run(m, &arena, text, out);
    kg_arena_free(&arena);
    m->report = NULL;
}

bool machine_open(machine *m)
{
    static const kgen_completion modes[MODES] = {KGEN_COMPLETE_EAGER, KGEN_COMPLETE_LATE,
                                                 KGEN_COMPLETE_SEEDED, KGEN_COMPLETE_SEEDED};
    memset(m, 0, sizeof *m);
    if (kgen_context_create(&(kgen_options){.diagnostic = on_diagnostic, .user = m}, &m->context))
        return false;
    for (int i = 0; i < MODES; i++) {
        kgen_device_options options = {
            .cpu_threads = 1, .completion = modes[i], .seed = (uint64_t)i * 7919};
        if (kgen_device_open(m->context, "cpu", &options, &m->devices[i])) return false;
    }
    return true;
}

void machine_close(machine *m)
{
    for (int i = 0; i < MODES; i++) kgen_device_close(m->devices[i]);
    kgen_context_free(m->context);
}
