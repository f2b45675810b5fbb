"""A real server over an index of 1,500 passages, and a real Chromium to look at it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NODES = 1500
KEY = "a-key-for-tests-only"
SETTING = {
    "kitchen": ["bread", "butter", "an oven", "a copper pan", "fresh basil", "the sourdough"],
    "harbour": ["a trawler", "the lighthouse", "wet ropes", "the tide", "gulls", "an old pier"],
    "orchard": ["an apple tree", "the beehive", "a ladder", "ripe plums", "the frost", "a wasp"],
    "observatory": ["the telescope", "a comet", "Mars", "the dome", "a faint nebula", "Jupiter"],
    "workshop": ["a lathe", "sawdust", "the violin", "a sharp chisel", "varnish", "a brass hinge"],
}
DOINGS = [
    "was left out in the rain until morning",
    "made the whole room smell of summer",
    "had to be mended before anyone noticed",
    "is older than the house it stands in",
    "kept everybody awake for most of the night",
    "looked smaller than we remembered it",
    "was worth far more than we paid for it",
]
PLANETS = (
    "Venus is often called Earth's twin because of its similar size and proximity. "
    "Mars, known for its reddish appearance, is often referred to as the Red Planet. "
    "Jupiter, the largest planet in our solar system, has a prominent red spot. "
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet."
)
# A node of one's own making, longer than the model reads.
MANUAL = (
    "A zeppelin is steered by its rudder. " + "The rope is checked, and again. " * 60 + "The end."
)
ENDLESS = "The endless zebra line " + "z" * 1_000_000
HOSTILE = {
    "script": "The hostile zebra says <script>window.pwned = 1</script> "
    "<img src=x onerror='window.pwned = 2'> <b>bold</b> &lt;entities&gt; to all who read it.",
    "right-to-left": "The mirrored zebra \u202eetisoppo\u202c. "
    "زرافة وحمار وحشي في السهل. זברה בסוואנה.",
    "signs": "The odd zebra 🦓🏽‍♀️ z\u0335\u0321a\u0300\u0301l\u0334g\u0335o\u0336 "
    "\u0000\u0007 \ufffe 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 stripes. It ends well 🦓.",
}


@pytest.fixture(scope="session")
def corpus():
    """Documents of a few kinds: many small, one long, some hostile."""
    from nearfield import Document

    draw = random.Random(7)
    documents = []
    for number in range(NODES):
        kind = draw.choice(list(SETTING))
        thing, doing = draw.choice(SETTING[kind]), draw.choice(DOINGS)
        text = f"In the {kind}, {thing} {doing}. Note {number}."
        facts = {"kind": kind, "year": draw.randint(1990, 2025), "folder": f"notes/{kind}"}
        documents.append(Document(text, facts, id=f"notes/{kind}/{number:04}.txt"))
    documents.append(Document(PLANETS, {"kind": "planets"}, id="planets.md"))
    story = "\n\n".join(
        f"Chapter {n}. The caravan reached well number {n} before dusk, and {draw.choice(DOINGS)}. "
        "Nobody spoke of the map again. The camels drank first, as was the custom. " * 3
        for n in range(1, 25)
    )
    documents.append(Document(story, {"kind": "story"}, id="stories/caravan.txt"))
    for name, text in HOSTILE.items():
        documents.append(
            Document(text, {"kind": "hostile", name: text[:300]}, id=f"hostile/<i>{name}</i>.txt")
        )
    return documents


@pytest.fixture(scope="session")
def index_path(corpus, tmp_path_factory):
    """An index of the corpus, by the bundled model."""
    from nearfield.core import VectorStoreIndex
    from nearfield.core.schema import Node
    from nearfield.embeddings.bundled import BundledEmbedding

    path = tmp_path_factory.mktemp("browser") / "notes.index"
    model = BundledEmbedding(on_truncation="ignore")
    with VectorStoreIndex.from_documents(corpus, path=path, embed_model=model) as index:
        # Whole: a splitter would have cut them.
        index.insert_nodes([Node(MANUAL, document_id="manuals/zeppelin.txt")])
        index.insert_nodes([Node(ENDLESS, document_id="hostile/<i>long</i>.txt")])
        assert index.count > NODES
    return path


class Site:
    """A running server.

    Args:
        process: Its process.
        url: Where it is.
        cache: Its cache folder.
    """

    def __init__(self, process, url, cache):
        self.process, self.url, self.cache = process, url, cache

    def keep_bench(self, results):
        """Put results where ``nearfield bench`` would."""
        self.cache.mkdir(parents=True, exist_ok=True)
        (self.cache / "bench.json").write_text(json.dumps(results))

    def forget_bench(self):
        (self.cache / "bench.json").unlink(missing_ok=True)


def start(words, folder, **more):
    """Run a command of nearfield that serves, and wait until it says where."""
    cache = folder / "cache"
    environment = {**os.environ, "NEARFIELD_CACHE_DIR": str(cache), **more}
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfield", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return Site(process, found[0], cache)
    pytest.fail("the server did not start: " + "".join(lines))


def stop(site):
    site.process.terminate()
    assert site.process.wait(timeout=20) == 0
    assert not site.process.stdout.read(), "the server has something to say"
    site.process.stdout.close()


@pytest.fixture(scope="session")
def site(index_path, tmp_path_factory):
    """``nearfield view`` over the index, with a second model to compare by."""
    table = tmp_path_factory.mktemp("table")
    make_table(table / "words")
    running = start(
        ["view", str(index_path), "--no-browser", "--also", f"static:{table / 'words'}"],
        tmp_path_factory.mktemp("site"),
    )
    yield running
    stop(running)


def make_table(folder):
    """Write a table of words in Model2Vec's format: a second model, made and loaded at once."""
    from nearfield.embeddings.bundled import FOLDER
    from nearfield.runtime.encoder import Matrix
    from nearfield.runtime.safetensors import SafetensorsFile, write_safetensors

    weights, name = SafetensorsFile(FOLDER / "model.safetensors"), WORDS
    table = Matrix(weights[name], weights.get(f"{name}.scale")).widen()
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", {"embeddings": table})
    (folder / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    shutil.copy(FOLDER / "tokenizer.json", folder)


WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="session")
def guarded_site(index_path, tmp_path_factory):
    """A server that asks for a key."""
    running = start(
        ["serve", "--index", str(index_path), "--port", "0"],
        tmp_path_factory.mktemp("guarded"),
        NEARFIELD_API_KEY=KEY,
    )
    yield running
    stop(running)


# Not for the whole session: while it is there, no other test of this process can run a loop.
@pytest.fixture(scope="module")
def browser():
    """A Chromium of this machine, without a window."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield launched
        launched.close()


class Watch:
    """What a page did that it should not."""

    def __init__(self, page, allowed):
        self.faults = []
        self.allowed = allowed
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, message):
        if message.text.startswith("[.WebGL"):
            return  # what a machine without a graphics card says of its own speed
        if message.type in {"error", "warning"}:
            self.faults.append(f"{message.type}: {message.text} {message.location.get('url')}")

    def _request(self, url):
        host = urlsplit(url).netloc
        if host not in self.allowed and not url.startswith(("data:", "blob:", "about:")):
            self.faults.append(f"request to {url}")


@pytest.fixture
def open_page(browser, request):
    """Open pages; each must stay without console errors and ask no other host."""
    contexts, watches = [], []

    def opened(url, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(20_000)  # a busy machine is no fault of the page
        contexts.append(context)
        page = context.new_page()
        watches.append(Watch(page, {urlsplit(url).netloc}))
        page.goto(url)
        page.watch = watches[-1]
        return page

    yield opened
    for context in contexts:
        context.close()
    faults = [fault for watch in watches for fault in watch.faults]
    assert not faults, faults


@pytest.fixture
def page(open_page, site):
    """The page, opened."""
    return open_page(site.url + "/")


@pytest.fixture(scope="session")
def screenshots():
    """A folder for pictures, where one is wanted: ``NEARFIELD_SCREENSHOTS``."""
    named = os.environ.get("NEARFIELD_SCREENSHOTS")
    return Path(named) if named else None
