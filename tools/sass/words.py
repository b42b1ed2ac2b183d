# SPDX-License-Identifier: MIT
"""What can go wrong, in words that help. Exit statuses are those of diff, and 77 for what is not
installed."""
import difflib

SAME, DIFFERENT, TROUBLE, MISSING = 0, 1, 2, 77


class Trouble(Exception):
    """The command line, an input or a tool is not as it has to be: exit status 2."""


class Missing(Exception):
    """A tool of the CUDA toolkit is not installed: exit status 77."""


def did_you_mean(word, candidates):
    """`; did you mean 'matmul'?`, or nothing where no candidate is near."""
    near = difflib.get_close_matches(word, sorted(set(candidates)), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
