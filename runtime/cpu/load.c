// SPDX-License-Identifier: MIT
// ptxm_module_load: parse, then everything that needs the whole text: call targets, flow, frames,
// the layout of shared memory, the list of kernels. Also the constant pool.
#include "parser_internal.h"
#include "steps.h"

#include <string.h>

// ---- constant pool ------------------------------------------------------------------------------

static int32_t pool_reserve(struct ptxm_module *m, size_t bytes)
{
    while (m->constant_capacity - m->constant_bytes < bytes) {
        size_t capacity = m->constant_capacity ? m->constant_capacity * 2 : 8192;
        uint8_t *grown = capacity < INT32_MAX / 2 ? ptxm_realloc(&m->allocator, m->constants,
                                                                 capacity) : NULL;
        if (!grown) {
            m->arena.failed = true;
            return OPERAND_NONE;
        }
        m->constants = grown;
        m->constant_capacity = capacity;
    }
    int32_t offset = -1 - (int32_t)m->constant_bytes;
    memset(m->constants + m->constant_bytes, 0, bytes);
    m->constant_bytes += bytes;
    return offset;
}

static void fill_constant(uint8_t *at, uint64_t value, unsigned bytes)
{
    if (!bytes) {
        memcpy(at, &value, 4);
        return;
    }
    for (unsigned i = 0; i < LANES; i++) {
        uint64_t lane[2] = {value, 0};
        memcpy(at + (size_t)i * bytes, lane, bytes);
    }
}

// Recent equal constants are shared: the pool is short of neither room nor repeats.
int32_t ptxm_constant(struct ptxm_module *m, uint64_t value, unsigned bytes)
{
    struct pool_entry *slot = &m->pool_index[(value * 2654435761u + bytes) % POOL_SLOTS];
    if (slot->offset && slot->value == value && slot->bytes == bytes)
        return slot->offset;
    int32_t offset = pool_reserve(m, bytes ? (size_t)bytes * LANES : 16);
    if (offset == OPERAND_NONE)
        return offset;
    fill_constant(m->constants + (-1 - offset), value, bytes);
    *slot = (struct pool_entry){value, offset, bytes};
    return offset;
}

int32_t ptxm_constant_address(struct ptxm_module *m, const struct relocation *relocation)
{
    struct relocation r = *relocation;
    int32_t offset = pool_reserve(m, (size_t)r.bytes * LANES);
    if (offset == OPERAND_NONE ||
        !PTXM_GROW(&m->allocator, m->relocations, m->relocation_count, m->relocation_capacity)) {
        m->arena.failed = true;
        return OPERAND_NONE;
    }
    r.offset = (size_t)(-1 - offset);
    m->relocations[m->relocation_count++] = r;
    return offset;
}

// ---- finishing ----------------------------------------------------------------------------------

struct function *ptxm_function_body(const struct ptxm_module *m, const char *name)
{
    const char *alias = NULL;
    for (unsigned hops = 0; name && hops < 8; hops++, name = alias, alias = NULL)
        for (size_t i = 0; i < m->function_count; i++) {
            struct function *f = m->functions[i];
            if (!f->name || strcmp(f->name, name))
                continue;
            if (f->has_body)
                return f;
            alias = f->alias ? f->alias : alias;
        }
    return NULL;
}

// Pairs of (caller's variable, callee's variable) must agree in number and size.
static bool check_call(struct parser *p, struct op *op, struct function *callee)
{
    size_t returns = op->mode, arguments = op->immediate - returns;
    struct token at = {.text = p->lexer.line_start, .line = op->line, .column = 1};
    if (returns > callee->return_count || arguments != callee->param_count) {
        ptxm_complain(p, &at, "'%s' is called with the wrong number of arguments", callee->name);
        return false;
    }
    for (size_t i = 0; i < op->immediate; i++) {
        const struct variable *mine = (const void *)(uintptr_t)op->target_list[i];
        const struct variable *theirs = i < returns ? callee->returns[i]
                                                    : callee->params[i - returns];
        if (mine->size != theirs->size) {
            ptxm_complain(p, &at, "argument '%s' of '%s' has the wrong size", theirs->name,
                          callee->name);
            return false;
        }
    }
    return true;
}

// A call that cannot be made: who makes it is not run.
static void refuse_call(struct parser *p, struct op *op, const struct token *at, const char *name,
                        const char *why)
{
    struct ptxm_module *m = p->module;
    size_t number = (size_t)(op - m->ops);
    for (size_t i = 0; i < m->function_count; i++) {
        struct function *f = m->functions[i];
        if (f->refused || number < f->first_op || number - f->first_op >= f->op_count)
            continue;
        f->refused_at = *at;
        f->refused = ptxm_refusal_text(m, name, why);
        m->arena.failed |= !f->refused;
    }
    op->step = ptxm_step_trap;
    op->displacement = 0;
}

static void resolve_call(struct parser *p, struct op *op)
{
    struct ptxm_module *m = p->module;
    if (!op->displacement)
        return;
    const char *name = (const char *)(uintptr_t)op->displacement;
    struct function *callee = ptxm_function_body(m, name);
    struct token at = {.text = p->lexer.line_start, .line = op->line, .column = 1};
    if (!callee && (op->target = ptxm_host_function(op, name)) != HOST_NONE)
        op->step = ptxm_step_call_host;
    else if (!callee && (!strcmp(name, "malloc") || !strcmp(name, "free")))
        refuse_call(p, op, &at, name, "memory from the device's heap is not supported: allocate on "
                                      "the host and pass the address");
    else if (!callee)
        ptxm_complain(p, &at, "function '%s' has no body in this text: link it in", name);
    else if (check_call(p, op, callee))
        op->displacement = (int64_t)(uintptr_t)callee;
}

static void append_end(struct parser *p, struct function *f)
{
    struct ptxm_module *m = p->module;
    if (!PTXM_GROW(&m->allocator, m->ops, m->op_count, m->op_capacity)) {
        m->arena.failed = true;
        return;
    }
    m->ops[m->op_count++] = (struct op){.step = ptxm_step_ret, .guard = OPERAND_NONE,
                                        .line = p->last.line, .text = "ret", .vector = 1};
    f->op_count++;
}

void ptxm_body_end(struct parser *p, struct function *f)
{
    size_t before = p->module->op_count;
    ptxm_register_results_store(p, NULL, &p->last);
    f->op_count += (uint32_t)(p->module->op_count - before);
    append_end(p, f);
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

// Module-scope variables and those of functions come first, then each kernel's own, then the
// dynamic ones: kernels share the addresses of their own variables, as they never run together.
static void place_shared(struct ptxm_module *m, struct function *owner, uint64_t *end)
{
    for (struct variable *v = m->variables; v; v = v->next) {
        struct function *kernel = v->owner && v->owner->is_entry ? v->owner : NULL;
        if (v->space != SPACE_SHARED || v->is_extern || kernel != owner)
            continue;
        *end = round_up(*end, v->align);
        v->offset = *end;
        *end += v->size;
    }
}

static bool list_kernel(struct ptxm_module *m, struct function *f)
{
    struct ptxm_param *params = ptxm_arena_alloc(&m->arena, (f->param_count + 1) * sizeof *params);
    uint64_t end = m->shared_common_end;
    if (!params)
        return false;
    place_shared(m, f, &end);
    for (size_t i = 0; i < f->param_count; i++)
        params[i] = (struct ptxm_param){f->params[i]->name, f->params[i]->size,
                                        f->params[i]->align, f->params[i]->offset,
                                        f->params[i]->pointer_param};
    f->info = (struct ptxm_kernel){.name = f->name, .params = params,
                                   .param_count = f->param_count, .param_bytes = f->param_bytes,
                                   .static_shared = end - SHARED_START,
                                   .local_bytes = f->info.local_bytes, .line = f->line};
    memcpy(f->info.max_threads, f->max_threads, sizeof f->max_threads);
    memcpy(f->info.required_threads, f->required_threads, sizeof f->required_threads);
    memcpy(f->info.required_cluster, f->required_cluster, sizeof f->required_cluster);
    f->info.refused = f->refused;
    f->info.refused_line = f->refused ? f->refused_at.line : 0;
    f->info.max_cluster_rank = f->max_cluster_rank;
    f->info.explicit_cluster = f->explicit_cluster;
    m->kernels[m->kernel_count++] = &f->info;
    return true;
}

static void finish_frames(struct ptxm_module *m)
{
    for (size_t i = 0; i < m->function_count; i++) {
        struct function *f = m->functions[i];
        f->info.local_bytes = f->frame_params + f->frame_bytes;
        f->frame_base = m->frame_bytes = round_up(m->frame_bytes, f->frame_align);
        f->frame_params = round_up(f->frame_params, f->frame_align);
        f->frame_bytes = round_up(f->frame_bytes, f->frame_align);
        m->frame_bytes += f->frame_params + f->frame_bytes;
    }
    m->frame_bytes = round_up(m->frame_bytes, 16);
}

static void finish_locations(struct parser *p)
{
    for (size_t i = 0; i < p->module->location_count; i++) {
        struct location *l = &p->module->locations[i];
        size_t file = (size_t)(uintptr_t)l->file;
        l->file = file < p->file_count ? p->files[file] : NULL;
    }
}

// Strong accesses and asynchronous operations (which the builders note) of a function, and of all
// functions for one that calls.
static void find_synchronization(struct ptxm_module *m)
{
    bool any = false, any_asynchronous = false;
    for (size_t i = 0; i < m->function_count; i++) {
        struct function *f = m->functions[i];
        for (uint32_t k = f->first_op; k < f->first_op + f->op_count; k++) {
            f->synchronizes |= m->ops[k].sem != SEM_WEAK;
            f->calls |= m->ops[k].step == ptxm_step_call;
        }
        any |= f->synchronizes && !f->is_entry;
        any_asynchronous |= f->asynchronous && !f->is_entry;
    }
    for (size_t i = 0; i < m->function_count; i++) {
        m->functions[i]->synchronizes |= any && m->functions[i]->calls;
        m->functions[i]->asynchronous |= any_asynchronous && m->functions[i]->calls;
    }
}

static bool finish(struct parser *p)
{
    struct ptxm_module *m = p->module;
    finish_locations(p);
    for (size_t i = 0; i < m->op_count; i++)
        if (m->ops[i].step == ptxm_step_call)
            resolve_call(p, &m->ops[i]);
    if (p->failed)
        return false;
    if (!ptxm_refusals_finish(p))
        return false;
    find_synchronization(m);
    m->register_bytes = SPECIAL_BYTES;
    m->shared_common_end = SHARED_START;
    place_shared(m, NULL, &m->shared_common_end);
    finish_frames(m);
    m->kernels = ptxm_arena_alloc(&m->arena, (m->function_count + 1) * sizeof *m->kernels);
    if (!m->kernels)
        return false;
    for (size_t i = 0; i < m->function_count; i++) {
        struct function *f = m->functions[i];
        if (f->has_body && !ptxm_flow_finish(m, f)) {
            struct token at = {.text = p->lexer.line_start, .line = f->line, .column = 1};
            if (f->too_large)
                ptxm_complain(p, &at, "'%s' has too many registers for its many blocks", f->name);
            m->arena.failed |= !f->too_large;
            return false;
        }
        if (f->has_body && f->is_entry && !list_kernel(m, f))
            return false;
        if (!f->has_body && f->is_entry)
            continue;
    }
    return true;
}

enum ptxm_status ptxm_module_load(const char *text, size_t length,
                                  const struct ptxm_load_options *options,
                                  struct ptxm_module **out)
{
    struct allocator allocator;
    if (!out)
        return PTXM_ERROR_ARGUMENT;
    *out = NULL;
    if (!text)
        return PTXM_ERROR_ARGUMENT;
    ptxm_allocator_init(&allocator, options ? options->allocator : NULL);
    struct ptxm_module *m = ptxm_alloc_zero(&allocator, sizeof *m);
    struct parser *p = ptxm_alloc_zero(&allocator, sizeof *p);
    if (!m || !p) {
        ptxm_free(&allocator, m);
        ptxm_free(&allocator, p);
        return PTXM_ERROR_MEMORY;
    }
    m->allocator = allocator;
    ptxm_arena_init(&m->arena, &m->allocator);
    p->module = m;
    p->max_errors = options && options->max_errors ? options->max_errors : 20;
    p->diagnostic = options ? options->diagnostic : NULL;
    p->diagnostic_user = options ? options->diagnostic_user : NULL;
    ptxm_lexer_init(&p->lexer, text, length);
    ptxm_parse(p);
    bool fine = !p->failed && !m->arena.failed && finish(p);
    enum ptxm_status status = m->arena.failed ? PTXM_ERROR_MEMORY
                            : fine && !p->failed ? PTXM_OK : PTXM_ERROR_PARSE;
    ptxm_free(&allocator, p->files);
    ptxm_free(&allocator, p->fixups);
    ptxm_free(&allocator, p);
    if (status == PTXM_OK)
        *out = m;
    else
        ptxm_module_free(m);
    return status;
}

void ptxm_module_free(struct ptxm_module *m)
{
    if (!m)
        return;
    struct allocator allocator = m->allocator;
    for (size_t i = 0; i < m->function_count; i++) {
        ptxm_free(&allocator, m->functions[i]->regs);
        ptxm_free(&allocator, m->functions[i]->slots);
    }
    ptxm_free(&allocator, m->ops);
    ptxm_free(&allocator, m->constants);
    ptxm_free(&allocator, m->relocations);
    ptxm_free(&allocator, m->functions);
    ptxm_free(&allocator, m->locations);
    ptxm_arena_free(&m->arena);
    ptxm_free(&allocator, m);
}

size_t ptxm_module_kernel_count(const struct ptxm_module *m)
{
    return m ? m->kernel_count : 0;
}

const struct ptxm_kernel *ptxm_module_kernel(const struct ptxm_module *m, size_t index)
{
    return m && index < m->kernel_count ? m->kernels[index] : NULL;
}

const struct ptxm_kernel *ptxm_module_find(const struct ptxm_module *m, const char *name)
{
    for (size_t i = 0; m && name && i < m->kernel_count; i++)
        if (!strcmp(m->kernels[i]->name, name))
            return m->kernels[i];
    return NULL;
}

const char *ptxm_module_target(const struct ptxm_module *m)
{
    return m ? m->target : NULL;
}

unsigned ptxm_module_version(const struct ptxm_module *m)
{
    return m ? m->version : 0;
}

size_t ptxm_module_instruction_count(const struct ptxm_module *m)
{
    return m ? m->op_count : 0;
}
