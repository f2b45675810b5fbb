"""The inner loops as compiled here keep their sums in registers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TOOL = Path(__file__).parents[4] / "tools/check_spills.py"
CLEAN = """
0000000000001000 <product>:
    1000:	vpxor  %ymm0,%ymm0,%ymm0
    1004:	vpmaddwd (%rsi),%ymm2,%ymm3
    1008:	vpaddd %ymm3,%ymm0,%ymm0
    100c:	vpmaddwd 0x20(%rsi),%ymm2,%ymm3
    1010:	jne    1004 <product+0x4>
    1014:	mov    %rax,0x8(%rsp)
    1018:	ret
"""

ARM = """
0000000000001000 <product_8>:
    1000:	ldr	q10, [x19, x6]
    1004:	sdot	v5.4s, v18.16b, v10.4b[0]
    1008:	sdot	v4.4s, v19.16b, v10.4b[0]
    100c:	cmp	x20, x5
    1010:	b.ne	1000 <product_8>  // b.any
    1014:	str	x0, [sp, #8]
    1018:	ret
"""


def check_spills():
    spec = importlib.util.spec_from_file_location("check_spills", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_loop_of_products_touches_the_stack(capsys):
    assert check_spills().main([]) == 0, capsys.readouterr().out


def test_a_sum_kept_on_the_stack_is_found():
    tool = check_spills()
    assert len(tool.hot_loops(CLEAN)) == 1
    assert tool.spills(CLEAN) == []
    spilled = CLEAN.replace("vpaddd %ymm3,%ymm0,%ymm0", "vpaddd 0x40(%rsp),%ymm3,%ymm0")
    assert "touches the stack 1 times" in tool.spills(spilled)[0]


def test_a_product_that_names_its_encoding_is_one():
    tool = check_spills()
    named = CLEAN.replace("vpmaddwd", "{vex} vpdpwssd")
    assert len(tool.hot_loops(named)) == 1


def test_loops_of_64_bit_arm_are_read_too():
    tool = check_spills()
    assert len(tool.hot_loops(ARM)) == 1
    assert tool.spills(ARM) == []
    spilled = ARM.replace("ldr\tq10, [x19, x6]", "ldr\tq10, [sp, #176]")
    assert "touches the stack 1 times" in tool.spills(spilled)[0]
