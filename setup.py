"""The C extensions; everything else stands in pyproject.toml.

They are optional: where they cannot be built, models run in numpy, slowly, and say
so, and searches compare floats. What is missing is named here as well, for
`pip install -v` to show.
"""

import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

CORE = Path("src/nearfield/core")
NATIVE = Path("src/nearfield/runtime/_native")
BUFFERS = str(CORE / "buffers.h")
HEADERS = Path(sysconfig.get_path("include"))

if not (HEADERS / "Python.h").exists():
    sys.stderr.write(
        f"nearfield: there is no Python.h in {HEADERS}, so the native engine cannot be compiled.\n"
        "nearfield: install Python's headers (Debian, Ubuntu: apt install python3-dev; Fedora: "
        "dnf install python3-devel) and install nearfield again.\n"
    )

COMMON = {
    "define_macros": [("Py_LIMITED_API", "0x030B0000")],
    "py_limited_api": True,
    "libraries": ["m"],
    "optional": True,
}
# No -ffast-math and no -march: each function names what it needs of a processor.
COMPILED = ["-O3", "-g0", "-std=c11", "-ffp-contract=off", "-fvisibility=hidden"]

setup(
    ext_modules=[
        Extension(
            "nearfield.runtime._native._engine",
            sources=sorted(str(path) for path in NATIVE.glob("*.c")),
            depends=[BUFFERS, *sorted(str(path) for path in NATIVE.glob("*.h"))],
            extra_compile_args=[*COMPILED, "-pthread"],
            extra_link_args=["-pthread"],
            **COMMON,
        ),
        Extension(
            "nearfield.core._scan",
            sources=[str(CORE / "_scan.c")],
            depends=[BUFFERS],
            extra_compile_args=COMPILED,
            **COMMON,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
