// SPDX-License-Identifier: MIT
// The library's structures as JSON.
#include "json.h"
#include "output.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text)
{
    if (!text) return json_null();
    json_t *value = json_string(text);
    if (value) return value;
    char *plain = format_text("%s", text); // not UTF-8: keep what is ASCII
    for (char *c = plain; *c; c++)
        if (*c & 0x80) *c = '?';
    value = json_string(plain);
    free(plain);
    return must(value);
}

json_t *json_number(double number)
{
    return isfinite(number) ? json_real(number) : json_null();
}

json_t *json_of_diagnostic(const kgen_diagnostic *d)
{
    static const char *const words[] = {"note", "warning", "error"};
    return must(json_pack("{s:s, s:o, s:o, s:i, s:i, s:o, s:o}", "severity", words[d->severity],
                          "id", json_text(d->id), "file", json_text(d->file), "line", d->line,
                          "column", d->column, "text", json_text(d->text), "help",
                          json_text(d->help)));
}

static json_t *json_of_triple(const unsigned *triple)
{
    return json_pack("[i, i, i]", (int)triple[0], (int)triple[1], (int)triple[2]);
}

// An end that is not known has line 0.
static json_t *json_of_place(const kgen_place *p)
{
    return must(json_pack(
        "{s:i, s:o, s:i, s:o, s:o, s:o, s:o, s:I, s:i, s:o, s:o, s:o, s:i, s:i}", "line", p->line,
        "source_file", json_text(p->source_file), "source_line", p->source_line, "instruction",
        json_text(p->instruction), "kind", json_text(p->kind), "space", json_text(p->space),
        "object", json_text(p->object), "offset", (json_int_t)p->offset, "bytes", p->bytes, "cta",
        json_of_triple(p->cta), "cluster", p->clustered ? json_of_triple(p->cluster) : json_null(),
        "thread", json_of_triple(p->thread), "warp", (int)p->warp, "lane", (int)p->lane));
}

json_t *json_of_finding(const kgen_finding *f)
{
    return must(json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "rule", json_text(f->rule),
                          "severity", json_text(f->severity), "message", json_text(f->message),
                          "hint", json_text(f->hint), "where", json_text(f->where), "count",
                          (json_int_t)f->count, "a", json_of_place(&f->a), "b",
                          json_of_place(&f->b)));
}

json_t *json_of_info(const kgen_program_info *info)
{
    return must(json_pack("{s:o, s:o, s:i, s:I, s:i, s:i, s:i, s:i, s:o}", "kernel",
                          json_text(info->kernel), "target", json_text(info->target), "threads",
                          info->threads, "shared_bytes", (json_int_t)info->shared_bytes, "barriers",
                          info->barriers, "warp_syncs", info->warp_syncs, "waits", info->waits,
                          "fences", info->fences, "compile_ms",
                          json_number(1e3 * info->compile_seconds)));
}

json_t *json_of_statistics(const kgen_statistics *s)
{
    return must(json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "seconds", json_number(s->seconds),
        "lane_instructions", (json_int_t)s->lane_instructions, "barriers", (json_int_t)s->barriers,
        "warp_syncs", (json_int_t)s->warp_syncs, "bank_conflicts", (json_int_t)s->bank_conflicts,
        "shared_wavefronts", (json_int_t)s->shared_wavefronts, "global_sectors",
        (json_int_t)s->global_sectors, "async_copies", (json_int_t)s->async_copies));
}

void json_print(json_t *value)
{
    char *text = must(json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)));
    puts(text);
    free(text);
    json_decref(value);
}
