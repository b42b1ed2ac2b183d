// SPDX-License-Identifier: MIT
// Makes edits of syncs in a program's text, or in the parsed kernel. See minimize.h.
//
// In the text only the lines concerned change: comments, constants and layout stay the author's.
#include "ir/lexer.h"
#include "passes/sync/minimize.h"

#include <stdlib.h>
#include <string.h>

typedef struct word {
    int kind, line, column;
    size_t from, to; // bytes of the text; a newline has none
} word;

typedef struct splice {
    size_t at, remove;
    const char *insert;
    int order;
} splice;

typedef struct editor {
    kg_arena *arena;
    const char *text;
    size_t length;
    struct {
        word *items;
        int count, capacity;
    } words;
    struct {
        splice *items;
        int count, capacity;
    } splices;
    bool failed;
} editor;

// ---- words --------------------------------------------------------------------------------------
static void read_words(editor *e, const kg_source *source)
{
    kg_diags dropped = {.arena = e->arena};
    kg_lexer lexer;
    kg_lexer_init(&lexer, e->arena, &dropped, source);
    size_t start = 0;
    for (int line = 1;;) {
        kg_token t = kg_lexer_next(&lexer);
        while (line < t.loc.line) {
            const char *end = memchr(e->text + start, '\n', e->length - start);
            if (!end) break;
            start = (size_t)(end + 1 - e->text);
            line++;
        }
        word w = {t.kind, t.loc.line, t.loc.column, start + (size_t)t.loc.column - 1, 0};
        w.to = w.from + (size_t)(t.loc.length > 0 ? t.loc.length : 0);
        KG_PUSH(e->arena, &e->words, w);
        if (t.kind == KG_T_END) break;
    }
}

static bool is(const editor *e, int i, int kind)
{
    return i >= 0 && i < e->words.count && e->words.items[i].kind == kind;
}

// The word at a place, or the last one in front of it.
static int word_at(const editor *e, int line, int column)
{
    int found = -1;
    for (int i = 0; i < e->words.count; i++) {
        const word *w = &e->words.items[i];
        if (w->kind == KG_T_NEWLINE) continue;
        if (w->line > line || (w->line == line && w->column > column)) break;
        found = i;
    }
    return found;
}

static bool first_of_line(const editor *e, size_t at)
{
    while (at > 0 && (e->text[at - 1] == ' ' || e->text[at - 1] == '\t')) at--;
    return at == 0 || e->text[at - 1] == '\n';
}

static size_t line_start(const editor *e, size_t at)
{
    while (at > 0 && e->text[at - 1] != '\n') at--;
    return at;
}

static size_t next_line(const editor *e, size_t at)
{
    const char *end = memchr(e->text + at, '\n', e->length - at);
    return end ? (size_t)(end + 1 - e->text) : e->length;
}

// ---- statements ---------------------------------------------------------------------------------
static int statement_start(const editor *e, int i)
{
    while (i > 0 && !is(e, i - 1, KG_T_NEWLINE)) {
        bool brace = is(e, i - 1, KG_P1('{')) || is(e, i - 1, KG_P1('}'));
        if (brace && first_of_line(e, e->words.items[i].from)) break;
        i--;
    }
    return i;
}

// The word behind the statement: its newline, the brace that closes its block, the end.
static int statement_end(const editor *e, int i)
{
    for (int depth = 0; i < e->words.count; i++) {
        if (is(e, i, KG_T_END) || (is(e, i, KG_T_NEWLINE) && !depth)) return i;
        if (is(e, i, KG_P1('{'))) depth++;
        if (is(e, i, KG_P1('}')) && --depth < 0) return i;
    }
    return e->words.count - 1;
}

static int closing_brace(const editor *e, int open)
{
    int depth = 0;
    for (int i = open; i < e->words.count; i++) {
        depth += is(e, i, KG_P1('{')) - is(e, i, KG_P1('}'));
        if (!depth) return i;
    }
    return -1;
}

static bool is_word(const editor *e, int i, const char *text)
{
    const word *w = &e->words.items[i];
    return w->to - w->from == strlen(text) && !memcmp(e->text + w->from, text, w->to - w->from);
}

// The brace that opens the next block from word i on; attributes are passed by.
static int opening_brace(const editor *e, int i)
{
    for (; i < e->words.count && !is(e, i, KG_T_NEWLINE); i++) {
        if (!is(e, i, KG_P1('{'))) continue;
        bool attributes =
            i > 0 &&
            (is_word(e, i - 1, "with") ||
             (is(e, i - 1, KG_P1(']')) && e->words.items[i - 1].to == e->words.items[i].from));
        if (!attributes) return i;
        i = closing_brace(e, i);
        if (i < 0) return -1;
    }
    return -1;
}

static int end_of_block(const editor *e, const kg_sync_edit *d, int kernel_line)
{
    int i = d->line ? word_at(e, d->line, d->column) : word_at(e, kernel_line, 1);
    if (i < 0) return -1;
    if (!d->line) { // clauses of the header stand on lines of their own
        while (i < e->words.count && !is(e, i, KG_P1('{'))) i++;
        return closing_brace(e, i);
    }
    bool two = is_word(e, i, "while") && is(e, i + 1, KG_P1('{'));
    int block = is_word(e, i, "while") ? two : d->block;
    int close = -1;
    for (int k = 0; k <= block; k++) {
        int open = opening_brace(e, close < 0 ? i : close + 1);
        close = open < 0 ? -1 : closing_brace(e, open);
        if (close < 0) return -1;
    }
    return close;
}

// ---- splices ------------------------------------------------------------------------------------
static void put(editor *e, size_t at, size_t remove, const char *insert)
{
    splice s = {at, remove, insert, e->splices.count};
    KG_PUSH(e->arena, &e->splices, s);
}

// Lines with the indentation of the line at `like`, and two more when deeper.
static const char *lines(editor *e, const kg_sync_edit *d, size_t like, bool deeper)
{
    size_t start = line_start(e, like), n = 0;
    while (start + n < e->length && (e->text[start + n] == ' ' || e->text[start + n] == '\t')) n++;
    const char *indent = kg_arena_strndup(e->arena, e->text + start, n);
    const char *more = deeper ? "  " : "", *text = "";
    for (int i = 0; i < 2 && d->lines[i]; i++)
        text = kg_arena_printf(e->arena, "%s%s%s%s\n", text, indent, more, d->lines[i]);
    return text;
}

static const char *inline_text(editor *e, const kg_sync_edit *d, const char *before,
                               const char *behind)
{
    return kg_arena_printf(e->arena, "%s%s%s%s%s", before, d->lines[0], d->lines[1] ? "; " : "",
                           d->lines[1] ? d->lines[1] : "", behind);
}

static void insert_before(editor *e, const kg_sync_edit *d)
{
    int i = word_at(e, d->line, d->column);
    if (i < 0) {
        e->failed = true;
        return;
    }
    size_t at = e->words.items[statement_start(e, i)].from;
    if (first_of_line(e, at))
        put(e, line_start(e, at), 0, lines(e, d, at, false));
    else
        put(e, at, 0, inline_text(e, d, "", "; "));
}

static void insert_behind(editor *e, const kg_sync_edit *d)
{
    int i = word_at(e, d->line, d->column);
    int end = i < 0 ? 0 : statement_end(e, i);
    if (i < 0 || end < 1) {
        e->failed = true;
        return;
    }
    size_t last = e->words.items[end - 1].to;
    if (is(e, end, KG_T_NEWLINE) && first_of_line(e, e->words.items[statement_start(e, i)].from))
        put(e, next_line(e, last), 0, lines(e, d, e->words.items[i].from, false));
    else
        put(e, last, 0, inline_text(e, d, "; ", ""));
}

static void insert_at_end(editor *e, const kg_sync_edit *d, int kernel_line)
{
    int close = end_of_block(e, d, kernel_line);
    if (close < 0) {
        e->failed = true;
        return;
    }
    size_t at = e->words.items[close].from;
    if (first_of_line(e, at))
        put(e, line_start(e, at), 0, lines(e, d, at, true));
    else
        put(e, e->words.items[close - 1].to, 0, inline_text(e, d, "; ", ""));
}

// A line that held nothing else goes with its comment.
static void remove_sync(editor *e, const kg_sync_edit *d)
{
    int i = word_at(e, d->line, d->column), end = i < 0 ? 0 : statement_end(e, i);
    if (i < 0 || end <= i) {
        e->failed = true;
        return;
    }
    size_t from = e->words.items[i].from, to = e->words.items[end - 1].to;
    size_t next = next_line(e, to), rest = to;
    while (rest < next && (e->text[rest] == ' ' || e->text[rest] == '\t')) rest++;
    bool alone = rest == next || e->text[rest] == '\n' || e->text[rest] == '/';
    if (alone && first_of_line(e, from)) {
        size_t start = line_start(e, from);
        put(e, start, next - start, "");
        return;
    }
    put(e, from, (rest < next && e->text[rest] == ';' ? rest + 1 : to) - from, "");
}

static void recount(editor *e, const kg_sync_edit *d)
{
    int i = word_at(e, d->line, d->column), end = i < 0 ? 0 : statement_end(e, i);
    for (int k = i + 1; i >= 0 && k < end; k++)
        if (is(e, k, KG_P1('{'))) end = k;
    if (i < 0 || end <= i + 1) {
        e->failed = true;
        return;
    }
    size_t from = e->words.items[i + 1].from, to = e->words.items[end - 1].to;
    put(e, from, to - from, kg_arena_printf(e->arena, "%d", d->count));
}

static int by_place(const void *x, const void *y)
{
    const splice *a = x, *b = y;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    if (!a->remove != !b->remove) return a->remove ? 1 : -1;
    return a->order - b->order;
}

static char *spliced(editor *e)
{
    size_t size = e->length + 1, at = 0, n = 0;
    for (int i = 0; i < e->splices.count; i++) size += strlen(e->splices.items[i].insert);
    char *out = kg_arena_alloc(e->arena, size);
    if (e->splices.count)
        qsort(e->splices.items, (size_t)e->splices.count, sizeof(splice), by_place);
    for (int i = 0; i < e->splices.count; i++) {
        const splice *s = &e->splices.items[i];
        if (s->at < at) return NULL;
        memcpy(out + n, e->text + at, s->at - at);
        n += s->at - at;
        memcpy(out + n, s->insert, strlen(s->insert));
        n += strlen(s->insert);
        at = s->at + s->remove;
    }
    memcpy(out + n, e->text + at, e->length - at);
    return out;
}

char *kg_sync_edit_text(kg_arena *arena, const kg_source *source, int kernel_line,
                        const kg_sync_edits *edits)
{
    editor e = {.arena = arena, .text = source->text, .length = source->length};
    read_words(&e, source);
    for (int i = 0; i < edits->count; i++) {
        const kg_sync_edit *d = &edits->items[i];
        switch (d->kind) {
        case KG_EDIT_REMOVE:
            remove_sync(&e, d);
            break;
        case KG_EDIT_COUNT:
            recount(&e, d);
            break;
        case KG_EDIT_BEFORE:
            insert_before(&e, d);
            break;
        case KG_EDIT_BEHIND:
            insert_behind(&e, d);
            break;
        case KG_EDIT_YIELD: // a condition that is an expression has no lines
            e.failed = true;
            break;
        case KG_EDIT_END:
            insert_at_end(&e, d, kernel_line);
            break;
        }
    }
    return e.failed ? NULL : spliced(&e);
}

// ---- the parsed kernel --------------------------------------------------------------------------
typedef struct finder {
    const kg_sync_edit *edit;
    kg_op *found;
} finder;

// The op of the edit's place that the sync passes see: with effects, with blocks, or a sync.
static bool find_op(kg_op *op, void *user)
{
    finder *f = user;
    const kg_op_info *info = kg_op_info_of(op->code);
    if (op->loc.line != f->edit->line || op->loc.column != f->edit->column ||
        (!info->n_effects && !op->n_blocks && info->cls != KG_CLASS_Y))
        return true;
    f->found = op;
    return false;
}

static kg_op *sync_of(kg_kernel *kernel, const char *text, kg_loc loc)
{
    int id = -1, count = -1;
    const char *space = strchr(text, ' ');
    kg_opcode code;
    char *name =
        kg_arena_strndup(kernel->unit->arena, text, space ? (size_t)(space - text) : strlen(text));
    if (!kg_op_named(name, &code)) return NULL;
    if (code == KG_OP_WAIT) {
        count = atoi(space);
    } else if (space) {
        const char *at = strstr(space, "count ");
        id = atoi(space + strlen(" id "));
        count = at ? atoi(at + strlen("count ")) : -1;
    }
    kg_op *op = kg_op_new(kernel, code, loc, 0, NULL);
    if (id >= 0) kg_op_set_int(kernel, op, KG_A_ID, id);
    if (count >= 0) kg_op_set_int(kernel, op, KG_A_COUNT, count);
    kg_op_set_int(kernel, op, KG_A_BY_HAND, 1);
    return op;
}

static bool insert_lines(kg_kernel *kernel, const kg_sync_edit *d, kg_op *at)
{
    kg_block *block = !at ? kernel->body : d->block < at->n_blocks ? at->blocks[d->block] : NULL;
    kg_op *behind = at;
    for (int i = 0; i < 2 && d->lines[i]; i++) {
        kg_op *op = sync_of(kernel, d->lines[i], at ? at->loc : kernel->loc);
        if (!op || (d->kind == KG_EDIT_END && !block)) return false;
        if (d->kind == KG_EDIT_BEFORE)
            kg_block_insert_before(at, op);
        else if (d->kind == KG_EDIT_YIELD)
            kg_block_insert_before(at->blocks[0]->last, op);
        else if (d->kind == KG_EDIT_BEHIND)
            kg_block_insert_after(behind, op);
        else
            kg_block_append(block, op);
        behind = op;
    }
    return true;
}

bool kg_sync_edit_kernel(kg_kernel *kernel, const kg_sync_edits *edits)
{
    kg_op **ops = KG_NEW_ARRAY(kernel->unit->arena, kg_op *, edits->count + 1);
    for (int i = 0; i < edits->count; i++) {
        finder f = {&edits->items[i], NULL};
        kg_walk(kernel->body, find_op, &f);
        ops[i] = f.found;
        if (!f.found && edits->items[i].line) return false;
    }
    for (int i = 0; i < edits->count; i++) {
        const kg_sync_edit *d = &edits->items[i];
        if (d->kind == KG_EDIT_COUNT)
            kg_op_set_int(kernel, ops[i], KG_A_COUNT, d->count);
        else if (d->kind != KG_EDIT_REMOVE && !insert_lines(kernel, d, ops[i]))
            return false;
    }
    for (int i = 0; i < edits->count; i++)
        if (edits->items[i].kind == KG_EDIT_REMOVE) kg_op_remove(ops[i]);
    return true;
}
