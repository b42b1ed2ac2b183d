// SPDX-License-Identifier: MIT
//
// Gives the two registers of a copy one name wherever they may share it, and drops the copy. LLVM
// is asked for code without optimization, which takes it a third of the time and gives ptxas the
// same work: but it copies each operand of an inline assembly, each value that a loop carries and
// each that leaves its block. A person would have to read all of that, and every run on the PTX
// machine to execute it.
//
//   mov.b32 %r7, %r3;                     mma.sync... {%r3, ..}, ..., {%r3, ..};
//   mma.sync... {%r8, ..}, ..., {%r7, ..};
//   mov.b32 %r3, %r8;
//
// Two names may be one when neither is written while the other holds another value that is still
// read (Chaitin, Register allocation and spilling via graph coloring, 1982). Registers that are
// written once, one as a copy of the other, hold the same value wherever both are read, as the text
// comes from SSA form. What is left is numbered anew, in the order of the text.
#include "codegen/body.h"
#include "codegen/internal.h"

#include <string.h>

// Only registers that stand in a copy can be merged: sets are of those alone, by row.
struct merger {
    const struct cg_body *body;
    const struct cg_allocator *allocator;
    // By register:
    unsigned *parent; // towards the representative of those that are one
    unsigned *value;  // the register that it is a copy of for good, or itself
    unsigned *number; // the new one
    int *row;         // NO_ROW: in no copy
    // By row:
    unsigned *member;    // the next row of those that are one with it, round in a circle
    unsigned *same;      // and of those that are copies of one value for good
    uint64_t *conflicts; // a set a row: they hold something else when this one is written
    uint64_t *live;      // one set
    uint64_t *beside;    // one more: `live` and what a statement writes
    unsigned rows, words;
};

enum { NO_ROW = -1 };

static unsigned find(const struct merger *m, unsigned index)
{
    while (m->parent[index] != index) index = m->parent[index];
    return index;
}

static uint64_t *conflicts_of(const struct merger *m, int row)
{
    return m->conflicts + (size_t)row * m->words;
}

// ---- conflicts ----------------------------------------------------------------------------------

// The registers of a set of the body's that have rows, as a set of rows.
static void take_rows(struct merger *m, const uint64_t *registers)
{
    memset(m->live, 0, m->words * sizeof *m->live);
    for (unsigned w = 0; w < m->body->words; w++)
        for (uint64_t bits = registers[w]; bits; bits &= bits - 1) {
            int row = m->row[64 * w + (unsigned)__builtin_ctzll(bits)];
            if (row != NO_ROW) cg_put_in_set(m->live, (unsigned)row, true);
        }
}

static void put_rows(const struct merger *m, const struct cg_statement *s, uint64_t *set,
                     bool written)
{
    const struct cg_register_use *uses = &m->body->uses[s->first_use];
    for (unsigned k = 0; k < s->use_count; k++) {
        int row = m->row[uses[k].index];
        if (row != NO_ROW && (written ? uses[k].writes : uses[k].reads))
            cg_put_in_set(set, (unsigned)row, true);
    }
}

// The row is written while the set holds values.
static void note(struct merger *m, int row, const uint64_t *set)
{
    uint64_t *conflicts = conflicts_of(m, row);
    for (unsigned w = 0; w < m->words; w++) conflicts[w] |= set[w];
}

// The statement writes while `live` (what is read behind it) holds values.
static void note_conflicts(struct merger *m, const struct cg_statement *s)
{
    const struct cg_register_use *uses = &m->body->uses[s->first_use];
    // The results of one statement exist side by side, read or not.
    memcpy(m->beside, m->live, m->words * sizeof *m->live);
    put_rows(m, s, m->beside, true);
    for (unsigned k = 0; k < s->use_count; k++) {
        int row = m->row[uses[k].index];
        if (!uses[k].writes || row == NO_ROW) continue;
        unsigned source = s->copy ? (unsigned)m->row[uses[1].index] : 0;
        bool keep = s->copy && !cg_in_set(conflicts_of(m, row), source);
        note(m, row, m->beside);
        if (keep) cg_put_in_set(conflicts_of(m, row), source, false);
    }
}

static void find_conflicts(struct merger *m)
{
    const struct cg_body *body = m->body;
    for (unsigned b = 0; b < body->block_count; b++) {
        const struct cg_body_block *block = &body->blocks[b];
        take_rows(m, body->live_out + (size_t)b * body->words);
        for (unsigned i = block->statement_count; i-- > 0;) {
            const struct cg_statement *s = &body->statements[block->first_statement + i];
            const struct cg_register_use *uses = &body->uses[s->first_use];
            note_conflicts(m, s);
            for (unsigned k = 0; k < s->use_count; k++)
                if (uses[k].writes && m->row[uses[k].index] != NO_ROW)
                    cg_put_in_set(m->live, (unsigned)m->row[uses[k].index], false);
            put_rows(m, s, m->live, false);
        }
    }
}

// What is read late must not be written meanwhile, dead as it may look.
static void find_late_conflicts(struct merger *m)
{
    const struct cg_body *body = m->body;
    for (unsigned b = 0; b < body->block_count; b++) {
        const struct cg_body_block *block = &body->blocks[b];
        take_rows(m, body->flight_in + (size_t)b * body->words);
        for (unsigned i = 0; i < block->statement_count; i++) {
            const struct cg_statement *s = &body->statements[block->first_statement + i];
            const struct cg_register_use *uses = &body->uses[s->first_use];
            for (unsigned k = 0; k < s->use_count; k++)
                if (uses[k].writes && m->row[uses[k].index] != NO_ROW)
                    note(m, m->row[uses[k].index], m->live);
            if (s->retires) memset(m->live, 0, m->words * sizeof *m->live);
            for (unsigned k = 0; k < s->use_count; k++)
                if (uses[k].late && m->row[uses[k].index] != NO_ROW)
                    cg_put_in_set(m->live, (unsigned)m->row[uses[k].index], true);
        }
    }
}

// Copies of one value for good hold nothing else, and are written by statements of their own. Nor
// does a register conflict with itself.
static void forget_same(struct merger *m)
{
    for (unsigned row = 0; row < m->rows; row++) {
        unsigned other = row;
        do {
            cg_put_in_set(conflicts_of(m, (int)row), other, false);
            other = m->same[other];
        } while (other != row);
    }
}

// ---- merging ------------------------------------------------------------------------------------

// Does the row conflict with anything that is one with the other?
static bool meet(const struct merger *m, unsigned row, unsigned other)
{
    const uint64_t *conflicts = conflicts_of(m, (int)row);
    unsigned at = other;
    do {
        if (cg_in_set(conflicts, at)) return true;
        at = m->member[at];
    } while (at != other);
    return false;
}

// Makes one circle of two.
static void join(unsigned *next, unsigned a, unsigned b)
{
    unsigned behind = next[a];
    next[a] = next[b];
    next[b] = behind;
}

static void merge(struct merger *m, const struct cg_statement *copy)
{
    const struct cg_register_use *uses = &m->body->uses[copy->first_use];
    unsigned a = find(m, uses[0].index), b = find(m, uses[1].index);
    unsigned row_a = (unsigned)m->row[a], row_b = (unsigned)m->row[b];
    if (a == b || meet(m, row_a, row_b) || meet(m, row_b, row_a)) return;
    uint64_t *conflicts = conflicts_of(m, m->row[a]), *more = conflicts_of(m, m->row[b]);
    for (unsigned w = 0; w < m->words; w++) conflicts[w] |= more[w];
    join(m->member, row_a, row_b);
    m->parent[b] = a;
}

static bool prepare_registers(struct merger *m)
{
    const struct cg_body *body = m->body;
    unsigned registers = body->register_count;
    m->parent = cg_allocate(m->allocator, (4 * registers + 1) * sizeof *m->parent);
    if (!m->parent) return false;
    m->value = m->parent + registers;
    m->number = m->value + registers;
    m->row = (int *)(m->number + registers);
    for (unsigned i = 0; i < registers; i++) {
        m->parent[i] = m->value[i] = i;
        m->number[i] = 0;
        m->row[i] = NO_ROW;
    }
    return true;
}

// Those that several blocks write change, even where one of the blocks has nothing to write.
static void count_joined(struct merger *m)
{
    for (unsigned i = 0; i < m->body->class_count; i++) {
        const struct cg_register_class *c = &m->body->classes[i];
        for (unsigned k = 0; c->joined && k < c->count; k++) m->number[c->first + k] = 2;
    }
}

// `number` counts the writes for a moment.
static void find_values(struct merger *m)
{
    const struct cg_body *body = m->body;
    count_joined(m);
    for (unsigned i = 0; i < body->use_count; i++)
        m->number[body->uses[i].index] += body->uses[i].writes;
    for (unsigned i = 0; i < body->statement_count; i++) {
        const struct cg_register_use *uses = &body->uses[body->statements[i].first_use];
        if (!body->statements[i].copy) continue;
        for (unsigned k = 0; k < 2; k++)
            if (m->row[uses[k].index] == NO_ROW) m->row[uses[k].index] = (int)m->rows++;
        if (m->number[uses[0].index] == 1 && m->number[uses[1].index] == 1)
            m->value[uses[0].index] = m->value[uses[1].index];
    }
    memset(m->number, 0, body->register_count * sizeof *m->number);
}

static bool prepare(struct merger *m)
{
    if (!prepare_registers(m)) return false;
    find_values(m);
    m->words = m->rows / 64 + 1;
    size_t sets = (size_t)(m->rows + 2) * m->words;
    m->live = cg_allocate(m->allocator, sets * sizeof *m->live + 2 * m->rows * sizeof *m->member);
    if (!m->live) return false;
    memset(m->live, 0, sets * sizeof *m->live);
    m->beside = m->live + m->words;
    m->conflicts = m->beside + m->words;
    m->member = (unsigned *)(m->live + sets);
    m->same = m->member + m->rows;
    for (unsigned row = 0; row < m->rows; row++) m->member[row] = m->same[row] = row;
    for (unsigned i = 0; i < m->body->register_count; i++)
        if (m->value[i] != i) join(m->same, (unsigned)m->row[i], (unsigned)m->row[m->value[i]]);
    return true;
}

// ---- the text again -----------------------------------------------------------------------------

static bool dropped(const struct merger *m, const struct cg_statement *s)
{
    const struct cg_register_use *uses = &m->body->uses[s->first_use];
    return s->copy && find(m, uses[0].index) == find(m, uses[1].index);
}

static const struct cg_register_class *named_after(const struct cg_body *body, unsigned index)
{
    const struct cg_register_class *c = body->classes;
    while (index >= c->first + c->count) c++;
    return &body->classes[c->like];
}

// New numbers from 1, by class; the number of registers of each class goes to `used`.
static void number_all(struct merger *m, unsigned *used)
{
    const struct cg_body *body = m->body;
    for (unsigned i = 0; i < body->statement_count; i++) {
        const struct cg_statement *s = &body->statements[i];
        for (unsigned k = 0; !dropped(m, s) && k < s->use_count; k++) {
            unsigned index = find(m, body->uses[s->first_use + k].index);
            unsigned class = (unsigned)(named_after(body, index) - body->classes);
            if (!m->number[index]) m->number[index] = ++used[class];
        }
    }
}

static char *copy_text(char *end, const char *from, const char *to)
{
    memcpy(end, from, (size_t)(to - from));
    return end + (to - from);
}

static char *write_number(char *end, unsigned number)
{
    char digits[10];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) *end++ = digits[--count];
    return end;
}

static char *write_declarations(char *end, const struct cg_body *body, const unsigned *used,
                                const char **at)
{
    for (unsigned i = 0; i < body->class_count; i++) {
        const struct cg_register_class *c = &body->classes[i];
        end = copy_text(end, *at, c->declaration);
        *at = c->declaration + c->declaration_length;
        if (used[i]) {
            end = copy_text(end, c->declaration, c->name + c->name_length);
            *end++ = '<';
            end = write_number(end, used[i] + 1);
            *end++ = '>';
            *end++ = ';';
        } else if (**at == '\n') {
            ++*at;
        }
    }
    return end;
}

// From `at` to behind the statement, which is left out if it is such a copy: with its line, for
// LLVM prints one a line.
static char *write_statement(char *end, const struct merger *m, const struct cg_statement *s,
                             const char **at)
{
    const struct cg_body *body = m->body;
    const char *start = body->text + s->offset, *stop = start + s->length;
    if (dropped(m, s)) {
        const char *line = start;
        while (line > *at && (line[-1] == '\t' || line[-1] == ' ')) line--;
        end = copy_text(end, *at, line);
        *at = stop + (*stop == ';');
        *at += **at == '\n';
        return end;
    }
    for (unsigned k = 0; k < s->use_count; k++) {
        const struct cg_register_use *use = &body->uses[s->first_use + k];
        const struct cg_register_class *c = named_after(body, use->index);
        end = copy_text(end, *at, body->text + use->offset);
        end = copy_text(end, c->name, c->name + c->name_length);
        end = write_number(end, m->number[find(m, use->index)]);
        *at = body->text + use->offset + use->length;
    }
    end = copy_text(end, *at, stop);
    *at = stop;
    return end;
}

static char *write_body(char *end, const struct merger *m, const unsigned *used)
{
    const struct cg_body *body = m->body;
    const char *at = body->text;
    end = write_declarations(end, body, used, &at);
    for (unsigned i = 0; i < body->statement_count; i++)
        end = write_statement(end, m, &body->statements[i], &at);
    return copy_text(end, at, body->text + body->length);
}

// ---- one body, and the whole text ---------------------------------------------------------------

// Appends the body to `*end`.
static bool coalesce_body(const struct cg_allocator *allocator, const char *text, size_t length,
                          char **end)
{
    struct cg_body body;
    struct merger m = {.body = &body, .allocator = allocator};
    enum cg_body_status status = cg_body_read(allocator, text, length, &body);
    bool ok = status != CG_BODY_MEMORY;
    if (status == CG_BODY_OK && (ok = prepare(&m))) {
        unsigned used[CG_BODY_CLASSES] = {0};
        find_conflicts(&m);
        find_late_conflicts(&m);
        forget_same(&m);
        for (unsigned i = 0; i < body.statement_count; i++)
            if (body.statements[i].copy) merge(&m, &body.statements[i]);
        number_all(&m, used);
        *end = write_body(*end, &m, used);
    } else if (ok) {
        *end = copy_text(*end, text, text + length);
    }
    cg_release(allocator, m.parent);
    cg_release(allocator, m.live);
    cg_body_free(allocator, &body);
    return ok;
}

// The lines that only say what is led through an instruction.
static size_t drop_led(char *text, size_t length)
{
    char *to = text, *stop = text + length;
    for (char *line = text, *next; line < stop; line = next) {
        char *newline = memchr(line, '\n', (size_t)(stop - line)), *start = line;
        next = newline ? newline + 1 : stop;
        while (start < next && (*start == '\t' || *start == ' ')) start++;
        size_t size = strlen(CG_LED);
        if ((size_t)(next - start) > size && !memcmp(start, CG_LED, size)) continue;
        memmove(to, line, (size_t)(next - line));
        to += next - line;
    }
    *to = '\0';
    return (size_t)(to - text);
}

char *cg_coalesce_copies(const struct cg_allocator *allocator, const char *text, size_t length,
                         size_t *out_length)
{
    // A register and the comma behind it have four characters at least, and at most eight.
    char *out = cg_allocate(allocator, 2 * length + 1), *end = out;
    const char *at = text, *stop = text + length;
    while (out && at < stop) {
        const char *newline = memchr(at, '\n', (size_t)(stop - at));
        const char *next = newline ? newline + 1 : stop;
        bool opens = *at == '{';
        end = copy_text(end, at, next);
        at = next;
        if (!opens) continue;
        // LLVM closes a kernel with a brace at the start of a line.
        const char *close = at;
        while (close < stop && *close != '}') {
            newline = memchr(close, '\n', (size_t)(stop - close));
            close = newline ? newline + 1 : stop;
        }
        if (!coalesce_body(allocator, at, (size_t)(close - at), &end)) {
            cg_release(allocator, out);
            return NULL;
        }
        at = close;
    }
    if (!out) return NULL;
    *out_length = drop_led(out, (size_t)(end - out));
    return out;
}
