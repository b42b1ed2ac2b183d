// SPDX-License-Identifier: MIT
// Random tile programs: from a seed, always the same text. Every name of a size, a tensor or a
// value says what it is for, because a shrunk program is read by people:
//
//   R C H W   extents of tiles (H, W: halves)      G   CTAs; `cta` is the index
//   N M T F   runtime scalars; the line `// run: N=.. M=.. T=.. F=..` gives their values
//   x_T       inputs, small integers               idx  input, integers from -4 to 35
//   gN        global scratch, rows by CTA          yN   outputs, rows by CTA
//   zeroN     starts with zeros (atomics, counters)
//
// The programs are legal by docs/language.md: no shared memory is read before it is written, no
// CTA depends on another one without order. Values are small integers, and each expression carries
// a bound, so that sums are exact in any order and casts fit; what is not exact (exp, ...) goes
// only where an error does not jump.
#pragma once
#include <stddef.h>
#include <stdint.h>

void random_text(uint64_t seed, char *out, size_t size);
// For a target with copy engine and wgmma: see gen_hopper.c.
void random_hopper_text(uint64_t seed, char *out, size_t size);
