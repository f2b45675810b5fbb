"""Time peers side by side: every round each peer does every workload once, in turn.

    python -m benchmarks.peers.run MODEL_FOLDER --envs ENVS_FOLDER --out result.json

MODEL_FOLDER is what variants.py wrote. Peers are the names of worker.py; nearfield's run
under this interpreter, the others under that of their environment (see setup.py). All
workers stay alive, so that a noisy moment meets all of them; a first round warms up and
is thrown away. The result holds every sample, the machine and all versions;
``python -m benchmarks.peers.report result.json`` prints the tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine, source_revision
from benchmarks.peers.workloads import make_workloads

WORKER = Path(__file__).with_name("worker.py")
DEFAULT_PEERS = (
    "st-torch st-onnx st-onnx-qint8 st-onnx-quint8-avx2 st-openvino st-openvino-qint8 "
    "llama-index-torch langchain fastembed infinity nearfield nearfield-engine nearfield-bundled"
)
AVX2_ONLY = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "MKL_CBWR": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "BENCHMARK_INSTRUCTION_SET": "avx2",
}
"""What keeps libraries to AVX2 on a newer processor; hold_to_avx2.py holds the others."""
BREAKS_OPENVINO = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Its kernels and its copy of oneDNN then disagree on the processor, and it finds none to run."""
NOT_HELD = ("nearfield-onnx", "nearfield-openvino")
"""They run in this environment, which hold_to_avx2.py does not change."""
HELD = ("main-avx2", "hold_to_avx2.py")
FIDELITY_TEXTS = 60


@dataclass(frozen=True)
class Setting:
    """What all workers of a run share.

    Attributes:
        envs: The folder of environments.
        model: The model's folder.
        texts: The workloads, JSON.
        env: Environment variables.
        isa: ``native``, or ``avx2`` to hold all peers to AVX2.
    """

    envs: Path
    model: Path
    texts: Path
    env: dict[str, str]
    isa: str

    def python(self, peer: str) -> str:
        """Give the interpreter of a peer's environment."""
        if peer.startswith("nearfield"):
            return sys.executable
        main, script = ("main", "setup.py") if self.isa == "native" else HELD
        group = "infinity" if peer == "infinity" else main
        python = self.envs.resolve() / group / "bin/python"
        if not python.exists():
            sys.exit(f"{peer} needs the environment {python.parents[1]}. Make it with {script}.")
        return str(python)

    def environment(self, peer: str) -> dict[str, str]:
        """Give the environment variables of a peer."""
        left_out = BREAKS_OPENVINO if "openvino" in peer else ()
        return {name: value for name, value in self.env.items() if name not in left_out}


class Worker:
    """A peer in a process of its own."""

    def __init__(self, peer: str, setting: Setting) -> None:
        self.peer = peer
        arguments = [str(WORKER), peer, str(setting.model), str(setting.texts)]
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [setting.python(peer), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=setting.environment(peer),
        )
        self._in, self._out = self.process.stdin, self.process.stdout
        self.ready = self._answer()
        self.start_s = time.perf_counter() - started

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        print(json.dumps(command), file=self._in, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._out.readline() if self._out else ""
        return json.loads(line) if line else {"error": "the process ended"}

    def stop(self) -> None:
        """End the process; some peers' threads must be killed."""
        if self._in:
            self._in.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main() -> None:
    """Measure and write the result."""
    arguments = _arguments()
    model: Path = arguments.model.resolve()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.peers.run", *sys.argv[1:]]),
        "nearfield": source_revision(),
        "machine": describe_machine(),
        "threads": arguments.threads,
        "isa": arguments.isa,
        "peers": {},
    }
    env = _environment(arguments.threads, arguments.isa)
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch, "texts.json")
        workloads = make_workloads(model / "tokenizer.json")
        texts.write_text(json.dumps(workloads), encoding="utf-8")
        result["workloads"] = _facts(model, workloads, arguments.load)
        result["baseline"] = arguments.peers[0]
        setting = Setting(arguments.envs, model, texts, env, arguments.isa)
        for peer in arguments.peers * arguments.cold:
            _cold_start(result, peer, setting)
        workers = []
        for peer in arguments.peers:
            worker = Worker(peer, setting)
            entry = result["peers"].setdefault(peer, {})
            if "error" in worker.ready:
                entry["error"] = worker.ready["error"]
                worker.stop()
                continue
            entry["versions"] = worker.ask(do="versions")["versions"]
            workers.append(worker)
            print(f"up: {peer} after {worker.start_s:.1f} s", flush=True)
        try:
            _rounds(result, workers, arguments)
            _fidelity(result, workers, Path(scratch))
        finally:
            for worker in workers:
                worker.stop()
            result["machine"]["load_average_after"] = os.getloadavg()
            arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _rounds(result: dict[str, Any], workers: list[Worker], arguments: argparse.Namespace) -> None:
    result["roofline_gflops"] = []
    for number in range(arguments.rounds + 1):
        keep = number > 0
        for name, count in arguments.load.items():
            for worker in workers:
                answer = _checked(worker, do="batch", workload=name, count=count)
                if keep:
                    into = result["peers"][worker.peer].setdefault("batch", {}).setdefault(name, [])
                    into.append({"wall_s": answer["wall_s"], "cpu_s": answer["cpu_s"]})
                time.sleep(arguments.pause)
        for worker in workers:
            answer = _checked(worker, do="single", workload="W2", count=arguments.single)
            entry = result["peers"][worker.peer]
            entry["peak_rss_mb"] = answer["peak_rss_mb"]
            if keep:
                entry.setdefault("single_s", []).extend(answer["each_s"])
            answer = _checked(worker, do="single", workload="W1", count=arguments.single)
            if keep:
                entry.setdefault("one_by_one_s", []).append(sum(answer["each_s"]))
        if keep:
            result["roofline_gflops"].append(_checked(workers[0], do="roofline")["gflops"])
        arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"round {number} of {arguments.rounds}", flush=True)


def _fidelity(result: dict[str, Any], workers: list[Worker], scratch: Path) -> None:
    """Compare every peer's vectors with the first peer's."""
    reference: dict[str, Any] = {}
    for worker in workers:
        path = scratch / "vectors.npy"
        entry = result["peers"][worker.peer]["cosine"] = {}
        for name in ("W2", "W3"):
            _checked(worker, do="vectors", workload=name, count=FIDELITY_TEXTS, path=str(path))
            vectors = np.load(path).astype(np.float64)
            cosines = (vectors * reference.setdefault(name, vectors)).sum(axis=1)
            entry[name] = {"mean": cosines.mean(), "min": cosines.min()}
        pair = []
        for name, count in (("question", 1), ("planets", 4)):
            _checked(worker, do="vectors", workload=name, count=count, path=str(path))
            pair.append(np.load(path))
        result["peers"][worker.peer]["planets"] = (pair[0] @ pair[1].T)[0].tolist()


def _cold_start(result: dict[str, Any], peer: str, setting: Setting) -> None:
    """Time a fresh process until it has embedded its first text."""
    worker = Worker(peer, setting)
    worker.stop()
    if "error" not in worker.ready:
        entry = result["peers"].setdefault(peer, {})
        entry.setdefault("cold_start_s", []).append(worker.start_s)
        entry["cold_start_rss_mb"] = worker.ready["peak_rss_mb"]


def _checked(worker: Worker, **command: Any) -> dict[str, Any]:
    answer = worker.ask(**command)
    if "error" in answer:
        sys.exit(f"{worker.peer}: {answer['error']} during {command}")
    return answer


def _facts(
    model: Path, workloads: dict[str, list[str]], load: dict[str, int]
) -> dict[str, dict[str, Any]]:
    """Say how much work each workload is.

    A token costs layers x (2 (4 d² + 2 d f) + 4 L d) floating-point operations in a text of
    L tokens: four projections and two perceptron matrices, then scores and their use.
    """
    from tokenizers import Tokenizer

    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    bert = json.loads((model / "sentence_bert_config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(bert["max_seq_length"])
    facts = {}
    for name, count in load.items():
        texts = workloads[name][:count]
        lengths = np.array([len(e.ids) for e in tokenizer.encode_batch(texts)], np.float64)
        a_token = 2 * (4 * width**2 + 2 * width * inner) + 4 * lengths * width
        flops = config["num_hidden_layers"] * (a_token * lengths).sum()
        facts[name] = {
            "texts": len(texts),
            "tokens": int(lengths.sum()),
            "gflop": flops / 1e9,
            "sha256": hashlib.sha256("\0".join(texts).encode()).hexdigest(),
        }
    return facts


def _environment(threads: int, isa: str) -> dict[str, str]:
    """Give the workers' environment; their number of threads is set by the cores they may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    env = dict(os.environ)
    env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    env |= {"TOKENIZERS_PARALLELISM": "true", "OMP_NUM_THREADS": str(threads)}
    env |= {"OPENBLAS_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    env |= {"NEARFIELD_THREADS": str(threads)}
    if isa == "avx2":
        env |= AVX2_ONLY
    return env


def _load(text: str) -> dict[str, int]:
    pairs = (part.split(":") for part in text.split(","))
    return {name: int(count) for name, count in pairs}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="the folder that variants.py wrote")
    parser.add_argument("--envs", type=Path, required=True, help="the folder that setup.py filled")
    parser.add_argument("--out", type=Path, required=True, help="the result, JSON")
    parser.add_argument(
        "--peers",
        type=str.split,
        default=DEFAULT_PEERS.split(),
        help="names of worker.py, the baseline first",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--load",
        type=_load,
        default="W1:512,W2:1024,W3:128,W4:256",
        help="texts a round by workload",
    )
    parser.add_argument("--single", type=int, default=64, help="queries a round, one at a time")
    parser.add_argument("--cold", type=int, default=3, help="fresh processes a peer")
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between measurements")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isa", choices=("native", "avx2"), default="native")
    arguments = parser.parse_args()
    loose = sorted({*arguments.peers} & {*NOT_HELD}) if arguments.isa == "avx2" else []
    if loose:
        parser.error(f"Nothing holds {' and '.join(loose)} to AVX2. Leave out with --peers.")
    return arguments


if __name__ == "__main__":
    main()
