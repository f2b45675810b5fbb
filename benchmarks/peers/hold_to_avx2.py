"""Make a copy of the peers' environment whose libraries find a processor with AVX2 only.

    python benchmarks/peers/hold_to_avx2.py ENVS_FOLDER      # writes ENVS_FOLDER/main-avx2

OpenVINO and ONNX Runtime have no working switch that keeps them to AVX2, but both ask the
processor in two ways before they use more, and only the answers are changed here:

- ``xgetbv`` says which registers the system saves. It becomes "those of AVX" (XCR0 = 7), so
  that AVX-512, its BF16 and VNNI, and AMX are not to be used.
- ``cpuid`` with leaf 7 and subleaf 1 names AVX-VNNI, the int8 products for 256 bits that came
  years after AVX2. It becomes a subleaf that no processor has, which answers zeros.

Their code is otherwise untouched: they choose and tune as they do on such a processor. What
is measured is "the same libraries, told that the processor has AVX2 only": caches, clock and
width of the units stay this machine's. Every place is found by its bytes and changed only
when the disassembly (``objdump``) shows that very instruction there. The other files of the
environment are hard links. At the end OpenVINO is asked whether it still sees more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

LIBRARIES = (
    "openvino/libs/libopenvino.so.*",
    "openvino/libs/libopenvino_intel_cpu_plugin.so",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/capi/onnxruntime_pybind11_state*.so",
)
"""All in these environments that choose by XGETBV and have no switch; torch and NumPy have one."""

XGETBV = bytes.fromhex("0f01d0")
PUSH_7_POP_RAX = bytes.fromhex("6a0758")
MOV_7_TO_AL = bytes.fromhex("b00790")
"""For functions that keep numbers below the stack pointer, where a push would write over them."""

LEAF_7_SUBLEAF_1 = (
    bytes.fromhex("b807000000 b901000000 0fa2"),  # mov eax, 7; mov ecx, 1; cpuid
    bytes.fromhex("b901000000 b807000000 0fa2"),
)
SUBLEAF = bytes.fromhex("b901000000")
NO_SUBLEAF = bytes.fromhex("b940000000")

STILL_THERE = """
import openvino
print(*openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
"""


class Section(NamedTuple):
    """Where code lies in a file, and at which address it is loaded."""

    address: int
    offset: int
    size: int


class Change(NamedTuple):
    """Bytes to write at an offset of the file."""

    offset: int
    address: int
    new: bytes


def code_sections(library: Path) -> list[Section]:
    """Find the sections of a library that hold code."""
    lines = _objdump("--section-headers", "--wide", str(library)).splitlines()
    rows = [line.split() for line in lines if line.rstrip().endswith("CODE")]
    return [Section(int(row[3], 16), int(row[5], 16), int(row[2], 16)) for row in rows]


def changes(library: Path) -> list[Change]:
    """Find what to change in a library."""
    data = library.read_bytes()
    found = []
    for section in code_sections(library):
        code = data[section.offset : section.offset + section.size]
        for at in _every(XGETBV, code):
            near = disassembly(library, section.address + at)
            if near.get(section.address + at, "").startswith("xgetbv"):
                below = any(re.search(r"-0x[0-9a-f]+\(%rsp", line) for line in near.values())
                new = MOV_7_TO_AL if below else PUSH_7_POP_RAX
                found.append(Change(section.offset + at, section.address + at, new))
        for pattern in LEAF_7_SUBLEAF_1:
            for at in _every(pattern, code):
                near = disassembly(library, section.address + at)
                if near.get(section.address + at + len(pattern) - 2, "").startswith("cpuid"):
                    where = at + pattern.index(SUBLEAF)
                    change = Change(section.offset + where, section.address + where, NO_SUBLEAF)
                    found.append(change)
    return found


def hold(library: Path) -> int:
    """Change a library in place of its hard link; gives the number of places."""
    data, found = bytearray(library.read_bytes()), changes(library)
    for change in found:
        data[change.offset : change.offset + len(change.new)] = change.new
        sys.stdout.write(f"  {change.address:#x}: {change.new.hex(' ')}\n")
    mode = library.stat().st_mode
    library.unlink()
    library.write_bytes(data)
    library.chmod(mode)
    return len(found)


def _every(pattern: bytes, code: bytes) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(pattern), code)]


def disassembly(library: Path, address: int) -> dict[int, str]:
    """Read the instructions around an address; some earlier start meets their beginnings."""
    span = (f"--start-address={address - 192}", f"--stop-address={address + 96}")
    listing = _objdump("--disassemble", "--no-show-raw-insn", *span, str(library))
    lines = re.findall(r"^\s+([0-9a-f]+):\s+(.*)$", listing, re.MULTILINE)
    return {int(where, 16): text for where, text in lines}


def _objdump(*arguments: str) -> str:
    command = ["objdump", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Copy the environment, change its libraries, check."""
    source = Path(sys.argv[1]) / "main"
    copy = source.with_name("main-avx2")
    if not (source / "complete").exists() or not shutil.which("objdump"):
        sys.exit(f"This needs objdump, and the environment {source} that setup.py makes.")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy, symlinks=True, copy_function=os.link)
    for pattern in LIBRARIES:
        for library in sorted(copy.glob(f"lib/python3*/site-packages/{pattern}")):
            sys.stdout.write(f"{library.name}\n")
            if not hold(library):
                sys.exit(f"{library}: nothing found to change. Is this another version?")
    command = [str(copy / "bin/python"), "-c", STILL_THERE]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sys.stdout.write(f"OpenVINO computes in: {seen}")
    if "BF16" in seen.split():
        sys.exit("OpenVINO still sees AVX-512.")


if __name__ == "__main__":
    main()
