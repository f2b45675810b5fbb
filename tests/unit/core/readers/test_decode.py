"""Bytes into text: nothing dropped, no guess unsaid, nothing binary let in."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.readers import SimpleDirectoryReader
from nearfield.core.readers.decode import Decoded, decode
from nearfield.errors import ReadError

TEXT = "Grüße aus Köln: 5 € – ça va?"


def test_utf8_is_found():
    assert decode(TEXT.encode(), "f") == Decoded(TEXT, "utf-8")


@pytest.mark.parametrize(
    ("mark", "codec", "name"),
    [
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32"),
    ],
)
def test_a_byte_order_mark_decides_and_is_no_part_of_the_text(mark, codec, name):
    assert decode(mark + TEXT.encode(codec), "f") == Decoded(TEXT, name)


@pytest.mark.parametrize(
    "head",
    [
        '<meta charset="iso-8859-15">',
        "<?xml version='1.0' encoding='iso-8859-15'?>",
        "# -*- coding: iso-8859-15 -*-\n",
    ],
)
def test_what_the_file_declares_is_believed_when_it_is_not_utf8(head):
    decoded = decode((head + "5 €").encode("iso-8859-15"), "f")
    assert decoded == Decoded(head + "5 €", "iso-8859-15")


@pytest.mark.parametrize(
    ("declared", "meant", "text"),
    [
        ("iso-8859-1", "cp1252", "\u201cdéjà\u201d \u2014 5 €"),
        ("us-ascii", "cp1252", "déjà vu"),
        ("gb2312", "gb18030", "朱镕基"),
        ("x-gbk", "gb18030", "㐀 朱镕基"),
        ("Shift_JIS", "cp932", "①髙橋"),
        ("euc-kr", "cp949", "똠방각하"),
    ],
)
def test_pages_that_declare_less_than_they_use_are_read_as_browsers_read_them(
    declared, meant, text
):
    page = f'<meta charset="{declared}">{text}'
    assert decode(page.encode(meant), "f") == Decoded(page, meant)


def test_a_declared_encoding_that_holds_all_is_kept():
    page = '<meta charset="iso-8859-1">déjà vu'
    assert decode(page.encode("latin-1"), "f") == Decoded(page, "iso-8859-1")
    odd = '<meta charset="iso-8859-1">odd \x81'
    assert decode(odd.encode("latin-1"), "f").text == odd


def test_a_declared_encoding_in_which_the_declaration_could_not_be_read_is_wrong():
    page = '<?xml version="1.0" encoding="utf-16"?><a>déjà vu!</a>'
    assert decode(page.encode("cp1252"), "f") == Decoded(page, "cp1252", guessed=True)
    assert decode(page.encode("cp1252") + b" ", "f").text == page + " "


def test_a_wrong_declaration_does_not_spoil_utf8():
    text = '<meta charset="ascii">' + TEXT
    assert decode(text.encode(), "f").text == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_guessed_and_said_to_be(codec):
    assert decode(TEXT.encode(codec), "f") == Decoded(TEXT, codec, guessed=True)


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("Привет, мир! " * 3, b"\xd0 or \xff"),
        ("信息检索系统很好用吗", b"\xe4"),
        ("Grüße, ça va? " * 9, b"\xff, \xc3"),
    ],
)
def test_a_broken_byte_in_utf8_spoils_no_other(text, broken):
    shown = text + broken.decode("utf-8", "backslashreplace") + text
    data = text.encode() + broken + text.encode()
    assert decode(data, "f") == Decoded(shown, "utf-8", guessed=True)
    assert decode(b'<meta charset="utf-8">' + data, "f").text.endswith(shown)


@pytest.mark.parametrize("encoding", ["gbk", "koi8-r", "cp1251", "shift_jis", "cp1252"])
def test_other_encodings_are_not_taken_for_broken_utf8(encoding):
    texts = {
        "gbk": "信息检索系统很好用吗" * 9,
        "shift_jis": "日本語の文を探す" * 9,
        "cp1252": TEXT * 9,
    }
    data = texts.get(encoding, "Привет, мир! Ещё раз. " * 9).encode(encoding)
    assert decode(data, "f").encoding in {"cp1252", "latin-1"}


def test_what_is_left_is_windows_1252_and_said_to_be_a_guess():
    assert decode(TEXT.encode("cp1252"), "f") == Decoded(TEXT, "cp1252", guessed=True)
    assert decode(b"odd \x81 byte", "f") == Decoded("odd \x81 byte", "latin-1", guessed=True)


def test_the_guess_is_told_in_the_metadata(tmp_path):
    (tmp_path / "a.txt").write_bytes("café".encode("cp1252"))
    (document,) = SimpleDirectoryReader(tmp_path).load_data()
    assert (document.text, document.metadata["encoding"]) == ("café", "cp1252 (a guess)")


def test_plain_utf8_needs_no_word_in_the_metadata(tmp_path):
    (tmp_path / "a.txt").write_text("café", encoding="utf-8")
    (document,) = SimpleDirectoryReader(tmp_path).load_data()
    assert "encoding" not in document.metadata


def test_an_encoding_given_is_used_strictly():
    assert decode("привет".encode("cp1251"), "f", encoding="cp1251").text == "привет"
    with pytest.raises(ReadError, match="f is not utf-8"):
        decode(b"caf\xe9", "f", encoding="utf-8")
    assert decode(b"caf\xe9", "f", encoding="utf-8", errors="replace").text == "caf\ufffd"


@pytest.mark.parametrize(
    ("encoding", "errors"), [("latin-1", "strict"), ("utf-8", "ignore"), ("utf-8", "replace")]
)
def test_what_is_no_text_is_none_in_any_encoding(encoding, errors):
    packed = bytes(range(256)) * 40
    for data in (b"\x89PNG\r\n\x1a\n" + packed, packed):
        with pytest.raises(ReadError, match="not text"):
            decode(data, "f", encoding=encoding, errors=errors)


def test_an_unknown_encoding_is_named():
    with pytest.raises(ReadError, match="no encoding 'klingon'"):
        decode(b"x", "f", encoding="klingon")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7 text", "a PDF file"),
        (b"PK\x03\x04...", "a ZIP archive, or an office document"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
        (b"\x7fELF\x02", "a program"),
        (b"some \x00 text", "binary"),
        (bytes(range(1, 32)) * 20 + b"\xff", "binary"),
    ],
)
def test_what_is_no_text_is_refused_and_named(data, what):
    with pytest.raises(ReadError, match=rf"dir/f is {what}, not text") as raised:
        decode(data, "dir/f")
    assert raised.value.path == "dir/f"


def test_a_character_cut_in_two_where_a_growing_file_was_cut_is_left_out():
    data = "naïve café".encode()[:-1]
    assert decode(data, "f", cut_short=True).text == "naïve caf"
    assert decode(data, "f").guessed, "in a file that is whole it is no UTF-8"
    assert decode("é".encode("utf-16")[:-1], "f", cut_short=True).text == ""
    assert decode("a🐝".encode("utf-16")[:-2], "f", cut_short=True).text == "a"
    assert decode(codecs.BOM_UTF8 + data, "f", cut_short=True).text == "naïve caf"


def test_a_file_that_grows_is_read_up_to_its_size_when_opened(tmp_path, monkeypatch):
    from nearfield.core.readers import file as module

    path = tmp_path / "log.txt"
    path.write_text("one\n")
    facts = module._facts

    def append_first(found, about):
        with path.open("a") as log:
            log.write("two\n")
        return facts(found, about)

    monkeypatch.setattr(module, "_facts", append_first)
    real = module._content

    def content(file, found, most):
        data, _ = real(file, found, most)
        return data[:4], True

    monkeypatch.setattr(module, "_content", content)
    (document,) = SimpleDirectoryReader(tmp_path).load_data()
    assert document.text == "one\n"


def test_half_characters_that_json_spells_become_storable_text(tmp_path):
    (tmp_path / "a.json").write_text('{"a": "x\\ud800y"}')
    (document,) = SimpleDirectoryReader(tmp_path).load_data()
    assert document.text == "a: x\\ud800y"
    document.text.encode()


@given(st.binary(max_size=200))
def test_bytes_become_text_whole_or_are_refused(data):
    try:
        decoded = decode(data, "f")
    except ReadError:
        return
    if (decoded.encoding, decoded.guessed) == ("utf-8", True):
        assert decoded.text == data.decode("utf-8", "backslashreplace")
        return
    again = decoded.text.encode(decoded.encoding)
    assert again == data or data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
