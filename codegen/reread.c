// SPDX-License-Identifier: MIT
//
// The PTX re-reader: finds each instruction's row of ptx.def again by its text.
#include "codegen/reread.h"
#include "codegen/internal.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 512, NO_ROW = 0xffff };

// The rows by their mnemonic: what stands before the first blank.
struct index {
    uint16_t first[BUCKETS];
    uint16_t next[CG_PTX_COUNT];
};

struct scan {
    const struct cg_allocator *allocator;
    uint32_t classes;
    struct index index;
    struct cg_reread *out;
    size_t room;
    struct cg_span kernel;
    unsigned line, source_line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct cg_span trim(struct cg_span span)
{
    while (span.length && is_blank(*span.start)) {
        span.start++;
        span.length--;
    }
    while (span.length && is_blank(span.start[span.length - 1])) span.length--;
    return span;
}

static bool starts(struct cg_span span, const char *prefix)
{
    size_t length = strlen(prefix);
    return span.length >= length && !memcmp(span.start, prefix, length);
}

// The piece up to one of the characters of `stops`, or all of it.
static struct cg_span until(struct cg_span span, const char *stops)
{
    uint64_t stop[4] = {0}; // a set of characters
    size_t length = 0;
    for (; *stops; stops++) stop[(unsigned char)*stops / 64] |= UINT64_C(1) << (*stops & 63);
    while (length < span.length) {
        unsigned char c = (unsigned char)span.start[length];
        if (stop[c / 64] >> (c & 63) & 1) break;
        length++;
    }
    return (struct cg_span){span.start, length};
}

static unsigned bucket_of(struct cg_span mnemonic)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < mnemonic.length; i++)
        hash = (hash ^ (unsigned char)mnemonic.start[i]) * 16777619u;
    return hash % BUCKETS;
}

static struct cg_span mnemonic_of(struct cg_span statement)
{
    return until(statement, " \t;");
}

static void build_index(struct index *index)
{
    memset(index->first, 0xff, sizeof index->first);
    for (unsigned id = CG_PTX_COUNT; id-- > 0;) {
        const char *text = cg_ptx_get((enum cg_ptx_id)id)->text;
        unsigned bucket = bucket_of(mnemonic_of((struct cg_span){text, strlen(text)}));
        index->next[id] = index->first[bucket];
        index->first[bucket] = (uint16_t)id;
    }
}

// One operand: a register, or a number where the row wants one. Returns its length, 0 for neither.
static size_t operand_length(struct cg_span text, char letter)
{
    struct cg_span operand = until(text, " \t,;[]{}|");
    char first = operand.length ? *operand.start : '\0';
    bool number = first == '-' || (first >= '0' && first <= '9');
    return number == (letter == 'n') ? operand.length : 0;
}

// Does the statement read like the row? Blanks do not count; `$n` stands for an operand.
static bool matches(enum cg_ptx_id id, struct cg_span text, struct cg_instruction *out)
{
    const struct cg_ptx *row = cg_ptx_get(id);
    struct cg_ptx_operands operands = cg_ptx_operands(row);
    out->immediate_count = 0;
    for (const char *want = row->text; *want;) {
        text = trim(text);
        if (*want == ' ') {
            want++;
        } else if (*want == '$') {
            unsigned number = 0;
            for (want++; *want >= '0' && *want <= '9'; want++)
                number = 10 * number + (unsigned)(*want - '0');
            char letter = operands.letters[number];
            size_t length = operand_length(text, letter);
            if (!length) return false;
            if (letter == 'n' && out->immediate_count < CG_IMMEDIATE_LIMIT)
                out->immediates[out->immediate_count++] = strtoll(text.start, NULL, 0);
            text.start += length;
            text.length -= length;
        } else {
            if (!text.length || *text.start != *want) return false;
            text.start++;
            text.length--;
            want++;
        }
    }
    return trim(text).length == 0;
}

// The class of an instruction that no row describes, by the start of its name.
static enum cg_ptx_class class_by_name(struct cg_span statement)
{
    static const struct {
        const char *prefix;
        enum cg_ptx_class class;
    } names[] = {
        {"bar.warp.sync", CG_CLASS_WARP_SYNC},
        {"bar.", CG_CLASS_BARRIER},
        {"barrier.", CG_CLASS_BARRIER},
        {"cp.async.commit_group", CG_CLASS_COMMIT},
        {"cp.async.bulk.commit_group", CG_CLASS_COMMIT},
        {"cp.async.wait", CG_CLASS_WAIT},
        {"cp.async.bulk.wait", CG_CLASS_WAIT},
        {"cp.async.mbarrier", CG_CLASS_MBARRIER},
        {"cp.", CG_CLASS_ASYNC_COPY},
        {"st.async", CG_CLASS_ASYNC_COPY},
        {"fence.", CG_CLASS_FENCE},
        {"membar.", CG_CLASS_FENCE},
        {"mbarrier.", CG_CLASS_MBARRIER},
        {"ldmatrix.", CG_CLASS_MATRIX_LOAD},
        {"stmatrix.", CG_CLASS_MATRIX_STORE},
        {"wgmma.fence", CG_CLASS_FENCE},
        {"wgmma.commit_group", CG_CLASS_COMMIT},
        {"wgmma.wait_group", CG_CLASS_WAIT},
        {"wgmma.", CG_CLASS_MMA},
        {"mma.", CG_CLASS_MMA},
        {"wmma.", CG_CLASS_MMA},
        {"tcgen05.", CG_CLASS_MMA},
        {"shfl.", CG_CLASS_SHUFFLE},
        {"redux.", CG_CLASS_SHUFFLE},
        {"vote.", CG_CLASS_VOTE},
        {"match.", CG_CLASS_VOTE},
        {"elect.", CG_CLASS_VOTE},
        {"atom.", CG_CLASS_ATOMIC},
        {"red.", CG_CLASS_ATOMIC},
        {"ld.acquire", CG_CLASS_STRONG_LOAD},
        {"ld.relaxed", CG_CLASS_STRONG_LOAD},
        {"st.release", CG_CLASS_STRONG_STORE},
        {"st.relaxed", CG_CLASS_STRONG_STORE},
        {"griddepcontrol.", CG_CLASS_WAIT},
        {"setmaxnreg.", CG_CLASS_CONTROL},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (*statement.start == *names[i].prefix && starts(statement, names[i].prefix))
            return names[i].class;
    return CG_CLASS_COUNT;
}

// Names the instruction; false if it is of no class that we look at.
static bool identify(struct scan *scan, struct cg_span statement, struct cg_instruction *out)
{
    unsigned id = scan->index.first[bucket_of(mnemonic_of(statement))];
    while (id != NO_ROW && !matches((enum cg_ptx_id)id, statement, out)) id = scan->index.next[id];
    bool found = id != NO_ROW;
    if (!found) out->immediate_count = 0;
    out->id = found ? (enum cg_ptx_id)id : CG_PTX_UNKNOWN;
    out->class = found ? cg_ptx_get(out->id)->class : class_by_name(statement);
    return out->class != CG_CLASS_COUNT && scan->classes & CG_CLASS_BIT(out->class);
}

static bool append(struct scan *scan, const struct cg_instruction *instruction)
{
    struct cg_reread *out = scan->out;
    if (out->count == scan->room) {
        size_t room = scan->room ? 2 * scan->room : 64;
        struct cg_instruction *grown = cg_allocate(scan->allocator, room * sizeof *grown);
        if (!grown) return false;
        if (out->count) memcpy(grown, out->instructions, out->count * sizeof *grown);
        cg_release(scan->allocator, out->instructions);
        out->instructions = grown;
        scan->room = room;
    }
    out->instructions[out->count++] = *instruction;
    return true;
}

// The number of a `.loc FILE LINE COLUMN` directive's line.
static unsigned loc_line(struct cg_span line)
{
    char *end;
    strtoul(line.start + 4, &end, 10);
    return (unsigned)strtoul(end, NULL, 10);
}

static struct cg_span after(struct cg_span span, size_t count)
{
    return trim((struct cg_span){span.start + count, span.length - count});
}

static void read_directive(struct scan *scan, struct cg_span line)
{
    if (starts(line, ".loc")) scan->source_line = loc_line(line);
    if (starts(line, ".visible ")) line = after(line, 9);
    if (!starts(line, ".entry ")) return;
    scan->kernel = until(after(line, 7), " \t(");
    scan->source_line = 0;
}

static bool read_line(struct scan *scan, struct cg_span line)
{
    struct cg_instruction found = {0};
    line = trim(line);
    if (!line.length || starts(line, "//")) return true;
    if (*line.start == '.') {
        read_directive(scan, line);
        return true;
    }
    struct cg_span rest = line;
    if (*line.start == '@') {
        found.guarded = true;
        rest = after(line, until(line, " \t").length);
    }
    struct cg_span statement = until(rest, ";");
    if (statement.length == rest.length) return true; // a label, a brace: no statement ends here
    statement.length++;
    if (!identify(scan, statement, &found)) return true;
    found.line = scan->line;
    found.source_line = scan->source_line;
    found.kernel = scan->kernel;
    found.text = statement;
    rest = after(rest, statement.length);
    found.comment = starts(rest, "//") ? after(rest, 2) : (struct cg_span){rest.start, 0};
    found.tag = until(found.comment, ": \t");
    return append(scan, &found);
}

enum cg_status cg_reread(const struct cg_allocator *allocator, const char *ptx, size_t length,
                         uint32_t classes, struct cg_reread *out)
{
    static const struct cg_allocator standard = {0};
    *out = (struct cg_reread){0};
    struct scan scan = {.allocator = allocator ? allocator : &standard, .classes = classes};
    scan.out = out;
    build_index(&scan.index);
    for (const char *at = ptx; at < ptx + length;) {
        const char *stop = memchr(at, '\n', (size_t)(ptx + length - at));
        if (!stop) stop = ptx + length;
        scan.line++;
        if (!read_line(&scan, (struct cg_span){at, (size_t)(stop - at)})) {
            cg_reread_free(scan.allocator, out);
            return CG_ERROR_MEMORY;
        }
        at = stop + 1;
    }
    return CG_OK;
}

void cg_reread_free(const struct cg_allocator *allocator, struct cg_reread *reread)
{
    static const struct cg_allocator standard = {0};
    cg_release(allocator ? allocator : &standard, reread->instructions);
    *reread = (struct cg_reread){0};
}
