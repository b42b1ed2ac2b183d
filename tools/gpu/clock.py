# SPDX-License-Identifier: MIT
"""Time: budgets that nothing outlives, and interleaved measurements.

Contenders are measured in turns, A B C A B C, never all of A and then all of B: clocks and
temperature drift over seconds, and so they drift for everybody alike. Each round starts with
another one, so that nobody always runs behind the same neighbour.
"""
import statistics
import time


class Budget:
    """Seconds until a deadline. Part of a larger budget, it ends with that at the latest."""

    def __init__(self, seconds, parent=None, now=time.monotonic):
        self.now = parent.now if parent else now
        self.end = self.now() + seconds
        if parent:
            self.end = min(self.end, parent.end)

    def left(self):
        return max(0.0, self.end - self.now())

    def spent(self):
        return self.left() <= 0

    def part(self, seconds):
        return Budget(seconds, parent=self)


def interleave(names, measure, rounds, budget):
    """Samples by name: measure(name) once a round for each. A name whose measurement raises is out
    of the race, and its error is noted; a spent budget ends the race after the round under way."""
    samples = {name: [] for name in names}
    errors = {}
    for number in range(rounds):
        if number and budget.spent():
            break
        running = [name for name in names if name not in errors]
        first = number % max(1, len(running))
        for name in running[first:] + running[:first]:
            try:
                samples[name].append(measure(name))
            except Exception as error:  # whatever a framework raises
                errors[name] = describe(error)
    return samples, errors


def describe(error):
    """One line: the kind of exception and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def summary(samples):
    """Median, extremes and the relative spread between the quartiles, in the samples' unit."""
    if not samples:
        return None
    middle = statistics.median(samples)
    quartiles = statistics.quantiles(samples, n=4) if len(samples) > 1 else [middle] * 3
    return {"median": middle, "min": min(samples), "max": max(samples), "n": len(samples),
            "spread": (quartiles[2] - quartiles[0]) / middle if middle else 0.0}


def launches_for(seconds_of_one, sets, target=2e-3, most=512):
    """How many launches one sample holds: about `target` seconds, and whole turns over the sets."""
    wanted = max(1, min(most, round(target / max(seconds_of_one, 1e-7))))
    return -(-wanted // sets) * sets


def sets_for(bytes_of_one, cache_bytes, memory_bytes, most=64):
    """How many sets of buffers it takes that no launch finds its data in the cache."""
    wanted = -(-3 * cache_bytes // max(1, bytes_of_one))
    return int(max(1, min(wanted, most, memory_bytes // max(1, bytes_of_one))))
