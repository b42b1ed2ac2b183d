// SPDX-License-Identifier: MIT
// The tables of rows, one a file.
#ifndef PTXM_TEST_FORMS_GROUPS_H
#define PTXM_TEST_FORMS_GROUPS_H

#include "forms.h"

#define FORM_GROUPS(X) X(integer) X(logic) X(real) X(approximate) X(half) X(compare) X(convert) \
    X(atomic)
#define X(name)                                                                                    \
    extern const struct form_row name##_rows[];                                                    \
    extern const size_t name##_row_count;
FORM_GROUPS(X)
#undef X

#endif
