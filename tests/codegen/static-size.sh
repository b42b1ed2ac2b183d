#!/bin/sh
# SPDX-License-Identifier: MIT
#
# static-size.sh PROGRAM: is it at most 40 MB without its symbols, and are its libraries those that
# every machine has? Then it is run once.
set -eu

stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
size=$(wc -c < "$stripped")
echo "$size bytes"
test "$size" -le 40000000

# The loader and libgcc_s come along with libc and libstdc++.
others=$(ldd "$1" | sed 's/^[[:space:]]*//; s/ .*//' |
    grep -vE '^(linux-vdso|lib(c|m|stdc\+\+|gcc_s|z|zstd)\.so|/lib.*/ld-linux)' || true)
if [ -n "$others" ]; then
    echo "needs: $others"
    exit 1
fi
exec "$1"
