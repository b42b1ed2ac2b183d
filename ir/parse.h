// SPDX-License-Identifier: MIT
// Inside of the parser: what its files share. Reading a kernel has three steps:
//
//   parse_expr.c       tokens -> expression trees (kg_node), no names looked up
//   parse_fold.c       constants by name replaced and folded, the untaken arm of `? :` dropped
//   parse_type.c       types bottom-up; an extent that comes from the other side stays open
//   parse_call.c       what the names of builtins stand for
//   parse_emit.c       trees -> ops, with the expected shape handed down to close open extents
//
// parse_header.c and parse_stmt.c drive these; parse_scope.c knows the names; parse_flat.c reads
// what only passes write (attributes in braces, layouts). A finding poisons the tree and the name
// that it defines, so that one mistake gives one message.
#pragma once
#include "ir/infer.h"
#include "ir/ir.h"
#include "ir/lexer.h"

enum {
    KG_DEEPEST_EXPRESSION = 200, // levels of an expression tree
    KG_DEEPEST_BLOCK = 64,       // nested statements
    KG_MOST_ARGUMENTS = 8,
    KG_LARGEST_SOURCE = 16 << 20
};

// ---- expression trees --------------------------------------------------------------------------
typedef enum kg_node_kind {
    KG_N_POISON, // reported already
    KG_N_INT,    // literal: takes the type of its surroundings
    KG_N_FLOAT,
    KG_N_TRUTH, // true, false (integer)
    KG_N_NAME,
    KG_N_OP,     // operator or resolved builtin: op, args
    KG_N_CALL,   // name(args, key=..): resolved by parse_type.c
    KG_N_CHOICE, // a ? b : c
    KG_N_INDEX,  // args[0][slot; items]
    KG_N_LOAD,   // args: view, mask, other (the last two may be NULL)
    KG_N_LIST,   // [a, b]
    KG_N_TYPED,  // constant of a stated type: dtype, i or f
    KG_N_VALUE   // a value that exists: what builder.c makes trees of
} kg_node_kind;

typedef enum kg_item_kind { KG_ITEM_AT, KG_ITEM_FROM, KG_ITEM_ALL, KG_ITEM_NONE } kg_item_kind;

typedef struct kg_node kg_node;
typedef struct kg_item {
    kg_item_kind kind;
    kg_node *start;  // AT, FROM
    kg_node *extent; // stated after `.. +`, or NULL
    kg_loc loc;
} kg_item;

typedef struct kg_keyed { // key=value of a call or of braces
    const char *key;
    kg_node *value;
    kg_loc loc;
    struct kg_keyed *next;
} kg_keyed;

struct kg_node {
    kg_node_kind kind;
    kg_loc loc;
    int depth;
    int64_t i;
    double f;
    const char *name; // NAME, CALL
    kg_opcode op;
    int n_args;
    kg_node **args;
    kg_keyed *keyed;
    kg_node *slot; // INDEX
    kg_item *items;
    int n_items;
    bool whole;       // INDEX: every item was `:` before None was taken out
    kg_keyed *braces; // INDEX: attributes of the view, from `]{`
    // Filled by parse_type.c. `dtype` is what the operands of an OP are converted to.
    kg_type type;
    kg_dtype dtype;
    kg_attr *attrs;
    kg_value *value; // NAME, VALUE
};

static inline bool kg_is_literal(const kg_node *n)
{
    return n->kind == KG_N_INT || n->kind == KG_N_FLOAT || n->kind == KG_N_TRUTH;
}

// ---- names -------------------------------------------------------------------------------------
typedef enum kg_symbol_kind { KG_S_VALUE, KG_S_CONSTANT, KG_S_TYPE, KG_S_POISON } kg_symbol_kind;

typedef struct kg_symbol {
    kg_symbol_kind kind;
    const char *name;
    unsigned hash;
    kg_loc loc;
    kg_value *value;            // VALUE
    bool snapshot;              // VALUE: a mutable fragment in the IR, but not for the author
    kg_node *node;              // CONSTANT: its expression, folded to a literal when `done`
    bool done, busy;            // CONSTANT: folded; being folded (a cycle when met again)
    kg_dtype dtype;             // TYPE
    bool gone;                  // its block has ended
    struct kg_symbol *below;    // same bucket
    struct kg_symbol *previous; // same scope, defined before
} kg_symbol;

typedef struct kg_scope {
    kg_symbol *last;
    struct kg_scope *outer;
} kg_scope;

typedef struct kg_schedule_text kg_schedule_text;
typedef struct kg_parser {
    kg_arena *arena;
    kg_diags *diags;
    kg_lexer lexer;
    kg_token token, ahead; // the current one and the one after it
    kg_unit *unit;
    kg_kernel *kernel;
    kg_block *block; // where ops go
    bool dead;       // inside the untaken arm of a constant `if`: syntax only
    bool panic;      // a syntax error of this statement was reported
    int depth;       // of statements
    int nesting;     // of the expression being read
    kg_symbol **buckets;
    unsigned n_buckets;
    kg_scope *scope;
    const kg_layout **layouts; // by number
    int n_layouts;
    const kg_define *defines;
    bool *define_used;
    int n_defines;
    struct {
        const char **items;
        int count, capacity;
    } constants;    // names, for "did you mean" of -D
    kg_schedule_text *schedule; // the clause of this kernel's header, until it is resolved
    bool truncated; // the end of the file inside a block was reported
} kg_parser;

// parse.c: tokens and recovery
void kg_advance(kg_parser *p);
bool kg_accept(kg_parser *p, int kind);
bool kg_accept_word(kg_parser *p, const char *word);
bool kg_at_word(const kg_parser *p, const char *word);
// false and a finding when it is not there
bool kg_expect(kg_parser *p, int kind, const char *what);
// finding P001 or P002 at the current token
void kg_unexpected(kg_parser *p, const char *wanted);
const char *kg_token_text(kg_parser *p, const kg_token *token);
void kg_skip_newlines(kg_parser *p);
void kg_recover(kg_parser *p);                     // to the end of the statement
void kg_block_read(kg_parser *p, kg_block *block); // parse_stmt.c: { statements }
bool kg_kernel_header(kg_parser *p);               // parse_header.c

void kg_row_major(kg_arena *arena, kg_tensor *tensor, int rank); // fills the strides

// parse_scope.c
void kg_scope_enter(kg_parser *p, kg_scope *scope);
void kg_scope_leave(kg_parser *p);
kg_symbol *kg_lookup(const kg_parser *p, const char *name); // visible ones only
// Reports a name that is taken (by anything visible) or reserved; NULL then.
kg_symbol *kg_define_name(kg_parser *p, kg_symbol_kind kind, const char *name, kg_loc loc);
kg_symbol *kg_define_value(kg_parser *p, const char *name, kg_loc loc, kg_value *value);
void kg_define_poison(kg_parser *p, const char *name, kg_loc loc); // never reports
void kg_unknown_name(kg_parser *p, const char *name, kg_loc loc);  // finding P003, once a name

// parse_expr.c
kg_node *kg_node_new(kg_parser *p, kg_node_kind kind, kg_loc loc);
kg_node *kg_node_op(kg_parser *p, kg_opcode op, kg_loc loc, int n, kg_node *a, kg_node *b);
kg_node *kg_expression(kg_parser *p);
kg_node *kg_postfix(kg_parser *p); // a view: NAME, NAME[..], transpose(..)
kg_keyed *kg_braces(kg_parser *p); // { key=value, .. }

// parse_fold.c
void kg_fold(kg_parser *p, kg_node *n);
// Folds and reads a constant; false: reported.
bool kg_constant_int(kg_parser *p, kg_node *n, const char *what, int64_t *out);
bool kg_constant_extents(kg_parser *p, kg_node *list, kg_type *type); // shape into type
bool kg_constant_symbol(kg_parser *p, kg_symbol *symbol);
bool kg_dtype_of_name(kg_parser *p, const char *name, kg_loc loc, kg_dtype *out); // finding P005

// parse_type.c
void kg_type_node(kg_parser *p, kg_node *n);  // n becomes POISON when wrong
void kg_value_node(kg_parser *p, kg_node *n); // the same, and memory is loaded
void kg_type_op(kg_parser *p, kg_node *n);    // an OP whose operands are not typed yet
void kg_type_call(kg_parser *p, kg_node *n);  // parse_call.c: builtins
bool kg_same_promoted(kg_dtype a, kg_dtype b, kg_dtype *out);

// parse_emit.c. NULL: poisoned or reported.
kg_value *kg_emit_memory(kg_parser *p, kg_node *n, const kg_type *shape);
kg_value *kg_emit(kg_parser *p, kg_node *n, kg_dtype dtype, const kg_type *shape);
// The same, converted to exactly this type (literals, promotions, scalars broadcast).
kg_value *kg_emit_as(kg_parser *p, kg_node *n, const kg_type *type);
kg_dtype kg_natural_dtype(const kg_node *n); // of a typed node standing alone
// Makes an op in the current block with its result; NULL when its types are wrong (reported at
// loc).
kg_op *kg_emit_op(kg_parser *p, kg_opcode code, kg_loc loc, int n, kg_value *const *operands,
                  kg_attr *attrs);
// open extents from a shape aligned at the last axis
void kg_fill_open(kg_type *type, const kg_type *shape);
bool kg_is_open(const kg_type *type);
// sorted insertion
kg_attr *kg_attr_int(kg_parser *p, kg_attr *next, kg_attr_key key, int64_t value);
kg_attr *kg_attr_dtype(kg_parser *p, kg_attr *next, kg_attr_key key, kg_dtype value);
kg_attr *kg_attr_ints(kg_parser *p, kg_attr *next, kg_attr_key key, int count,
                      const int64_t *values);

// parse_stmt.c: what builder.c shares with the statements. Trees need not be typed; NULL: reported
// or poisoned.
kg_value *kg_make_frag(kg_parser *p, kg_node *init, const kg_type *type, kg_loc loc);
kg_value *kg_make_shared(kg_parser *p, const kg_type *type, int64_t slots, int64_t align,
                         kg_loc loc);
void kg_make_store(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *view, kg_node *value,
                   kg_node *mask, kg_keyed *attrs);
void kg_make_copy(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *to, kg_node *from,
                  kg_node *on, kg_keyed *attrs);
void kg_make_flag(kg_parser *p, kg_opcode code, kg_loc loc, kg_node *view, bool ge, kg_node *value,
                  kg_keyed *attrs);
kg_value *kg_make_fetch_add(kg_parser *p, kg_loc loc, kg_node *view, kg_node *value, kg_node *cell);
kg_op *kg_make_assign(kg_parser *p, kg_loc loc, kg_value *target, kg_node *n);
// lo, hi, step of one type
bool kg_make_bounds(kg_parser *p, kg_node *const *n, kg_value **operands);
kg_value *kg_make_truth(kg_parser *p, kg_node *n);
void kg_make_yield(kg_parser *p, kg_node *n, kg_loc loc);

// parse_schedule.c
void kg_schedule_clause(kg_parser *p, kg_loc loc);
void kg_resolve_schedule(kg_parser *p);

// parse_flat.c
void kg_layout_clause(kg_parser *p);
const kg_layout *kg_layout_reference(kg_parser *p); // after @#
void kg_apply_attrs(kg_parser *p, kg_op *op, kg_keyed *keyed);
