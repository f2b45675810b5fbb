"""The clients people use, unchanged, against the server."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.server, pytest.mark.openai]

TEXTS = ["A first text.", "Ein zweiter, größerer Text", "第三", "and a fourth 🙂"]
DEFAULT_MODEL = "text-embedding-ada-002"


@pytest.fixture
def cl100k(monkeypatch):
    """An encoding by the name of OpenAI's, of single bytes, in client and server alike."""
    import tiktoken
    from tiktoken import registry

    from nearfield.server import tokens

    encoding = tiktoken.Encoding(
        "cl100k_base",
        pat_str=r"\S+|\s+",
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens={"<|endoftext|>": 256},
    )
    monkeypatch.setitem(registry.ENCODINGS, "cl100k_base", encoding)
    tokens._encoding.cache_clear()
    yield encoding
    tokens._encoding.cache_clear()


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    """A machine that has no data of tiktoken's."""
    from tiktoken import registry

    from nearfield.server import tokens

    monkeypatch.setattr(registry, "ENCODINGS", {})
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tokens._encoding.cache_clear()
    yield
    tokens._encoding.cache_clear()


@pytest.fixture
def client(server):
    import openai

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as one:
        yield one


def rows(answer):
    return np.array([entry.embedding for entry in answer.data], np.float32)


@pytest.mark.parametrize("encoding_format", [None, "float", "base64"])
def test_openais_client_gets_the_librarys_vectors(client, bundled, encoding_format):
    """Left to itself it asks for base64, and turns it into numbers."""
    given = {} if encoding_format is None else {"encoding_format": encoding_format}
    answer = client.embeddings.create(model="m", input=TEXTS, **given)

    assert answer.model == "m"
    assert answer.usage.prompt_tokens > 0
    if encoding_format == "base64":
        import base64

        found = [np.frombuffer(base64.b64decode(one.embedding), "<f4") for one in answer.data]
    else:
        found = rows(answer)
    assert np.array_equal(np.array(found), bundled.encode(TEXTS))


async def test_openais_asynchronous_client_gets_them_too(server, bundled):
    import openai

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client:
        answers = await asyncio.gather(
            *(client.embeddings.create(model="m", input=text) for text in TEXTS)
        )

    assert np.array_equal(np.concatenate([rows(one) for one in answers]), bundled.encode(TEXTS))


def test_openais_client_lists_the_models(client):
    assert DEFAULT_MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve("m").id == "m"


def test_openais_client_understands_the_errors(client):
    import openai

    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model="none", input="text")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.embeddings.create(model="m", input="text", dimensions=7)
    assert bad.value.param == "dimensions"


def test_openais_client_is_told_that_its_key_is_wrong(running, bundled):
    import openai

    from nearfield.remote.secret import Secret

    with running({"m": bundled}, api_key=Secret("a-very-long-key")) as server:
        base = f"{server.url}/v1"
        with (
            openai.OpenAI(base_url=base, api_key="another", max_retries=0) as stranger,
            pytest.raises(openai.AuthenticationError),
        ):
            stranger.embeddings.create(model="m", input="text")
        with openai.OpenAI(base_url=base, api_key="a-very-long-key") as friend:
            assert len(friend.embeddings.create(model="m", input="text").data) == 1


def test_token_arrays_equal_their_texts(client, cl100k, bundled):
    arrays = [cl100k.encode(text) for text in TEXTS]

    answer = client.embeddings.create(model="m", input=arrays)
    single = client.embeddings.create(model="m", input=arrays[1])

    assert np.array_equal(rows(answer), bundled.encode(TEXTS))
    assert np.array_equal(rows(single), bundled.encode(TEXTS[1:2]))


@pytest.mark.llama_index
def test_token_arrays_of_openais_real_encoding_equal_their_texts(
    client, bundled, monkeypatch, no_data
):
    """LlamaIndex brings the encoding's data along."""
    import llama_index.core
    import tiktoken

    data = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(data))
    encoding = tiktoken.get_encoding("cl100k_base")
    answer = client.embeddings.create(model="m", input=[encoding.encode(t) for t in TEXTS])

    assert np.array_equal(rows(answer), bundled.encode(TEXTS))


def test_token_arrays_without_the_data_name_the_way_out(client, no_data):
    import openai

    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="m", input=[[1, 2, 3]])


def test_a_number_that_is_no_token_is_refused(client, cl100k):
    import openai

    with pytest.raises(openai.BadRequestError, match="no token"):
        client.embeddings.create(model="m", input=[[99_999_999]])
    with pytest.raises(openai.BadRequestError, match="no token"):
        client.embeddings.create(model="m", input=[[1 << 62]])


def test_token_arrays_may_be_the_models_own(running, bundled):
    read = bundled.measure.encode(TEXTS).ids
    with running({"m": bundled}, token_arrays="model") as server:
        framed = server.embed(read)[1]
        bare = server.embed([ids[1:-1] for ids in read])[1]
        wrong = server.embed([[10_000_000]])

    wanted = bundled.encode(TEXTS)
    for body in (framed, bare):
        found = np.array([entry["embedding"] for entry in body["data"]], np.float32)
        assert np.array_equal(found, wanted)
    assert wrong[0] == 400


@pytest.mark.langchain
def test_langchains_embeddings_work_with_their_defaults(server, bundled, cl100k):
    """They send arrays of token numbers."""
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(base_url=f"{server.url}/v1", api_key="unused")

    assert np.array_equal(np.array(model.embed_documents(TEXTS), np.float32), bundled.encode(TEXTS))
    assert np.array_equal(
        np.array(model.embed_query(TEXTS[0]), np.float32), bundled.encode(TEXTS[:1])[0]
    )


@pytest.mark.langchain
async def test_langchains_embeddings_work_asynchronously(server, bundled, cl100k):
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(base_url=f"{server.url}/v1", api_key="unused")
    found = await model.aembed_documents(TEXTS)

    assert np.array_equal(np.array(found, np.float32), bundled.encode(TEXTS))


@pytest.mark.llama_index
def test_llama_indexs_embedding_works(server, bundled):
    from llama_index.embeddings.openai import OpenAIEmbedding

    model = OpenAIEmbedding(api_base=f"{server.url}/v1", api_key="unused")
    found = model.get_text_embedding_batch(TEXTS)

    assert np.array_equal(np.array(found, np.float32), bundled.encode(TEXTS))
    assert len(model.get_query_embedding("a question")) == bundled.dim


def test_our_own_provider_works(server, bundled):
    from nearfield.embeddings.openai_like import OpenAILikeEmbedding

    model = OpenAILikeEmbedding("m", api_base=f"{server.url}/v1", api_key="unused")

    assert np.array_equal(model.encode(TEXTS), bundled.encode(TEXTS))
