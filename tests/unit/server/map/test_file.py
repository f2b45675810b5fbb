"""The map as one file that stands alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pytest

from nearfield.core.memory_store import MemoryStore
from nearfield.core.schema import Node
from nearfield.core.store import Entry, Header
from nearfield.server.map.file import FOLDER, START, as_data, as_page, bundle
from nearfield.server.map.picture import finish, sketch

HOSTILE = "</script><script>alert(1)</script><!-- --> ]]> \u2028\u2029 & &lt; \ud800 \x00 'x' \"y\""


def picture_of(texts):
    store = MemoryStore()
    store.initialize(Header("f", 4))
    vectors = np.random.default_rng(0).normal(size=(len(texts), 4)).astype(np.float32)
    for i, text in enumerate(texts):
        node = Node(text, f"n{i}", f"d{i}{HOSTILE}", metadata={"k": f"{HOSTILE}{i % 2}"})
        store.add([Entry(node.document_id, "h", [node], vectors[i : i + 1])])
    quiet = {"report": lambda *_: None}
    return finish(sketch(store, **quiet), **quiet)


@pytest.fixture(scope="module")
def page():
    return as_page(picture_of([HOSTILE, "plain"] * 5), f"A map {HOSTILE}")


def element(page, opening):
    start = page.index(opening) + len(opening)
    return page[start : page.index("</", start)]


def test_data_of_any_text_stay_data():
    text = as_data({HOSTILE: HOSTILE})

    assert json.loads(text) == {HOSTILE: HOSTILE}
    assert not set("<>&\u2028\u2029").intersection(text)
    assert text.isascii()


def test_no_document_text_stands_in_the_page_but_in_its_data(page):
    data = element(page, '<script type="application/json" id="map-data">')

    assert json.loads(data)["nodes"][0][3] == HOSTILE
    assert json.loads(data)["title"] == f"A map {HOSTILE}"
    assert "alert(1)" not in page.replace(data, "")
    assert page.count("</script>") == page.count("<script") == 2


def test_its_policy_allows_its_own_script_and_style_and_nothing_else(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    for kind, opening in (("script", '<script type="module">'), ("style", "<style>")):
        text = (
            element(page, opening)
            if kind == "style"
            else page.split(opening)[1].split("</script>")[0]
        )
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_places_and_categories_are_those_of_the_picture():
    picture = picture_of(["a"] * 30)
    data = json.loads(
        element(as_page(picture, "t"), '<script type="application/json" id="map-data">')
    )

    for name, places in (("pca", picture.pca), ("layout", picture.layout)):
        read = np.frombuffer(base64.b64decode(data[name]), "<f4").reshape(-1, 2)
        np.testing.assert_array_equal(read, places)
    for given, field in zip(data["fields"], picture.points.fields, strict=True):
        assert base64.b64decode(given["codes"]) == field.codes.tobytes()
    assert [data["documents"][node[0]] for node in data["nodes"]] == picture.points.documents


def test_the_script_has_every_module_once_before_those_that_need_it():
    script = bundle(FOLDER, START)

    made = re.findall(r"^const (\$\$\w+) = \(\(\) => \{$", script, re.MULTILINE)
    assert len(made) == len(set(made))
    assert {"$$dom_js", "$$map_js", "$$map_stage_js"} <= set(made)
    for name in made:
        uses = [m.start() for m in re.finditer(rf"= {re.escape(name)};", script)]
        assert all(use > script.index(f"const {name} = ") for use in uses)
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    assert "import(" not in script


def test_a_module_that_would_end_its_element_is_refused(tmp_path):
    (tmp_path / "a.js").write_text('export function start() { return "</script>"; }\n')

    with pytest.raises(ValueError, match="end the element"):
        bundle(tmp_path, "a.js")


def test_modules_keep_their_own_names(tmp_path):
    (tmp_path / "a.js").write_text(
        'import { one } from "./sub/b.js";\nconst mine = 1;\n'
        "export async function start() { one(mine); }\n"
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.js").write_text(
        "const mine = 2;\nexport const two = 2;\nexport function one() { return mine; }\n"
    )

    script = bundle(tmp_path, "a.js")

    assert "const { one } = $$sub_b_js;" in script
    assert "return { two, one };" in script
    assert script.endswith("await $$a_js.start();\n")
