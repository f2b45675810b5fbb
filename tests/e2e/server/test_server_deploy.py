"""What the files under ``deploy`` choose, tried on the server itself."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.server

UNIT = Path(__file__).parents[3] / "deploy" / "nearfield.service"
NEARFIELD = Path(sys.executable).with_name("nearfield")
# systemd's set @resources, by the numbers they have on x86-64.
RESOURCES = (141, 142, 144, 160, 203, 237, 238, 251, 256, 279, 314)
UNDER_A_FILTER = """
import ctypes, os, struct, sys

refused, *numbers = map(int, sys.argv[1].split(","))
load, jump, give, allowed = 0x20, 0x15, 0x06, 0x7FFF0000
steps = [(load, 0, 0, 0)]
steps += [(jump, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
steps += [(give, 0, 0, allowed), (give, 0, 0, refused)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxN", len(steps), ctypes.addressof(code))
set_no_new_privileges, set_filter, by_program = 38, 22, 2
libc = ctypes.CDLL(None)
assert libc.prctl(set_no_new_privileges, 1, 0, 0, 0) == 0
assert libc.prctl(set_filter, by_program, program) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="numbers of x86-64 Linux"
)
def test_system_calls_that_the_unit_refuses_do_not_end_the_server():
    unit = UNIT.read_text("utf-8")
    assert re.search("^SystemCallFilter=~.*@resources", unit, re.MULTILINE)
    kill, fail_with_eperm = 0x80000000, 0x00050001
    fails = re.search("^SystemCallErrorNumber=EPERM$", unit, re.MULTILINE)
    numbers = ",".join(map(str, (fail_with_eperm if fails else kill, *RESOURCES)))

    words = [sys.executable, "-c", UNDER_A_FILTER, numbers, NEARFIELD, "serve", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        server.terminate()

    assert line.startswith("Serving at http://127.0.0.1:")
    assert server.returncode == 0
