#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check-house.py on small trees that each break one rule: a check that never fails is none."""
import importlib.util
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
SPEC = importlib.util.spec_from_file_location("house", Path(__file__).parent / "check-house.py")
HOUSE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(HOUSE)
SPDX = "// SPDX-License-Identifier: MIT\n"

# (what is tested, check, file, its text, whether it is a finding)
CASES = (
    ("ir includes passes", "includes", "ir/a.c", '#include "passes/p.h"\n', True),
    ("passes include ir", "includes", "passes/a.c", '#include "ir/i.h"\n', False),
    ("passes include passes/sync", "includes", "passes/a.c", '#include "passes/sync/s.h"\n', False),
    ("cpu includes ir", "includes", "runtime/cpu/a.c", '#include "ir/i.h"\n', True),
    ("cpu climbs out", "includes", "runtime/cpu/a.c", '#include "../../ir/i.h"\n', True),
    ("cpu includes itself", "includes", "runtime/cpu/a.c", '#include "b.h"\n', False),
    ("codegen includes passes", "includes", "codegen/a.c", '#include "passes/p.h"\n', True),
    ("runtime includes cpu", "includes", "runtime/a.c", '#include "runtime/cpu/b.h"\n', False),
    ("tools include the interface", "includes", "tools/a.c", '#include "runtime/kgen.h"\n', False),
    ("tools include ir", "includes", "tools/a.c", '#include "ir/i.h"\n', True),
    ("tools include runtime's inside", "includes", "tools/a.c", '#include "runtime/x.h"\n', True),
    ("tests include all", "includes", "tests/x/a.c", '#include "runtime/cpu/b.h"\n', False),
    ("LLVM in its file", "llvm", "codegen/llvm.h", "#include <llvm-c/Core.h>\n", False),
    ("LLVM for its users", "llvm", "codegen/llvm_a.c", '#include "codegen/llvm.h"\n', False),
    ("LLVM by its header", "llvm", "codegen/a.c", '#include "codegen/llvm.h"\n', True),
    ("LLVM elsewhere", "llvm", "codegen/a.c", "#include <llvm-c/Core.h>\n", True),
    ("abort in the library", "silence", "ir/a.c", "void f(void) { abort(); }\n", True),
    ("printf in the library", "silence", "ir/a.c", 'int i = printf("");\n', True),
    ("fprintf to stderr", "silence", "ir/a.c", 'int i = fprintf(stderr, "");\n', True),
    ("snprintf in the library", "silence", "ir/a.c", 'int i = snprintf(0, 0, "exit(1)");\n', False),
    ("abort in a comment", "silence", "ir/a.c", "// never abort()\n", False),
    ("a method called exit", "silence", "ir/a.c", "void f(void) { loop->exit(1); }\n", False),
    ("printf in a tool", "silence", "tools/a.c", 'int i = printf("");\n', False),
    ("no licence", "licence", "ir/a.c", "int i;\n", True),
    ("a licence", "licence", "ir/a.c", SPDX, False),
    ("a script without licence", "licence", "tools/x", "#!/bin/sh\ntrue\n", True),
    ("a script with one", "licence", "tools/x", "#!/bin/sh\n#" + SPDX[2:], False),
    ("a wide line", "width", "ir/a.c", "/" * 101 + "\n", True),
    ("a full line", "width", "ir/a.c", "/" * 100 + "\n", False),
    ("a wide table", "width", "docs/a.md", "|" + "-" * 101 + "\n", False),
    ("a long file", "length", "ir/a.c", "int i;\n" * 601, True),
    ("a full file", "length", "ir/a.c", "int i;\n" * 600, False),
    ("a long table", "length", "ir/a.def", "ROW(a)\n" * 601, False),
    ("a machine's path", "alone", "docs/a.md", "see /" + "work/main\n", True),
    ("a folder without README", "readmes", "ir/a.c", SPDX, True),
    ("a missing newline", "text", "ir/a.c", "int i;", True),
    ("a blessed syntax error", "goldens", "tests/golden/sync/a.kg",
     "// CHECK: 1:2: error: unknown [KG-" + "P001]\n", True),
    ("one about the text", "goldens", "tests/golden/text/a.kg",
     "// CHECK: 1:2: error: unknown [KG-" + "P001]\n", False),
    ("a finding of a pass", "goldens", "tests/golden/sync/a.kg",
     "// CHECK: 1:2: error: unordered [KG-S505]\n", False),
    ("a space at the end", "text", "ir/a.c", "int i; \n", True),
)


def findings_of(check, name, text):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        for other in ("ir/i.h", "runtime/cpu/b.h", name):
            (root / other).parent.mkdir(parents=True, exist_ok=True)
            (root / other).write_text(text if other == name else SPDX)
        (root / "runtime/README.md").write_text("x\n")
        files = {path: HOUSE.read(root, path) for path in HOUSE.walk(root)}
        only = [path for path in files if str(path) != name]
        if check == "readmes":
            only = []
        for path in only:
            files.pop(path)
        return list(getattr(HOUSE, f"check_{check}")(root, files))


def main():
    print(f"1..{len(CASES)}")
    bad = 0
    for number, (title, check, name, text, expected) in enumerate(CASES, 1):
        findings = findings_of(check, name, text)
        good = bool(findings) == expected
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {title}")
        if not good:
            print(f"# {findings}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
