"""Where Qdrant and Milvus are: paths and servers are told apart, and no secret is repeated."""

import pytest

from nearfield.core.committed.place import server_of
from nearfield.errors import ConfigError, StoreUnavailableError

SECRET = "gehe1m"
REFUSED = "127.0.0.1:1"
"""A port at which nobody listens."""


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("index.db", None), ("/data/a:b/index", None), ("C:\\data", None), ("a@b/c", None),
        ("host:6333", "http://host:6333"), ("[::1]:6333/x", "http://[::1]:6333/x"),
        (f"me:{SECRET}@host:1", f"http://me:{SECRET}@host:1"), ("https://host", "https://host"),
    ],
)  # fmt: skip
def test_a_server_is_told_from_a_path(place, url):
    assert server_of(place) == url


@pytest.mark.parametrize(
    "place", [f"host:1?api_key={SECRET}", f"https://host/?token={SECRET}", f"u:{SECRET}@h:1?a=b"]
)
def test_a_key_in_an_address_is_refused_and_not_repeated(place):
    with pytest.raises(ConfigError, match="Keys are given") as error:
        server_of(place)
    assert SECRET not in str(error.value)


PLACES = [REFUSED, f"me:{SECRET}@{REFUSED}", f"http://me:{SECRET}@{REFUSED}"]


@pytest.mark.qdrant
@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
@pytest.mark.parametrize("place", PLACES)
def test_qdrant_out_of_reach_is_told_without_secrets(place, tmp_path, monkeypatch):
    """And no folder of such a name is made."""
    from nearfield.stores.qdrant import QdrantStore

    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailableError, match="Qdrant at") as error:
        _ = QdrantStore(place, api_key=SECRET).header
    assert SECRET not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.milvus
@pytest.mark.parametrize("place", PLACES)
def test_milvus_out_of_reach_is_told_without_secrets(place, tmp_path, monkeypatch):
    from nearfield.stores.milvus import MilvusStore

    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailableError, match="Milvus at") as error:
        MilvusStore(place, token=f"root:{SECRET}", timeout_s=1)
    assert SECRET not in str(error.value)
    assert list(tmp_path.iterdir()) == []
