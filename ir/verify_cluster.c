// SPDX-License-Identifier: MIT
// Clusters: what their CTAs do together, they all do, in the same trips and with the same tiles.
//
// With multicast each CTA brings its share of a tile to all; so the tile, the slot it goes to and
// the way to the copy must not depend on which CTA of the cluster this is: not on the first axis of
// the grid, along which clusters lie, but by the cluster's number, and not on what is read from
// memory.
#include "ir/verify.h"

#include <string.h>

static void check_multicast(kg_verifier *v, const kg_op *op)
{
    const kg_value *axis = v->kernel->grid[0].value;
    if (kg_varies_along(v->kernel, axis, op))
        kg_verify_fail(v, KG_D_V203, op,
                       "the CTAs of a cluster bring a tile together, so which one, where to and "
                       "whether must not depend on the grid's first axis '%s' (but on %s / %d, the "
                       "cluster's number) or on memory",
                       axis->name, axis->name, v->kernel->cluster);
}

void kg_verify_cluster(kg_verifier *v, const kg_op *op)
{
    bool multicast = kg_op_int(op, KG_A_MULTICAST, 0) != 0;
    bool barrier = op->code == KG_OP_CLUSTER_BARRIER;
    const kg_attr *scope = op->code == KG_OP_MBARRIER_ARRIVE ? kg_op_attr(op, KG_A_SCOPE) : NULL;
    if (scope && strcmp(scope->name, "cta"))
        kg_verify_fail(v, KG_D_V203, op,
                       "an arrival at all CTAs of a cluster is of that scope, or with scope=cta of "
                       "its own CTA's");
    if (!multicast && !barrier && !kg_op_int(op, KG_A_CLUSTER, 0)) return;
    if (!v->kernel->cluster || !v->kernel->n_grid) {
        kg_verify_fail(v, KG_D_V203, op,
                       "%s needs a cluster: say `cluster 2` in the header of a kernel with a grid",
                       barrier     ? "cluster_barrier"
                       : multicast ? "multicast"
                                   : "cluster=1");
        return;
    }
    if (barrier && op->parent->owner)
        kg_verify_fail(v, KG_D_V205, op,
                       "all threads meet at a cluster_barrier, so it stands in no region or loop");
    if (multicast) check_multicast(v, op);
}
