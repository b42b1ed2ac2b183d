# SPDX-License-Identifier: MIT
"""Test functions reported in TAP."""
import traceback


class Tests:
    def __init__(self):
        self.cases = []

    def case(self, function):
        self.cases.append(function)
        return function

    def run(self):
        print(f"1..{len(self.cases)}")
        bad = 0
        for number, function in enumerate(self.cases, 1):
            name = function.__name__.replace("_", " ")
            try:
                function()
                print(f"ok {number} - {name}")
            except Exception:
                bad += 1
                print(f"not ok {number} - {name}")
                print("\n".join("# " + line for line in traceback.format_exc().splitlines()))
        return 1 if bad else 0
