# SPDX-License-Identifier: MIT
"""kgen as it was: built from a git revision into a cache folder, once per content.

The sources come from `git archive`, so that nothing is left behind in the repository; the folder is
named after the tree that they are, so that two commits with the same content share one build. A
lock makes a second process wait instead of building into the same place.
"""
import fcntl
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

from sass.toolkit import ROOT
from sass.words import Trouble, did_you_mean


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kgen" / "sass-diff"


def git(*arguments, binary=False):
    """(status, what it printed)"""
    try:
        process = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True,
                                 check=False)
    except FileNotFoundError:  # no git: there are no revisions
        return 127, b"" if binary else ""
    return process.returncode, process.stdout if binary else process.stdout.decode().strip()


def tree_of(revision):
    """The hash of a revision's content; None for what is no revision."""
    if revision.startswith("-"):
        return None
    status, name = git("rev-parse", "--verify", "--quiet", f"{revision}^{{tree}}")
    return name if status == 0 else None


def need_tree(revision):
    tree = tree_of(revision)
    if tree is None:
        _, names = git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags")
        raise Trouble(f"there is no git revision '{revision}'"
                      + did_you_mean(revision, names.split() + ["HEAD"]))
    return tree


def _unpack(tree, folder):
    status, archive = git("archive", "--format=tar", tree, binary=True)
    if status != 0:
        raise Trouble(f"git archive fails for {tree}")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        # The filter came with security updates of Python; our own archive needs none.
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))


def _run(command, log, revision):
    with open(log, "ab") as words:
        status = subprocess.run(command, stdout=words, stderr=words, check=False).returncode
    if status != 0:
        tail = Path(log).read_text(errors="replace").splitlines()[-6:]
        raise Trouble(f"kgen of '{revision}' does not build ({' '.join(command[:2])}); "
                      f"all of it is in {log}\n" + "\n".join(tail))


def kgen_of(revision, cache):
    """(the kgen command, the folder of the sources) of a revision, built if it is not yet."""
    tree = need_tree(revision)
    place = Path(cache) / tree[:16]
    place.mkdir(parents=True, exist_ok=True)
    kgen, source, log = place / "build/tools/kgen", place / "source", place / "log"
    with open(place / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            print(f"sass-diff: building kgen of {revision} in {place}", file=sys.stderr)
            _unpack(tree, source)
            if not (place / "build/build.ninja").exists():
                _run(["meson", "setup", str(place / "build"), str(source), "-Dtests=disabled"], log,
                     revision)
            _run(["ninja", "-C", str(place / "build"), "tools/kgen"], log, revision)
            (place / "done").touch()
    return kgen, source
