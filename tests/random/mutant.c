// SPDX-License-Identifier: MIT
// One synchronization taken away from a program that is proved, or made weaker: the validator and
// the PTX machine should be of one mind about the rest.
#include "mutant.h"
#include "tools/mutation/mutants.h"

#include <stdio.h>
#include <string.h>

const char *const fate_names[FATES] = {"none",         "caught by both", "let pass by both",
                                       "by validator", "by machine",     "not decided"};

// What is done to which op, without numbers: "wait 1 removed".
static void name_mutant(const char *what, char *out, size_t size)
{
    const char *open = strchr(what, '('), *comma = open ? strchr(open, ',') : NULL;
    const char *close = comma ? strchr(comma, ')') : NULL;
    if (!close) {
        snprintf(out, size, "%s", what);
        return;
    }
    int n = (int)strcspn(open + 1, ",[0123456789");
    snprintf(out, size, "%.*s%s", n, open + 1, close + 1);
}

static uint64_t choice(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++) h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h >> 17;
}

fate try_mutant(const char *ir, mutant_runner *run, void *user, char *name, size_t size)
{
    mutant_list list = {0};
    fate result = FATE_NONE;
    mutants_of(ir, &list);
    if (list.count) {
        const mutant *m = &list.items[choice(ir) % list.count];
        name_mutant(m->what, name, size);
        result = run(m->text, user);
    }
    mutants_free(&list);
    return result;
}
