"""A map as one HTML file that stands alone: no request, no server, all of it inside.

The page's own modules and styles are put into the file. What documents say enters it as
JSON in an element that is not run, with every character escaped that could end that element
or begin another (:func:`as_data`), and from there the page as text nodes. The file's own
policy (CSP) allows its one script and its one style, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.server.map.describe import describe, describe_field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nearfield.server.map.picture import Picture

# Not from the server's own module for them: a file is drawn without its libraries.
FOLDER = Path(__file__).parents[1] / "static"
START = "map/alone.js"
STYLES = ("style.css", "map.css")
TEXT_CHARACTERS = 300

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|const|class) )(\w+)", re.MULTILINE)
_ENDS = re.compile(r"</(script|style)|<!--", re.IGNORECASE)

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src '{script_hash}'; style-src '{style_hash}'; img-src data:; base-uri 'none'; \
form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>nearfield map</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header class="top">
<div class="brand"><span>nearfield</span></div>
<h1 id="map-title" dir="auto"></h1>
<div class="tools"><button id="theme" class="quiet"></button></div>
</header>
<main id="map" class="map-alone"></main>
<noscript><p>This map needs JavaScript; all of it is in this file.</p></noscript>
<script type="application/json" id="map-data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def as_page(picture: Picture, title: str) -> str:
    """Give a map as an HTML page that needs nothing else.

    Args:
        picture: The whole map.
        title: What stands above it.

    Returns:
        The page.
    """
    script = bundle(FOLDER, START)
    style = "\n".join((FOLDER / name).read_text("utf-8") for name in STYLES)
    return _PAGE.format(
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=_hash(style),
        data=as_data(_embedded(picture, title)),
    )


def as_data(value: object) -> str:
    """Give a value as JSON that can stand in any HTML element.

    Args:
        value: JSON-able.

    Returns:
        JSON in which ``<``, ``>``, ``&`` and all that is not ASCII are escaped, so that no
        text can end the element, begin a comment, or break a line where JavaScript would.
    """
    text = json.dumps(value, separators=(",", ":"))  # escapes all that is not ASCII
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def bundle(folder: Path, start: str) -> str:
    """Put modules into one script: each a function of its own, in the order they are needed.

    Args:
        folder: Where they lie.
        start: The module to begin with; its ``start`` is called.

    Returns:
        The script. It is the text of the modules themselves, but for the lines that
        import and export.
    """
    parts: dict[str, str] = {}

    def take(path: Path) -> str:
        name = f"$${path.relative_to(folder.resolve()).as_posix()}".translate(_NAMES)
        if name not in parts:
            text = path.read_text("utf-8")
            needed = {
                given: take((path.parent / given).resolve()) for _, given in _IMPORT.findall(text)
            }
            exported = ", ".join(given for _, given in _EXPORT.findall(text))
            text = _IMPORT.sub(lambda m: f"const {{{m[1]}}} = {needed[m[2]]};\n", text)
            text = _EXPORT.sub(r"\1\2", text)
            parts[name] = f"const {name} = (() => {{\n{text}\nreturn {{ {exported} }};\n}})();\n"
        return name

    first = take((folder / start).resolve())
    script = "".join(parts.values()) + f"await {first}.start();\n"
    if _ENDS.search(script):
        message = f"A module that {start} needs would end the element it is put into."
        raise ValueError(message)
    return script


_NAMES = str.maketrans({"/": "_", ".": "_", "-": "_"})


def _embedded(picture: Picture, title: str) -> dict[str, Any]:
    """Give all data of a map; each document's name once."""
    points = picture.points
    numbers: dict[str, int] = {}
    nodes = [
        [numbers.setdefault(document, len(numbers)), start, end, text]
        for document, (start, end), text in zip(
            points.documents, points.spans, points.texts, strict=True
        )
    ]
    return {
        "title": title,
        "state": {
            **describe(picture),
            "state": "layout",
            "stage": "",
            "share": 1,
            "version": "file-layout",
        },
        "pca": _base64(picture.pca),
        "layout": _base64(picture.places),
        "fields": [
            {**describe_field(field), "codes": base64.b64encode(field.codes.tobytes()).decode()}
            for field in points.fields
        ],
        "documents": list(numbers),
        "nodes": nodes,
    }


def _base64(places: NDArray[np.float32]) -> str:
    return base64.b64encode(places.astype("<f4").tobytes()).decode("ascii")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
