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
static inline const struct bulk_form *ptxm_bulk_form(const struct op *op)
{
    return (const struct bulk_form *)(const void *)op->target_list;
}

#endif
