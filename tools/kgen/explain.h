// SPDX-License-Identifier: MIT
// The forms of an explanation: text, JSON, a page. All are made from the library's report.
#pragma once
#include "json.h"
#include "session.h"
#include <stdio.h>

// At most one of --json and --html, and these not beside --memory or --timeline. false after a
// usage error was said.
bool explanation_form_known(const command_line *options);
// --schedule: the plan of a shipped kernel; the exit status. explain_schedule.c
int explain_schedule(const command_line *options);
// Writes what the options ask for; the exit status.
int write_explanation(const command_line *options, const cli_session *session,
                      const kgen_program *program);

json_t *json_of_report(const kgen_report *report); // explain_json.c

void print_memory_map(FILE *out, const kgen_report *report); // explain_text.c
void print_timelines(FILE *out, const kgen_report *report);
void print_timeline(FILE *out, const kgen_report *report, const kgen_timeline_info *timeline);
// "16 KiB", "1000 bytes"; the text is the caller's to give.
const char *bytes_text(char text[32], long long bytes);

void print_page(FILE *out, const kgen_report *report, const char *explanation); // explain_html.c
void print_escaped(FILE *out, const char *text);

enum { PAGE_COLORS = 8 };                               // classes c0 to c7 of the page's style
void draw_memory(FILE *out, const kgen_report *report); // svg_memory.c
void draw_timeline(FILE *out, const kgen_report *report,
                   const kgen_timeline_info *timeline); // svg_timeline.c

extern const char explain_page_css[], explain_page_js[];
