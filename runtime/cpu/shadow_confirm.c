// SPDX-License-Identifier: MIT
// Weak reads that a compare-and-swap of the same thread confirms.
//
// The usual loop reads a word, computes, and swaps the result in if the word is still the same. The
// read races with the atomics of others by the letter; but whatever it gave, a wrong value makes
// the swap fail. Such reads are marked here, op by op, and their races are left out of the report.
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
