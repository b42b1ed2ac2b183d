// SPDX-License-Identifier: MIT
//
// Mutable variables as values and phis, made while the code is built (Braun et al., Simple and
// efficient construction of static single assignment form, 2013). What a variable holds at the end
// of each block is remembered; where a block does not say, the blocks before it are asked, and
// where several of them answer, a phi joins what they say. The head of a loop is open until the
// branch back to it exists: whatever is asked of it meanwhile gets a phi, which is completed then.
//
// LLVM would do the same from stack slots, but looks through the whole body of a loop for each one.
#include "codegen/internal.h"

#include <string.h>

enum { CHUNK = 64, FIRST_ROOM = 256 };

struct variable {
    cg_type type;
};

struct chunk {
    struct chunk *next;
    unsigned count;
    struct variable items[CHUNK];
};

struct held {
    cg_block block; // NULL: a free place of the table
    const struct variable *variable;
    cg_value value;
};

struct cg_variables {
    struct chunk *chunks;
    struct held *table; // of a power of two
    size_t room, used;
    struct held *open; // phis of open heads
    size_t open_room, open_count;
    cg_block *heads; // open ones
    size_t head_room, head_count;
};

static const struct cg_allocator *allocator_of(struct cg_module *m)
{
    return &cg_common(m)->allocator;
}

static bool out_of_memory(struct cg_module *m)
{
    return cg_fail(m, CG_ERROR_MEMORY, "out of memory");
}

static struct cg_variables *variables_of(struct cg_module *m)
{
    struct cg_common *common = cg_common(m);
    if (common->variables) return common->variables;
    common->variables = cg_allocate(&common->allocator, sizeof *common->variables);
    if (common->variables)
        memset(common->variables, 0, sizeof *common->variables);
    else
        out_of_memory(m);
    return common->variables;
}

// Makes room for one item more.
static bool grow(struct cg_module *m, void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room) return true;
    size_t wanted = *room ? 2 * *room : FIRST_ROOM;
    void *larger = cg_allocate(allocator_of(m), wanted * size);
    if (!larger) return out_of_memory(m);
    if (count) memcpy(larger, *items, count * size);
    cg_release(allocator_of(m), *items);
    *items = larger;
    *room = wanted;
    return true;
}

// ---- what is held -------------------------------------------------------------------------------

static struct held *place_of(struct held *table, size_t room, cg_block block,
                             const struct variable *variable)
{
    uint64_t hash = (uint64_t)(uintptr_t)block * UINT64_C(0x9E3779B97F4A7C15);
    hash ^= (uint64_t)(uintptr_t)variable * UINT64_C(0xC2B2AE3D27D4EB4F);
    for (uint64_t at = hash >> 20;; at++) {
        struct held *h = &table[at & (room - 1)];
        if (!h->block || (h->block == block && h->variable == variable)) return h;
    }
}

static bool grow_table(struct cg_module *m, struct cg_variables *v)
{
    size_t room = v->room ? 2 * v->room : FIRST_ROOM;
    struct held *table = cg_allocate(allocator_of(m), room * sizeof *table);
    if (!table) return out_of_memory(m);
    memset(table, 0, room * sizeof *table);
    for (size_t i = 0; i < v->room; i++)
        if (v->table[i].block)
            *place_of(table, room, v->table[i].block, v->table[i].variable) = v->table[i];
    cg_release(allocator_of(m), v->table);
    v->table = table;
    v->room = room;
    return true;
}

static void hold(struct cg_module *m, cg_block block, const struct variable *variable,
                 cg_value value)
{
    struct cg_variables *v = cg_common(m)->variables;
    if (!value || (2 * v->used >= v->room && !grow_table(m, v))) return;
    struct held *h = place_of(v->table, v->room, block, variable);
    v->used += !h->block;
    *h = (struct held){block, variable, value};
}

static cg_value held_by(const struct cg_variables *v, cg_block block,
                        const struct variable *variable)
{
    const struct held *h = v->room ? place_of(v->table, v->room, block, variable) : NULL;
    return h && h->block ? h->value : NULL;
}

// ---- reading ------------------------------------------------------------------------------------

static bool is_open(const struct cg_variables *v, cg_block block)
{
    for (size_t i = v->head_count; i-- > 0;)
        if (v->heads[i] == block) return true;
    return false;
}

static cg_value open_phi(struct cg_module *m, cg_block block, const struct variable *variable)
{
    struct cg_variables *v = cg_common(m)->variables;
    cg_value phi = cg_raw_phi(m, block, variable->type);
    if (grow(m, (void **)&v->open, v->open_count, &v->open_room, sizeof *v->open))
        v->open[v->open_count++] = (struct held){block, variable, phi};
    return phi;
}

static cg_value read_at(struct cg_module *m, cg_block block, const struct variable *variable);

// Gives the phi what the variable holds at the end of each block before; the one value that this
// is, NULL if there are several or the phi itself is among them.
static cg_value complete(struct cg_module *m, cg_block block, const struct variable *variable,
                         cg_value phi)
{
    cg_value same = NULL;
    bool one = true;
    unsigned count = 0;
    for (cg_block from; (from = cg_raw_predecessor(m, block, count)); count++) {
        cg_value value = read_at(m, from, variable);
        cg_phi_add(m, phi, value, from);
        one &= value != phi && (!same || value == same);
        same = value;
    }
    return one ? same : NULL;
}

static cg_value join(struct cg_module *m, cg_block block, const struct variable *variable)
{
    cg_value phi = cg_raw_phi(m, block, variable->type);
    hold(m, block, variable, phi); // for what comes back here
    cg_value same = complete(m, block, variable, phi);
    return same && cg_raw_drop_unused(m, phi) ? same : phi;
}

static cg_value read_at(struct cg_module *m, cg_block block, const struct variable *variable)
{
    struct cg_variables *v = cg_common(m)->variables;
    cg_value value = NULL;
    cg_block at = block;
    while (!value && !cg_module_status(m)) {
        value = held_by(v, at, variable);
        if (value) break;
        cg_block before = is_open(v, at) ? NULL : cg_raw_predecessor(m, at, 0);
        if (is_open(v, at))
            value = open_phi(m, at, variable);
        else if (!before)
            value = cg_undefined(m, variable->type);
        else if (cg_raw_predecessor(m, at, 1))
            value = join(m, at, variable);
        if (value)
            hold(m, at, variable, value);
        else
            at = before;
    }
    if (at != block) hold(m, block, variable, value);
    return value;
}

// ---- the interface ------------------------------------------------------------------------------

static struct variable *variable_of(struct cg_module *m, cg_value handle)
{
    const struct cg_variables *v = cg_common(m)->variables;
    uintptr_t address = (uintptr_t)handle;
    for (struct chunk *c = v ? v->chunks : NULL; c; c = c->next)
        if (address >= (uintptr_t)c->items && address < (uintptr_t)(c->items + c->count))
            return (struct variable *)handle;
    cg_fail(m, CG_ERROR_USAGE, "the value is no variable");
    return NULL;
}

cg_value cg_variable(struct cg_module *m, cg_type type, const char *name)
{
    (void)name; // values have numbers
    struct cg_variables *v = cg_ready(m) ? variables_of(m) : NULL;
    if (!v) return NULL;
    if (!v->chunks || v->chunks->count == CHUNK) {
        struct chunk *chunk = cg_allocate(allocator_of(m), sizeof *chunk);
        if (!chunk) return out_of_memory(m), NULL;
        chunk->next = v->chunks;
        chunk->count = 0;
        v->chunks = chunk;
    }
    struct variable *variable = &v->chunks->items[v->chunks->count++];
    variable->type = type;
    return (cg_value)variable;
}

cg_value cg_get(struct cg_module *m, cg_value handle)
{
    if (!cg_ready_with(m, &handle, 1)) return NULL;
    const struct variable *variable = variable_of(m, handle);
    return variable ? read_at(m, cg_block_current(m), variable) : NULL;
}

void cg_set(struct cg_module *m, cg_value handle, cg_value value)
{
    cg_value operands[] = {handle, value};
    if (!cg_ready_with(m, operands, 2)) return;
    const struct variable *variable = variable_of(m, handle);
    if (!variable) return;
    if (variable->type != cg_type_of(m, value))
        cg_fail(m, CG_ERROR_USAGE, "a variable is set to a value of another type");
    else
        hold(m, cg_block_current(m), variable, value);
}

void cg_head_open(struct cg_module *m, cg_block head)
{
    struct cg_variables *v = cg_module_status(m) || !head ? NULL : variables_of(m);
    if (v && grow(m, (void **)&v->heads, v->head_count, &v->head_room, sizeof *v->heads))
        v->heads[v->head_count++] = head;
}

void cg_head_close(struct cg_module *m, cg_block head)
{
    struct cg_variables *v = cg_common(m)->variables;
    size_t kept = 0;
    if (!v || cg_module_status(m)) return;
    for (size_t i = 0; i < v->head_count; i++)
        if (v->heads[i] != head) v->heads[kept++] = v->heads[i];
    v->head_count = kept;
    for (size_t i = 0; i < v->open_count; i++) { // more may be added to the end
        struct held phi = v->open[i];
        if (phi.block == head) complete(m, head, phi.variable, phi.value);
    }
    kept = 0;
    for (size_t i = 0; i < v->open_count; i++)
        if (v->open[i].block != head) v->open[kept++] = v->open[i];
    v->open_count = kept;
}

void cg_variables_free(struct cg_module *m)
{
    struct cg_variables *v = cg_common(m)->variables;
    const struct cg_allocator *allocator = allocator_of(m);
    if (!v) return;
    while (v->chunks) {
        struct chunk *next = v->chunks->next;
        cg_release(allocator, v->chunks);
        v->chunks = next;
    }
    cg_release(allocator, v->table);
    cg_release(allocator, v->open);
    cg_release(allocator, v->heads);
    cg_release(allocator, v);
    cg_common(m)->variables = NULL;
}
