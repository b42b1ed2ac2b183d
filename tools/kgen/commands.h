// SPDX-License-Identifier: MIT
// One function for each command; each returns the exit status.
#pragma once
#include "options.h"

int command_build(const command_line *options);
int command_explain(const command_line *options);
int command_run(const command_line *options);
int command_check(const command_line *options);
int command_profile(const command_line *options);
int command_sync(const command_line *options);
int command_list(const command_line *options);
int command_demo(const command_line *options);
