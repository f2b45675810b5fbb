"""A model's instructions are found, applied where meant, and can be switched off."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfield.errors import ConfigError
from nearfield.runtime.model_folder import ModelFolder
from nearfield.runtime.modules import Modules
from nearfield.runtime.prompts import Prompts, choose_prompts, known_prompts

RETRIEVAL = "Represent this sentence for searching relevant passages: "


def folder(config=None, **facts):
    return ModelFolder(path=Path("nowhere"), config=config or {}, modules=Modules(), **facts)


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("intfloat/e5-small-v2", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large", "query: ", "passage: "),
        ("BAAI/bge-small-en-v1.5", RETRIEVAL, ""),
        ("BAAI/bge-large-zh", "为这个句子生成表示以用于检索相关文章：", ""),
        ("/models/bge-base-en-v1.5/", RETRIEVAL, ""),
        ("C:\\models\\bge-base-en", RETRIEVAL, ""),
        ("mixedbread-ai/mxbai-embed-large-v1", RETRIEVAL, ""),
        ("Snowflake/snowflake-arctic-embed-m-v2.0", "query: ", ""),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
    ],
)
def test_known_families_have_their_published_prompts(name, query, document):
    assert known_prompts(name) == Prompts(query, document)


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "all-MiniLM-L6-v2", "my-e5-small", "e5", "", "/"])
def test_other_models_have_none(name):
    assert known_prompts(name) is None


def test_the_folders_own_prompts_come_before_the_familys():
    own = folder(prompts={"query": "Q: ", "passage": "D: "})

    assert choose_prompts(own, "intfloat/e5-small") == Prompts("Q: ", "D: ")


def test_a_folder_whose_prompts_say_nothing_leaves_it_to_the_family():
    """Newer versions of sentence-transformers write empty prompts into every folder."""
    own = folder(prompts={"query": "", "document": ""})

    assert choose_prompts(own, "intfloat/e5-small") == Prompts("query: ", "passage: ")


def test_the_default_prompt_stands_in_for_a_missing_one():
    own = folder(prompts={"task": "T: "}, default_prompt_name="task")
    assert choose_prompts(own, "x") == Prompts("T: ", "T: ")

    own = folder(prompts={"query": "Q: ", "document": ""}, default_prompt_name="query")
    assert choose_prompts(own, "x") == Prompts("Q: ", "")


def test_the_default_prompt_stands_in_for_the_empty_ones_of_every_folder():
    own = folder(
        prompts={"query": "", "document": "", "sts": "Similar to: "}, default_prompt_name="sts"
    )

    assert choose_prompts(own, "intfloat/e5-small") == Prompts("Similar to: ", "Similar to: ")


def test_a_default_is_named_among_the_folders_prompts_and_the_users():
    own = folder(prompts={"query": "", "document": "", "sts": "Similar to: "})

    chosen = choose_prompts(own, "intfloat/e5-small", default_prompt_name="sts")
    assert chosen == Prompts("Similar to: ", "Similar to: ")

    given = {"ret": "Find this: "}
    chosen = choose_prompts(own, "x", prompts=given, default_prompt_name="ret")
    assert chosen == Prompts("Find this: ", "Find this: ")


def test_whatever_is_said_of_queries_or_documents_comes_before_a_named_default():
    own = folder(prompts={"query": "Q: ", "document": "", "sts": "S: "})
    assert choose_prompts(own, "x", default_prompt_name="sts") == Prompts("Q: ", "")

    own = folder(prompts={"sts": "S: ", "task": "T: "}, default_prompt_name="task")
    chosen = choose_prompts(own, "x", prompts={"query": "ask: "}, default_prompt_name="sts")
    assert chosen == Prompts("ask: ", "S: ")
    chosen = choose_prompts(own, "x", text_instruction="", default_prompt_name="sts")
    assert chosen == Prompts("S: ", "")


def test_a_default_that_is_not_there_is_refused_with_the_names_that_are():
    own = folder(prompts={"query": "Q: "})

    with pytest.raises(ConfigError, match=r"no prompt 'sts'.*there are 'query', 'ret'\."):
        choose_prompts(own, "x", prompts={"ret": "R: "}, default_prompt_name="sts")
    with pytest.raises(ConfigError, match="there are none at all"):
        choose_prompts(own, "x", prompts={}, default_prompt_name="query")
    with pytest.raises(ConfigError, match="default_prompt_name must be a text, not 3"):
        choose_prompts(own, "x", default_prompt_name=3)


def test_prompts_of_which_none_would_be_used_are_refused_with_how_to_use_them():
    with pytest.raises(ConfigError, match=r"none would be used.*default_prompt_name='sts'"):
        choose_prompts(folder(), "x", prompts={"sts": "S: ", "task": "T: "})

    assert choose_prompts(folder(), "x", prompts={"passage": "D: ", "sts": "S: "}).document == "D: "
    own = folder(default_prompt_name="sts")
    assert choose_prompts(own, "x", prompts={"sts": "S: "}) == Prompts("S: ", "S: ")


def test_a_local_copy_is_known_by_the_name_inside():
    local = folder({"_name_or_path": "BAAI/bge-small-en-v1.5"})
    assert choose_prompts(local, "/data/my-model").query == RETRIEVAL

    local = folder(tokenizer_config={"name_or_path": "intfloat/e5-base"})
    assert choose_prompts(local, "/data/my-model").document == "passage: "


def test_instructions_of_the_user_win():
    chosen = choose_prompts(
        folder(), "intfloat/e5-small", query_instruction="ask: ", text_instruction="say: "
    )

    assert chosen == Prompts("ask: ", "say: ")


def test_an_empty_instruction_switches_one_off():
    assert choose_prompts(folder(), "intfloat/e5-small", query_instruction="") == Prompts(
        "", "passage: "
    )


def test_empty_prompts_switch_all_off():
    own = folder(prompts={"query": "Q: "}, default_prompt_name="query")

    assert choose_prompts(own, "intfloat/e5-small", prompts={}) == Prompts()


def test_prompts_of_the_user_come_before_the_folders():
    own = folder(prompts={"query": "Q: ", "document": "D: "})

    assert choose_prompts(own, "x", prompts={"query": "ask: "}) == Prompts("ask: ", "D: ")
    assert choose_prompts(own, "x", prompts={"document": ""}) == Prompts("Q: ", "")


def test_a_prompt_that_is_no_text_is_refused():
    with pytest.raises(ConfigError, match="prompts"):
        choose_prompts(folder(), "x", prompts={"query": 3})


def test_what_is_set_is_shown():
    assert repr(Prompts("query: ")) == "{'query': 'query: '}"
    assert repr(Prompts()) == "{}"
