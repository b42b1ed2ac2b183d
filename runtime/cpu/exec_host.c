// SPDX-License-Identifier: MIT
// Functions that the compiler leaves to the driver: vprintf and __assertfail.
//
// printf comes as a format and a buffer in which the arguments lie as C would lay out a struct of
// them; the text goes to the caller of the launch. A failed assertion is a finding, and the end.
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TEXT = 2048, MOST_STRING = 1024 };

static const struct {
    const char *name;
    size_t returns, sizes[6], count; // sizes: of the results, then of the arguments
    enum host_function function;
} functions[] = {
    {"vprintf", 1, {4, 8, 8}, 3, HOST_PRINT},
    {"__assertfail", 0, {8, 8, 4, 8, 8}, 5, HOST_ASSERT},
};

enum host_function ptxm_host_function(const struct op *call, const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        bool fits = !strcmp(functions[i].name, name) && call->mode == functions[i].returns &&
                    call->immediate == functions[i].count;
        for (size_t k = 0; fits && k < functions[i].count; k++)
            fits = ((const struct variable *)(uintptr_t)call->target_list[k])->size ==
                   functions[i].sizes[k];
        if (fits)
            return functions[i].function;
    }
    return HOST_NONE;
}

static uint8_t *variable_at(struct warp *w, const struct op *op, unsigned lane, unsigned k)
{
    const struct variable *v = (const void *)(uintptr_t)op->target_list[k];
    return w->cta->frames + (size_t)ptxm_thread(w, lane) * w->cta->grid->frame_bytes +
           ptxm_frame_offset(v);
}

static uint64_t argument(struct warp *w, const struct op *op, unsigned lane, unsigned k)
{
    const struct variable *v = (const void *)(uintptr_t)op->target_list[k];
    uint64_t value = 0;
    memcpy(&value, variable_at(w, op, lane, k), v->size > 8 ? 8 : v->size);
    return value;
}

// A string of the kernel's, as far as it can be read.
static void read_string(struct warp *w, const struct op *op, unsigned lane, uint64_t address,
                        char *out, size_t size)
{
    size_t n = 0;
    while (n + 1 < size) {
        struct place p = ptxm_resolve(w, op, lane, SPACE_GENERIC, address + n, 1, 1, ACCESS_READ);
        if (!p.host || !*p.host)
            break;
        out[n++] = (char)*p.host;
    }
    out[n] = 0;
}

// ---- printf ------------------------------------------------------------------------------------

struct printing {
    struct warp *w;
    const struct op *op;
    unsigned lane;
    uint64_t next; // address of the next argument
    uint32_t arguments;
    size_t length;
    char text[MOST_TEXT];
};

static uint64_t take(struct printing *p, unsigned bytes)
{
    uint64_t value = 0;
    p->next = (p->next + bytes - 1) & ~(uint64_t)(bytes - 1);
    struct place at = ptxm_resolve(p->w, p->op, p->lane, SPACE_GENERIC, p->next, bytes, bytes,
                                   ACCESS_READ);
    if (at.host)
        memcpy(&value, at.host, bytes);
    p->next += bytes;
    p->arguments++;
    return value;
}

static void put(struct printing *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put(struct printing *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(p->text + p->length, MOST_TEXT - p->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        p->length += (size_t)n < MOST_TEXT - p->length ? (size_t)n : MOST_TEXT - 1 - p->length;
}

// One conversion, taken apart so that no text of the kernel's reaches the host's printf.
struct conversion {
    char flags[6];
    int width, precision; // -1: none
    bool wide;
    char letter;
};

static const char *read_number(struct printing *p, const char *at, int *number)
{
    if (*at == '*') {
        *number = (int)(int32_t)take(p, 4);
        return at + 1;
    }
    for (*number = 0; *at >= '0' && *at <= '9'; at++)
        if (*number < 1000)
            *number = *number * 10 + (*at - '0');
    return at;
}

static const char *read_conversion(struct printing *p, const char *at, struct conversion *c)
{
    size_t flags = 0;
    *c = (struct conversion){.width = -1, .precision = -1};
    for (; *at && strchr("-+ #0", *at); at++)
        if (flags + 1 < sizeof c->flags && !strchr(c->flags, *at))
            c->flags[flags++] = *at;
    if (*at == '*' || (*at >= '0' && *at <= '9'))
        at = read_number(p, at, &c->width);
    if (*at == '.')
        at = read_number(p, at + 1, &c->precision);
    for (; *at && strchr("hlLjzt", *at); at++) c->wide |= *at != 'h';
    c->letter = *at;
    return *at ? at + 1 : at;
}

static void convert(struct printing *p, const struct conversion *c)
{
    char spec[40], string[MOST_STRING];
    int n = snprintf(spec, sizeof spec, "%%%s", c->flags);
    if (c->width >= 0)
        n += snprintf(spec + n, sizeof spec - (size_t)n, "%d", c->width > 500 ? 500 : c->width);
    if (c->precision >= 0)
        n += snprintf(spec + n, sizeof spec - (size_t)n, ".%d",
                      c->precision > 500 ? 500 : c->precision);
    const char *kind = strchr("dioxXu", c->letter) ? "ll" : "";
    snprintf(spec + n, sizeof spec - (size_t)n, "%s%c", kind, c->letter);
    char out[MOST_STRING + 512];
    uint64_t bits;
    double real;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    switch (c->letter) {
    case 'd': case 'i':
        bits = take(p, c->wide ? 8 : 4);
        snprintf(out, sizeof out, spec, c->wide ? (long long)bits : (long long)(int32_t)bits);
        break;
    case 'o': case 'x': case 'X': case 'u':
        snprintf(out, sizeof out, spec, (unsigned long long)take(p, c->wide ? 8 : 4));
        break;
    case 'c': snprintf(out, sizeof out, spec, (int)take(p, 4)); break;
    case 'p': snprintf(out, sizeof out, "0x%llx", (unsigned long long)take(p, 8)); break;
    case 's':
        read_string(p->w, p->op, p->lane, take(p, 8), string, sizeof string);
        snprintf(out, sizeof out, spec, string);
        break;
    default:
        bits = take(p, 8);
        memcpy(&real, &bits, 8);
        snprintf(out, sizeof out, spec, real);
        break;
    }
#pragma GCC diagnostic pop
    put(p, "%s", out);
}

static void print(struct warp *w, const struct op *op, unsigned lane)
{
    const struct ptxm_launch_options *options = &w->cta->grid->options;
    struct printing p = {.w = w, .op = op, .lane = lane, .next = argument(w, op, lane, 2)};
    char format[MOST_TEXT];
    read_string(w, op, lane, argument(w, op, lane, 1), format, sizeof format);
    for (const char *at = format; *at;) {
        struct conversion c;
        if (*at != '%') {
            put(&p, "%c", *at++);
            continue;
        }
        at = read_conversion(&p, at + 1, &c);
        if (c.letter && strchr("diouxXeEfFgGaAcsp", c.letter))
            convert(&p, &c);
        else
            put(&p, "%c", c.letter ? c.letter : '%');
    }
    memcpy(variable_at(w, op, lane, 0), &p.arguments, 4);
    if (options->print) {
        pthread_mutex_lock(&w->cta->grid->lock);
        options->print(options->print_user, p.text, p.length);
        pthread_mutex_unlock(&w->cta->grid->lock);
    }
}

static enum step_result fail(struct warp *w, const struct op *op, unsigned lane)
{
    char expression[200], file[120], function[120];
    read_string(w, op, lane, argument(w, op, lane, 0), expression, sizeof expression);
    read_string(w, op, lane, argument(w, op, lane, 1), file, sizeof file);
    read_string(w, op, lane, argument(w, op, lane, 3), function, sizeof function);
    ptxm_finding(w, op, lane, RULE_ASSERTION, NULL, 0, ACCESS_READ,
                 "assertion '%s' failed at %s:%u, in %s", expression, file,
                 (uint32_t)argument(w, op, lane, 2), function);
    return STEP_ABORT;
}

enum step_result ptxm_step_call_host(struct warp *w, const struct op *op, uint32_t mask)
{
    if (op->target == HOST_ASSERT)
        return fail(w, op, (unsigned)__builtin_ctz(mask));
    FOR_LANES (lane, mask)
        print(w, op, lane);
    return STEP_NEXT;
}
