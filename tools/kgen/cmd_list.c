// SPDX-License-Identifier: MIT
// kgen list: rows of the library's tables.
#include "commands.h"
#include "json.h"
#include "kernels/kernels.h"
#include "output.h"
#include "session.h"
#include <string.h>

static void list_table(table_function *table, bool as_json)
{
    json_t *rows = as_json ? must(json_array()) : NULL;
    const char *name, *doc = NULL;
    for (int i = 0; (name = table(i, &doc)); i++, doc = NULL) {
        if (rows)
            json_array_append_new(
                rows, json_pack("{s:o, s:o}", "name", json_text(name), "doc", json_text(doc)));
        else if (doc && *doc)
            printf("%-16s %s\n", name, doc);
        else
            puts(name);
    }
    if (rows) json_print(rows);
}

static json_t *json_of_family(const kgen_family *family)
{
    json_t *keys = must(json_array());
    for (const kgen_task_key *key = family->keys; key->name; key++)
        json_array_append_new(keys,
                              json_pack("{s:o, s:o, s:o}", "name", json_text(key->name), "default",
                                        json_text(key->value), "doc", json_text(key->doc)));
    return must(json_pack("{s:o, s:o, s:o}", "name", json_text(family->name), "doc",
                          json_text(family->doc), "keys", keys));
}

static void list_kernels(bool as_json)
{
    json_t *rows = as_json ? must(json_array()) : NULL;
    for (int i = 0; kgen_families[i]; i++) {
        const kgen_family *family = kgen_families[i];
        if (rows) {
            json_array_append_new(rows, json_of_family(family));
            continue;
        }
        printf("%-16s %s\n", family->name, family->doc);
        for (const kgen_task_key *key = family->keys; key->name; key++)
            printf("    %s=%-*s %s\n", key->name, 16 - (int)strlen(key->name), key->value,
                   key->doc);
    }
    if (rows) json_print(rows);
}

// A device that is not there is a row, not an error.
typedef struct listed_device {
    char reason[256];
} listed_device;

static void keep_reason(const kgen_diagnostic *diagnostic, void *user)
{
    listed_device *listed = user;
    if (diagnostic->severity == KGEN_ERROR && !listed->reason[0])
        snprintf(listed->reason, sizeof listed->reason, "%s", diagnostic->text);
}

static void list_device(const char *kind, json_t *rows)
{
    listed_device listed = {""};
    kgen_options o = {.diagnostic = keep_reason, .user = &listed};
    kgen_context *context = NULL;
    kgen_device *device = NULL;
    kgen_status status = kgen_context_create(&o, &context);
    if (!status) status = kgen_device_open(context, kind, NULL, &device);
    if (status && !listed.reason[0])
        snprintf(listed.reason, sizeof listed.reason, "%s", kgen_status_name(status));
    if (rows)
        json_array_append_new(rows,
                              json_pack("{s:s, s:b, s:o, s:o, s:o}", "name", kind, "available",
                                        status == 0, "device", json_text(kgen_device_name(device)),
                                        "target", json_text(kgen_device_target(device)), "reason",
                                        status ? json_text(listed.reason) : json_null()));
    else if (status)
        printf("%-6s not available: %s\n", kind, listed.reason);
    else
        printf("%-6s %s, %s\n", kind, kgen_device_name(device), kgen_device_target(device));
    kgen_device_close(device);
    kgen_context_free(context);
}

static void list_devices(bool as_json)
{
    json_t *rows = as_json ? must(json_array()) : NULL;
    for (int i = 0; device_kinds[i]; i++) list_device(device_kinds[i], rows);
    if (rows) json_print(rows);
}

int command_list(const command_line *options)
{
    static const char *const what[] = {"kernels", "passes", "ops", "targets", "devices"};
    const char *word = options->operands[0];
    bool as_json = has(options, OPTION_json);
    if (!strcmp(word, "kernels"))
        list_kernels(as_json);
    else if (!strcmp(word, "passes"))
        list_table(kgen_pass_name, as_json);
    else if (!strcmp(word, "ops"))
        list_table(kgen_op_name, as_json);
    else if (!strcmp(word, "targets"))
        list_table(kgen_target_name, as_json);
    else if (!strcmp(word, "devices"))
        list_devices(as_json);
    else
        return unknown_word(COMMAND_list, "list", word, what, 5);
    return EXIT_FINE;
}
