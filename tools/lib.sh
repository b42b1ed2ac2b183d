# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this folder and .ci/run share. Sourced, never run:
#     . "$(dirname "$(readlink -f "$0")")/lib.sh"
# Gives $root (the top of the tree). Words go to stderr; stdout belongs to results.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# What it takes to build, and what the tests want besides. LLVM is added by its version.
build_packages=(gcc libc6-dev meson ninja-build pkg-config libjansson-dev uthash-dev)
test_packages=(libcmocka-dev zlib1g-dev libzstd-dev)

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

usage_error() {
    say "$*"
    say "try ${0##*/} --help"
    exit 2
}

# Runs as root: directly, or through sudo where that works without a question.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        die "this needs root: run it as root, or run '$*' yourself and start again"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs those of the named Debian packages that are missing. Where none is, it touches nothing
# and needs no network.
need_packages() {
    local missing=() package
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "this is not Debian: taking for granted that these are there: $*"
        return 0
    fi
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null ||
        say "the package lists could not be renewed; trying with what is here"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" \
        >/dev/null ||
        die "could not install ${missing[*]}"
}

# configure DIRECTORY [MESON OPTION ...]: makes the build directory, or brings it in line with the
# options. The options are noted in it, so that nothing is done where nothing changed.
configure() {
    local directory="$1" note="$1/.options"
    shift
    if [ -f "$directory/build.ninja" ]; then
        [ "$(cat "$note" 2>/dev/null)" = "$*" ] && return 0
        say "configuring $directory again"
        meson setup --reconfigure "$directory" "$root" "$@" >&2 ||
            die "could not configure $directory; remove it and start again"
    else
        say "configuring $directory"
        meson setup "$directory" "$root" "$@" >&2 || die "could not configure $directory"
    fi
    printf '%s' "$*" >"$note"
}

# The CUDA toolkit's ptxas, in $PATH, $CUDA_HOME or the usual place; prints nothing without one.
find_ptxas() {
    command -v ptxas && return 0
    local home
    for home in "${CUDA_HOME:-}" /usr/local/cuda; do
        if [ -n "$home" ] && [ -x "$home/bin/ptxas" ]; then
            echo "$home/bin/ptxas"
            return 0
        fi
    done
}

# The newest clang that can link a libFuzzer target; prints nothing without one.
find_fuzz_clang() {
    local candidate scratch
    scratch="$(mktemp -d)"
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }' \
        >"$scratch/probe.c"
    for candidate in clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 \
        clang-14 clang; do
        command -v "$candidate" >/dev/null || continue
        if "$candidate" -fsanitize=fuzzer,address "$scratch/probe.c" -o "$scratch/probe" \
            2>/dev/null; then
            echo "$candidate"
            break
        fi
    done
    rm -rf "$scratch"
}

# fetch_wheels FOLDER NAME==VERSION ...: from PyPI, without what they need in turn.
fetch_wheels() {
    local folder="$1"
    shift
    python3 -m pip --version >/dev/null 2>&1 || need_packages python3-pip
    say "fetching $*"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --dest "$folder" "$@" >&2 || die "could not fetch them"
}
