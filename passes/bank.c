// SPDX-License-Identifier: MIT
// Bank conflicts of loads, stores, copies and matmul operands. See bank.h for the model.
#include "passes/bank.h"
#include <string.h>

enum { SAMPLES = 4 }; // registers groups or rounds looked at in an access

int64_t kg_bank_byte(const kg_shared_layout *layout, int64_t row, int64_t column, int bytes)
{
    return kg_shared_byte(layout, row, column * bytes, bytes);
}

// Wavefronts of one phase: the fullest bank's number of distinct words.
static int phase_wavefronts(const int64_t *offset, int lanes, int bytes)
{
    int64_t word[32 * 4];
    uint8_t next[32 * 4]; // chains of words by bank, 1-based
    uint8_t head[32] = {0}, length[32] = {0};
    int n = 0, worst = 0, words = bytes <= 4 ? 1 : bytes / 4;
    for (int lane = 0; lane < lanes; lane++)
        for (int i = 0; offset[lane] >= 0 && i < words; i++) {
            int64_t w = offset[lane] / 4 + i;
            int bank = (int)(w & 31), seen = head[bank];
            while (seen && word[seen - 1] != w) seen = next[seen - 1];
            if (seen) continue;
            word[n] = w;
            next[n] = head[bank];
            head[bank] = (uint8_t)++n;
            if (++length[bank] > worst) worst = length[bank];
        }
    return worst;
}

void kg_bank_add(kg_bank_count *count, const int64_t *lane_offset, int lanes, int bytes)
{
    int group = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
    count->issues++;
    for (int first = 0; first < lanes; first += group) {
        int here = lanes - first < group ? lanes - first : group;
        int wavefronts = phase_wavefronts(lane_offset + first, here, bytes);
        count->wavefronts += wavefronts;
        count->phases += wavefronts > 0;
    }
}

int kg_layout_vector(const kg_layout *layout)
{
    int last = layout->rank - 1, step = 1;
    for (bool found = last >= 0; found;) {
        found = false;
        for (int bit = 0; bit < layout->bits[KG_IN_REG] && !found; bit++)
            found = layout->basis[KG_IN_REG][bit][last] == step;
        step = found ? step * 2 : step;
    }
    // Repetitions continue the run when the whole core of the last dimension lies in the thread.
    if (last >= 0 && step == layout->core[last]) step *= layout->reps[last] & -layout->reps[last];
    return step < 16 ? step : 16;
}

// ---- accesses -----------------------------------------------------------------------------------

// A view with the root's shape at hand.
typedef struct site {
    kg_view_info info;
    const kg_type *root;
    const kg_shared_layout *layout;
    int bytes;
    int32_t origin[KG_MAX_RANK];
} site;

static void open_site(site *s, const kg_access *access, const kg_shared_layout *layout)
{
    memset(s, 0, sizeof *s);
    kg_view_resolve(access->operand, &s->info);
    s->root = &access->root->type;
    s->layout = layout;
    s->bytes = kg_dtype_bytes(s->root->dtype);
    for (int d = 0; d < s->info.rank; d++) {
        int64_t at = 0;
        if (s->info.start[d] && kg_const_int(s->info.start[d], &at))
            s->origin[s->info.dim[d]] = (int32_t)at;
    }
    for (int d = 0; d < s->root->rank; d++) {
        int64_t at = 0;
        if (s->info.fixed[d] && kg_const_int(s->info.fixed[d], &at)) s->origin[d] = (int32_t)at;
    }
}

static int64_t site_byte(const site *s, const int32_t *coord)
{
    int32_t at[KG_MAX_RANK];
    int64_t row = 0;
    memcpy(at, s->origin, sizeof at);
    for (int d = 0; d < s->info.rank; d++) at[s->info.dim[d]] += coord[d];
    for (int d = 0; d + 1 < s->root->rank; d++) row = row * s->root->dims[d] + at[d];
    return kg_bank_byte(s->layout, row, s->root->rank ? at[s->root->rank - 1] : 0, s->bytes);
}

// Elements that one access may take: what the shared layout leaves contiguous and aligned.
static int site_vector(const site *s, int wanted)
{
    int64_t limit = 16;
    if (s->root->rank > 1) {
        int64_t row = (int64_t)s->layout->pitch * s->bytes;
        limit = (row & -row) < limit ? row & -row : limit;
    }
    if (s->layout->bits && (1 << s->layout->chunk_log2) < limit) limit = 1 << s->layout->chunk_log2;
    if (s->layout->panel) {
        int64_t panel = (int64_t)s->layout->panel * s->bytes;
        limit = (panel & -panel) < limit ? panel & -panel : limit;
    }
    int last = s->info.rank - 1;
    if (last < 0 || s->info.dim[last] != s->root->rank - 1) return 1;
    if (limit > s->info.divisor[last] * s->bytes) limit = s->info.divisor[last] * s->bytes;
    int vec = (int)(limit / s->bytes);
    return vec < 1 ? 1 : wanted < vec ? wanted : vec;
}

static kg_bank_count scaled(kg_bank_count count, int64_t sampled, int64_t all)
{
    if (sampled > 0 && all > sampled) {
        count.wavefronts = count.wavefronts * all / sampled;
        count.phases = count.phases * all / sampled;
        count.issues = count.issues * all / sampled;
    }
    return count;
}

// Where each lane's element of a register lies: its core's coordinates are sums of the lane's bits.
static void lanes_of(const kg_layout *layout, int reg, int32_t at[32][KG_MAX_RANK])
{
    kg_layout_coord(layout, reg, 0, 0, at[0]);
    for (int lane = 1; lane < 32; lane++) {
        int bit = __builtin_ctz((unsigned)lane);
        bool known = bit < layout->bits[KG_IN_LANE];
        for (int d = 0; d < layout->rank; d++)
            at[lane][d] =
                at[lane & (lane - 1)][d] ^ (known ? layout->basis[KG_IN_LANE][bit][d] : 0);
    }
}

static kg_bank_count of_fragment(const site *s, const kg_layout *layout, bool owners)
{
    kg_bank_count count = {0};
    int vec = site_vector(s, kg_layout_vector(layout)), registers = kg_layout_registers(layout);
    int groups = registers / vec, done = 0;
    int stride = groups > SAMPLES ? groups / SAMPLES : 1;
    int taken[SAMPLES + 1];
    // Any register starts a group whose last coordinate is a multiple of the vector.
    for (int reg = 0; reg < registers && done < SAMPLES; reg += stride) {
        int32_t at[KG_MAX_RANK];
        kg_layout_coord(layout, reg, 0, 0, at);
        if (layout->rank && at[layout->rank - 1] % vec) continue;
        taken[done++] = reg;
    }
    for (int i = 0; i < done; i++) {
        int64_t offset[32];
        int32_t at[32][KG_MAX_RANK];
        lanes_of(layout, taken[i], at);
        for (int lane = 0; lane < 32; lane++)
            offset[lane] =
                owners && !kg_layout_is_owner(layout, 0, lane, 0) ? -1 : site_byte(s, at[lane]);
        kg_bank_add(&count, offset, 32, vec * s->bytes);
    }
    return scaled(count, done, groups);
}

static kg_bank_count of_copy(const site *s, const kg_access *access)
{
    kg_bank_count count = {0};
    const kg_type *type = &access->operand->type;
    int64_t vec = kg_op_int(access->op, KG_A_VEC, 1), chunks = kg_type_elements(type) / vec;
    int64_t threads = (int64_t)kg_op_region(access->op).n_warps * 32,
            rounds = (chunks + threads - 1) / threads;
    int64_t done = 0;
    for (int64_t round = 0; round < rounds && done < SAMPLES; round++, done++) {
        int64_t offset[32];
        for (int lane = 0; lane < 32; lane++) {
            int64_t n = (round * threads + lane) * vec;
            int32_t at[KG_MAX_RANK] = {0};
            offset[lane] = -1;
            if (n >= chunks * vec) continue;
            for (int d = type->rank - 1; d >= 0; d--) {
                at[d] = (int32_t)(n % type->dims[d]);
                n /= type->dims[d];
            }
            offset[lane] = site_byte(s, at);
        }
        kg_bank_add(&count, offset, 32, (int)vec * s->bytes);
    }
    return scaled(count, done, rounds);
}

// ldmatrix: 8 rows of 16 bytes, rows along the dimension that is not contiguous in the buffer.
static kg_bank_count of_ldmatrix(const site *s, const kg_type *type)
{
    kg_bank_count count = {0};
    int fast = s->info.dim[1] == s->root->rank - 1 ? 1 : 0, slow = 1 - fast;
    int32_t chunk = 16 / s->bytes;
    int64_t done = 0, matrices = ((int64_t)type->dims[slow] + 7) / 8 * (type->dims[fast] / chunk);
    for (int32_t first = 0; first + chunk <= type->dims[fast] && done < SAMPLES;
         first += chunk, done++) {
        int64_t offset[8];
        for (int row = 0; row < 8; row++) {
            int32_t at[KG_MAX_RANK] = {0};
            at[fast] = first;
            at[slow] = row;
            offset[row] = row < type->dims[slow] ? site_byte(s, at) : -1;
        }
        kg_bank_add(&count, offset, 8, 16);
    }
    return scaled(count, done, matrices);
}

static kg_bank_count of_operand(const site *s, const kg_access *access)
{
    const kg_op *dot = access->op;
    const kg_layout *acc = dot->results[0]->layout;
    const kg_type *type = &access->operand->type;
    kg_dot_kind kind = kg_dot_kind_of(dot);
    kg_layout layout;
    bool is_a = access->effect->operand == 0;
    bool k_contiguous = (s->info.dim[is_a ? 1 : 0] == s->root->rank - 1);
    if (kind == KG_DOT_MMA_F16 || (kind != KG_DOT_FMA && k_contiguous)) return of_ldmatrix(s, type);
    if (!acc) return (kg_bank_count){0};
    if (is_a)
        kg_layout_dot_a(kind, acc, type->dims[1], &layout);
    else
        kg_layout_dot_b(kind, acc, type->dims[0], &layout);
    return of_fragment(s, &layout, false);
}

kg_bank_count kg_bank_of_access(const kg_access *access, const kg_shared_layout *layout)
{
    const kg_op *op = access->op;
    site s;
    if (!access->root || access->root->type.home != KG_HOME_SHARED) return (kg_bank_count){0};
    // The engines read and write whole lines of banks.
    if (access->effect->agent == KG_AGENT_BULK || access->effect->agent == KG_AGENT_TENSOR)
        return (kg_bank_count){0};
    open_site(&s, access, layout);
    if (access->effect->agent == KG_AGENT_WARP) return of_operand(&s, access);
    const kg_value *moved = op->n_results        ? op->results[0]
                            : op->n_operands > 1 ? op->operands[1]
                                                 : NULL;
    if (moved && moved->type.home != KG_HOME_FRAG) return of_copy(&s, access);
    if (moved && moved->type.rank && moved->layout)
        return of_fragment(&s, moved->layout, access->effect->mode != KG_MODE_R);
    return (kg_bank_count){1, 1, 1};
}

kg_bank_count kg_bank_of_matrices(const kg_access *access, const kg_matrix_store *matrices,
                                  const kg_shared_layout *layout)
{
    kg_bank_count count = {0};
    const kg_layout *fragment = access->op->operands[1]->layout;
    int registers = kg_layout_registers(fragment), groups = registers / (2 * matrices->count);
    int within = matrices->pair | matrices->matrix[1] | matrices->matrix[3], done = 0;
    site s;
    open_site(&s, access, layout);
    for (int r = 0; r < registers && done < SAMPLES; r++) {
        int32_t first[KG_MAX_RANK];
        if (r & within) continue;
        kg_layout_coord(fragment, r, 0, 0, first);
        done++;
        count.issues++;
        for (int matrix = 0; matrix < matrices->count; matrix++) {
            int64_t offset[8];
            kg_bank_count phase = {0};
            for (int row = 0; row < 8; row++) {
                int32_t at[KG_MAX_RANK] = {first[0], first[1]};
                for (int bit = 0; bit < 5; bit++)
                    for (int d = 0; (8 * matrix + row) >> bit & 1 && d < 2; d++)
                        at[d] ^= matrices->lane[bit][d];
                offset[row] = site_byte(&s, at);
            }
            kg_bank_add(&phase, offset, 8, 16);
            count.wavefronts += phase.wavefronts;
            count.phases += phase.phases;
        }
    }
    return scaled(count, done, groups);
}
