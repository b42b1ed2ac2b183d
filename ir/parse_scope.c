// SPDX-License-Identifier: MIT
// Names: a hash table of what is visible, undone at the end of each block. Names of ended blocks
// stay in the table as `gone`, so that a use behind the block can say where the name was.
#include "ir/parse.h"
#include <string.h>

static unsigned hash_of(const char *name)
{
    unsigned hash = 2166136261u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

void kg_scope_enter(kg_parser *p, kg_scope *scope)
{
    *scope = (kg_scope){.outer = p->scope};
    p->scope = scope;
}

void kg_scope_leave(kg_parser *p)
{
    for (kg_symbol *s = p->scope->last; s; s = s->previous) s->gone = true;
    p->scope = p->scope->outer;
}

static kg_symbol *find(const kg_parser *p, const char *name, bool gone)
{
    unsigned hash = hash_of(name);
    if (!p->n_buckets) return NULL;
    for (kg_symbol *s = p->buckets[hash & (p->n_buckets - 1)]; s; s = s->below)
        if (s->hash == hash && s->gone == gone && !strcmp(s->name, name)) return s;
    return NULL;
}

kg_symbol *kg_lookup(const kg_parser *p, const char *name)
{
    return find(p, name, false);
}

static kg_symbol *add(kg_parser *p, kg_symbol_kind kind, const char *name, kg_loc loc)
{
    kg_symbol *s = KG_NEW(p->arena, kg_symbol);
    s->kind = kind;
    s->name = name;
    s->hash = hash_of(name);
    s->loc = loc;
    s->previous = p->scope->last;
    p->scope->last = s;
    kg_symbol **bucket = &p->buckets[s->hash & (p->n_buckets - 1)];
    s->below = *bucket;
    *bucket = s;
    return s;
}

kg_symbol *kg_define_name(kg_parser *p, kg_symbol_kind kind, const char *name, kg_loc loc)
{
    kg_dtype dtype;
    if (kg_is_keyword(name) || kg_dtype_named(name, &dtype)) {
        kg_error(p->diags, KG_D_P001, loc, "'%s' is a word of the language and cannot be a name",
                 name);
        return NULL;
    }
    kg_symbol *taken = kg_lookup(p, name);
    if (!taken) return add(p, kind, name, loc);
    if (taken->kind == KG_S_POISON) return NULL;
    kg_diag *d = kg_error(p->diags, KG_D_P007, loc, "'%s' is defined twice", name);
    kg_diag_note(p->diags, d, taken->loc, "the first definition is here");
    return NULL;
}

kg_symbol *kg_define_value(kg_parser *p, const char *name, kg_loc loc, kg_value *value)
{
    if (!value) {
        kg_define_poison(p, name, loc);
        return NULL;
    }
    kg_symbol *symbol = kg_define_name(p, KG_S_VALUE, name, loc);
    if (symbol) symbol->value = value;
    return symbol;
}

void kg_define_poison(kg_parser *p, const char *name, kg_loc loc)
{
    if (name && p->scope && !kg_lookup(p, name)) add(p, KG_S_POISON, name, loc);
}

void kg_unknown_name(kg_parser *p, const char *name, kg_loc loc)
{
    kg_diag *d = kg_error(p->diags, KG_D_P003, loc, "unknown name '%s'", name);
    kg_symbol *gone = find(p, name, true);
    struct {
        const char **items;
        int count, capacity;
    } names = {0};
    for (kg_scope *scope = p->scope; scope; scope = scope->outer)
        for (kg_symbol *s = scope->last; s; s = s->previous)
            if (s->kind != KG_S_POISON) KG_PUSH(p->arena, &names, s->name);
    const char *nearest = kg_nearest_name(name, names.items, names.count);
    if (gone)
        kg_diag_note(p->diags, d, gone->loc, "it was defined here, in a block that has ended");
    else if (nearest)
        kg_diag_help(p->diags, d, "did you mean '%s'?", nearest);
    if (p->scope) kg_define_poison(p, name, loc);
}
