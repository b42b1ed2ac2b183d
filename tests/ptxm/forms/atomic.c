// SPDX-License-Identifier: MIT
// atom and red on a word of each thread's own: what they return and what they leave behind.
#include "forms.h"
#include "groups.h"

#include <string.h>

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)

// The first alternative is the operation, the second the value before or after it; of red only what
// it leaves is seen.
static bool after(const struct form *form)
{
    return form->row->data || form->choice[1];
}

static bool is(const struct form *form, const char *operation)
{
    size_t length = strlen(operation);
    return !memcmp(form->word[0], operation, length) && strchr("|>", form->word[0][length]);
}

static uint64_t computed(const struct form *form, uint64_t a, uint64_t b)
{
    __int128 x = form_integer(form, 1, a), y = form_integer(form, 2, b);
    if (is(form, "add"))
        return (uint64_t)(x + y);
    if (is(form, "min"))
        return x < y ? a : b;
    if (is(form, "max"))
        return x > y ? a : b;
    if (is(form, "inc"))
        return (uint64_t)(x >= y ? 0 : x + 1);
    if (is(form, "dec"))
        return (uint64_t)(x == 0 || x > y ? y : x - 1);
    return is(form, "and") ? a & b : is(form, "or") ? a | b : is(form, "xor") ? a ^ b : b;
}

REFERENCE(operation)
{
    answer->bits = after(form) ? computed(form, in[0], in[1]) : in[0];
}

REFERENCE(swap_if_equal)
{
    unsigned unused = 64 - form->type[0]->bits;
    bool equal = (in[0] ^ in[1]) << unused == 0;
    answer->bits = after(form) && equal ? in[2] : in[0];
}

// To nearest; f32 in global memory flushes what is subnormal, so those say nothing here.
REFERENCE(sum)
{
    struct exact a = form_float(form, 1, in[0]), b = form_float(form, 2, in[1]);
    const struct format *f = form->type[0]->format;
    answer->bits = after(form) ? exact_round(exact_add(a, b, false), f, TO_NEAREST, false) : in[0];
    answer->any_nan = after(form) && f != &format_f16 && f != &format_bf16;
    answer->skip = after(form) && f == &format_f32 &&
                   exact_round(exact_add(exact_unpack(in[0], f, true), exact_unpack(in[1], f, true),
                                         false), f, TO_NEAREST, true) != answer->bits;
}

#define STORE(bits) "st.global.b" bits " [%x4], %a; "
#define BOTH(bits) " %d, [%x4], %b; <mov.u32 %r7, 0|ld.global.b" bits " %d, [%x4]>;"
#define LEFT(bits) " [%x4], %b; ld.global.b" bits " %d, [%x4];"
const struct form_row atomic_rows[] = {
    {STORE("32") "atom.global.<add|min|max|inc|dec>.u32" BOTH("32"), "1:ttt", operation},
    {STORE("32") "atom.<add|min|max>.s32" BOTH("32"), "1:ttt", operation},
    {STORE("64") "atom.global.<add|min|max>.u64" BOTH("64"), "1:ttt", operation},
    {STORE("64") "atom.global.<min|max>.s64" BOTH("64"), "1:ttt", operation},
    {STORE("32") "atom.global.<and|or|xor|exch>.b32" BOTH("32"), "1:ttt", operation},
    {STORE("64") "atom.<and|or|xor|exch>.b64" BOTH("64"), "1:ttt", operation},
    {STORE("32") "atom.<global>.cas.b32 %d, [%x4], %b, %c; "
     "<mov.u32 %r7, 0|ld.global.b32 %d, [%x4]>;", "1:tttt", swap_if_equal},
    {STORE("64") "atom.<global>.cas.b64 %d, [%x4], %b, %c; "
     "<mov.u32 %r7, 0|ld.global.b64 %d, [%x4]>;", "1:tttt", swap_if_equal},
    {STORE("16") "atom.<global>.cas.b16 %d, [%x4], %b, %c; "
     "<mov.u32 %r7, 0|ld.global.b16 %d, [%x4]>;", "1:tttt", swap_if_equal},
    {STORE("32") "atom.global.<add>.f32" BOTH("32"), "1:ttt", sum},
    {STORE("64") "atom.global.<add>.f64" BOTH("64"), "1:ttt", sum},
    {STORE("32") "atom.global.<add>.noftz.f16x2" BOTH("32"), "1:ttt", sum},
    {STORE("32") "atom.global.<add>.noftz.bf16x2" BOTH("32"), "1:ttt", sum},
    {STORE("16") "atom.global.<add>.noftz.f16" BOTH("16"), "1:ttt", sum},
    {STORE("16") "atom.global.<add>.noftz.bf16" BOTH("16"), "1:ttt", sum},
    {STORE("32") "red.global.<add|min|max|inc|dec>.u32" LEFT("32"), "1:ttt", operation, .data = 1},
    {STORE("64") "red.global.<min|max>.s64" LEFT("64"), "1:ttt", operation, .data = 1},
    {STORE("64") "red.global.<and|or|xor>.b64" LEFT("64"), "1:ttt", operation, .data = 1},
    {STORE("64") "red.global.<add>.f64" LEFT("64"), "1:ttt", sum, .data = 1},
    {STORE("32") "red.global.<add>.noftz.f16x2" LEFT("32"), "1:ttt", sum, .data = 1},
};
const size_t atomic_row_count = sizeof atomic_rows / sizeof *atomic_rows;
