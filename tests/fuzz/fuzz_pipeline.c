// SPDX-License-Identifier: MIT
// The passes under libFuzzer: a text at any level goes through parser, verifier and all passes that
// its level leaves to do. What holds, or the target aborts:
//   - a pass gives an IR that the verifier accepts, or findings;
//   - what is printed after a pass parses to the same IR and prints the same again;
//   - going on from that text ends like running on: same IR, or findings again;
//   - memory that ends somewhere in between ends the compilation and nothing else.
// The code generator is not part of it: LLVM is not what is tested here.
#include "passes/passes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_LIMIT = 8 << 10, MEMORY_LIMIT = 256 << 20, DUMPS = 16 };

// Programs with a schedule go to the target that can meet it.
static const kg_machine plain = {
    .target = "sm_80", .sm = 80, .shared_limit = 166912, .registers = 255};
static const kg_machine hopper = {.target = "sm_90a",
                                  .sm = 90,
                                  .shared_limit = 232448,
                                  .registers = 255,
                                  .tma = true,
                                  .wgmma = true};

static void must(bool holds)
{
    if (!holds) abort();
}

// ---- memory that ends ---------------------------------------------------------------------------
static void *allocate(void *user, size_t bytes)
{
    size_t *left = user;
    if (bytes > *left) return NULL;
    *left -= bytes;
    return malloc(bytes);
}

static void release(void *user, void *memory)
{
    free(memory);
}

// ---- one way through ----------------------------------------------------------------------------
typedef struct line {
    kg_arena *arena;
    const char *dumps[DUMPS]; // the text before the first pass and after each
    int count;
} line;

static kg_kernel *read(kg_arena *arena, const char *text, size_t length)
{
    kg_source *source = KG_NEW(arena, kg_source);
    kg_diags *diags = KG_NEW(arena, kg_diags);
    *source = (kg_source){"fuzz.kg", text, length};
    diags->arena = arena;
    kg_unit *unit = kg_parse(arena, diags, source, NULL, 0);
    must(unit || diags->errors);
    if (!unit || !unit->kernels) return NULL;
    return kg_verify(unit->kernels, diags) ? unit->kernels : NULL;
}

static void keep(const kg_pass *pass, kg_kernel *kernel, void *user)
{
    line *l = user;
    char *text = kg_print_kernel(l->arena, kernel);
    kg_kernel *again = read(l->arena, text, strlen(text));
    must(again && kg_kernel_equal(kernel, again));
    must(!strcmp(text, kg_print_kernel(l->arena, again)));
    if (l->count < DUMPS) l->dumps[l->count++] = text;
}

static bool run(kg_arena *arena, kg_kernel *kernel, const kg_machine *machine, bool no_share,
                line *l)
{
    kg_diags diags = {.arena = arena};
    kg_pass_context context = {
        .arena = arena, .diags = &diags, .machine = machine, .no_share = no_share};
    bool done = kg_run_pipeline(&context, kernel,
                                &(kg_pipeline_options){.after = l ? keep : NULL, .user = l});
    must(done || diags.errors);
    for (const kg_diag *d = diags.first; d; d = d->next) {
        must(d->id != KG_D_V206);
        kg_diag_render(arena, d, false);
    }
    return done;
}

// From one of the dumps, chosen by the input, so that over many inputs each has its turn.
static void resume(kg_arena *arena, const line *l, const kg_machine *machine, size_t turn,
                   bool done, bool no_share)
{
    const char *text = l->dumps[turn % (size_t)l->count], *end = l->dumps[l->count - 1];
    kg_kernel *kernel = read(arena, text, strlen(text));
    must(kernel != NULL);
    must(run(arena, kernel, machine, no_share, NULL) == done);
    if (done) must(!strcmp(end, kg_print_kernel(arena, kernel)));
}

static void compile(kg_arena *arena, const uint8_t *data, size_t size)
{
    line l = {.arena = arena};
    bool no_share = size & 1;
    kg_kernel *kernel = read(arena, (const char *)data, size);
    if (!kernel) return;
    const kg_machine *machine = kernel->schedule.producers ? &hopper : &plain;
    bool done = run(arena, kernel, machine, no_share, &l);
    if (l.count) resume(arena, &l, machine, size / 2, done, no_share);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kg_arena arena;
    jmp_buf recovery;
    size_t left = MEMORY_LIMIT;
    if (size > INPUT_LIMIT) return 0;
    kg_arena_init(&arena, &(kg_allocator){allocate, release, &left});
    arena.recovery = &recovery;
    if (setjmp(recovery) == 0) compile(&arena, data, size);
    kg_arena_free(&arena);
    return 0;
}
