// SPDX-License-Identifier: MIT
#include "mutants.h"
#include "tools/kgen/output.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    const char *start;
    size_t length; // without its end
} line;

typedef struct program {
    const char *ir;
    line *lines;
    size_t count;
} program;

static program split(const char *ir)
{
    program p = {ir, NULL, 0};
    size_t room = 0;
    for (const char *at = ir; *at;) {
        size_t length = strcspn(at, "\n");
        if (p.count == room) {
            room = room ? 2 * room : 256;
            p.lines = must(realloc(p.lines, room * sizeof *p.lines));
        }
        p.lines[p.count++] = (line){at, length};
        at += length + (at[length] == '\n');
    }
    return p;
}

static const char *op_of(line l, size_t *length)
{
    size_t blanks = strspn(l.start, " ");
    const char *op = l.start + blanks;
    *length = strcspn(op, " \n");
    return op;
}

static bool is_op(line l, const char *name)
{
    size_t length;
    const char *op = op_of(l, &length);
    return length == strlen(name) && !memcmp(op, name, length);
}

static bool synchronizes(line l)
{
    static const char *const names[] = {
        "barrier",         "warp_sync",       "wait",          "commit",      "arrive",
        "fence",           "mbarrier_init",   "mbarrier_wait", "proxy_fence", "mbarrier_arrive",
        "mbarrier_expect", "wgmma_fence",     "wgmma_commit",  "wgmma_wait",  "bulk_commit",
        "bulk_wait",       "cluster_barrier", "baton_wait",    "baton_pass"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_op(l, names[i])) return true;
    return false;
}

// The program with line `at` replaced by `instead` (NULL: left out), which comes `shift` lines
// further down, or up.
static char *rewrite(const program *p, size_t at, const char *instead, int shift)
{
    size_t room = strlen(p->ir) + (instead ? strlen(instead) : 0) + 2;
    size_t place = shift < 0 ? at - (size_t)-shift : at + (size_t)shift;
    char *text = must(malloc(room)), *end = text;
    for (size_t i = 0; i < p->count; i++) {
        if (instead && shift < 0 && i == place) end += sprintf(end, "%s\n", instead);
        if (i != at) {
            memcpy(end, p->lines[i].start, p->lines[i].length);
            end += p->lines[i].length;
            *end++ = '\n';
        }
        if (instead && shift >= 0 && i == place) end += sprintf(end, "%s\n", instead);
    }
    *end = '\0';
    return text;
}

static void add(mutant_list *out, const program *p, size_t at, const char *instead, int shift,
                const char *how)
{
    size_t length;
    const char *op = op_of(p->lines[at], &length);
    const char *id = strstr(op, "sync=");
    int number = id && id < p->lines[at].start + p->lines[at].length ? atoi(id + 5) : 0;
    int words = (int)strcspn(op, "{\n");
    while (words && op[words - 1] == ' ') words--;
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? 2 * out->capacity : 32;
        out->items = must(realloc(out->items, out->capacity * sizeof *out->items));
    }
    mutant *m = &out->items[out->count++];
    m->text = rewrite(p, at, instead, shift);
    m->order = m->letter = false;
    snprintf(m->what, sizeof m->what, "S%d (%.*s, line %zu) %s", number, words, op, at + 1, how);
}

// Line `at` with `old` characters, `before` characters from its start, replaced.
static void add_edited(mutant_list *out, const program *p, size_t at, size_t before, size_t old,
                       const char *word, const char *how)
{
    line l = p->lines[at];
    size_t room = l.length + strlen(word) + 1;
    char *text = must(malloc(room));
    snprintf(text, room, "%.*s%s%.*s", (int)before, l.start, word, (int)(l.length - before - old),
             l.start + before + old);
    add(out, p, at, text, 0, how);
    free(text);
}

// Line `at` with `word` in place of the one that stands there.
static void add_replaced(mutant_list *out, const program *p, size_t at, size_t before,
                         const char *word, const char *how)
{
    add_edited(out, p, at, before, strcspn(p->lines[at].start + before, " \n"), word, how);
}

// Where word `n` of a line starts, counted from its op; the line's length without one.
static size_t word_at(line l, int n)
{
    size_t at = strspn(l.start, " ");
    for (; n && at < l.length; n--) {
        at += strcspn(l.start + at, " \n");
        at += strspn(l.start + at, " ");
    }
    return at < l.length ? at : l.length;
}

// The count of `wait 1 {sync=3}` with one group more.
static void add_loosened(mutant_list *out, const program *p, size_t at)
{
    size_t before = word_at(p->lines[at], 1);
    char count[24];
    snprintf(count, sizeof count, "%ld", strtol(p->lines[at].start + before, NULL, 10) + 1);
    add_replaced(out, p, at, before, count, "loosened by one");
}

// The id of `barrier id 1 count 128` or its `arrive`; -1 on another line.
static int id_of(line l)
{
    if ((!is_op(l, "barrier") && !is_op(l, "arrive")) || strncmp(l.start + word_at(l, 1), "id ", 3))
        return -1;
    return atoi(l.start + word_at(l, 2));
}

// Some threads arrive at the id without waiting there: at least two ops have to name the same one.
static bool is_arrived_at(const program *p, int id)
{
    for (size_t i = 0; i < p->count; i++)
        if (is_op(p->lines[i], "arrive") && id_of(p->lines[i]) == id) return true;
    return false;
}

// The id swapped for the program's next one, or for a new one if it has no other and that is not
// merely another name.
static void add_swapped(mutant_list *out, const program *p, size_t at)
{
    enum { IDS = 16 };
    bool used[IDS] = {false};
    int id = id_of(p->lines[at]), other;
    if (id < 0 || id >= IDS) return;
    for (size_t i = 0; i < p->count; i++)
        if (id_of(p->lines[i]) >= 0 && id_of(p->lines[i]) < IDS) used[id_of(p->lines[i])] = true;
    for (other = (id + 1) % IDS; other != id && !used[other];) other = (other + 1) % IDS;
    if (other == id && !is_arrived_at(p, id)) return;
    if (other == id) other = id + 1 < IDS ? id + 1 : id - 1;
    char word[24], how[32];
    snprintf(word, sizeof word, "%d", other);
    snprintf(how, sizeof how, "with id %d", other);
    add_replaced(out, p, at, word_at(p->lines[at], 2), word, how);
}

// `ids=[1, 2, 1, 2]` with the first warp in another group: 2, 1, 1, 2.
static void add_regrouped(mutant_list *out, const program *p, size_t at)
{
    enum { WARPS = 32 };
    line l = p->lines[at];
    const char *list = strstr(l.start, "ids=[");
    int ids[WARPS], count = 0, other = 0;
    if (!list || list >= l.start + l.length) return;
    for (const char *c = list + 4; count < WARPS && (*c == '[' || *c == ',');) {
        char *end;
        ids[count++] = (int)strtol(c + 1, &end, 10);
        c = end;
    }
    while (other < count && ids[other] == ids[0]) other++;
    if (other == count) return;
    int first = ids[0];
    ids[0] = ids[other];
    ids[other] = first;
    char text[512];
    int used = snprintf(text, sizeof text, "%.*s", (int)(list + 5 - l.start), l.start);
    for (int i = 0; i < count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%d", i ? ", " : "", ids[i]);
    const char *rest = strchr(list, ']');
    snprintf(text + used, sizeof text - (size_t)used, "%.*s", (int)(l.start + l.length - rest),
             rest);
    add(out, p, at, text, 0, "with its first warp in another group");
}

// `fence ORDER SCOPE` with the next weaker orders, and with the next smaller scope.
static void add_narrowed(mutant_list *out, const program *p, size_t at)
{
    static const char *const weaker[][3] = {{"acq_rel", "acquire", "order acquire"},
                                            {"acq_rel", "release", "order release"},
                                            {"acquire", "relaxed", "order relaxed"},
                                            {"release", "relaxed", "order relaxed"},
                                            {"sys", "gpu", "scope gpu"},
                                            {"gpu", "cta", "scope cta"}};
    line l = p->lines[at];
    for (int word = 1; word <= 2; word++)
        for (size_t i = 0; i < sizeof weaker / sizeof *weaker; i++) {
            size_t before = word_at(l, word), length = strcspn(l.start + before, " \n");
            if (length == strlen(weaker[i][0]) && !memcmp(l.start + before, weaker[i][0], length))
                add_replaced(out, p, at, before, weaker[i][1], weaker[i][2]);
        }
}

static void add_moved(mutant_list *out, const program *p, size_t at, int by, const char *how)
{
    line l = p->lines[at];
    char *text = must(strndup(l.start, l.length));
    add(out, p, at, text, by, how);
    free(text);
}

// ---- phases, proxies, tensor cores --------------------------------------------------------------

// Where the number of `key=12` starts among the line's attributes; 0 without one.
static size_t number_at(line l, const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 1; i + length < l.length; i++)
        if (!memcmp(l.start + i, key, length) && l.start[i + length] == '=' &&
            strchr("{ ", l.start[i - 1]))
            return i + length + 1;
    return 0;
}

static void add_changed(mutant_list *out, const program *p, size_t at, const char *key, long by)
{
    line l = p->lines[at];
    size_t before = number_at(l, key);
    if (!before) return;
    long number = strtol(l.start + before, NULL, 10) + by;
    char count[24], how[48];
    if (number < 1) return;
    snprintf(count, sizeof count, "%ld", number);
    snprintf(how, sizeof how, "with %s=%ld", key, number);
    add_edited(out, p, at, before, strspn(l.start + before, "0123456789"), count, how);
}

// With a flag among the attributes, or without the one that is there.
static void add_flag(mutant_list *out, const program *p, size_t at, const char *key, bool only_on)
{
    line l = p->lines[at];
    size_t before = number_at(l, key);
    const char *list = memchr(l.start, '{', l.length);
    char word[32], how[48];
    snprintf(how, sizeof how, "%s %s", before ? "without" : "with", key);
    snprintf(word, sizeof word, "%s=1, ", key);
    if (before && !only_on)
        add_edited(out, p, at, before, 1, "0", how);
    else if (!before && list)
        add_edited(out, p, at, (size_t)(list + 1 - l.start), 0, word, how);
}

static bool waits(line l)
{
    return is_op(l, "wait") || is_op(l, "wgmma_wait") || is_op(l, "bulk_wait");
}

static bool meets(line l)
{
    return is_op(l, "barrier") || is_op(l, "warp_sync") || is_op(l, "mbarrier_arrive");
}

static bool is_asynchronous(line l)
{
    const char *product = strstr(l.start, "= wgmma(");
    return is_op(l, "store_bulk") || is_op(l, "reduce_bulk") || is_op(l, "copy_bulk") ||
           (product && product < l.start + l.length);
}

// A wait for what the copy engine brings: some copy is `on` the same mbarriers, by their name.
static bool waits_for_copies(const program *p, line wait)
{
    if (!is_op(wait, "mbarrier_wait")) return false;
    char on[64];
    const char *name = wait.start + word_at(wait, 1);
    int length = snprintf(on, sizeof on, " on %.*s[", (int)strcspn(name, "[ \n"), name);
    for (size_t i = 0; length < (int)sizeof on && i < p->count; i++) {
        const char *found = is_op(p->lines[i], "copy_bulk") ? strstr(p->lines[i].start, on) : NULL;
        if (found && found < p->lines[i].start + p->lines[i].length) return true;
    }
    return false;
}

// A fence may stand with those who wrote, in front of their barrier, or behind it with the one who
// goes on from there; but not behind the copy or product itself. In front of a wait for stores by
// the copy engine, or for what it brings, it covers the same: none of that is what it is for.
static void mutants_of_fence(mutant_list *out, const program *p, size_t at)
{
    enum { NEAR = 24 };
    size_t behind = at + 1;
    if (at && !is_op(p->lines[at - 1], "bulk_wait") && !waits_for_copies(p, p->lines[at - 1]) &&
        (waits(p->lines[at - 1]) || is_op(p->lines[at - 1], "mbarrier_wait")))
        add_moved(out, p, at, -1, "moved in front of the wait");
    while (behind < p->count && !is_asynchronous(p->lines[behind])) behind++;
    if (behind < p->count && behind - at < NEAR)
        add_moved(out, p, at, (int)(behind - at), "moved behind what it is for");
    if (!strncmp(p->lines[at].start + word_at(p->lines[at], 1), "shared", 6))
        add_replaced(out, p, at, word_at(p->lines[at], 1), "global", "with another scope");
}

static bool gives(line l, const char *op)
{
    const char *made = strstr(l.start, op);
    return made && made < l.start + l.length;
}

// A fence of registers in front of each batch of products: ptxas wants it there and puts it in by
// itself, with moves of registers, where it is not. To PTX it is the same program without it, if
// another one stands in front of it and between the two no registers are touched.
static bool only_repeats(const program *p, size_t at)
{
    while (at-- > 0) {
        line l = p->lines[at];
        if (is_op(l, "wgmma_fence")) return true;
        if (!is_op(l, "mbarrier_wait") && !is_op(l, "wgmma_commit") && !gives(l, " = wgmma(") &&
            !gives(l, " = view ") && !gives(l, " = i32("))
            return false;
    }
    return false;
}

// The group of a commit that is removed becomes one with the next, which is waited for as early.
static bool joins_next(const program *p, size_t at)
{
    if (!is_op(p->lines[at], "bulk_commit")) return false;
    for (size_t i = at + 1; i < p->count; i++) {
        line l = p->lines[i];
        if (is_op(l, "bulk_commit")) return true;
        if (is_op(l, "bulk_wait") || is_op(l, "}") || is_op(l, "if") || is_op(l, "for"))
            return false;
    }
    return false;
}

static void mutants_of_op(mutant_list *out, const program *p, size_t at)
{
    line l = p->lines[at];
    if (is_op(l, "wgmma_fence") && only_repeats(p, at)) return;
    if (!joins_next(p, at)) add(out, p, at, NULL, 0, "removed");
    add_swapped(out, p, at);
    add_regrouped(out, p, at);
    if (is_op(l, "fence")) add_narrowed(out, p, at);
    if (is_op(l, "proxy_fence")) mutants_of_fence(out, p, at);
    if (is_op(l, "mbarrier_wait")) add_flag(out, p, at, "behind", false);
    if (number_at(l, "cluster")) {
        add_flag(out, p, at, "cluster", false);
        // Whoever waits hears of products and copies that are over, in whatever scope.
        out->items[out->count - 1].letter = is_op(l, "mbarrier_wait");
    }
    if (is_op(l, "bulk_wait")) add_flag(out, p, at, "read", true);
    if (is_op(l, "mbarrier_expect")) {
        add_changed(out, p, at, "bytes", 16);
        add_changed(out, p, at, "bytes", -16);
    }
    if (waits(l)) add_loosened(out, p, at);
    if (!waits(l) || at + 1 >= p->count || !meets(p->lines[at + 1])) return;
    add_moved(out, p, at, 1, "moved behind its barrier");
    // What the one arrival gives back another one, behind both, may guard as well.
    out->items[out->count - 1].order =
        is_op(l, "wgmma_wait") && is_op(p->lines[at + 1], "mbarrier_arrive");
}

void mutants_of(const char *ir, mutant_list *out)
{
    program p = split(ir);
    *out = (mutant_list){0};
    for (size_t i = 0; i < p.count; i++) {
        if (synchronizes(p.lines[i])) {
            mutants_of_op(out, &p, i);
        } else if (is_op(p.lines[i], "shared")) {
            add_changed(out, &p, i, "arrivals", 1);
            add_changed(out, &p, i, "arrivals", -1);
        }
    }
    free(p.lines);
}

void mutants_free(mutant_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i].text);
    free(list->items);
}
