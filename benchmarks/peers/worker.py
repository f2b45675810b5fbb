"""One peer in one process, told what to do by lines of JSON on its standard input.

    python worker.py PEER MODEL_FOLDER TEXTS_JSON

It needs nothing but the peer's own environment. After loading it embeds one text and
answers ``{"ready": ...}``; then each line is a command and gets one line back:

``{"do": "batch", "workload": "W2", "count": 256}``   one public batch call, timed
``{"do": "single", "workload": "W2", "count": 100}``  one public call a text, timed each
``{"do": "vectors", "workload": "W3", "count": 60, "path": "x.npy"}``
``{"do": "roofline"}``                                the fastest float32 matrix product

A peer's public call is timed as its users would write it, with whatever it returns.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIBRARIES = [
    "nearfield",
    "sentence-transformers",
    "transformers",
    "torch",
    "onnxruntime",
    "openvino",
    "optimum",
    "optimum-onnx",
    "optimum-intel",
    "llama-index-core",
    "llama-index-embeddings-huggingface",
    "langchain-huggingface",
    "fastembed",
    "infinity-emb",
    "tokenizers",
    "numpy",
]
ONNX = "onnx/model.onnx"
ONNX_INT8, ONNX_INT8_AVX2 = "onnx/model_qint8.onnx", "onnx/model_quint8_avx2.onnx"
OPENVINO = "openvino/openvino_model.xml"
OPENVINO_INT8 = "openvino/openvino_model_qint8_quantized.xml"
ISA_VARIABLE = "BENCHMARK_INSTRUCTION_SET"
INFINITY_BATCH = FASTEMBED_BATCH = 32
WARM_TEXTS = 8
SQUARE = 2048
LAYER = (1024, 384, 1536)


@dataclass
class Peer:
    """A peer, loaded.

    Attributes:
        many: Its public call for many texts.
        one: Its public call for one query.
        equal: Its call for many equal texts, when ``many`` would compute them once.
    """

    many: Callable[[list[str]], Any]
    one: Callable[[str], Any] | None = None
    equal: Callable[[list[str]], Any] | None = None


def sentence_transformers(folder: str, backend: str, file_name: str | None = None) -> Peer:
    """Load sentence-transformers on one of its backends."""
    from sentence_transformers import SentenceTransformer

    options: dict[str, Any] = {}
    if file_name:
        options["model_kwargs"] = {"file_name": file_name}
        if backend == "onnx":
            options["model_kwargs"]["provider"] = "CPUExecutionProvider"
    model = SentenceTransformer(folder, device="cpu", backend=backend, **options)
    return Peer(lambda texts: model.encode(texts, show_progress_bar=False))


def llama_index(folder: str, backend: str, file_name: str | None = None) -> Peer:
    """Load LlamaIndex's wrapper; its vectors are lists, as its users get them."""
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    options = {"model_kwargs": {"file_name": file_name}} if file_name else {}
    model = HuggingFaceEmbedding(model_name=folder, device="cpu", backend=backend, **options)
    return Peer(model.get_text_embedding_batch, model.get_query_embedding)


def langchain(folder: str) -> Peer:
    """Load LangChain's wrapper."""
    from langchain_huggingface import HuggingFaceEmbeddings

    model = HuggingFaceEmbeddings(model_name=folder, model_kwargs={"device": "cpu"})
    return Peer(model.embed_documents, model.embed_query)


def fastembed(folder: str) -> Peer:
    """Load fastembed on the same ONNX file; its default batch of 256 can take 17 GB."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    name = f"local/{Path(folder).name}"
    config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=config["hidden_size"],
        model_file=ONNX,
    )
    model = TextEmbedding(model_name=name, specific_model_path=folder)
    return Peer(
        lambda texts: list(model.embed(texts, batch_size=FASTEMBED_BATCH)),
        lambda text: list(model.query_embed(text)),
    )


def infinity(folder: str) -> Peer:
    """Load infinity's engine, without its server."""
    import asyncio

    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    loop = asyncio.new_event_loop()
    arguments = EngineArgs(
        model_name_or_path=folder,
        engine="torch",
        device="cpu",
        batch_size=INFINITY_BATCH,
        embedding_dtype="float32",
        model_warmup=False,
    )
    engine = AsyncEmbeddingEngine.from_args(arguments)
    loop.run_until_complete(engine.astart())
    return Peer(lambda texts: loop.run_until_complete(engine.embed(sentences=texts))[0])


def nearfield(folder: str, backend: str, **model_kwargs: str) -> Peer:
    """Load nearfield on one of its backends."""
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding

    _hold(model_kwargs.get("dtype"))
    return _ours(
        HuggingFaceEmbedding(
            model_name=folder, device="cpu", backend=backend, model_kwargs=model_kwargs
        )
    )


def nearfield_bundled(_folder: str) -> Peer:
    """Load the model inside nearfield; MODEL_FOLDER is not read."""
    from nearfield.embeddings.bundled import BundledEmbedding

    _hold()
    return _ours(BundledEmbedding())


def _hold(dtype: str | None = None) -> None:
    """Keep to the instruction set asked for; a model takes its own when it is made."""
    from nearfield.runtime.native import select_isa

    isa = os.environ.get(ISA_VARIABLE)
    select_isa(f"{isa}-int8" if isa and dtype == "int8" else isa)


def _ours(model: Any) -> Peer:
    model.on_truncation = "ignore"
    # Below the plan: encode() computes equal texts once, which would say nothing in W1.
    return Peer(
        model.encode,
        model.get_query_embedding,
        lambda texts: model._encode(texts, "query"),  # noqa: SLF001 - see above
    )


def nearfield_engine(folder: str) -> Peer:
    """Load nearfield's engine without the classes around it: tokens in, vectors out."""
    from nearfield.embeddings.huggingface import HuggingFaceEmbedding

    _hold()
    model = HuggingFaceEmbedding(model_name=folder, device="cpu", backend="native")
    _ours(model)
    runner = model._runner  # noqa: SLF001 - what is measured lies inside
    return Peer(lambda texts: runner.engine.encode(runner.tokenizer.encode(texts).ids))


PEERS: dict[str, Callable[[str], Peer]] = {
    "st-torch": lambda m: sentence_transformers(m, "torch"),
    "st-onnx": lambda m: sentence_transformers(m, "onnx", ONNX),
    "st-onnx-qint8": lambda m: sentence_transformers(m, "onnx", ONNX_INT8),
    "st-onnx-quint8-avx2": lambda m: sentence_transformers(m, "onnx", ONNX_INT8_AVX2),
    "st-openvino": lambda m: sentence_transformers(m, "openvino", OPENVINO),
    "st-openvino-qint8": lambda m: sentence_transformers(m, "openvino", OPENVINO_INT8),
    "llama-index-torch": lambda m: llama_index(m, "torch"),
    "llama-index-openvino": lambda m: llama_index(m, "openvino", OPENVINO),
    "langchain": langchain,
    "fastembed": fastembed,
    "infinity": infinity,
    "nearfield": lambda m: nearfield(m, "native"),
    "nearfield-int8": lambda m: nearfield(m, "native", dtype="int8"),
    "nearfield-torch": lambda m: nearfield(m, "torch"),
    "nearfield-onnx": lambda m: nearfield(m, "onnx", file_name=ONNX),
    "nearfield-openvino": lambda m: nearfield(m, "openvino", file_name=OPENVINO),
    "nearfield-bundled": nearfield_bundled,
    "nearfield-engine": nearfield_engine,
}


def serve(peer: Peer, texts: dict[str, list[str]], out: TextIO) -> None:
    """Answer commands until the input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        chosen = texts[command["workload"]][: command["count"]] if "workload" in command else []
        answer = {
            "batch": lambda c, t: _batch(peer, t, equal=c["workload"] == "W1"),
            "single": lambda _, t: _single(peer, t),
            "vectors": lambda c, t: _vectors(peer, t, c["path"]),
            "roofline": lambda _c, _t: {"gflops": roofline()},
            "versions": lambda _c, _t: {"versions": _versions(LIBRARIES)},
        }[command["do"]](command, chosen)
        _say(out, {**answer, "peak_rss_mb": _peak_rss_mb()})


def _batch(peer: Peer, texts: list[str], *, equal: bool) -> dict[str, float]:
    call = (peer.equal if equal else None) or peer.many
    call(texts[:WARM_TEXTS])
    cpu, wall = time.process_time(), time.perf_counter()
    call(texts)
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def _single(peer: Peer, texts: list[str]) -> dict[str, list[float]]:
    call = peer.one or (lambda text: peer.many([text]))
    for text in texts[:WARM_TEXTS]:
        call(text)
    times = []
    for text in texts:
        started = time.perf_counter()
        call(text)
        times.append(time.perf_counter() - started)
    return {"each_s": times}


def _vectors(peer: Peer, texts: list[str], path: str) -> dict[str, Any]:
    import numpy as np

    vectors = np.asarray(peer.many(texts), dtype=np.float32)
    np.save(path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return {"shape": list(vectors.shape)}


def roofline() -> float:
    """Give the float32 GFLOP/s of the fastest matrix product at hand, on all threads."""
    import numpy as np

    products: list[Callable[[], Any]] = []
    shapes = ((SQUARE, SQUARE, SQUARE), LAYER)
    for rows, inner, columns in shapes:
        left, right = np.ones((rows, inner), "f"), np.ones((inner, columns), "f")
        products.append(lambda left=left, right=right: left @ right)
    flops = [2 * rows * inner * columns for rows, inner, columns in shapes]
    if "torch" in sys.modules:
        import torch

        for rows, inner, columns in shapes:
            left, right = torch.ones(rows, inner), torch.ones(inner, columns)
            products.append(lambda left=left, right=right: left @ right)
        flops *= 2
    return max(
        work / _fastest(product) / 1e9 for product, work in zip(products, flops, strict=True)
    )


def _fastest(call: Callable[[], Any], seconds: float = 0.4) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while (started := time.perf_counter()) < end:
        call()
        best = min(best, time.perf_counter() - started)
    return best


def _peak_rss_mb() -> float:
    # Not ru_maxrss: a new process inherits that of the one that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _versions(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _say(out: TextIO, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


def main() -> None:
    """Load the peer, say so, serve."""
    # What libraries print goes to stderr; answers go where stdout was.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    name, folder, texts = sys.argv[1], sys.argv[2], sys.argv[3]
    try:
        peer = PEERS[name](folder)
        peer.many(["the first text"])
    except Exception as error:
        logging.getLogger().exception("%s", name)
        _say(out, {"error": f"{type(error).__name__}: {error}"})
        return
    # Nothing else before this: a cold start ends here.
    _say(out, {"ready": name, "peak_rss_mb": _peak_rss_mb()})
    serve(peer, json.loads(Path(texts).read_text(encoding="utf-8")), out)


if __name__ == "__main__":
    main()
