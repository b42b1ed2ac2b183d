// SPDX-License-Identifier: MIT
// Weak reads that a compare-and-swap of the same thread confirms.
//
// The usual loop reads a word, computes, and swaps the result in if the word is still the same. The
// read races with the atomics of others by the letter; but whatever it gave, a wrong value makes
// the swap fail. Such reads are marked here, op by op, and their races are left out of the report.
//
// And reads of global memory that nobody has written.
#include "shadow.h"

static void confirm(const struct warp *w, unsigned lane, const struct shadow *s, bool global,
                    const struct cell *c)
{
    if (!c->reader.generation)
        return;
    for (const struct reader *r = &c->reader;; r = &s->readers[global][r->next]) {
        if (r->kind == ACCESS_READ && !r->strong && r->rank == w->cta->rank &&
            r->warp == w->index && r->lanes >> lane & 1)
            atomic_store_explicit(&w->cta->grid->validated[r->op], 1, memory_order_relaxed);
        if (!r->next)
            return;
    }
}

void ptxm_shadow_confirm(struct warp *w, unsigned lane, const struct place *place)
{
    struct cta *cta = w->cta, *owner = place->owner ? place->owner : cta;
    struct shadow *s = owner->shadow;
    bool global = place->space == SPACE_GLOBAL;
    const struct cell *c;
    if (global && cta->grid->options.no_global_races)
        return;
    if (global) {
        const struct page *page = ptxm_shadow_page(cta, place->address / PAGE_BYTES);
        if (!page)
            return;
        c = &page->cells[place->address % PAGE_BYTES / 4];
    } else {
        c = &s->shared[place->address / 4];
    }
    if (!c->split)
        return confirm(w, lane, s, global, c);
    confirm(w, lane, s, global, &s->split[c->split + (place->address & 3)]);
}

uint32_t ptxm_shadow_optimistic(enum access_kind a, uint32_t a_op, enum access_kind b,
                                uint32_t b_op)
{
    if (a == ACCESS_READ && b == ACCESS_ATOMIC)
        return a_op + 1;
    return a == ACCESS_ATOMIC && b == ACCESS_READ ? b_op + 1 : 0;
}

void ptxm_shadow_initialised(struct warp *w, const struct op *op, unsigned lane,
                             const struct place *place, uint32_t size, enum access_kind kind)
{
    const struct allocation *a = place->allocation;
    const uint8_t *flags = a->initialised + (place->address - a->base);
    for (uint32_t i = 0; i < size; i++)
        if (!flags[i]) {
            ptxm_finding(w, op, lane, RULE_UNINIT_GLOBAL, place, size, kind, "%s",
                         ptxm_rule_message(RULE_UNINIT_GLOBAL));
            return;
        }
}
