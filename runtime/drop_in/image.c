// SPDX-License-Identifier: MIT
// What a host hands over as a module: PTX text, a fatbinary (nvcc's container of several modules)
// or a cubin. The machine runs PTX, so of a fatbinary the best PTX is taken, and cubins are
// refused.
//
// A fatbinary is a header of 16 bytes (magic, version, bytes of the header, bytes of what follows)
// and entries: 64 bytes or more (kind at 0, bytes of the entry's header at 4, of its payload at 8,
// of the compressed text at 16, the architecture at 28, flags at 40, bytes of the text at 56), then
// the payload. The flags tell the compression: LZ4 blocks, or zstd since CUDA 12.8.
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FATBINARY_MAGIC "\x50\xed\x55\xba"
#define WRAPPER_MAGIC "\xb1\x43\x62\x46" // nvcc's, in host programs: the magic, 1, a pointer
enum { KIND_PTX = 1, FLAG_LZ4 = 0x2000, FLAG_ZSTD = 0x8000, LEAST_ENTRY = 64 };
enum { MOST_TEXT = 1 << 28 };

static uint32_t read32(const unsigned char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t read64(const unsigned char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

// ---- compression -------------------------------------------------------------------------------

// A length of LZ4: four bits, and bytes as long as they are 255.
static bool lz4_length(const unsigned char **in, const unsigned char *end, size_t *length)
{
    unsigned char byte;

    if (*length != 15) return true;
    do {
        if (*in == end || *length > MOST_TEXT) return false;
        byte = *(*in)++;
        *length += byte;
    } while (byte == 255);
    return true;
}

// One LZ4 block. False: damaged, or not of that size.
static bool lz4(const unsigned char *in, size_t in_size, char *out, size_t out_size)
{
    const unsigned char *end = in + in_size;
    size_t at = 0;

    while (in < end) {
        unsigned token = *in++;
        size_t literals = token >> 4, match = token & 15, distance;

        if (!lz4_length(&in, end, &literals) || literals > (size_t)(end - in) ||
            literals > out_size - at)
            return false;
        memcpy(out + at, in, literals);
        at += literals;
        in += literals;
        if (in == end) break; // the last sequence has no match
        if (end - in < 2) return false;
        distance = (size_t)in[0] | (size_t)in[1] << 8;
        in += 2;
        if (!lz4_length(&in, end, &match)) return false;
        match += 4;
        if (!distance || distance > at || match > out_size - at) return false;
        for (size_t i = 0; i < match; i++, at++) out[at] = out[at - distance];
    }
    return at == out_size;
}

// With the system's library, where there is one. NULL or what is wrong.
static const char *zstd(const unsigned char *in, size_t in_size, char *out, size_t out_size)
{
    void *library = dlopen("libzstd.so.1", RTLD_NOW | RTLD_LOCAL);
    size_t (*decompress)(void *, size_t, const void *, size_t) = NULL;
    void *symbol = library ? dlsym(library, "ZSTD_decompress") : NULL;
    size_t written;

    memcpy(&decompress, &symbol, sizeof symbol);
    if (!decompress) {
        if (library) dlclose(library);
        return "its PTX is compressed with zstd and there is no libzstd.so.1 to read it: install "
               "that, or give nvcc -no-compress";
    }
    written = decompress(out, out_size, in, in_size); // an error is a number near SIZE_MAX
    dlclose(library);
    return written == out_size ? NULL : "its compressed PTX is damaged";
}

// ---- fatbinaries -------------------------------------------------------------------------------

struct entry {
    const unsigned char *payload;
    size_t payload_size, compressed, size;
    uint64_t flags;
    uint32_t kind, sm;
};

// False: no more, or damaged.
static bool next_entry(const unsigned char **at, const unsigned char *end, struct entry *entry)
{
    const unsigned char *e = *at;
    size_t header;

    if (end - e < LEAST_ENTRY) return false;
    header = read32(e + 4);
    *entry = (struct entry){.kind = read32(e) & 0xffff,
                            .payload_size = (size_t)read64(e + 8),
                            .compressed = read32(e + 16),
                            .sm = read32(e + 28),
                            .flags = read64(e + 40),
                            .size = (size_t)read64(e + 56)};
    if (header < LEAST_ENTRY || header > (size_t)(end - e)) return false;
    entry->payload = e + header;
    if (entry->payload_size > (size_t)(end - entry->payload)) return false;
    *at = entry->payload + entry->payload_size;
    return true;
}

// The text of an entry, with a NUL behind it, from malloc; else NULL, and what is wrong.
static char *entry_text(const struct entry *entry, const char **complaint)
{
    bool packed = entry->flags & (FLAG_LZ4 | FLAG_ZSTD);
    size_t size = packed ? entry->size : entry->payload_size;
    char *text;

    *complaint = "its PTX is damaged";
    if (size > MOST_TEXT || (packed && entry->compressed > entry->payload_size)) return NULL;
    text = malloc(size + 1);
    if (!text) {
        *complaint = "there is no memory for its PTX";
        return NULL;
    }
    text[size] = '\0';
    *complaint = NULL;
    if (entry->flags & FLAG_ZSTD)
        *complaint = zstd(entry->payload, entry->compressed, text, size);
    else if (packed && !lz4(entry->payload, entry->compressed, text, size))
        *complaint = "its compressed PTX is damaged";
    else if (!packed)
        memcpy(text, entry->payload, size);
    if (!*complaint) return text;
    free(text);
    return NULL;
}

static bool text_fits(const char *text, int sm)
{
    const char *target = strstr(text, ".target");
    char name[16] = "";

    return target && sscanf(target + 7, " %15[a-z0-9_]", name) == 1 && driver_target_fits(name, sm);
}

// The PTX of the highest target that the device has.
static cu_result fatbinary_text(const unsigned char *image, int sm, char **text,
                                const char **complaint)
{
    size_t header = read32(image + 4) >> 16, size = (size_t)read64(image + 8);
    const unsigned char *at = image + header, *end = at + size;
    struct entry entry;
    uint32_t best = 0;

    *text = NULL;
    *complaint = "the fatbinary has no PTX for this device, and the machine does not run cubins: "
                 "give nvcc -gencode arch=compute_80,code=compute_80";
    if (size > (uint64_t)1 << 40) return CUDA_ERROR_INVALID_IMAGE;
    while (next_entry(&at, end, &entry)) {
        const char *trouble;
        char *candidate;

        if (entry.kind != KIND_PTX || entry.sm > (uint32_t)sm || entry.sm < best) continue;
        candidate = entry_text(&entry, &trouble);
        if (!candidate) *complaint = trouble;
        if (!candidate || !text_fits(candidate, sm)) {
            free(candidate);
            continue;
        }
        free(*text);
        *text = candidate;
        best = entry.sm;
    }
    return *text ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

// ---- images ------------------------------------------------------------------------------------

// "sm_90" runs on every device from 9.0 on, "sm_90a" on 9.0 alone, "sm_100f" on 10.x.
bool driver_target_fits(const char *target, int sm)
{
    int number;
    char suffix = '\0';

    if (sscanf(target, "sm_%d%c", &number, &suffix) < 1) return false;
    if (suffix == 'a') return number == sm;
    if (suffix == 'f') return number <= sm && number / 10 == sm / 10;
    return number <= sm;
}

// How the image begins. strncmp: a short text ends before the fourth byte.
static bool begins(const unsigned char *image, const char magic[4])
{
    return strncmp((const char *)image, magic, 4) == 0;
}

cu_result driver_image_text(const void *image, int sm, char **text, const char **complaint)
{
    const unsigned char *bytes = image;

    *text = NULL;
    *complaint = "the module is empty";
    if (!bytes[0]) return CUDA_ERROR_INVALID_IMAGE;
    if (begins(bytes, "\177ELF")) {
        *complaint = "the module is a cubin; the machine runs PTX only";
        return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    if (begins(bytes, WRAPPER_MAGIC)) {
        bytes = (const unsigned char *)(uintptr_t)read64(bytes + 8);
        *complaint = "the fatbinary's wrapper leads nowhere";
        if (!bytes) return CUDA_ERROR_INVALID_IMAGE;
    }
    if (begins(bytes, FATBINARY_MAGIC)) return fatbinary_text(bytes, sm, text, complaint);
    *text = strdup((const char *)bytes);
    *complaint = "there is no memory for the text";
    return *text ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

cu_result driver_read_file(const char *path, char **text, size_t *size)
{
    FILE *file = fopen(path, "rb");
    size_t capacity = 1 << 16;

    *text = NULL;
    *size = 0;
    if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
    for (;;) {
        char *grown = realloc(*text, capacity + 1);

        if (!grown) break;
        *text = grown;
        *size += fread(*text + *size, 1, capacity - *size, file);
        (*text)[*size] = '\0';
        if (*size < capacity) {
            bool failed = ferror(file);

            fclose(file);
            if (!failed) return CUDA_SUCCESS;
            free(*text);
            return CUDA_ERROR_FILE_NOT_FOUND;
        }
        capacity *= 2;
    }
    fclose(file);
    free(*text);
    return CUDA_ERROR_OUT_OF_MEMORY;
}
