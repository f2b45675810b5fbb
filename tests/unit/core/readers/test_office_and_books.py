"""Slide shows, workbooks and electronic books, read by the libraries of the extra ``readers``."""

import io
import zipfile
from datetime import datetime

import pytest

from nearfield.core import SimpleDirectoryReader
from nearfield.errors import ReadError

pytestmark = pytest.mark.readers


def read(path, data):
    path.write_bytes(data)
    return SimpleDirectoryReader(input_files=[path], raise_on_error=True).load_data()


def archive(members, kind=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as written:
        for name, data in members.items():
            written.writestr(name, data)
    return file.getvalue()


def changed(data, name, change):
    """Give an archive with one member put through a function of its text."""
    plain = zipfile.ZipFile(io.BytesIO(data))
    members = {each: plain.read(each) for each in plain.namelist()}
    members[name] = change(members[name].decode()).encode()
    return archive(members)


def pptx(fill):
    from pptx import Presentation

    show = Presentation()
    fill(show)
    file = io.BytesIO()
    show.save(file)
    return file.getvalue()


def slides(show):
    from pptx.util import Inches

    show.core_properties.title = "On cooking"
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Pasta"
    first.placeholders[1].text = "Boil it.\nSalt it."
    first.notes_slide.notes_text_frame.text = "Mention the sauce."
    show.slides.add_slide(show.slide_layouts[6])
    third = show.slides.add_slide(show.slide_layouts[6])
    inches = Inches(1)
    table = third.shapes.add_table(2, 2, inches, inches, inches, inches).table
    for cell, text in zip(table.iter_cells(), ["dish", "minutes", "bread", "sixty"], strict=True):
        cell.text = text
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(inches, inches, inches, inches).text_frame.text = "Grouped."


def test_a_slide_show_becomes_a_document_per_slide_that_has_text(tmp_path):
    first, third = read(tmp_path / "talk.pptx", pptx(slides))
    assert first.text == "# Pasta\n\nBoil it.\nSalt it.\n\nNotes: Mention the sauce."
    assert third.text == "dish | minutes\nbread | sixty\n\nGrouped."
    assert [one.id[-7:] for one in (first, third)] == [".pptx#1", ".pptx#3"]
    assert [one.metadata["slide"] for one in (first, third)] == [1, 3]
    assert first.metadata["slide_title"] == "Pasta"
    assert first.metadata["title"] == "On cooking"
    assert first.metadata["file_type"].endswith("presentationml.presentation")


def test_a_slide_show_without_text_says_so(tmp_path):
    data = pptx(lambda show: show.slides.add_slide(show.slide_layouts[6]))
    with pytest.raises(ReadError, match="no text"):
        read(tmp_path / "pictures.pptx", data)


def test_a_slide_shown_without_end_is_refused(tmp_path, monkeypatch):
    from nearfield.readers import archive as module

    monkeypatch.setattr(module, "MOST_GROWTH", 0)
    monkeypatch.setattr(module, "LEAST_ROOM", 100)

    def again(xml):
        begin = xml.index("<p:sldId ")
        one = xml[begin : xml.index("/>", begin) + 2]
        return xml.replace(one, one * 1000)

    data = changed(pptx(slides), "ppt/presentation.xml", again)
    with pytest.raises(ReadError, match="when laid out"):
        read(tmp_path / "loop.pptx", data)


def xlsx(fill):
    from openpyxl import Workbook

    book = Workbook()
    fill(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def sheets(book):
    prices = book.active
    prices.title = "Prices"
    prices.append(["All prices of 2024"])
    prices.append([])
    prices.append(["item", "price", None, "since", "organic"])
    prices.append(["flour", 1.5, "cheap", datetime(2024, 5, 1), True])  # noqa: DTZ001 - a file knows no zone
    prices.append([None, None, None, None, None])
    prices.append(["salt", 2, None, datetime(2024, 5, 2, 8, 30), False])  # noqa: DTZ001
    notes = book.create_sheet("Notes")
    notes.append(["Buy more salt."])
    notes.append(["And sugar."])


def test_a_workbook_becomes_a_document_per_row_named_by_the_heads_of_its_columns(tmp_path):
    documents = read(tmp_path / "shop.xlsx", xlsx(sheets))
    assert [one.text for one in documents] == [
        "All prices of 2024",
        "item: flour\nprice: 1.5\ncolumn 3: cheap\nsince: 2024-05-01\norganic: true",
        "item: salt\nprice: 2\nsince: 2024-05-02 08:30:00\norganic: false",
        "Buy more salt.",
        "And sugar.",
    ]
    where = [(one.metadata["sheet"], one.metadata["row"]) for one in documents]
    assert where == [("Prices", 1), ("Prices", 4), ("Prices", 6), ("Notes", 1), ("Notes", 2)]
    assert documents[-1].id.endswith("shop.xlsx#5")
    assert documents[0].metadata["file_type"].endswith("spreadsheetml.sheet")


SHEET = "xl/worksheets/sheet1.xml"


def with_rows(rows):
    """Give a workbook whose one sheet has rows written by hand."""

    def change(xml):
        begin, end = xml.index("<sheetData"), xml.index("<pageMargins")
        return f"{xml[:begin]}<sheetData>{rows}</sheetData>{xml[end:]}"

    return changed(xlsx(lambda book: None), SHEET, change)


def cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def test_of_a_formula_the_saved_result_is_read(tmp_path):
    saved, never_computed = "<f>6*7</f><v>42</v>", "<f>1+1</f>"
    rows = f'<row r="1"><c r="A1">{saved}</c></row><row r="2"><c r="A2">{never_computed}</c></row>'
    (document,) = read(tmp_path / "sums.xlsx", with_rows(rows))
    assert document.text == "42"


def test_rows_that_span_more_cells_than_anyone_fills_are_refused(tmp_path, monkeypatch):
    from nearfield.readers import xlsx as module

    monkeypatch.setattr(module, "MOST_CELLS", 100_000)
    rows = "".join(f'<row r="{n}">{cell(f"XFD{n}", "x")}</row>' for n in range(1, 50))
    with pytest.raises(ReadError, match="more than 100,000 cells"):
        read(tmp_path / "wide.xlsx", with_rows(rows))


def test_a_row_of_an_absurd_number_is_passed_over(tmp_path):
    rows = f'<row r="1">{cell("A1", "here")}</row><row r="99999999999">{cell("A2", "there")}</row>'
    (document,) = read(tmp_path / "far.xlsx", with_rows(rows))
    assert document.text == "here"


def test_one_long_text_in_many_cells_is_refused(tmp_path, monkeypatch):
    from nearfield.readers import archive as module

    monkeypatch.setattr(module, "MOST_GROWTH", 1)
    monkeypatch.setattr(module, "LEAST_ROOM", 0)
    many = xlsx(lambda book: [book.active.append(["long text " * 100] * 26) for _ in range(20)])
    with pytest.raises(ReadError, match="when laid out"):
        read(tmp_path / "shared.xlsx", many)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_workbook_cannot_grow_by_entities_or_read_other_files(tmp_path, encoding):
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    entities = f'<!DOCTYPE w [<!ENTITY a SYSTEM "{secret.as_uri()}"><!ENTITY b "boom">]>'
    plain = zipfile.ZipFile(io.BytesIO(with_rows(f'<row r="1">{cell("A1", "&a;&b;")}</row>')))
    members = {name: plain.read(name) for name in plain.namelist()}
    xml = members[SHEET].decode().partition("?>")[2] or members[SHEET].decode()
    declared = f'<?xml version="1.0" encoding="{encoding}"?>{entities}{xml}'
    members[SHEET] = declared.encode(encoding)
    with pytest.raises(ReadError, match="cannot be read: EntitiesForbidden"):
        read(tmp_path / "evil.xlsx", archive(members))


CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)


def package(items, order, head=""):
    manifest = "".join(
        f'<item id="{name}" href="{href}" media-type="{kind}"/>' for name, href, kind in items
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in order)
    return (
        f'{head}<package xmlns="http://www.idpf.org/2007/opf" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The cook '
        f"book</dc:title></metadata><manifest>{manifest}</manifest><spine>{spine}</spine></package>"
    )


XHTML = "application/xhtml+xml"
ITEMS = [
    ("two", "text/bread%20day.xhtml", XHTML),
    ("one", "text/pasta.xhtml", XHTML),
    ("cover", "cover.xhtml", XHTML),
    ("picture", "cover.png", "image/png"),
    ("lost", "text/lost.xhtml", XHTML),
    ("out", "../../../etc/passwd", XHTML),
]
BOOK = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": package(ITEMS, ["cover", "one", "two", "picture", "lost", "out", "one"]),
    "OEBPS/cover.xhtml": "<html><body><img src='cover.png'/></body></html>",
    "OEBPS/cover.png": b"\x89PNG",
    "OEBPS/text/pasta.xhtml": (
        "<!DOCTYPE html><html><head><title>Pasta</title></head>"
        "<body><h1>Pasta</h1><p>Boil it for nine minutes.</p></body></html>"
    ),
    "OEBPS/text/bread day.xhtml": (
        '<?xml version="1.0" encoding="iso-8859-1"?><html><head><title>Bread</title></head>'
        "<body><p>Crème on bread.</p></body></html>"
    ).encode("latin-1"),
}


def test_a_book_becomes_a_document_per_chapter_in_the_order_of_reading(tmp_path):
    pasta, bread = read(tmp_path / "cook.epub", archive(BOOK))
    assert pasta.text == "# Pasta\n\nBoil it for nine minutes."
    assert bread.text == "# Bread\n\nCrème on bread."
    assert [one.id[-7:] for one in (pasta, bread)] == [".epub#2", ".epub#3"]
    assert [one.metadata["chapter"] for one in (pasta, bread)] == ["Pasta", "Bread"]
    assert pasta.metadata["title"] == "The cook book"
    assert pasta.metadata["file_type"] == "application/epub+zip"


def test_chapters_without_a_title_of_their_own_are_read(tmp_path):
    pages = {
        "OEBPS/text/pasta.xhtml": "<html><head><title/></head><body><p>Salt it.</p></body></html>"
    }
    texts = [one.text for one in read(tmp_path / "book.epub", archive(BOOK | pages))]
    assert "Salt it." in texts


def encryption(uri):
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
        'xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference '
        f'URI="{uri}"/></CipherData></EncryptedData></encryption>'
    )


def test_a_book_protected_against_copying_is_refused(tmp_path):
    locked = BOOK | {"META-INF/encryption.xml": encryption("OEBPS/text/pasta.xhtml")}
    with pytest.raises(ReadError, match="protected"):
        read(tmp_path / "locked.epub", archive(locked))


def test_a_book_whose_fonts_alone_are_encrypted_is_read(tmp_path):
    fonts = BOOK | {"META-INF/encryption.xml": encryption("OEBPS/font.otf")}
    assert len(read(tmp_path / "fonts.epub", archive(fonts))) == 2


def test_a_book_cannot_grow_by_entities_or_read_other_files(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    head = f'<!DOCTYPE w [<!ENTITY a SYSTEM "{secret.as_uri()}"><!ENTITY b "boom">]>'
    evil = package(ITEMS, ["one"], head).replace("The cook book", "&a;&b;")
    with pytest.raises(ReadError, match="cannot be read: EntitiesForbidden"):
        read(tmp_path / "evil.epub", archive(BOOK | {"OEBPS/book.opf": evil}))


def test_a_book_of_the_old_kind_with_a_doctype_is_read(tmp_path):
    head = '<!DOCTYPE package PUBLIC "+//ISBN 0-9673008-1-9//DTD OEB 1.2 Package//EN" "x.dtd">'
    old = package(ITEMS, ["one"], head)
    assert len(read(tmp_path / "old.epub", archive(BOOK | {"OEBPS/book.opf": old}))) == 1


def test_a_book_of_pictures_says_so(tmp_path):
    pictures = BOOK | {"OEBPS/book.opf": package(ITEMS, ["cover"])}
    with pytest.raises(ReadError, match="no text"):
        read(tmp_path / "comic.epub", archive(pictures))


@pytest.mark.parametrize("ending", [".pptx", ".xlsx", ".epub"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no archive"),
        (b"PK\x03\x04 and then nothing", "no archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "password"),
        (archive({"hello.txt": "hello"}), "cannot be read"),
        (archive({"a.xml": b" " * (65 << 20)}), "unpacks to"),
        (archive({"a.bin": b" " * (257 << 20)}), "unpacks to"),
        (archive(dict.fromkeys(map(str, range(10_001)), b""), zipfile.ZIP_STORED), "10,001 parts"),
    ],
    ids=["empty", "cut", "old", "other", "text bomb", "bomb", "many parts"],
)
def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path, ending, data, reason):
    with pytest.raises(ReadError, match=reason) as caught:
        read(tmp_path / f"bad{ending}", data)
    assert f"bad{ending}" in str(caught.value)


@pytest.mark.parametrize(
    ("ending", "make"),
    [
        (".pptx", lambda: pptx(slides)),
        (".xlsx", lambda: xlsx(sheets)),
        (".epub", lambda: archive(BOOK)),
    ],
)
def test_a_file_damaged_anywhere_is_read_or_refused_but_never_breaks_the_run(
    tmp_path, ending, make
):
    whole = make()
    for place in range(0, len(whole), len(whole) // 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / f"{place:08}{ending}").write_bytes(damaged)
        (tmp_path / f"{place:08}-cut{ending}").write_bytes(whole[:place])
    (tmp_path / "zzz.txt").write_text("Still here.")
    assert SimpleDirectoryReader(tmp_path).load_data()[-1].text == "Still here."
