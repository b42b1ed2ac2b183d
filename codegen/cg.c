// SPDX-License-Identifier: MIT
//
// What cg.h promises and needs no LLVM: errors, memory of our own, sizes of types, and loads and
// stores of several elements as one access.
#include "codegen/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *cg_allocate(const struct cg_allocator *allocator, size_t size)
{
    return allocator->resize ? allocator->resize(allocator->user, NULL, size) : malloc(size);
}

void cg_release(const struct cg_allocator *allocator, void *block)
{
    if (!block) return;
    if (allocator->resize)
        allocator->resize(allocator->user, block, 0);
    else
        free(block);
}

bool cg_fail(struct cg_module *m, enum cg_status status, const char *format, ...)
{
    struct cg_common *common = cg_common(m);
    va_list arguments;
    if (common->status) return false;
    common->status = status;
    va_start(arguments, format);
    vsnprintf(common->error, sizeof common->error, format, arguments);
    va_end(arguments);
    return false;
}

enum cg_status cg_module_status(const struct cg_module *m)
{
    return cg_common((struct cg_module *)m)->status;
}

const char *cg_module_error(const struct cg_module *m)
{
    return cg_common((struct cg_module *)m)->error;
}

const struct cg_target *cg_module_target(const struct cg_module *m)
{
    return cg_common((struct cg_module *)m)->target;
}

unsigned cg_type_bits(cg_type type)
{
    static const uint8_t bits[] = {
        [CG_I1] = 1,   [CG_I8] = 8,    [CG_I16] = 16, [CG_I32] = 32,        [CG_I64] = 64,
        [CG_F16] = 16, [CG_BF16] = 16, [CG_F32] = 32, [CG_F64] = 64,
        [CG_PTR] = 64, [CG_PTR_GLOBAL] = 64,
    };
    unsigned lanes = CG_LANES(type) ? CG_LANES(type) : 1;
    return CG_KIND(type) < sizeof bits ? bits[CG_KIND(type)] * lanes : 0;
}

// -- Accesses ----------------------------------------------------------------------------------
// An access of several elements is one of 32- or 64-bit words: small elements are packed into
// words, because wider vectors of them go through local memory in some LLVM releases.

enum { ACCESS_LIMIT = 16 }; // bytes of one access, and elements of it at most

struct words {
    cg_type word;      // of one register
    unsigned per_word; // elements in it
    unsigned count;    // words
    cg_type whole;     // all of them
};

static bool split(struct cg_module *m, cg_type element, unsigned count, struct words *out)
{
    unsigned bytes = cg_type_bits(element) / 8;
    unsigned total = bytes * count;
    bool legal = !CG_LANES(element) && bytes && total <= ACCESS_LIMIT && !(total & (total - 1));
    if (!legal || !total)
        return cg_fail(m, CG_ERROR_USAGE, "%u elements of type %#x are no legal access", count,
                       element);
    out->word = element;
    out->per_word = 1;
    if (bytes < 4 && count > 1) {
        out->word = total < 4 ? CG_I16 : CG_I32;
        out->per_word = (total < 4 ? total : 4) / bytes;
    }
    out->count = count / out->per_word;
    out->whole = out->count > 1 ? CG_VECTOR(out->word, out->count) : out->word;
    return true;
}

// The element at `index` of a word that holds several.
static cg_value take(struct cg_module *m, cg_value word, cg_type element, unsigned per_word,
                     unsigned index)
{
    if (per_word == 1) return word;
    return cg_lane(m, cg_bitcast(m, word, CG_VECTOR(element, per_word)), index);
}

static unsigned natural_alignment(const struct cg_access *access, cg_type element)
{
    unsigned bytes = cg_type_bits(element) / 8;
    return access->align ? access->align : bytes ? bytes : 1;
}

bool cg_load(struct cg_module *m, const struct cg_access *access, cg_type element, unsigned count,
             cg_value *out)
{
    struct words words;
    struct cg_access aligned = *access;
    memset(out, 0, count * sizeof *out);
    if (!cg_ready(m) || !split(m, element, count, &words)) return false;
    aligned.align = natural_alignment(access, element);
    cg_value whole = cg_raw_load(m, &aligned, words.whole);
    for (unsigned i = 0; i < words.count; i++) {
        cg_value word = words.count > 1 ? cg_lane(m, whole, i) : whole;
        for (unsigned j = 0; j < words.per_word; j++)
            out[i * words.per_word + j] = take(m, word, element, words.per_word, j);
    }
    return !cg_module_status(m);
}

bool cg_store(struct cg_module *m, const struct cg_access *access, const cg_value *values,
              unsigned count)
{
    struct words words;
    cg_value packed[ACCESS_LIMIT];
    struct cg_access aligned = *access;
    if (!cg_ready_with(m, values, count)) return false;
    cg_type element = cg_type_of(m, values[0]);
    if (!split(m, element, count, &words)) return false;
    aligned.align = natural_alignment(access, element);
    for (unsigned i = 0; i < words.count; i++) {
        packed[i] = values[i * words.per_word];
        if (words.per_word == 1) continue;
        cg_type lanes = CG_VECTOR(element, words.per_word);
        packed[i] = cg_bitcast(m, cg_pack(m, lanes, &values[i * words.per_word]), words.word);
    }
    cg_value whole = words.count > 1 ? cg_pack(m, words.whole, packed) : packed[0];
    cg_raw_store(m, &aligned, whole);
    return !cg_module_status(m);
}
