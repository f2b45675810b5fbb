"""The main text of a web page.

Scripts, styles and templates are dropped; so are menus, margins and footers,
and all outside ``<main>`` where a page has one with a fair part of its text, or
outside ``<article>`` where that is most of it. Headings are marked with ``#``, so that
a splitter knows them.

Tags are found by a scanner of our own: the standard library's parser takes
quadratic time on pages made to hurt (a minute for 60 KB of ``<a <a <a``).
"""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEVER_SHOWN = frozenset({"noscript", "template", "svg", "iframe", "object", "head"})
_RAW = frozenset({"script", "style", "textarea", "title", "xmp"})
"""Elements that end at their own end tag and nowhere before."""
_MARGIN = frozenset({"nav", "footer", "aside", "dialog", "menu"})
_MAIN = frozenset({"main", "article"})
_TRACKED = _NEVER_SHOWN | _MARGIN | _MAIN | {"pre"}
_MAY_BE_EMPTY = _RAW | _TRACKED
_PARAGRAPHS = frozenset({
    "address", "article", "aside", "blockquote", "body", "details", "div", "dl", "fieldset",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main",
    "nav", "ol", "p", "pre", "section", "table", "ul",
})  # fmt: skip
_LINES = frozenset({"br", "dd", "dt", "figcaption", "li", "option", "summary", "tr"})
_BEFORE = {
    "li": "- ", "td": " ", "th": " ",
    **{f"h{level}": "#" * level + " " for level in range(1, 7)},
}  # fmt: skip
_NAME = re.compile(r"/?[a-zA-Z][^\s/>]*+")
_WHITE = re.compile(r"\s+")
_LONGEST_QUOTE = 4096
_FAIR_PART = 0.25
_MOST = 0.5


def html_text(page: str) -> tuple[str, str]:
    """Give the main text of a page.

    Args:
        page: HTML, well formed or not.

    Returns:
        The text, paragraphs parted by empty lines, and the page's title, ``""``
        without one. A page without a first heading begins with its title.
    """
    collected = _Page()
    for name, content in _tokens(page):
        collected.take(name, content)
    body = _tidy(collected.body) or _tidy(collected.everything)
    main = _tidy(collected.main)
    # An article may be a box beside the text; what is called main is not.
    least = _FAIR_PART if collected.has_main else _MOST
    text = main if main and len(main) >= least * len(body) else body
    title = _WHITE.sub(" ", collected.title).strip()
    if title and not re.search(r"^# ", text, re.MULTILINE):
        text = f"# {title}\n\n{text}".rstrip()
    return text, title


def _tokens(page: str) -> Iterator[tuple[str, str]]:
    """Give the text (under the name ``""``) and the tags (``"p"``, ``"/p"``) of a page.

    The content of a raw element comes with its name. Each search either finds its
    end and goes on from there, or ends the scan: the time is linear in the page.
    """
    here = 0
    while (tag := page.find("<", here)) >= 0:
        name = _NAME.match(page, tag + 1)
        if name is None and page[tag + 1 : tag + 2] not in ("!", "?", "/"):
            yield "", page[here : tag + 1]  # a lone "<" is text
            here = tag + 1
            continue
        yield "", page[here:tag]
        comment = page.startswith("<!--", tag)
        end = page.find("-->", tag + 4) if comment else _tag_end(page, tag)
        if end < 0:
            return
        here = end + (3 if comment else 1)
        if name is not None:
            known = name.group().lower()
            content = ""
            if page[end - 1] == "/" and known in _MAY_BE_EMPTY:
                continue  # <title/> and its like, as XHTML writes them, hold nothing
            if known in _RAW:
                closing = re.compile(f"</{known}", re.IGNORECASE).search(page, here)
                stop = closing.start() if closing else len(page)
                content, here = page[here:stop], stop
            yield known, content
    yield "", page[here:]


def _tag_end(page: str, tag: int) -> int:
    """Find where a tag ends; a ``>`` in a quoted attribute does not end it."""
    end = page.find(">", tag)
    for quote in ('"', "'"):
        if end >= 0 and page.count(quote, max(tag, end - _LONGEST_QUOTE), end) % 2:
            closing = page.find(quote, end, end + _LONGEST_QUOTE)
            beyond = page.find(">", closing) if closing >= 0 else -1
            end = beyond if beyond >= 0 else end
    return end


class _Page:
    """The text of a page collected three ways: in its main part, outside its margins, all."""

    def __init__(self) -> None:
        self.main: list[str] = []
        self.body: list[str] = []
        self.everything: list[str] = []
        self.title = ""
        self.has_main = False
        self._open: Counter[str] = Counter()

    def take(self, name: str, content: str) -> None:
        """Take a text or a tag."""
        if not name:
            self._text(_unescaped(content))
        elif name == "title":
            self.title = self.title or _unescaped(content)
        elif name == "textarea":
            self._text(_unescaped(content))
        elif name not in _RAW:
            self._tag(name.removeprefix("/"), closing=name.startswith("/"))

    def _tag(self, name: str, *, closing: bool) -> None:
        if name == "body" or name in _PARAGRAPHS:
            self._open["head"] = 0  # its end may be left out, and the body's beginning
        self.has_main = self.has_main or name == "main"
        if name in _TRACKED:
            self._open[name] = max(self._open[name] + (-1 if closing else 1), 0)
        if name in _PARAGRAPHS:
            self._add("\n\n")
        elif name in _LINES:
            self._add("\n")
        if name in _BEFORE and not closing:
            self._add(_BEFORE[name])

    def _text(self, text: str) -> None:
        if text and not self._inside(_NEVER_SHOWN):
            self._add(text if self._open["pre"] else _WHITE.sub(" ", text))

    def _add(self, text: str) -> None:
        self.everything.append(text)
        if not self._inside(_MARGIN):
            self.body.append(text)
            if self._inside(_MAIN):
                self.main.append(text)

    def _inside(self, names: frozenset[str]) -> bool:
        return any(self._open[name] for name in names)


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a character number of thousands of digits
        return text


def _tidy(pieces: list[str]) -> str:
    """Join pieces; no white space at the ends of lines, no more than one empty line."""
    kept: list[str] = []
    for line in "".join(pieces).split("\n"):
        ended = line.rstrip()
        text = ended if ended.startswith("  ") else ended.lstrip()
        if text or (kept and kept[-1]):
            kept.append(text)
    return "\n".join(kept).strip()
