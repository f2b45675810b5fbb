"""Of a library that is held to AVX2, only the questions to the processor change."""

from __future__ import annotations

import pytest

from benchmarks.peers import hold_to_avx2
from benchmarks.peers.hold_to_avx2 import LEAF_7_SUBLEAF_1, XGETBV, Section

BEFORE, BASE = 64, 0x4000
ASK_FOR_VNNI = LEAF_7_SUBLEAF_1[0]


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Make a file of code, and say how it is to be disassembled."""
    listing = {}

    def make(code, instructions):
        path = tmp_path / "library.so"
        path.write_bytes(bytes(BEFORE) + code + XGETBV)  # what follows the section is data
        section = Section(address=BASE, offset=BEFORE, size=len(code))
        monkeypatch.setattr(hold_to_avx2, "code_sections", lambda _: [section])
        listing.update({BASE + at: text for at, text in instructions.items()})
        return path

    monkeypatch.setattr(hold_to_avx2, "disassembly", lambda *_: listing)
    return make


def test_the_registers_the_system_saves_become_those_of_avx(library):
    path = library(b"\x31\xc9" + XGETBV + b"\xc3", {0: "xor %ecx,%ecx", 2: "xgetbv"})
    assert hold_to_avx2.hold(path) == 1
    assert path.read_bytes()[BEFORE:] == bytes.fromhex("31c9 6a0758 c3") + XGETBV


def test_nothing_is_pushed_over_numbers_below_the_stack_pointer(library):
    path = library(XGETBV, {0: "xgetbv", 3: "mov -0x8(%rsp),%eax"})
    hold_to_avx2.hold(path)
    assert path.read_bytes()[BEFORE : BEFORE + 3] == hold_to_avx2.MOV_7_TO_AL


def test_the_question_for_vnni_goes_to_a_subleaf_that_is_not_there(library):
    path = library(ASK_FOR_VNNI, {0: "mov $0x7,%eax", 5: "mov $0x1,%ecx", 10: "cpuid"})
    hold_to_avx2.hold(path)
    code = path.read_bytes()[BEFORE : BEFORE + len(ASK_FOR_VNNI)]
    assert code == bytes.fromhex("b807000000 b940000000 0fa2")


def test_equal_bytes_inside_another_instruction_stay(library):
    path = library(b"\xb8" + XGETBV + b"\x00" + ASK_FOR_VNNI, {0: "mov $0xd0010f,%eax"})
    before = path.read_bytes()
    assert hold_to_avx2.hold(path) == 0
    assert path.read_bytes() == before


def test_the_environment_copied_from_keeps_its_file(library, tmp_path):
    path = library(XGETBV, {0: "xgetbv"})
    (tmp_path / "original.so").hardlink_to(path)
    hold_to_avx2.hold(path)
    assert (tmp_path / "original.so").read_bytes()[BEFORE : BEFORE + 3] == XGETBV
