// SPDX-License-Identifier: MIT
//
// Puts the blocks of a kernel's PTX back into the order in which they were built. LLVM's block
// placement lays out what it takes for the likely path first, exits in the middle of loops
// included; ptxas lays code out by itself anyway, while people and the re-reader want to find it in
// order.
//
// LLVM numbers blocks in the order of building and moves them without renumbering. A chain is a
// labelled block with the blocks behind it that have no label, which only it falls into. Chains are
// sorted by label, and branches made or dropped where a chain now (no longer) has its successor
// behind it.
#include "codegen/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_ROOM = 40 }; // more than a branch with its label needs

struct span {
    const char *start;
    size_t length;
};

struct chain {
    struct span text;     // label line included
    struct span label;    // empty for the first
    struct span location; // the .loc line in force where it starts
    long number;
    size_t follower; // index of the chain that it falls into, or itself if it does not
};

static const char label_prefix[] = "$L__BB";

static struct span line_at(const char *at, const char *end)
{
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    return (struct span){at, stop ? (size_t)(stop + 1 - at) : (size_t)(end - at)};
}

static bool begins(struct span line, const char *prefix)
{
    while (line.length && (*line.start == '\t' || *line.start == ' ')) line.start++, line.length--;
    size_t size = strlen(prefix);
    return line.length >= size && !memcmp(line.start, prefix, size);
}

// The label that a line defines; empty if it defines none.
static struct span label_of(struct span line)
{
    const char *colon = memchr(line.start, ':', line.length);
    if (line.length < sizeof label_prefix ||
        memcmp(line.start, label_prefix, sizeof label_prefix - 1) || !colon)
        return (struct span){line.start, 0};
    return (struct span){line.start, (size_t)(colon - line.start)};
}

static long number_of(struct span label)
{
    const char *at = label.start + label.length;
    while (at > label.start && at[-1] >= '0' && at[-1] <= '9') at--;
    return strtol(at, NULL, 10);
}

// The last line of a chain that is an instruction; empty if there is none.
static struct span last_instruction(struct span text)
{
    struct span found = {text.start, 0};
    for (const char *at = text.start, *end = text.start + text.length; at < end;) {
        struct span line = line_at(at, end);
        at += line.length;
        bool empty = line.length <= 1 || begins(line, "\n") || begins(line, "//");
        if (!empty && !begins(line, ".") && !label_of(line).length) found = line;
    }
    return found;
}

static bool leaves(struct span instruction)
{
    return begins(instruction, "bra.uni") || begins(instruction, "ret;") ||
           begins(instruction, "exit;");
}

static bool jumps_to(struct span instruction, struct span label)
{
    if (!begins(instruction, "bra.uni") || !label.length) return false;
    const char *at = memchr(instruction.start, '$', instruction.length);
    size_t rest = at ? (size_t)(instruction.start + instruction.length - at) : 0;
    return rest > label.length && !memcmp(at, label.start, label.length) && at[label.length] == ';';
}

// -- One kernel's body: from behind its declarations to its closing brace -------------------------

static size_t count_labels(struct span body)
{
    size_t count = 0;
    for (const char *at = body.start, *end = at + body.length; at < end;) {
        struct span line = line_at(at, end);
        count += label_of(line).length != 0;
        at += line.length;
    }
    return count;
}

static void split(struct span body, struct chain *chains)
{
    struct chain *last = chains;
    struct span location = {body.start, 0};
    *last = (struct chain){.text = {body.start, 0}, .label = {body.start, 0}, .number = -1};
    for (const char *at = body.start, *end = at + body.length; at < end;) {
        struct span line = line_at(at, end), label = label_of(line);
        if (label.length) {
            *++last = (struct chain){
                .text = {at, 0}, .label = label, .location = location, .number = number_of(label)};
        }
        if (begins(line, ".loc")) location = line;
        last->text.length += line.length;
        at += line.length;
    }
}

static int by_number(const void *a, const void *b)
{
    long x = ((const struct chain *)a)->number, y = ((const struct chain *)b)->number;
    return (x > y) - (x < y);
}

// The successor by falling through, by its number; -1 for none.
static void find_followers(struct chain *chains, size_t count)
{
    for (size_t i = 0; i < count; i++)
        chains[i].follower = i + 1 < count && !leaves(last_instruction(chains[i].text))
                                 ? (size_t)chains[i + 1].number
                                 : SIZE_MAX;
}

static struct span label_numbered(const struct chain *chains, size_t count, size_t number)
{
    for (size_t i = 0; i < count; i++)
        if (chains[i].number == (long)number) return chains[i].label;
    return (struct span){NULL, 0};
}

static char *append(char *end, struct span text)
{
    memcpy(end, text.start, text.length);
    return end + text.length;
}

// A chain behind its new predecessor: its label, the .loc it starts under, its code.
static char *write_chain(char *end, const struct chain *chain, const struct chain *next)
{
    struct span rest = chain->text, last = last_instruction(chain->text);
    if (chain->label.length) {
        struct span head = line_at(rest.start, rest.start + rest.length);
        end = append(end, head);
        end = append(end, chain->location);
        rest = (struct span){rest.start + head.length, rest.length - head.length};
    }
    if (next && jumps_to(last, next->label)) {
        end = append(end, (struct span){rest.start, (size_t)(last.start - rest.start)});
        const char *behind = last.start + last.length;
        return append(end, (struct span){behind, (size_t)(rest.start + rest.length - behind)});
    }
    return append(end, rest);
}

static char *write_body(char *end, struct chain *chains, size_t count)
{
    find_followers(chains, count);
    qsort(chains, count, sizeof *chains, by_number);
    for (size_t i = 0; i < count; i++) {
        const struct chain *next = i + 1 < count ? &chains[i + 1] : NULL;
        end = write_chain(end, &chains[i], next);
        if (chains[i].follower == SIZE_MAX || (next && next->number == (long)chains[i].follower))
            continue;
        struct span label = label_numbered(chains, count, chains[i].follower);
        end += sprintf(end, "\tbra.uni \t%.*s;\n", (int)label.length, label.start);
    }
    return end;
}

// -- The text -------------------------------------------------------------------------------------

char *cg_order_blocks(const struct cg_allocator *allocator, const char *text, size_t length,
                      size_t *out_length)
{
    struct span all = {text, length};
    size_t labels = count_labels(all), room = length + 1;
    for (size_t i = 0; i <= labels; i++)
        room += 2 * LABEL_ROOM + 64; // a branch and a .loc for each
    char *out = cg_allocate(allocator, room), *end = out;
    struct chain *chains = cg_allocate(allocator, (labels + 1) * sizeof *chains);
    if (!out || !chains) {
        cg_release(allocator, out);
        cg_release(allocator, chains);
        return NULL;
    }
    struct span body = {text, 0};
    bool inside = false;
    for (const char *at = text; at < text + length;) {
        struct span line = line_at(at, text + length);
        bool closes = line.start[0] == '}';
        if (inside && closes) {
            size_t count = count_labels(body) + 1;
            split(body, chains);
            end = write_body(end, chains, count);
            inside = false;
        }
        if (inside)
            body.length += line.length;
        else
            end = append(end, line);
        at += line.length;
        if (line.start[0] == '{') {
            inside = true;
            body = (struct span){at, 0};
        }
    }
    *end = '\0';
    *out_length = (size_t)(end - out);
    cg_release(allocator, chains);
    return out;
}
