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
    PAIR_COST = 250,   // the same, and latency: what one CTA of a pair waits for the other
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
        176, // of a thread for sums and bias; addresses and the activation take the rest
    MOST_IN_TURNS = 208, // where one warpgroup has all of a tile, and so few addresses
    MOST_OF_THREE = 112  // the same, where three warpgroups share what there is
};

static const double THREE_READERS = 1.07; // of a step's time, with three warpgroups

typedef struct candidate {
    int64_t bm, bn, bk, warps, turns;
} candidate;

// Two or three warpgroups with 64 rows each or more; one where there are few rows; two that take
// turns, each with tiles of its own: one stores while the other multiplies.
static const candidate candidates[] = {
    {128, 256, 64, 8},   {256, 128, 64, 8},    {192, 192, 64, 12},   {128, 208, 64, 8},
    {128, 192, 64, 8},   {128, 160, 64, 8},    {128, 128, 64, 8},    {256, 64, 64, 8},
    {128, 64, 64, 8},    {64, 256, 64, 4},     {64, 192, 64, 4},     {64, 128, 64, 4},
    {64, 64, 64, 4},     {128, 192, 64, 4, 2}, {128, 160, 64, 4, 2}, {128, 128, 64, 4, 2},
    {64, 256, 64, 4, 2},
};

// CTAs that have tiles side by side along an axis of the grid, and fetch together what those have
// in common: along m (axis 1) the tile of b, along n that of a.
typedef struct team {
    int64_t size, axis;
} team;

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
    return c->bm * columns * shape->out_bytes * (c->turns ? c->turns : 1);
}

// What one step along K costs an SM, in cycles.
typedef struct step_cost {
    double tensor, shared, l2, engine, latency, all;
} step_cost;

static double latency_of(team t)
{
    return LATENCY + (t.size > 1 ? PAIR_COST : 0);
}

static step_cost cost_of_step(const matmul_shape *shape, const candidate *c, int64_t stages, team t)
{
    double a_share = t.axis == 0 ? 1.0 / (double)t.size : 1.0,
           b_share = 1.0 / (double)t.size / a_share;
    int64_t a_rows = shape->a_col ? c->bk * c->bm / panel_of(c->bm) : c->bm * c->bk / PANEL;
    int64_t b_rows = shape->b_col ? c->bn * c->bk / PANEL : c->bk * c->bn / panel_of(c->bn);
    double tile_bytes = (double)((c->bm + c->bn) * c->bk * OPERAND_BYTES);
    // Each instruction of 64 rows and 16 in K reads its rows and all columns.
    double reads = (double)(c->bm / 64 * (c->bk / 16)) * (64 + (double)c->bn) * 16 * OPERAND_BYTES;
    step_cost s = {.tensor = (double)(c->bm * c->bn * c->bk) / MACS,
                   .shared = (reads + tile_bytes) / SHARED_PORT,
                   .l2 = ((double)c->bm * a_share + (double)c->bn * b_share) *
                         (double)(c->bk * OPERAND_BYTES) / L2_PORT,
                   // one a cycle, however short
                   .engine = (double)a_rows * a_share + (double)b_rows * b_share,
                   .latency = latency_of(t) / (double)(stages - 1)};
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
    if (c->turns) return MOST_IN_TURNS;
    return c->warps == 12 ? MOST_OF_THREE : MOST_REGISTERS;
}

// Rows of tiles that go together, so that CTAs which run at a time read the fewest bytes.
static int64_t choose_raster(const matmul_shape *shape, const candidate *c, team t)
{
    int64_t bm = c->bm * (t.axis == 1 ? t.size : 1), bn = c->bn * (t.axis == 0 ? t.size : 1);
    int64_t rows = ceildiv(shape->m, bm), best = 1, least = INT64_MAX;
    for (int64_t g = 1; g <= 32 && g <= rows; g *= 2) {
        int64_t bytes = g * bm + ceildiv(shape->ctas / t.size, g) * bn;
        if (bytes >= least) continue;
        least = bytes;
        best = g;
    }
    return best;
}

static bool wanted(const matmul_shape *shape, const candidate *c)
{
    if (shape->turns && shape->turns != (c->turns ? c->turns : 1)) return false;
    if (c->turns && (shape->splits > 1 || shape->residual || shape->cluster == 2)) return false;
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

// Cycles of a CTA's tiles, one after the other. Where sets of warps take turns, one tile leaves
// while the next is multiplied: whichever takes longer decides, and the last one leaves alone.
static double cycles_of_tiles(const candidate *c, int64_t tiles, double products, double leaving)
{
    double each = products + leaving, shared = larger(products, each / 2);
    return c->turns ? (double)tiles * shared + leaving : (double)tiles * each;
}

// What a candidate comes to, by CTAs on their own or by pairs of them.
typedef struct price {
    step_cost step;
    int64_t tiles, waves, ctas; // of teams; CTAs that run at a time
    matmul_choice choice;
} price;

static price price_of(const matmul_shape *shape, const candidate *c, int64_t stages, int64_t panel,
                      team t)
{
    price p = {.step = cost_of_step(shape, c, stages, t), .ctas = shape->ctas / t.size * t.size};
    int64_t rows = ceildiv(shape->m, c->bm), columns = ceildiv(shape->n, c->bn);
    if (t.axis == 1) rows = ceildiv(rows, t.size);
    if (t.axis == 0) columns = ceildiv(columns, t.size);
    p.tiles = rows * columns * shape->splits;
    p.waves = ceildiv(p.tiles, shape->ctas / t.size);
    int64_t steps = ceildiv(ceildiv(shape->k, c->bk), shape->splits);
    double leaving = TILE_COST + (double)(c->bm * c->bn * shape->out_bytes) / STORE_PORT +
                     (t.size > 1 ? PAIR_COST : 0);
    // A slot is free when the slowest of its readers is done: worth three of them only where clear.
    double readers = c->warps == 12 ? THREE_READERS : 1;
    double products = (double)steps * p.step.all * readers;
    double cycles = latency_of(t) + cycles_of_tiles(c, p.waves, products, leaving);
    p.choice =
        (matmul_choice){.bm = c->bm, .bn = c->bn, .bk = c->bk, .stages = stages, .warps = c->warps};
    p.choice.store_columns = panel;
    p.choice.turns = c->turns;
    if (p.waves > 1 || c->turns) { // else every CTA has one tile anyway
        p.choice.persistent = p.ctas;
        p.choice.raster = choose_raster(shape, c, t);
    }
    if (t.size > 1) {
        p.choice.cluster = t.size;
        p.choice.cluster_axis = t.axis;
    }
    p.choice.cycles = larger(cycles, dram_cycles(shape));
    return p;
}

static const char *const axes[] = {"n", "m"}, *const shared[] = {"a", "b"};

// By pairs, along the axis where they share the larger tile; where that has one tile, along the
// other one.
static team pair_of(const matmul_shape *shape, const candidate *c)
{
    bool rows = shape->m > c->bm, columns = shape->n > c->bn;
    return (team){2, rows == columns ? c->bn >= c->bm : rows};
}

// Few CTAs get from L2 what they ask for.
static bool may_pair(const matmul_shape *shape, const price *alone)
{
    if (shape->cluster == 1 || shape->ctas < 2 || shape->splits > 1 || alone->choice.turns)
        return false;
    return shape->cluster == 2 || 2 * alone->tiles > shape->ctas;
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
    price alone = price_of(shape, c, stages, panel, (team){1, 1});
    *out = alone.choice;
    put(t,
        "%lldx%lldx%lld, %s%lld stages: a step takes %.0f cycles of the tensor cores, %.0f of "
        "shared memory, %.0f of L2; %lld tiles in %lld waves, %.0f %% full: %.0f cycles",
        (long long)c->bm, (long long)c->bn, (long long)c->bk, c->turns ? "two in turn, " : "",
        (long long)stages, alone.step.tensor, alone.step.shared, alone.step.l2,
        (long long)alone.tiles, (long long)alone.waves,
        100.0 * (double)alone.tiles / (double)(alone.waves * shape->ctas), alone.choice.cycles);
    if (may_pair(shape, &alone)) {
        team two = pair_of(shape, c);
        price pair = price_of(shape, c, stages, panel, two);
        if (shape->cluster || pair.choice.cycles < out->cycles) *out = pair.choice;
        put(t, "; in pairs along %s: %.0f of L2, %lld waves: %.0f cycles", axes[two.axis],
            pair.step.l2, (long long)pair.waves, pair.choice.cycles);
    }
    put(t, "\n");
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
    if (best->cluster)
        put(&t, "pairs of tiles along %s share those of %s; ", axes[best->cluster_axis],
            shared[best->cluster_axis]);
    if (best->turns)
        put(&t, "%lld sets of these take tiles in turn, one stores while the other multiplies; ",
            (long long)best->turns);
    if (best->persistent)
        put(&t, "%lld CTAs go through all tiles, in groups of %lld%s along m\n",
            (long long)best->persistent, (long long)best->raster, best->cluster ? " pairs" : "");
    else
        put(&t, "one CTA a tile\n");
    return true;
}
