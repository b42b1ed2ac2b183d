// SPDX-License-Identifier: MIT
// kgen check: any PTX under the checks of the cpu device, under one schedule or several.
#include "commands.h"
#include "json.h"
#include "output.h"
#include "raw_run.h"
#include "repairs.h"
#include <stdlib.h>
#include <string.h>

typedef struct check_run {
    raw_run raw;
    schedule_plan plan;
    int number; // of the schedule that ran last
    repair_list repairs;
} check_run;

// ---- the answer --------------------------------------------------------------------------------

static const char *verdict(const check_run *c, int status)
{
    return c->raw.findings.n ? "findings" : status ? "error" : "ok";
}

static void print_json(const check_run *c, int status)
{
    schedule s = schedules_at(&c->plan, c->number);
    char *replay = schedules_replay(&c->plan, s);
    json_print(json_pack("{s:o, s:o, s:s, s:O, s:o, s:o, s:o, s:o, s:O}", "file",
                         json_text(c->raw.options->operands[0]), "kernel",
                         json_text(c->raw.launch.kernel), "status", verdict(c, status), "findings",
                         c->raw.findings.json, "repairs", repairs_json(&c->repairs), "schedule",
                         schedules_json(&c->plan, s, c->number), "replay", json_text(replay),
                         "statistics", json_of_statistics(&c->raw.statistics), "diagnostics",
                         c->raw.session.diagnostics));
    free(replay);
}

static void print_schedule(const check_run *c)
{
    schedule s = schedules_at(&c->plan, c->number);
    if (!c->raw.findings.n) {
        printf(" in %d schedules", c->plan.count);
        return;
    }
    char *text = schedules_text(s);
    printf(" in schedule %d of %d (%s)", c->number + 1, c->plan.count, text);
    free(text);
}

static void print_text(const check_run *c, int status)
{
    const kgen_statistics *s = &c->raw.statistics;
    size_t n = c->raw.findings.n;
    if (c->raw.findings.text) fputs(c->raw.findings.text, stdout);
    if (status && !n) return; // the error was said
    printf("%s: ", c->raw.launch.kernel);
    if (n)
        printf("%zu finding%s", n, n > 1 ? "s" : "");
    else
        printf("no findings");
    if (c->plan.many) print_schedule(c);
    printf(" (%llu lane instructions, %llu barriers, %llu bank conflicts)\n",
           (unsigned long long)s->lane_instructions, (unsigned long long)s->barriers,
           (unsigned long long)s->bank_conflicts);
    if (n) {
        char *replay = schedules_replay(&c->plan, schedules_at(&c->plan, c->number));
        printf("replay: %s\n", replay);
        free(replay);
    }
    repairs_print(&c->repairs);
}

// One schedule after the other, up to the first that ends in anything but silence.
static int try_schedules(check_run *c)
{
    int status = raw_run_open(&c->raw);
    for (int i = 0; !status && i < c->plan.count; i++) {
        schedules_progress(&c->plan, i);
        c->number = i;
        status = raw_run_once(&c->raw, schedules_at(&c->plan, i));
    }
    schedules_progress_end(&c->plan);
    return status;
}

int command_check(const command_line *options)
{
    check_run c = {.number = 0};
    if (!schedules_read(&c.plan, options) || !raw_run_read(&c.raw, options)) {
        schedules_free(&c.plan);
        return EXIT_USAGE;
    }
    int status = try_schedules(&c);
    if (c.raw.findings.n && has(options, OPTION_try_repairs))
        repairs_try(&c.repairs, &c.raw, schedules_at(&c.plan, c.number));
    if (status != EXIT_USAGE) {
        if (has(options, OPTION_json))
            print_json(&c, status);
        else
            print_text(&c, status);
    }
    repairs_free(&c.repairs);
    raw_run_close(&c.raw);
    schedules_free(&c.plan);
    return status;
}
