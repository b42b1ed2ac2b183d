// SPDX-License-Identifier: MIT
// Words for the user, and files.
#define _GNU_SOURCE // vasprintf
#include "output.h"
#include "options.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- words -------------------------------------------------------------------------------------

static int color_mode = COLOR_AUTO;

void output_use_color(int when)
{
    color_mode = when;
}

bool output_has_color(FILE *file)
{
    if (color_mode != COLOR_AUTO) return color_mode == COLOR_ALWAYS;
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (no && *no) return false;
    return isatty(fileno(file)) && !(terminal && !strcmp(terminal, "dumb"));
}

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("kgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void say_error_list(const char *format, va_list arguments)
{
    bool color = output_has_color(stderr);
    fprintf(stderr, "kgen: %serror:%s ", color ? "\033[1;31m" : "", color ? "\033[0m" : "");
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void say_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_error_list(format, arguments);
    va_end(arguments);
}

void *must(void *memory)
{
    if (memory) return memory;
    say_error("out of memory");
    exit(EXIT_PROBLEM);
}

char *format_text(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return must(length < 0 ? NULL : text);
}

// ---- reading -----------------------------------------------------------------------------------

enum { LARGEST_FILE = 1 << 30 };

static char *read_stream(FILE *file, const char *name, size_t *length)
{
    size_t room = 1 << 16, used = 0;
    char *text = must(malloc(room));
    for (size_t n; (n = fread(text + used, 1, room - used - 1, file)) > 0;) {
        used += n;
        if (used > LARGEST_FILE) {
            say_error("%s: larger than 1 GiB", name);
            free(text);
            return NULL;
        }
        if (room - used < 2) text = must(realloc(text, room *= 2));
    }
    if (ferror(file)) {
        say_error("%s: %s", name, strerror(errno));
        free(text);
        return NULL;
    }
    text[used] = 0;
    *length = used;
    return text;
}

char *read_file(const char *path, size_t *length)
{
    if (!strcmp(path, "-")) return read_stream(stdin, "<stdin>", length);
    FILE *file = fopen(path, "rb");
    if (!file) {
        say_error("%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = read_stream(file, path, length);
    fclose(file);
    return text;
}

// ---- writing -----------------------------------------------------------------------------------

static bool write_all(int file, const char *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(file, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool write_device(const char *path, const void *data, size_t bytes)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = file >= 0 && write_all(file, data, bytes);
    if (!ok) say_error("cannot write %s: %s", path, strerror(errno));
    if (file >= 0 && close(file) && ok) {
        say_error("cannot write %s: %s", path, strerror(errno));
        ok = false;
    }
    return ok;
}

// Beside the file, so that the rename stays within one file system.
static bool write_and_rename(const char *path, mode_t mode, const void *data, size_t bytes)
{
    char *temporary = format_text("%s.XXXXXX", path);
    int file = mkstemp(temporary);
    bool ok = file >= 0 && fchmod(file, mode) == 0 && write_all(file, data, bytes);
    int reason = errno;
    if (file >= 0 && close(file) && ok) ok = false, reason = errno;
    if (ok && rename(temporary, path)) ok = false, reason = errno;
    if (!ok) {
        say_error("cannot write %s: %s", path, strerror(reason));
        if (file >= 0) unlink(temporary);
    }
    free(temporary);
    return ok;
}

bool write_file(const char *path, const void *data, size_t bytes)
{
    if (!strcmp(path, "-")) {
        fwrite(data, 1, bytes, stdout);
        return finish_stdout();
    }
    struct stat facts;
    bool exists = stat(path, &facts) == 0;
    if (exists && S_ISDIR(facts.st_mode)) {
        say_error("cannot write %s: %s", path, strerror(EISDIR));
        return false;
    }
    if (exists && !S_ISREG(facts.st_mode)) return write_device(path, data, bytes);
    if (exists && access(path, W_OK)) {
        say_error("cannot write %s: %s", path, strerror(errno));
        return false;
    }
    mode_t mask = umask(0);
    umask(mask);
    // The file behind a link is replaced, not the link.
    char *target = exists ? realpath(path, NULL) : NULL;
    bool ok = write_and_rename(target ? target : path, exists ? facts.st_mode & 0777 : 0666 & ~mask,
                               data, bytes);
    free(target);
    return ok;
}

bool make_directory(const char *path)
{
    struct stat facts;
    if (mkdir(path, 0777) == 0) return true;
    int reason = errno;
    if (reason == EEXIST && stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) return true;
    say_error("cannot make the directory %s: %s", path, strerror(reason));
    return false;
}

bool finish_stdout(void)
{
    static bool told;
    if (fflush(stdout) == 0 && !ferror(stdout)) return true;
    if (!told) say_error("cannot write the standard output: %s", strerror(errno));
    told = true;
    return false;
}
