// SPDX-License-Identifier: MIT
// An analytic model of a persistent matmul with wgmma: what one step along K costs in the tensor
// cores, in shared memory and from L2, how many steps and waves there are, and what a tile costs
// besides. The slowest of the three decides; memory is a floor under the whole.
//
// Figures are round ones of an H100 or H200. They put candidates in an order, which is all that is
// asked of them; they do not foretell times.
#include "kernels/matmul/model.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    OPERAND_BYTES = 2,
    MACS = 2048,       // a cycle of an SM's tensor cores, f16 and bf16
    SHARED_PORT = 128, // bytes a cycle
    L2_PORT = 32,      // bytes a cycle that an SM gets from L2 while all ask
    DRAM_PORT = 2400,  // bytes a cycle of the whole GPU
    LATENCY = 900,     // cycles from asking for a tile to its arrival
    TILE_COST = 500,   // cycles between two tiles that no copy hides
    STORE_PORT = 64,   // bytes a cycle of a tile on its way out
    SHARED_BYTES = 227 * 1024,
    RESERVED = 2048, // mbarriers, alignment
    PANEL = 64,      // columns: as wide as the copy engine swizzles
    LINE = 128,      // bytes
    MOST_STAGES = 8,
    ENOUGH_STAGES = 4, // more hide nothing more where steps are long
    MOST_PANELS = 8,   // of a tile that leaves: each is a rendezvous
    NARROWEST = 64,    // bytes of a row of a panel that leaves, where that buys a stage
    MOST_REGISTERS =
        176,            // of a thread for sums and bias; addresses and the activation take the rest
    MOST_OF_THREE = 112 // the same, where three warpgroups share what there is
};

typedef struct candidate {
    int64_t bm, bn, bk, warps;
} candidate;

// Two or three warpgroups with 64 rows each or more; one where there are few rows.
static const candidate candidates[] = {
    {128, 256, 64, 8}, {256, 128, 64, 8}, {192, 192, 64, 12}, {128, 208, 64, 8}, {128, 192, 64, 8},
    {128, 160, 64, 8}, {128, 128, 64, 8}, {256, 64, 64, 8},   {128, 64, 64, 8},  {64, 256, 64, 4},
    {64, 192, 64, 4},  {64, 128, 64, 4},  {64, 64, 64, 4},
};

typedef struct text {
    char *at;
    size_t left;
} text;

__attribute__((format(printf, 2, 3))) static void put(text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n < 0) return;
    size_t wrote = (size_t)n < t->left ? (size_t)n : t->left ? t->left - 1 : 0;
    t->at += wrote;
    t->left -= wrote;
}

static int64_t ceildiv(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

// Columns that lie together in shared memory, in rows that the copy engine can swizzle.
static int64_t panel_of(int64_t columns)
{
    int64_t panel = PANEL;
    while (columns % panel) panel /= 2;
    return panel;
}

// Of a tile on its way out, at a time: a panel leaves while the next is converted. 0: all. Panels
// that others are added to are two at least, and no wider than a line.
static int64_t store_columns(const matmul_shape *shape, const candidate *c)
{
    if (!shape->staged) return 0;
    int64_t panel = panel_of(c->bn);
    while (shape->residual && (panel == c->bn || panel * shape->out_bytes > LINE)) panel /= 2;
    bool few = c->bn / panel <= MOST_PANELS || shape->residual;
    return c->bn > panel && few ? panel : 0;
}

// Of shared memory, for the tile that leaves: two panels, and two that it takes in.
static int64_t epilogue_bytes(const matmul_shape *shape, const candidate *c, int64_t panel)
{
    if (!shape->staged) return 0;
    int64_t columns = panel ? 2 * panel * (shape->residual ? 2 : 1) : c->bn;
    return c->bm * columns * shape->out_bytes;
}

// What one step along K costs an SM, in cycles.
typedef struct step_cost {
    double tensor, shared, l2, engine, latency, all;
} step_cost;

static step_cost cost_of_step(const matmul_shape *shape, const candidate *c, int64_t stages)
{
    int64_t a_rows = shape->a_col ? c->bk * c->bm / panel_of(c->bm) : c->bm * c->bk / PANEL;
    int64_t b_rows = shape->b_col ? c->bn * c->bk / PANEL : c->bk * c->bn / panel_of(c->bn);
    double tile_bytes = (double)((c->bm + c->bn) * c->bk * OPERAND_BYTES);
    // Each instruction of 64 rows and 16 in K reads its rows and all columns.
    double reads = (double)(c->bm / 64 * (c->bk / 16)) * (64 + (double)c->bn) * 16 * OPERAND_BYTES;
    step_cost s = {.tensor = (double)(c->bm * c->bn * c->bk) / MACS,
                   .shared = (reads + tile_bytes) / SHARED_PORT,
                   .l2 = tile_bytes / L2_PORT,
                   .engine = (double)(a_rows + b_rows), // one a cycle, however short
                   .latency = (double)LATENCY / (double)(stages - 1)};
    s.all = larger(larger(s.tensor, s.shared), larger(larger(s.l2, s.engine), s.latency));
    return s;
}

static int64_t stages_that_fit(const matmul_shape *shape, const candidate *c, int64_t panel)
{
    int64_t epilogue = epilogue_bytes(shape, c, panel);
    int64_t slot = (c->bm + c->bn) * c->bk * OPERAND_BYTES;
    int64_t stages = (SHARED_BYTES - RESERVED - epilogue) / slot;
    if (shape->stages) return shape->stages <= stages ? shape->stages : 0;
    return stages > MOST_STAGES ? MOST_STAGES : stages;
}

// A thread has a part of the sums, and beside them its columns of the bias: 2 of 8.
static int64_t registers_of(const matmul_shape *shape, const candidate *c, int64_t panel)
{
    bool addresses = (shape->curved && !shape->staged) || shape->splits > 1;
    int64_t epilogue = addresses ? 56 : 0; // where tiles go, beside what is computed with them
    int64_t columns = panel ? panel : c->bn;
    return c->bm * c->bn / (c->warps * 32) + (shape->bias ? columns / 4 : 0) + epilogue;
}

static int64_t most_registers(const candidate *c)
{
    return c->warps == 12 ? MOST_OF_THREE : MOST_REGISTERS;
}

// Rows of tiles that go together, so that CTAs which run at a time read the fewest bytes.
static int64_t choose_raster(const matmul_shape *shape, const candidate *c)
{
    int64_t rows = ceildiv(shape->m, c->bm), best = 1, least = INT64_MAX;
    for (int64_t g = 1; g <= 32 && g <= rows; g *= 2) {
        int64_t bytes = g * c->bm + ceildiv(shape->ctas, g) * c->bn;
        if (bytes >= least) continue;
        least = bytes;
        best = g;
    }
    return best;
}

static bool wanted(const matmul_shape *shape, const candidate *c)
{
    return (!shape->tile_m || shape->tile_m == c->bm) &&
           (!shape->tile_n || shape->tile_n == c->bn) && (!shape->tile_k || shape->tile_k == c->bk);
}

static double dram_cycles(const matmul_shape *shape)
{
    double operands = (double)OPERAND_BYTES * (double)shape->k * (double)(shape->m + shape->n);
    double out = (double)shape->out_bytes * (double)shape->m * (double)shape->n;
    if (shape->residual) out *= 2;
    return (operands + out) / DRAM_PORT;
}

static bool judge(const matmul_shape *shape, const candidate *c, matmul_choice *out, text *t)
{
    int64_t panel = store_columns(shape, c), stages = stages_that_fit(shape, c, panel);
    int64_t more = stages_that_fit(shape, c, panel / 2), most = most_registers(c);
    if (panel && panel / 2 * shape->out_bytes >= NARROWEST && stages < ENOUGH_STAGES &&
        more > stages) {
        panel /= 2;
        stages = more;
    }
    if (stages < 2) {
        put(t, "%lldx%lldx%lld: two stages and its result do not fit into shared memory\n",
            (long long)c->bm, (long long)c->bn, (long long)c->bk);
        return false;
    }
    if (registers_of(shape, c, panel) > most) {
        put(t, "%lldx%lldx%lld: sums and epilogue are %lld registers of a thread, too many\n",
            (long long)c->bm, (long long)c->bn, (long long)c->bk,
            (long long)registers_of(shape, c, panel));
        return false;
    }
    step_cost step = cost_of_step(shape, c, stages);
    int64_t tiles = ceildiv(shape->m, c->bm) * ceildiv(shape->n, c->bn) * shape->splits;
    int64_t waves = ceildiv(tiles, shape->ctas);
    int64_t steps = ceildiv(ceildiv(shape->k, c->bk), shape->splits);
    double leaving = TILE_COST + (double)(c->bm * c->bn * shape->out_bytes) / STORE_PORT;
    double cycles = LATENCY + (double)waves * ((double)steps * step.all + leaving);
    *out =
        (matmul_choice){.bm = c->bm, .bn = c->bn, .bk = c->bk, .stages = stages, .warps = c->warps};
    out->store_columns = panel;
    if (waves > 1) { // else every CTA has one tile anyway
        out->persistent = shape->ctas;
        out->raster = choose_raster(shape, c);
    }
    out->cycles = larger(cycles, dram_cycles(shape));
    put(t,
        "%lldx%lldx%lld, %lld stages: a step takes %.0f cycles of the tensor cores, %.0f of shared "
        "memory, %.0f of L2; %lld tiles in %lld waves, %.0f %% full: %.0f cycles\n",
        (long long)c->bm, (long long)c->bn, (long long)c->bk, (long long)stages, step.tensor,
        step.shared, step.l2, (long long)tiles, (long long)waves,
        100.0 * (double)tiles / (double)(waves * shape->ctas), out->cycles);
    return true;
}

bool matmul_model(const matmul_shape *shape, matmul_choice *best, char *reasons, size_t size)
{
    text t = {reasons, size};
    bool found = false;
    *best = (matmul_choice){0};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        matmul_choice choice;
        if (!wanted(shape, &candidates[i]) || !judge(shape, &candidates[i], &choice, &t)) continue;
        if (!found || choice.cycles < best->cycles) *best = choice;
        found = true;
    }
    if (!found) {
        put(&t, "no tile of wgmma fits: all warps work alike\n");
        return false;
    }
    put(&t, "chosen: %lldx%lldx%lld, %lld stages, %lld warps and a producer; ", (long long)best->bm,
        (long long)best->bn, (long long)best->bk, (long long)best->stages, (long long)best->warps);
    if (best->persistent)
        put(&t, "%lld CTAs go through all tiles, in groups of %lld along m\n",
            (long long)best->persistent, (long long)best->raster);
    else
        put(&t, "one CTA a tile\n");
    return true;
}
