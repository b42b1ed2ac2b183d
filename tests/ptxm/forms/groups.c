// SPDX-License-Identifier: MIT
#include "groups.h"

struct form_group form_group(size_t index)
{
#define X(name) {#name, name##_rows, name##_row_count},
    const struct form_group all[] = {FORM_GROUPS(X)};
#undef X
    static const struct form_group none = {0};
    return index < sizeof all / sizeof *all ? all[index] : none;
}
