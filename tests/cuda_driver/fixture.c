// SPDX-License-Identifier: MIT
/* See fixture.h. */
#include "fixture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

const char *fake_12, *fake_11, *fake_plain, *not_a_driver;

static void *counting_malloc(void *user, size_t bytes)
{
    struct fixture *fixture = user;

    if (fixture->allowed == 0) return NULL;
    if (fixture->allowed > 0) fixture->allowed--;
    __atomic_add_fetch(&fixture->balance, 1, __ATOMIC_RELAXED);
    return malloc(bytes);
}

static void counting_free(void *user, void *memory)
{
    struct fixture *fixture = user;

    __atomic_sub_fetch(&fixture->balance, 1, __ATOMIC_RELAXED);
    free(memory);
}

/* "error: text", "note@12: text": one line for each message. */
static void record(void *user, const struct kg_cuda_message *message)
{
    static const char *const words[] = {"note", "warning", "error", "help"};
    struct fixture *fixture = user;
    char line[1200];

    if (message->ptx_line)
        snprintf(line, sizeof line, "%s@%d: %s\n", words[message->severity], message->ptx_line,
                 message->text);
    else
        snprintf(line, sizeof line, "%s: %s\n", words[message->severity], message->text);
    pthread_mutex_lock(&fixture->lock);
    strncat(fixture->messages, line, sizeof fixture->messages - strlen(fixture->messages) - 1);
    pthread_mutex_unlock(&fixture->lock);
}

void prepare(struct fixture *fixture, const char *path)
{
    static struct kg_cuda_allocator allocator;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    fake_driver_reset_function *reset = NULL;
    void *symbol;

    memset(fixture, 0, sizeof *fixture);
    fixture->allowed = -1;
    pthread_mutex_init(&fixture->lock, NULL);
    allocator = (struct kg_cuda_allocator){counting_malloc, counting_free, fixture};
    fixture->config = (struct kg_cuda_config){path, &allocator, record, fixture};
    if (!library) return;
    symbol = dlsym(library, "fake_driver_reset");
    memcpy(&reset, &symbol, sizeof symbol);
    if (reset) fixture->fake = reset();
}

void open_driver(struct fixture *fixture, const char *path)
{
    prepare(fixture, path);
    assert_non_null(fixture->fake);
    assert_int_equal(kg_cuda_open(&fixture->config, &fixture->driver), KG_CUDA_OK);
    assert_int_equal(kg_cuda_context_retain(fixture->driver, 0, &fixture->context), KG_CUDA_OK);
    fixture->fake->trace[0] = '\0';
}

void close_driver(struct fixture *fixture)
{
    kg_cuda_context_release(fixture->context);
    kg_cuda_close(fixture->driver);
    assert_int_equal(fixture->balance, 0);
    assert_int_equal(fixture->fake->contexts, 0);
    assert_int_equal(fixture->fake->allocations, 0);
    assert_int_equal(fixture->fake->host_allocations, 0);
    assert_int_equal(fixture->fake->modules + fixture->fake->libraries, 0);
    assert_int_equal(fixture->fake->streams + fixture->fake->events, 0);
    assert_int_equal(fixture->fake->wrong_context_calls, 0);
}

void fail_call(struct fixture *fixture, const char *name, int result)
{
    fixture->fake->failing = name;
    fixture->fake->failing_result = result;
    fixture->fake->failing_after = 0;
    fixture->messages[0] = '\0';
}

int take_arguments(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: %s FAKE_12 FAKE_11 FAKE_PLAIN NOT_A_DRIVER\n", arguments[0]);
        return 2;
    }
    fake_12 = arguments[1];
    fake_11 = arguments[2];
    fake_plain = arguments[3];
    not_a_driver = arguments[4];
    return 0;
}
