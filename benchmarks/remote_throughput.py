"""Throughput against a remote service: nearfield beside LlamaIndex's and LangChain's classes.

A stand-in for OpenAI runs in a process of its own and takes a fixed time per
request. Each contender embeds the same texts in batches of 10, eight requests
at a time where it can, in a process of its own, so that its memory is its own::

    python benchmarks/remote_throughput.py [--texts 10000] [--latency 0.05] [--dim 1536]

The ideal is workers * batch / latency texts a second. LlamaIndex's and
LangChain's packages are measured when they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time

BATCH = 10
WORKERS = 8
KEY = "loopback-key"


def nearfield_blocking(url, texts):
    """Embed by nearfield's blocking call."""
    from nearfield.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_key=KEY, api_base=url, num_workers=WORKERS, cache=False)
    return lambda: len(model.encode(texts))


def nearfield_asynchronous(url, texts):
    """Embed by nearfield's coroutine."""
    from nearfield.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_key=KEY, api_base=url, num_workers=WORKERS, cache=False)
    return lambda: len(asyncio.run(model.aencode(texts)))


def nearfield_lists(url, texts):
    """Embed by the name LlamaIndex's users call, which gives lists of floats."""
    from nearfield.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_key=KEY, api_base=url, num_workers=WORKERS, cache=False)
    return lambda: len(model.get_text_embedding_batch(texts))


def nearfield_cached(url, texts):
    """Embed by nearfield's blocking call, each vector kept in a new cache on disk."""
    import tempfile
    from pathlib import Path

    from nearfield.core.cache import EmbeddingCache
    from nearfield.embeddings.openai import OpenAIEmbedding

    cache = EmbeddingCache(Path(tempfile.mkdtemp()) / "cache.sqlite3")
    model = OpenAIEmbedding(api_key=KEY, api_base=url, num_workers=WORKERS, cache=cache)
    return lambda: len(model.encode(texts))


def llama_index_blocking(url, texts):
    """Embed by LlamaIndex's blocking call, which sends one request at a time."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_key=KEY, api_base=url, embed_batch_size=BATCH, num_workers=WORKERS)
    return lambda: len(model.get_text_embedding_batch(texts))


def llama_index_asynchronous(url, texts):
    """Embed by LlamaIndex's coroutine."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_key=KEY, api_base=url, embed_batch_size=BATCH, num_workers=WORKERS)
    return lambda: len(asyncio.run(model.aget_text_embedding_batch(texts)))


def langchain_blocking(url, texts):
    """Embed by LangChain's blocking call, which sends one request at a time."""
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(
        api_key=KEY, base_url=url, chunk_size=BATCH, check_embedding_ctx_length=False
    )
    return lambda: len(model.embed_documents(texts))


def langchain_asynchronous(url, texts):
    """Embed by LangChain's coroutine."""
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(
        api_key=KEY, base_url=url, chunk_size=BATCH, check_embedding_ctx_length=False
    )
    return lambda: len(asyncio.run(model.aembed_documents(texts)))


CONTENDERS = {
    function.__name__: function
    for function in (
        nearfield_blocking,
        nearfield_asynchronous,
        nearfield_lists,
        nearfield_cached,
        llama_index_blocking,
        llama_index_asynchronous,
        langchain_blocking,
        langchain_asynchronous,
    )
}


def measure(name, url, count):
    """Run one contender in this process, and print what it took as JSON."""
    texts = [f"Text number {n} says something short about planets." for n in range(count)]
    run = CONTENDERS[name](url, texts)
    CONTENDERS[name](url, texts[:BATCH])()  # imports and the first connection do not count
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    rows = run()
    elapsed = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    if rows != count:
        message = f"{name} gave {rows} vectors for {count} texts"
        raise SystemExit(message)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    grown = (after.ru_maxrss - before.ru_maxrss) / 1024
    print(json.dumps({"texts_per_s": count / elapsed, "cpu_s": cpu, "grown_mib": grown}))


def main():
    """Measure all contenders that are installed, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--dim", type=int, default=1536)
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.url, options.texts)
        return
    module = "nearfield.testing.openai_server"
    arguments = [f"--dim={options.dim}", f"--latency={options.latency}"]
    server = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE)
    try:
        url = server.stdout.readline().decode().strip()
        ideal = WORKERS * BATCH / options.latency
        print(f"{options.texts} texts, {options.dim} numbers each; ideal {ideal:.0f} texts/s")
        print(f"{'':26}{'texts/s':>9}{'of ideal':>10}{'CPU s':>8}{'memory MiB':>12}")
        for name in options.only:
            command = [sys.executable, __file__, f"--measure={name}", f"--url={url}"]
            done = subprocess.run(
                [*command, f"--texts={options.texts}"], capture_output=True, check=False
            )
            if done.returncode:
                print(f"{name:26}{done.stderr.decode().strip().splitlines()[-1]}")
                continue
            took = json.loads(done.stdout.splitlines()[-1])
            share = took["texts_per_s"] / ideal
            print(
                f"{name:26}{took['texts_per_s']:9.0f}{share:10.1%}{took['cpu_s']:8.1f}"
                f"{took['grown_mib']:12.0f}"
            )
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
