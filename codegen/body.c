// SPDX-License-Identifier: MIT
//
// Statements, registers, blocks and liveness of a kernel's body (body.h). A statement that the
// table below does not know makes the whole body unknown: no answer is better than a wrong one.
#include "codegen/body.h"
#include "codegen/internal.h"

#include <stdlib.h>
#include <string.h>

enum { REGISTER_LIMIT = 1 << 16 };

// What stands at the start of a statement, and whether its first operand is a result: 1, or 2 if it
// is read as well. The longest one that fits decides.
struct effect {
    const char *start;
    int writes;
};

static const struct effect effects[] = {
    {CG_LED, 2},
    {"abs", 1},
    {"activemask", 1},
    {"add", 1},
    {"and", 1},
    {"atom", 1},
    {"bar", 0},
    {"bar.red", 1},
    {"barrier", 0},
    {"barrier.red", 1},
    {"bfe", 1},
    {"bfi", 1},
    {"bfind", 1},
    {"bra", 0},
    {"brev", 1},
    {"clz", 1},
    {"copysign", 1},
    {"cos", 1},
    {"cp", 0},
    {"createpolicy", 1},
    {"cvt", 1},
    {"cvta", 1},
    {"div", 1},
    {"dp4a", 1},
    {"elect", 1},
    {"ex2", 1},
    {"exit", 0},
    {"fence", 0},
    {"fma", 1},
    {"griddepcontrol", 0},
    {"ld", 1},
    {"ldmatrix", 1},
    {"lg2", 1},
    {"lop3", 1},
    {"mad", 1},
    {"mapa", 1},
    {"match", 1},
    {"max", 1},
    {"mbarrier.arrive", 1},
    {"mbarrier.expect_tx", 0},
    {"mbarrier.init", 0},
    {"mbarrier.inval", 0},
    {"mbarrier.test_wait", 1},
    {"mbarrier.try_wait", 1},
    {"membar", 0},
    {"min", 1},
    {"mma", 1},
    {"mov", 1},
    {"mul", 1},
    {"nanosleep", 0},
    {"neg", 1},
    {"not", 1},
    {"or", 1},
    {"popc", 1},
    {"prefetch", 0},
    {"prmt", 1},
    {"rcp", 1},
    {"red", 0},
    {"redux", 1},
    {"rem", 1},
    {"ret", 0},
    {"rsqrt", 1},
    {"selp", 1},
    {"set", 1},
    {"setmaxnreg", 0},
    {"setp", 1},
    {"shf", 1},
    {"shfl", 1},
    {"shl", 1},
    {"shr", 1},
    {"sin", 1},
    {"slct", 1},
    {"sqrt", 1},
    {"st", 0},
    {"stmatrix", 0},
    {"sub", 1},
    {"szext", 1},
    {"tanh", 1},
    {"testp", 1},
    {"trap", 0},
    {"vote", 1},
    {"wgmma.commit_group", 0},
    {"wgmma.fence", 0},
    {"wgmma.mma_async", 2},
    {"wgmma.wait_group", 0},
    {"xor", 1},
};

struct span {
    const char *start;
    size_t length;
};

struct label {
    struct span name;
    unsigned block;
};

struct reader {
    struct cg_body *body;
    uint8_t effects_from[128]; // by first letter: the row of `effects` to start at
    struct label *labels;
    unsigned label_count;
    bool unknown;
    bool new_block; // the next statement starts one
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '%';
}

static struct span trim(struct span s)
{
    while (s.length && is_blank(*s.start)) s.start++, s.length--;
    while (s.length && is_blank(s.start[s.length - 1])) s.length--;
    return s;
}

static bool begins(struct span s, const char *prefix)
{
    size_t size = strlen(prefix);
    return s.length >= size && !memcmp(s.start, prefix, size);
}

static bool contains(struct span s, const char *part)
{
    size_t size = strlen(part);
    for (; s.length >= size; s.start++, s.length--)
        if (!memcmp(s.start, part, size)) return true;
    return false;
}

static struct span drop(struct span s, size_t count)
{
    return (struct span){s.start + count, s.length - count};
}

static struct span until(struct span s, const char *stop)
{
    const char *at = memchr(s.start, *stop, s.length);
    return (struct span){s.start, at ? (size_t)(at - s.start) : s.length};
}

// ---- registers ----------------------------------------------------------------------------------

// `%r<40>` behind `.reg .b32`: a class of its own, or nothing where a scope declares temporaries.
static void declare(struct cg_body *body, struct span line)
{
    struct span at = trim(line);
    if (!begins(at, ".reg ") || body->class_count == CG_BODY_CLASSES) return;
    const char *name = memchr(at.start, '%', at.length), *open = memchr(at.start, '<', at.length);
    if (!name || !open || open < name) return;
    unsigned like = 0;
    size_t type = (size_t)(name - line.start);
    while (like < body->class_count &&
           ((size_t)(body->classes[like].name - body->classes[like].declaration) != type ||
            memcmp(body->classes[like].declaration, line.start, type)))
        like++;
    struct cg_register_class *c = &body->classes[body->class_count++];
    *c = (struct cg_register_class){.declaration = line.start,
                                    .declaration_length = line.length,
                                    .name = name,
                                    .name_length = (size_t)(open - name),
                                    .first = body->register_count,
                                    .joined = name[1] == 'w' && open == name + 2,
                                    .like = like,
                                    .count = (unsigned)strtoul(open + 1, NULL, 10)};
    body->register_count += c->count < REGISTER_LIMIT ? c->count : REGISTER_LIMIT;
}

// The register that a word names; CG_NOWHERE for anything else.
static int register_named(const struct cg_body *body, struct span word)
{
    for (unsigned i = 0; i < body->class_count; i++) {
        const struct cg_register_class *c = &body->classes[i];
        if (word.length <= c->name_length || word.start[1] != c->name[1] ||
            memcmp(word.start, c->name, c->name_length))
            continue;
        unsigned number = 0;
        size_t k = c->name_length;
        for (; k < word.length && word.start[k] >= '0' && word.start[k] <= '9'; k++)
            number = 10 * number + (unsigned)(word.start[k] - '0');
        if (k == word.length && number < c->count) return (int)(c->first + number);
    }
    return CG_NOWHERE;
}

static void add_uses(struct cg_body *body, struct span text, bool reads, bool writes)
{
    const char *end = text.start + text.length;
    for (const char *at = text.start; at < end;) {
        at = memchr(at, '%', (size_t)(end - at));
        if (!at) return;
        const char *stop = at + 1;
        while (stop < end && is_word(*stop)) stop++;
        int index = register_named(body, (struct span){at, (size_t)(stop - at)});
        if (index != CG_NOWHERE)
            body->uses[body->use_count++] =
                (struct cg_register_use){.offset = (uint32_t)(at - body->text),
                                         .length = (uint16_t)(stop - at),
                                         .reads = reads,
                                         .writes = writes,
                                         .index = (unsigned)index};
        at = stop;
    }
}

// ---- statements ---------------------------------------------------------------------------------

// The rows are in the order of their letters.
static void index_effects(struct reader *r)
{
    for (size_t i = sizeof effects / sizeof *effects; i-- > 0;)
        r->effects_from[(unsigned char)effects[i].start[0]] = (uint8_t)i;
}

static const struct effect *effect_of(const struct reader *r, struct span mnemonic)
{
    const struct effect *best = NULL;
    size_t best_size = 0;
    unsigned char letter = (unsigned char)*mnemonic.start;
    size_t count = sizeof effects / sizeof *effects;
    for (size_t i = letter < 128 ? r->effects_from[letter] : count;
         i < count && effects[i].start[0] == (char)letter; i++) {
        size_t size = strlen(effects[i].start);
        bool fits = begins(mnemonic, effects[i].start) &&
                    (mnemonic.length == size || mnemonic.start[size] == '.');
        if (fits && size > best_size) best = &effects[i], best_size = size;
    }
    return best;
}

// The first operand with its braces; what is behind it starts at its comma.
static struct span first_operand(struct span operands)
{
    int depth = 0;
    for (size_t i = 0; i < operands.length; i++) {
        char c = operands.start[i];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == ',' && !depth) return (struct span){operands.start, i};
    }
    return operands;
}

static unsigned kind_of(const struct cg_body *body, int index)
{
    unsigned class = 0;
    while (class + 1 < body->class_count && (unsigned)index >= body->classes[class + 1].first)
        class ++;
    return body->classes[class].like;
}

static bool is_copy(const struct cg_body *body, struct span mnemonic, struct span operands)
{
    if (!begins(mnemonic, "mov.")) return false;
    struct span to = first_operand(operands);
    if (to.length == operands.length) return false;
    int a = register_named(body, to), b = register_named(body, trim(drop(operands, to.length + 1)));
    return a != CG_NOWHERE && b != CG_NOWHERE && kind_of(body, a) == kind_of(body, b);
}

static void start_block(struct reader *r)
{
    struct cg_body *body = r->body;
    body->blocks[body->block_count++] =
        (struct cg_body_block){.first_statement = body->statement_count};
    r->new_block = false;
}

static void read_statement(struct reader *r, struct span whole)
{
    struct cg_body *body = r->body;
    struct span s = whole;
    unsigned first = body->use_count;
    bool guarded = begins(s, "@");
    if (guarded) {
        struct span guard = until(s, " ");
        add_uses(body, guard, true, false);
        s = trim(drop(s, guard.length));
    }
    size_t size = 0;
    while (size < s.length && !is_blank(s.start[size])) size++;
    struct span mnemonic = {s.start, size}, operands = trim(drop(s, size));
    const struct effect *effect = size ? effect_of(r, mnemonic) : NULL;
    r->unknown |= !effect;
    size_t result = effect && effect->writes ? first_operand(operands).length : 0;
    bool product = begins(mnemonic, "wgmma.mma_async");
    bool updates = effect && effect->writes == 2 && !contains(operands, CG_WGMMA_FRESH);
    add_uses(body, (struct span){operands.start, result}, guarded || updates, true);
    unsigned sources = body->use_count;
    add_uses(body, drop(operands, result), true, false);
    for (unsigned i = sources; product && i < body->use_count; i++) body->uses[i].late = true;
    if (r->new_block) start_block(r);
    body->blocks[body->block_count - 1].statement_count++;
    body->statements[body->statement_count++] =
        (struct cg_statement){.offset = (uint32_t)(whole.start - body->text),
                              .length = (uint32_t)whole.length,
                              .first_use = first,
                              .use_count = body->use_count - first,
                              .copy = !guarded && is_copy(body, mnemonic, operands),
                              .retires = begins(mnemonic, "wgmma.wait_group") &&
                                         operands.length == 1 && *operands.start == '0'};
    r->new_block |= begins(mnemonic, "bra") || begins(mnemonic, "ret") || begins(mnemonic, "exit");
}

// A line without its comment: declarations, labels and directives aside, statements up to their
// semicolons, in scopes or not.
static void read_line(struct reader *r, struct span line)
{
    struct span s = trim(line);
    if (begins(s, CG_LED)) {
        read_statement(r, trim(until(s, ";")));
        return;
    }
    if (begins(s, "//") || begins(s, ".loc") || begins(s, ".pragma")) return;
    if (begins(s, "$") && s.start[s.length - 1] == ':') {
        r->labels[r->label_count++] = (struct label){{s.start, s.length - 1}, r->body->block_count};
        r->new_block = true;
        return;
    }
    while (s.length) {
        while (s.length && (*s.start == '{' || *s.start == '}' || is_blank(*s.start)))
            s = drop(s, 1);
        struct span statement = trim(until(s, ";"));
        if (begins(statement, "//")) return;
        bool ends = statement.length < s.length;
        if (statement.length && !begins(statement, ".reg ")) {
            r->unknown |= !ends || *statement.start == '.';
            read_statement(r, statement);
        }
        s = trim(drop(s, until(s, ";").length + ends));
    }
}

static void read_lines(struct reader *r)
{
    struct cg_body *body = r->body;
    const char *end = body->text + body->length;
    r->new_block = true;
    for (const char *at = body->text; at < end && !r->unknown;) {
        struct span line = until((struct span){at, (size_t)(end - at)}, "\n");
        read_line(r, line);
        at += line.length + 1;
    }
}

// ---- blocks -------------------------------------------------------------------------------------

static int block_labelled(const struct reader *r, struct span name)
{
    for (unsigned i = 0; i < r->label_count; i++)
        if (r->labels[i].name.length == name.length && begins(name, "$") &&
            !memcmp(r->labels[i].name.start, name.start, name.length))
            return r->labels[i].block < r->body->block_count ? (int)r->labels[i].block : CG_NOWHERE;
    return CG_NOWHERE;
}

// Where a block goes from its last statement. False: to a place that is not known.
static bool link_block(const struct reader *r, unsigned index)
{
    struct cg_body *body = r->body;
    struct cg_body_block *b = &body->blocks[index];
    const struct cg_statement *last =
        &body->statements[b->first_statement + b->statement_count - 1];
    struct span text = {body->text + last->offset, last->length};
    int next = index + 1 < body->block_count ? (int)(index + 1) : CG_NOWHERE;
    bool guarded = begins(text, "@");
    if (guarded) text = trim(drop(text, until(text, " ").length));
    b->successors[0] = b->successors[1] = CG_NOWHERE;
    bool leaves = begins(text, "bra") || begins(text, "ret") || begins(text, "exit");
    if (guarded || !leaves) b->successors[0] = next;
    if (!begins(text, "bra")) return true;
    struct span label = drop(text, until(text, "$").length);
    b->successors[1] = block_labelled(r, label);
    return b->successors[1] != CG_NOWHERE;
}

// ---- liveness -----------------------------------------------------------------------------------

static bool flow_back(unsigned words, uint64_t *in, const uint64_t *out, const uint64_t *gen,
                      const uint64_t *kill)
{
    bool changed = false;
    for (unsigned w = 0; w < words; w++) {
        uint64_t now = gen[w] | (out[w] & ~kill[w]);
        changed |= now != in[w];
        in[w] = now;
    }
    return changed;
}

// gen: read before any write; kill: written.
static void sum_up(const struct cg_body *body, const struct cg_body_block *b, uint64_t *gen,
                   uint64_t *kill)
{
    for (unsigned i = b->statement_count; i-- > 0;) {
        const struct cg_statement *s = &body->statements[b->first_statement + i];
        const struct cg_register_use *uses = &body->uses[s->first_use];
        for (unsigned k = 0; k < s->use_count; k++)
            if (uses[k].writes) {
                cg_put_in_set(kill, uses[k].index, true);
                cg_put_in_set(gen, uses[k].index, false);
            }
        for (unsigned k = 0; k < s->use_count; k++)
            if (uses[k].reads) cg_put_in_set(gen, uses[k].index, true);
    }
}

static void find_live(struct cg_body *body, uint64_t *in, uint64_t *gen, uint64_t *kill)
{
    size_t words = body->words;
    for (unsigned i = 0; i < body->block_count; i++)
        sum_up(body, &body->blocks[i], gen + i * words, kill + i * words);
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned i = body->block_count; i-- > 0;) {
            const struct cg_body_block *b = &body->blocks[i];
            uint64_t *out = body->live_out + i * words;
            for (int k = 0; k < 2; k++)
                for (size_t w = 0; b->successors[k] != CG_NOWHERE && w < words; w++)
                    out[w] |= in[(size_t)b->successors[k] * words + w];
            changed |=
                flow_back(body->words, in + i * words, out, gen + i * words, kill + i * words);
        }
    }
}

// ---- what is read late --------------------------------------------------------------------------

void cg_body_step_flight(const struct cg_body *body, const struct cg_statement *s, uint64_t *flight)
{
    const struct cg_register_use *uses = &body->uses[s->first_use];
    if (s->retires) memset(flight, 0, body->words * sizeof *flight);
    for (unsigned k = 0; k < s->use_count; k++)
        if (uses[k].late) cg_put_in_set(flight, uses[k].index, true);
}

static void find_flight(struct cg_body *body, uint64_t *now)
{
    size_t words = body->words;
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned b = 0; b < body->block_count; b++) {
            const struct cg_body_block *block = &body->blocks[b];
            memcpy(now, body->flight_in + b * words, words * sizeof *now);
            for (unsigned i = 0; i < block->statement_count; i++)
                cg_body_step_flight(body, &body->statements[block->first_statement + i], now);
            for (int k = 0; k < 2; k++) {
                if (block->successors[k] == CG_NOWHERE) continue;
                uint64_t *in = body->flight_in + (size_t)block->successors[k] * words;
                for (size_t w = 0; w < words; w++) {
                    changed |= (now[w] & ~in[w]) != 0;
                    in[w] |= now[w];
                }
            }
        }
    }
}

// ---- the whole ----------------------------------------------------------------------------------

// LLVM declares all of its registers before the first statement.
static void declare_all(struct cg_body *body)
{
    const char *end = body->text + body->length;
    for (const char *at = body->text; at < end;) {
        struct span line = until((struct span){at, (size_t)(end - at)}, "\n"), s = trim(line);
        if (s.length && *s.start != '.' && !begins(s, "//")) return;
        declare(body, line);
        at += line.length + 1;
    }
}

static size_t count(struct span text, char c)
{
    size_t found = 0;
    for (size_t i = 0; i < text.length; i++) found += text.start[i] == c;
    return found;
}

// Room for whatever the text can hold at the most.
static bool make_room(const struct cg_allocator *allocator, struct reader *r)
{
    struct cg_body *body = r->body;
    struct span text = {body->text, body->length};
    size_t statements = count(text, ';') + 1, labels = count(text, ':');
    size_t uses = count(text, '%');
    body->memory =
        cg_allocate(allocator, (statements + 1) * sizeof *body->statements +
                                   (statements + labels + 1) * sizeof *body->blocks +
                                   labels * sizeof *r->labels + uses * sizeof *body->uses);
    if (!body->memory) return false;
    r->labels = body->memory;
    body->statements = (struct cg_statement *)(r->labels + labels);
    body->blocks = (struct cg_body_block *)(body->statements + statements + 1);
    body->uses = (struct cg_register_use *)(body->blocks + statements + labels + 1);
    return true;
}

enum cg_body_status cg_body_read(const struct cg_allocator *allocator, const char *text,
                                 size_t length, struct cg_body *out)
{
    struct reader r = {.body = out};
    *out = (struct cg_body){.text = text, .length = length};
    if (length > UINT32_MAX) return CG_BODY_UNKNOWN;
    index_effects(&r);
    declare_all(out);
    if (out->register_count >= REGISTER_LIMIT) return CG_BODY_UNKNOWN;
    if (!make_room(allocator, &r)) return CG_BODY_MEMORY;
    read_lines(&r);
    if (r.unknown || !out->statement_count) return CG_BODY_UNKNOWN;
    for (unsigned i = 0; i < out->block_count; i++)
        if (!link_block(&r, i)) return CG_BODY_UNKNOWN;
    out->words = out->register_count / 64 + 1;
    size_t step = (size_t)out->block_count * out->words;
    uint64_t *sets = cg_allocate(allocator, 5 * step * sizeof *sets);
    if (!sets) return CG_BODY_MEMORY;
    memset(sets, 0, 5 * step * sizeof *sets);
    out->live_out = sets;
    out->flight_in = sets + 4 * step;
    find_live(out, sets + step, sets + 2 * step, sets + 3 * step);
    find_flight(out, sets + step);
    return CG_BODY_OK;
}

void cg_body_free(const struct cg_allocator *allocator, struct cg_body *body)
{
    cg_release(allocator, body->memory);
    cg_release(allocator, body->live_out);
    *body = (struct cg_body){0};
}
