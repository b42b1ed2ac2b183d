// SPDX-License-Identifier: MIT
// A warp's access to memory as a whole: where the addresses of its lanes lie, and moving what lies
// there to and from registers. Whether the lanes may touch it has been decided before
// (exec_memory.c).
#include "lanes_common.h"

// Host memory has whatever alignment the caller's has, and is read as any type.
#define UNALIGNED(T) typedef T unaligned_##T __attribute__((aligned(1), may_alias))
UNALIGNED(uint8_t);
UNALIGNED(int8_t);
UNALIGNED(uint16_t);
UNALIGNED(int16_t);
UNALIGNED(uint32_t);
UNALIGNED(int32_t);
UNALIGNED(uint64_t);
typedef uint64_t sixteen __attribute__((vector_size(16)));
UNALIGNED(sixteen);

// ---- addresses ---------------------------------------------------------------------------------

// Lanes outside of the mask count as if they had the address of a lane that is in it.
#define OFFSETS(T)                                                                                 \
    {                                                                                              \
        const T *address = addresses, other = address[__builtin_ctz(mask)];                        \
        if (mask == UINT32_MAX)                                                                    \
            EACH_LANE offset[i] = address[i] - start;                                              \
        else                                                                                       \
            EACH_LANE offset[i] = (mask >> i & 1 ? address[i] : other) - start;                    \
    }

void COPY(ptxm_span)(struct lane_span *restrict s, const void *addresses, bool wide,
                     uint64_t start, uint32_t mask, uint32_t size)
{
    uint64_t offset[LANES], all = 0;
    uint32_t bits = 0, astray = 0;
    if (wide)
        OFFSETS(uint64_t)
    else
        OFFSETS(uint32_t)
    EACH_LANE all |= offset[i];
    EACH_LANE s->at[i] = (uint32_t)offset[i];
    for (int part = 0; part < SPAN_PARTS; part++) {
        uint32_t least = UINT32_MAX, most = 0;
        for (int i = 8 * part; i < 8 * part + 8; i++) {
            least = s->at[i] < least ? s->at[i] : least;
            most = s->at[i] > most ? s->at[i] : most;
        }
        s->least[part] = least;
        s->most[part] = most;
    }
    EACH_LANE bits |= s->at[i];
    EACH_LANE astray |= s->at[i] ^ (s->at[0] + (uint32_t)i * size);
    s->bits = bits;
    s->far = all >> 32 != 0;
    s->in_turn = !astray; // not so where a lane lies with another one
}

// ---- loads -------------------------------------------------------------------------------------

// A register of R takes what is M in memory, element by element of a vector.
#define LOAD(name, M, R)                                                                           \
    static void load_##name(void *const *registers, uint8_t *memory, const struct lane_span *s,    \
                            uint32_t mask, unsigned vector)                                        \
    {                                                                                              \
        for (unsigned k = 0; k < vector; k++) {                                                    \
            R *r = registers[k];                                                                   \
            const uint8_t *from = memory + k * sizeof(M);                                          \
            const unaligned_##M *row = (const void *)(memory + s->at[0]);                          \
            if (s->in_turn && vector == 1)                                                         \
                EACH_LANE r[i] = (R)row[i];                                                        \
            else if (mask == UINT32_MAX)                                                           \
                for (int i = 0; i < LANES; i++)                                                    \
                    r[i] = (R)*(const unaligned_##M *)(const void *)(from + s->at[i]);             \
            else                                                                                   \
                for (uint32_t rest = mask; rest; rest &= rest - 1) {                               \
                    int i = __builtin_ctz(rest);                                                   \
                    r[i] = (R)*(const unaligned_##M *)(const void *)(from + s->at[i]);             \
                }                                                                                  \
        }                                                                                          \
    }
LOAD(u8_32, uint8_t, uint32_t)
LOAD(s8_32, int8_t, uint32_t)
LOAD(u16_32, uint16_t, uint32_t)
LOAD(s16_32, int16_t, uint32_t)
LOAD(u32_32, uint32_t, uint32_t)
LOAD(u8_64, uint8_t, uint64_t)
LOAD(s8_64, int8_t, uint64_t)
LOAD(u16_64, uint16_t, uint64_t)
LOAD(s16_64, int16_t, uint64_t)
LOAD(u32_64, uint32_t, uint64_t)
LOAD(s32_64, int32_t, uint64_t)
LOAD(u64_64, uint64_t, uint64_t)
LOAD(b128, sixteen, sixteen)

// Vectors of four bytes whose lanes lie one behind the other: the frequent ones.
#define MOVE_2 MOVE(0) MOVE(1)
#define MOVE_4 MOVE_2 MOVE(2) MOVE(3)
#define ROW(vector)                                                                                \
    unaligned_uint32_t *row = (void *)(memory + s->at[0]);                                         \
    uint32_t *const r0 = registers[0], *const r1 = registers[1];                                   \
    uint32_t *const r2 = registers[vector - 2], *const r3 = registers[vector - 1];                 \
    (void)r2, (void)r3

static void load_32x2(void *const *registers, uint8_t *memory, const struct lane_span *s,
                      uint32_t mask, unsigned vector)
{
    ROW(2);
    if (!s->in_turn)
        return load_u32_32(registers, memory, s, mask, 2);
#define MOVE(k) r##k[i] = row[2 * i + k];
    EACH_LANE { MOVE_2 }
#undef MOVE
}

static void load_32x4(void *const *registers, uint8_t *memory, const struct lane_span *s,
                      uint32_t mask, unsigned vector)
{
    ROW(4);
    if (!s->in_turn)
        return load_u32_32(registers, memory, s, mask, 4);
#define MOVE(k) r##k[i] = row[4 * i + k];
    EACH_LANE { MOVE_4 }
#undef MOVE
}

// ---- stores ------------------------------------------------------------------------------------

// Lanes with one address write in their order: the last one stays.
#define STORE(name, M, R)                                                                          \
    static void store_##name(void *const *registers, uint8_t *memory, const struct lane_span *s,   \
                             uint32_t mask, unsigned vector)                                       \
    {                                                                                              \
        for (unsigned k = 0; k < vector; k++) {                                                    \
            const R *r = registers[k];                                                             \
            uint8_t *to = memory + k * sizeof(M);                                                  \
            unaligned_##M *row = (void *)(memory + s->at[0]);                                      \
            if (s->in_turn && vector == 1)                                                         \
                EACH_LANE row[i] = (M)r[i];                                                        \
            else if (mask == UINT32_MAX)                                                           \
                for (int i = 0; i < LANES; i++)                                                    \
                    *(unaligned_##M *)(void *)(to + s->at[i]) = (M)r[i];                           \
            else                                                                                   \
                for (uint32_t rest = mask; rest; rest &= rest - 1) {                               \
                    int i = __builtin_ctz(rest);                                                   \
                    *(unaligned_##M *)(void *)(to + s->at[i]) = (M)r[i];                           \
                }                                                                                  \
        }                                                                                          \
    }
STORE(8_32, uint8_t, uint32_t)
STORE(16_32, uint16_t, uint32_t)
STORE(32_32, uint32_t, uint32_t)
STORE(8_64, uint8_t, uint64_t)
STORE(16_64, uint16_t, uint64_t)
STORE(32_64, uint32_t, uint64_t)
STORE(64_64, uint64_t, uint64_t)
STORE(128, sixteen, sixteen)

static void store_32x2(void *const *registers, uint8_t *memory, const struct lane_span *s,
                       uint32_t mask, unsigned vector)
{
    ROW(2);
    if (!s->in_turn)
        return store_32_32(registers, memory, s, mask, 2);
#define MOVE(k) row[2 * i + k] = r##k[i];
    EACH_LANE { MOVE_2 }
#undef MOVE
}

static void store_32x4(void *const *registers, uint8_t *memory, const struct lane_span *s,
                       uint32_t mask, unsigned vector)
{
    ROW(4);
    if (!s->in_turn)
        return store_32_32(registers, memory, s, mask, 4);
#define MOVE(k) row[4 * i + k] = r##k[i];
    EACH_LANE { MOVE_4 }
#undef MOVE
}

// ---- the choice --------------------------------------------------------------------------------

transfer_fn *COPY(ptxm_transfer_load)(enum type type, unsigned vector, unsigned register_bytes)
{
    bool sign = ptxm_type_class(type) == 's';
    switch (ptxm_type_bits(type) << 8 | register_bytes) {
    case 8 << 8 | 4: return sign ? load_s8_32 : load_u8_32;
    case 16 << 8 | 4: return sign ? load_s16_32 : load_u16_32;
    case 32 << 8 | 4: return vector == 2 ? load_32x2 : vector == 4 ? load_32x4 : load_u32_32;
    case 8 << 8 | 8: return sign ? load_s8_64 : load_u8_64;
    case 16 << 8 | 8: return sign ? load_s16_64 : load_u16_64;
    case 32 << 8 | 8: return sign ? load_s32_64 : load_u32_64;
    case 64 << 8 | 8: return load_u64_64;
    case 128 << 8 | 16: return load_b128;
    default: return NULL;
    }
}

transfer_fn *COPY(ptxm_transfer_store)(enum type type, unsigned vector, unsigned register_bytes)
{
    switch (ptxm_type_bits(type) << 8 | register_bytes) {
    case 8 << 8 | 4: return store_8_32;
    case 16 << 8 | 4: return store_16_32;
    case 32 << 8 | 4: return vector == 2 ? store_32x2 : vector == 4 ? store_32x4 : store_32_32;
    case 8 << 8 | 8: return store_8_64;
    case 16 << 8 | 8: return store_16_64;
    case 32 << 8 | 8: return store_32_64;
    case 64 << 8 | 8: return store_64_64;
    case 128 << 8 | 16: return store_128;
    default: return NULL;
    }
}
