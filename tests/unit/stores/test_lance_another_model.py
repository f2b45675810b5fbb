"""An index that is no file moves to another model through one, as docs/stores.md says."""

import pytest

from nearfield import Document, VectorStoreIndex
from nearfield.cli.main import run
from nearfield.core.registry import EMBEDDINGS, Registered
from nearfield.core.storage import open_store

pytestmark = pytest.mark.lance


def test_a_lance_index_gets_another_model_through_a_file(tmp_path, monkeypatch, capsys):
    """The texts and facts stay; the vectors are the new model's; the old index is as it was."""
    monkeypatch.chdir(tmp_path)
    fake = Registered("nearfield.testing.fake:FakeEmbedding", "arithmetic", "model_name")
    monkeypatch.setitem(EMBEDDINGS, "fake", fake)
    texts = ["Mars is the Red Planet.", "Dogs bark at night.", "Tea is hot."]
    documents = [Document(text, {"n": n}, f"d{n}") for n, text in enumerate(texts)]
    old = VectorStoreIndex.from_documents(documents, path="lance://papers", embed_model="bundled")
    before = old.store.header
    old.close()
    for words in (
        ["copy", "lance://papers", "papers.nearfield"],
        ["migrate", "papers.nearfield", "--to", "fake:new"],
        ["migrate", "papers.nearfield", "--forget"],
        ["copy", "papers.nearfield", "lance://papers-new"],
    ):
        assert run(words) == 0, capsys.readouterr().err
    assert open_store("lance://papers").header == before
    new = open_store("lance://papers-new")
    assert new.header.model_name == "new"
    assert [(node.text, node.metadata["n"]) for node, _ in new.nodes()] == [
        (text, n) for n, text in enumerate(texts)
    ]
