// SPDX-License-Identifier: MIT
// What the files of statements share: parse_stmt.c (definitions, dispatch), parse_memory.c,
// parse_block.c.
#pragma once
#include "ir/parse.h"

typedef struct kg_name_text { // NAME [@#n]
    const char *name;
    kg_loc loc;
    const kg_layout *layout;
} kg_name_text;

bool kg_at_name(const kg_parser *p);
bool kg_read_name(kg_parser *p, kg_name_text *out);
void kg_name_value(const kg_name_text *text, kg_value *value);
kg_keyed *kg_statement_attrs(kg_parser *p);             // in braces behind a statement, for its op
bool kg_literal_fits(const kg_node *n, kg_dtype dtype); // or, of a typed value: it has that type
// A typed expression as a value of exactly this type; only scalars are broadcast.
kg_value *kg_emit_into(kg_parser *p, kg_node *n, const kg_type *type);
void kg_typed_value(kg_parser *p, kg_node *n); // folds and types
// A view of memory, typed; false when it is something else.
bool kg_typed_memory(kg_parser *p, kg_node *n, const char *what);
// Open extents of one side from the other, when both have the same rank.
void kg_close_from(kg_type *type, const kg_type *other);

// parse_memory.c
void kg_store_statement(kg_parser *p, kg_opcode code);
void kg_copy_statement(kg_parser *p, kg_opcode code);
void kg_flag_statement(kg_parser *p, kg_opcode code);
kg_value *kg_fetch_add_expression(kg_parser *p, kg_keyed **attrs);

// parse_block.c
void kg_for_statement(kg_parser *p);
void kg_while_statement(kg_parser *p);
void kg_if_statement(kg_parser *p);
void kg_warps_statement(kg_parser *p);
void kg_yield_statement(kg_parser *p);
void kg_sync_statement(kg_parser *p, kg_opcode code);
