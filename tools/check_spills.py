"""Fail when a compiler keeps sums of the native engine's inner loops in memory.

    python tools/check_spills.py [EXTENSION]

A compiler that runs out of registers moves sums to the stack and back at every
step. Nothing breaks; the engine is only half as fast. So the loops of the
functions ``product`` and ``product_8`` (integers) and ``multiply`` (floats) are read
from the disassembly, and any that touches the stack is reported.

Needs ``objdump``, and an extension with its symbols, for x86-64 or 64-bit ARM; says so
and succeeds where one of them is not there.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

NATIVE = Path(__file__).parents[1] / "src/nearfield/runtime/_native"
INTEGERS = ("vpdpwssd", "vpdpbusd", "vpmaddwd", "smlal", "sdot")
# What multiplies in the loops that count, by function: an activation's float products do not.
PRODUCTS = {"product": INTEGERS, "product_8": INTEGERS, "multiply": ("vfmadd", "fmla")}
FEWEST_LOOPS = 12  # even two instruction sets have at least six heights of integer tile each
STACK = re.compile(r"\(%rsp|-0x[0-9a-f]+\(%rbp|\[sp")
JUMP = re.compile(r"j|b(\.|$)|cbn?z|tbn?z")
CALL = re.compile(r"call|blr?$")


class Instruction(NamedTuple):
    """One line of a disassembly."""

    address: int
    name: str
    operands: str


def functions(listing: str) -> dict[str, list[Instruction]]:
    """Sort a disassembly by function; equal names of several files are kept apart."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in listing.splitlines():
        if head := re.match(r"([0-9a-f]+) <(.+)>:$", line):
            current = found.setdefault(f"{head[2]} at {head[1].lstrip('0')}", [])
        elif body := re.match(r"\s+([0-9a-f]+):\s+(?:{vex}\s+)?(\S+)\s*(.*)", line):
            current.append(Instruction(int(body[1], 16), body[2], body[3]))
    return found


def inner_loops(code: list[Instruction]) -> list[list[Instruction]]:
    """Find the stretches that a jump backwards repeats and that hold no other jump."""
    at = {instruction.address: number for number, instruction in enumerate(code)}
    loops = []
    for number, jump in enumerate(code):
        target = re.search(r"([0-9a-f]+) <", jump.operands) if JUMP.match(jump.name) else None
        start = at.get(int(target[1], 16)) if target else None
        if start is not None and start < number:
            body = code[start:number]
            if not any(JUMP.match(step.name) or CALL.match(step.name) for step in body):
                loops.append(body)
    return loops


def hot_loops(listing: str) -> list[tuple[str, list[Instruction]]]:
    """Find the loops of products, each with its function's name."""
    return [
        (name, loop)
        for name, code in functions(listing).items()
        if (products := PRODUCTS.get(name.partition(" ")[0]))
        for loop in inner_loops(code)
        if sum(step.name.startswith(products) for step in loop) > 1
    ]


def spills(listing: str) -> list[str]:
    """Describe every loop of products that touches the stack."""
    return [
        f"{name}: a loop of {len(loop)} instructions touches the stack {touches} times"
        for name, loop in hot_loops(listing)
        if (touches := sum(bool(STACK.search(step.operands)) for step in loop))
    ]


def main(arguments: list[str]) -> int:
    """Check one extension; gives the exit status."""
    extensions = [Path(a) for a in arguments] or sorted(NATIVE.glob("_engine*.so"))
    known = platform.machine() in {"x86_64", "aarch64"}
    if not known or not shutil.which("objdump") or not extensions:
        print("Nothing to check: another processor, no objdump, or no compiled extension here.")
        return 0
    command = ["objdump", "-d", "--no-show-raw-insn", str(extensions[0])]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, problems = hot_loops(listing), spills(listing)
    if len(found) < FEWEST_LOOPS:
        problems.append(f"only {len(found)} loops of products found: are the symbols stripped?")
    print("\n".join(problems) or f"{len(found)} loops of products, none touches the stack.")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
