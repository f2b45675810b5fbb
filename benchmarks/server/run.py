"""The server: its throughput beside the library's own, and beside other servers.

    python -m benchmarks.server.run MODEL [--envs ENVS] [--seconds 10] [--out result.json]

MODEL is the folder of a model. 64 connections send one short text each, again and again
(wrk, on the same cores); before and after, the library embeds the same texts in one call.
``p99 at half load`` is measured at about half the throughput: wrk's connections pause
between requests, a random time. With ``--envs``, infinity and sentence-transformers behind
FastAPI follow, each in its own environment of benchmarks/peers/setup.py, to which
``infinity-emb[server]``, ``fastapi`` and ``uvicorn[standard]`` were added. It needs wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import describe_machine, source_revision
from benchmarks.peers.workloads import make_workloads

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CLIENTS = 64
WARM_UP_S = 3
START_S = 180
LIBRARY = """
import json, sys, time
from nearfield.embeddings.huggingface import HuggingFaceEmbedding
model = HuggingFaceEmbedding(sys.argv[1])
texts = [json.loads(line)["input"] for line in open(sys.argv[2], encoding="utf-8")]
model.encode(texts[:256])
best = 0.0
until = time.perf_counter() + float(sys.argv[3])
while time.perf_counter() < until:
    start = time.perf_counter()
    model.encode(texts)
    best = max(best, len(texts) / (time.perf_counter() - start))
print(best)
"""


def main() -> None:
    """Measure, and print a table; the whole result goes to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--envs", type=Path, help="the environments of the other servers")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model = options.model.absolute()
    result = {
        "machine": describe_machine(),
        "commit": source_revision(),
        "command": " ".join(sys.argv),
        "clients": CLIENTS,
    }
    with tempfile.TemporaryDirectory(prefix="nearfield-bench-") as folder:
        bodies = Path(folder) / "bodies.jsonl"
        write_bodies(model, bodies)
        before = library_rate(model, bodies, options.seconds / 2)
        result["servers"] = {
            name: measure(command, path, bodies, options.seconds)
            for name, (command, path) in servers(model, options.envs).items()
        }
        after = library_rate(model, bodies, options.seconds / 2)
    result["library_texts_per_s"] = [round(before), round(after)]
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2), encoding="utf-8")


def servers(model: Path, envs: Path | None) -> dict[str, tuple[list[str], str]]:
    """Give the command of each server, with PORT in place of the port, and its path."""
    v1 = "/v1/embeddings"
    ours = [sys.executable, "-m", "nearfield", "serve", "--model", f"m=local:{model}"]
    found = {"nearfield": ([*ours, "--port", "PORT"], v1)}
    if envs is not None:
        bare = envs / "main" / "bin" / "python"
        usual = [str(bare), str(HERE / "usual_app.py"), str(model), "PORT"]
        infinity = [str(envs / "infinity" / "bin" / "infinity_emb"), "v2"]
        infinity += ["--model-id", str(model), "--served-model-name", "m"]
        infinity += ["--engine", "torch", "--device", "cpu", "--host", "127.0.0.1"]
        found["infinity"] = ([*infinity, "--port", "PORT"], "/embeddings")
        found["sentence-transformers, FastAPI"] = (usual, v1)
    return found


def write_bodies(model: Path, path: Path) -> None:
    """Write the request of every short text, one a line."""
    texts = make_workloads(model / "tokenizer.json")["W2"]
    lines = (json.dumps({"model": "m", "input": text}) for text in texts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def library_rate(model: Path, bodies: Path, seconds: float) -> float:
    """Give the texts per second of the library's own ``encode`` of all texts; the best call."""
    command = [sys.executable, "-c", LIBRARY, str(model), str(bodies), str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(command: list[str], path: str, bodies: Path, seconds: float) -> dict[str, object]:
    """Measure one server at full and at half load."""
    with started(command, path) as (process, port):
        load(port, path, bodies, WARM_UP_S)
        cpu, engine, begun = cpu_seconds(process.pid), engine_seconds(port), time.perf_counter()
        full = load(port, path, bodies, seconds)
        wall = time.perf_counter() - begun
        cpu = cpu_seconds(process.pid) - cpu
        computed = engine_seconds(port)
        cores = len(os.sched_getaffinity(0))
        full["server_cpu_share"] = round(cpu / wall / cores, 3)
        if engine is not None and computed is not None:
            full["engine_cpu_share"] = round((computed - engine) / wall / cores, 3)
        if not full["requests"]:
            message = f"No answer in {seconds:g} s: is the machine busy? Try longer --seconds."
            raise RuntimeError(message)
        # A connection's turn takes its pause and its answer: half the rate needs twice the turn.
        pause = 2 * CLIENTS / full["per_s"] * 1000 - full["p50_ms"] / 4
        half = load(port, path, bodies, seconds, pause_ms=round(pause))
    return {"full": full, "half": half}


def load(
    port: int, path: str, bodies: Path, seconds: float, *, pause_ms: int = 0
) -> dict[str, float]:
    """Let wrk send requests; give the rate and the latencies."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds:g}s", "--timeout", "60s"]
    command += ["-s", str(HERE / "texts.lua"), f"http://127.0.0.1:{port}", "--"]
    command += [str(bodies), path, str(pause_ms)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(re.search(r"^RESULT (.*)$", said, re.MULTILINE)[1])
    found["per_s"] = round(found["requests"] / found["seconds"], 1)
    return found


@contextlib.contextmanager
def started(command: list[str], path: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a server until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [str(port) if word == "PORT" else word for word in command]
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | offline)
        try:
            wait_until_answered(process, port, path)
            yield process, port
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode("utf-8", "replace")[-2000:])
            raise
        finally:
            process.terminate()
            process.wait(60)


def wait_until_answered(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    """Wait until a server answers a request."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if (
                ask(port, "POST", path, b'{"model": "m", "input": "ready"}')[0]
                == http.HTTPStatus.OK
            ):
                return
        time.sleep(0.2)
    message = f"The server did not answer: {process.args!r}"
    raise RuntimeError(message)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def engine_seconds(port: int) -> float | None:
    """Give the processor time of nearfield's computing threads; ``None`` of other servers."""
    status, text = ask(port, "GET", "/metrics")
    found = re.search(rb"^nearfield_inference_cpu_seconds_total\S* (\S+)", text, re.MULTILINE)
    return float(found[1]) if status == http.HTTPStatus.OK and found else None


def cpu_seconds(pid: int) -> float:
    """Give the processor time a process has used, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(result: dict[str, object]) -> None:
    """Print the table."""
    before, after = result["library_texts_per_s"]
    library = max(before, after)
    print(f"library, one call: {before} texts/s before, {after} after")
    print(
        "| server | texts/s | of the library | engine's CPU | p50 / p99 ms | half: texts/s, p99 |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, one in result["servers"].items():
        full, half = one["full"], one["half"]
        engine = full.get("engine_cpu_share")
        share = "" if engine is None else f"{engine:.0%} of {full['server_cpu_share']:.0%}"
        print(
            f"| {name} | {full['per_s']:.0f} | {full['per_s'] / library:.0%} | {share} "
            f"| {full['p50_ms']:.0f} / {full['p99_ms']:.0f} "
            f"| {half['per_s']:.0f}, {half['p99_ms']:.0f} ms |"
        )
        if full["failed"] or half["failed"]:
            print(f"{name}: {full['failed']} + {half['failed']} requests failed")


if __name__ == "__main__":
    main()
