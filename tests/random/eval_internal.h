// SPDX-License-Identifier: MIT
// What the files of the evaluator share.
#pragma once
#include "eval.h"

typedef struct tile {
    cell *cells;
    double error; // bound of the absolute error of each element; 0: exact
} tile;

// Memory behind a tensor or a buffer.
typedef struct storage {
    cell *cells;
    unsigned char *written; // shared: the element has a value
    int32_t *writer;        // global: 1 + the CTA that wrote it last; -1: several, atomically
    int32_t *reader;        // global: 1 + a CTA that read it; -1: several
    int64_t elements, slot; // slot: elements of one slot of a ring
    int32_t slots, rank;
    int64_t dims[KG_MAX_RANK], strides[KG_MAX_RANK];
    double *error;
    double own_error; // of a shared buffer: what error points at
} storage;

// A resolved view: for each of its elements, in row-major order, the place in the storage, or -1
// out of bounds.
typedef struct place {
    storage *of;
    int32_t rank, dims[KG_MAX_RANK];
    int64_t *at;
} place;

typedef struct run {
    evaluation *e;
    kg_kernel *kernel;
    tile *tiles;        // by value
    storage **storages; // by value: tensors and buffers
    place **places;     // by value: views
    int32_t cta;
    bool producers; // a role fills buffers that others read
    bool acquired; // this CTA has done a fetch_add: what others wrote before is visible
    const kg_op *op;
} run;

void eval_refuse(run *r, const kg_op *op, const char *why);
static inline bool eval_is_float(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->is_float;
}
// Unit of the last place of 1.0 of a floating type.
double eval_epsilon(kg_dtype dtype);
int64_t eval_wrap(kg_dtype dtype, int64_t v);
double eval_largest(const cell *cells, int64_t n); // magnitude, of floats
cell *eval_result(run *r, kg_op *op);              // room for its elements

// eval_ops.c: pure ops on fragments, reductions and scans
void eval_pure(run *r, kg_op *op);
void eval_reduce(run *r, kg_op *op);
void eval_scan(run *r, kg_op *op);
void eval_dot(run *r, kg_op *op, const tile *a, const tile *b);

// eval_memory.c
void eval_shared(run *r, kg_op *op);
void eval_view(run *r, kg_op *op);
void eval_transpose_view(run *r, kg_op *op);
void eval_memory(run *r, kg_op *op);
place *eval_place(run *r, kg_value *v);
void eval_read(run *r, kg_op *op, place *from, tile *to); // whole view; to->cells has room
