# SPDX-License-Identifier: MIT
"""lit's configuration for tests/golden. run-lit.py starts lit and gives the parameters."""
import os
import sys
from pathlib import Path

import lit.formats

sys.path.insert(0, str(Path(__file__).parent))
import substitutions  # noqa: E402

config.name = "golden"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".kg", ".ptx", ".test"]
config.excludes = ["inputs"]
config.test_source_root = str(Path(__file__).parent)
config.test_exec_root = lit_config.params["scratch"]
config.substitutions += substitutions.table(lit_config.params["kgen"],
                                            lit_config.params["llvm_bin"])
for tool in ("ptxas", "cuobjdump"):
    if any(pattern == f"%{tool}" for pattern, _ in config.substitutions):
        config.available_features.add(tool)

# Output must not depend on who looks at it; sanitizers keep their options.
config.environment["NO_COLOR"] = "1"
config.environment["LC_ALL"] = "C"
for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH"):
    if name in os.environ:
        config.environment[name] = os.environ[name]
