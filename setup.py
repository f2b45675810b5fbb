"""The C extension; everything else stands in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("src/nearfield/runtime/_native")

setup(
    ext_modules=[
        Extension(
            "nearfield.runtime._native._engine",
            sources=sorted(str(path) for path in NATIVE.glob("*.c")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            extra_compile_args=["-O3", "-std=c11", "-ffp-contract=off", "-fvisibility=hidden"],
            extra_link_args=["-pthread"],
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
