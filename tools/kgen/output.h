// SPDX-License-Identifier: MIT
// Words for the user, and files: read whole, written whole or not at all.
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

void output_use_color(int when);
bool output_has_color(FILE *file);

// Words go to the standard error: "kgen: ..." and "kgen: error: ...".
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_error_list(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

// The memory, or the end of the process where there is none.
void *must(void *memory);
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2))); // to be freed

// All of a file, with a NUL behind it; "-" is the standard input. NULL after an error was said.
char *read_file(const char *path, size_t *length);
// Writes a file by way of a temporary one, so that it is there completely or not at all; "-" is the
// standard output. Devices and pipes are written to as they are. false after an error was said.
bool write_file(const char *path, const void *data, size_t bytes);
// Makes a directory unless it is there. false after an error was said.
bool make_directory(const char *path);
// To be called once at the end: whether all that was printed has arrived.
bool finish_stdout(void);
