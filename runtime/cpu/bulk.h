// SPDX-License-Identifier: MIT
// What the decoder keeps of an instruction with several addresses: bulk and tensor copies,
// st.async.
#ifndef PTXM_BULK_H
#define PTXM_BULK_H

#include "isa.h"

enum { BULK_TO, BULK_FROM, BULK_BARRIER, BULK_ADDRESSES };
// The op's sources: bases of the addresses (in this order, those that are there), then the others.
// op->target_list points to this.
struct bulk_form {
    struct bulk_address {
        int8_t source; // -1: there is none
        uint8_t width, space;
        int64_t displacement;
    } address[BULK_ADDRESSES];
    int8_t size, mask; // sources; -1: none
    int8_t coordinates, rank; // tensor copies: the first of the sources, how many
};

struct decoder;
struct operand;
// For the builders (decode_async.c): an empty form; an address, or another source (its place, or -1
// after a complaint), added to the list; the op.
struct bulk_form *ptxm_d_bulk_form(struct decoder *d);
bool ptxm_d_bulk_address(struct decoder *d, const struct operand *o, enum space space,
                         struct bulk_address *a, int32_t *list, unsigned *count);
int8_t ptxm_d_bulk_source(int32_t *list, unsigned *count, int32_t source);
struct op *ptxm_d_bulk_op(struct decoder *d, step_fn *fn, struct bulk_form *f, const int32_t *list,
                          unsigned count);

static inline const struct bulk_form *ptxm_bulk_form(const struct op *op)
{
    return (const struct bulk_form *)(const void *)op->target_list;
}

#endif
