"""PDF and Word files and web pages, read by the libraries of the extra ``readers``."""

import io
import threading
import zipfile

import pytest

from nearfield.core import SimpleDirectoryReader
from nearfield.errors import ReadError

pytestmark = pytest.mark.readers


def pdf(*pages, labels=""):
    """Write a PDF by hand: one line of text a page, a page without content for ``None``."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {labels} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        lines = [] if text is None else text.split("\n")
        shown = " ".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 700 Td {shown} ET" if lines else ""
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {5 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    tail = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{tail}".encode("latin-1")


def docx(fill):
    """Write a Word file with python-docx."""
    from docx import Document

    document = Document()
    fill(document)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def read(path, data):
    path.write_bytes(data)
    return SimpleDirectoryReader(input_files=[path], raise_on_error=True).load_data()


def test_a_pdf_becomes_a_document_per_page(tmp_path):
    path = tmp_path / "guide.pdf"
    first, second = read(path, pdf("Boil the pasta.\nSalt it.", None, "Bread needs an hour."))
    assert first.text.split("\n") == ["Boil the pasta.", "Salt it."]
    assert second.text == "Bread needs an hour."
    assert [one.id[-6:] for one in (first, second)] == [".pdf#1", ".pdf#3"]
    assert [one.metadata["page_label"] for one in (first, second)] == ["1", "3"]
    assert first.metadata["file_type"] == "application/pdf"


def test_pages_carry_the_labels_that_the_pdf_gives_them(tmp_path):
    labels = "/PageLabels << /Nums [0 << /S /r >> 2 << /S /D >>] >>"
    read_back = read(tmp_path / "book.pdf", pdf("One.", "Two.", "Three.", labels=labels))
    assert [one.metadata["page_label"] for one in read_back] == ["i", "ii", "1"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "PDFium says"),
        (b"%PDF-1.4 and then nothing", "PDFium says"),
        (pdf("x")[:200], "PDFium says|no text"),
        (pdf(None, None), "no text"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_refused_with_its_reason(tmp_path, data, reason):
    with pytest.raises(ReadError, match=reason) as caught:
        read(tmp_path / "bad.pdf", data)
    assert "bad.pdf" in str(caught.value)


def test_a_bad_file_does_not_stop_the_others(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "b.docx").write_bytes(b"PK\x03\x04")
    (tmp_path / "c.pdf").write_bytes(pdf("Good."))
    reader = SimpleDirectoryReader(tmp_path)
    assert [one.text for one in reader.load_data()] == ["Good."]
    assert len(reader.skipped) == 2


def test_a_pdf_of_too_many_pages_is_refused(tmp_path, monkeypatch):
    from nearfield.readers import pdf as module

    monkeypatch.setattr(module, "MOST_PAGES", 2)
    with pytest.raises(ReadError, match="no more than 2"):
        read(tmp_path / "long.pdf", pdf("a", "b", "c"))


def test_a_pdf_whose_text_grows_out_of_measure_is_refused(tmp_path, monkeypatch):
    from nearfield.readers import pdf as module

    monkeypatch.setattr(module, "LEAST_ROOM", 0)
    monkeypatch.setattr(module, "MOST_GROWTH", 0)
    with pytest.raises(ReadError, match="as long as the file"):
        read(tmp_path / "bomb.pdf", pdf("much"))


def test_pdfs_may_be_read_by_several_threads(tmp_path):
    for number in range(12):
        (tmp_path / f"{number:02}.pdf").write_bytes(pdf(*[f"Page of {number}."] * 5))
    texts = [one.text for one in SimpleDirectoryReader(tmp_path).load_data(num_workers=4)]
    assert texts == [f"Page of {number}." for number in range(12) for _ in range(5)]
    assert threading.active_count() < 20


def filled(document):
    document.core_properties.title = "The cook book"
    document.add_heading("Pasta", level=1)
    document.add_paragraph("Boil it in salted water.")
    document.add_paragraph("salt", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["dish", "minutes", "spaghetti", "nine"], strict=True):
        cell.text = text
    inner = table.cell(1, 1).add_table(rows=1, cols=1)
    inner.cell(0, 0).text = "or eight"
    document.add_heading("Bread", level=2)
    document.add_paragraph("It needs\tan hour.")


def test_paragraphs_and_tables_of_a_word_file_come_in_order(tmp_path):
    (document,) = read(tmp_path / "book.docx", docx(filled))
    assert document.text.split("\n\n") == [
        "# Pasta",
        "Boil it in salted water.",
        "- salt",
        "dish | minutes\nspaghetti | nine or eight",
        "## Bread",
        "It needs\tan hour.",
    ]
    assert document.metadata["title"] == "The cook book"
    assert document.metadata["file_type"].endswith("wordprocessingml.document")
    assert document.id.endswith("book.docx")


def with_body(body):
    """Give a Word file with a body written by hand."""
    plain = zipfile.ZipFile(io.BytesIO(docx(lambda document: None)))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in plain.namelist():
            data = plain.read(name)
            if name == "word/document.xml":
                begin, end = data.index(b"<w:body>") + 8, data.index(b"</w:body>")
                data = data[:begin] + body.encode() + data[end:]
            archive.writestr(name, data)
    return file.getvalue()


def run(text):
    return f"<w:r><w:t>{text}</w:t></w:r>"


def test_text_in_links_and_form_fields_is_read_and_deleted_text_is_not(tmp_path):
    body = (
        f"<w:p><w:hyperlink>{run('A link')}</w:hyperlink>{run(' and more.')}"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
        f"<w:sdt><w:sdtContent><w:p>{run('A field.')}</w:p></w:sdtContent></w:sdt>"
    )
    (document,) = read(tmp_path / "form.docx", with_body(body))
    assert document.text == "A link and more.\n\nA field."


def test_moved_text_is_read_once_where_it_stands_now(tmp_path):
    body = (
        f"<w:p>{run('First.')}<w:moveFrom>{run(' Moved.')}</w:moveFrom></w:p>"
        f"<w:p>{run('Second.')}<w:moveTo>{run(' Moved.')}</w:moveTo></w:p>"
    )
    (document,) = read(tmp_path / "moved.docx", with_body(body))
    assert document.text == "First.\n\nSecond. Moved."


def test_text_in_elements_of_other_programs_and_in_formulas_is_read(tmp_path):
    math = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    row = f"<w:tr><w:customXml><w:tc><w:p>{run('in a cell')}</w:p></w:tc></w:customXml></w:tr>"
    body = (
        f"<w:customXml><w:p>{run('In a block.')}</w:p></w:customXml>"
        f"<w:tbl>{row}</w:tbl>"
        f"<w:p>{run('Energy is ')}<m:oMath {math}><m:r><m:t>E=mc</m:t></m:r></m:oMath></w:p>"
    )
    (document,) = read(tmp_path / "tagged.docx", with_body(body))
    assert document.text == "In a block.\n\nin a cell\n\nEnergy is E=mc"


def test_a_cell_that_claims_to_span_a_billion_columns_costs_nothing(tmp_path):
    body = (
        '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="1000000000"/></w:tcPr>'
        f"<w:p>{run('wide')}</w:p></w:tc></w:tr></w:tbl>"
    )
    (document,) = read(tmp_path / "wide.docx", with_body(body))
    assert document.text == "wide"


def test_a_word_file_that_unpacks_to_too_much_is_refused_unread(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * (65 << 20))
    assert len(file.getvalue()) < 200_000
    with pytest.raises(ReadError, match="unpacks to"):
        read(tmp_path / "bomb.docx", file.getvalue())


def test_a_word_file_cannot_read_other_files_or_grow_by_entities(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    body = f"<w:p>{run('&outside;&inside;')}</w:p>"
    data = with_body("@@")
    plain = zipfile.ZipFile(io.BytesIO(data))
    xml = plain.read("word/document.xml").decode()
    entities = f'<!DOCTYPE w [<!ENTITY outside SYSTEM "{secret.as_uri()}"><!ENTITY inside "boom">]>'
    head, _, rest = xml.partition("?>")
    xml = f"{head}?>{entities}{rest}".replace("@@", body)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in plain.namelist():
            archive.writestr(name, xml if name == "word/document.xml" else plain.read(name))
    try:
        texts = [one.text for one in read(tmp_path / "evil.docx", file.getvalue())]
    except ReadError:
        texts = []
    assert "hunter2" not in "".join(texts)
    assert "boom" not in "".join(texts)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no archive"),
        (b"PK\x03\x04 and then nothing", "no archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "password"),
        (b"PK", "no archive"),
    ],
)
def test_a_word_file_that_cannot_be_read_is_refused_with_its_reason(tmp_path, data, reason):
    with pytest.raises(ReadError, match=reason):
        read(tmp_path / "bad.docx", data)


def test_a_word_file_nested_out_of_measure_is_refused(tmp_path):
    deep = "<w:tbl><w:tr><w:tc>" * 2000 + "</w:tc></w:tr></w:tbl>" * 2000
    with pytest.raises(ReadError, match="cannot be read"):
        read(tmp_path / "deep.docx", with_body(deep))


def test_an_archive_that_is_no_word_file_is_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ReadError, match="cannot be read"):
        read(tmp_path / "other.docx", file.getvalue())


PAGE = """<html><head><title>Pasta</title></head><body><div class="menu"><a href="/">Home</a>
<a href="/shop">Shop</a></div><article><h2>Boiling</h2><p>Boil the pasta in plenty of salted
water for nine minutes, and stir it now and then so that it does not stick.</p><p>Drain it, but
keep a cup of the water for the sauce, which it thickens.</p></article>
<div class="sidebar">Subscribe to our newsletter!</div></body></html>"""


PROSE = "The routine is called once, and gives what was asked for, all in order. " * 5


def test_the_main_text_of_a_page_comes_with_its_title_and_headings(tmp_path):
    (document,) = read(tmp_path / "page.html", PAGE.encode())
    assert document.text.startswith("# Pasta\n\n")
    assert "## Boiling" in document.text
    assert "keep a cup of the water" in document.text
    assert "newsletter" not in document.text
    assert document.metadata["title"] == "Pasta"


def test_the_text_of_a_page_is_that_of_the_page_not_escaped_for_markdown(tmp_path):
    said = [
        "Call my_function_name() in std::pair<int,int>, or a*b [1] in C:\\new\\_dir.",
        "1. No list, but a sentence that begins with a number.",
        "# No heading, but a sentence that begins with a sign.",
    ]
    prose = "".join(f"<p>{one.replace('<', '&lt;')}</p>" for one in [*said, PROSE])
    code = "<pre><code>def f_g(a_b):\n    return a_b[0] * 2 # \\_\n</code></pre>"
    page = f"<html><body><article><h1>About my_function</h1>{prose}{code}</article></body></html>"
    (document,) = read(tmp_path / "page.html", page.encode())
    for one in ("# About my_function\n", *said, "    return a_b[0] * 2 # \\_"):
        assert one in document.text


def test_a_page_of_which_trafilatura_leaves_out_sentences_is_read_by_our_own_reader(tmp_path):
    parts = [
        f"In part {n} we show how the {n}th routine is called and what it gives." for n in range(9)
    ]
    old = "<html><body>" + "".join(
        f"\n{one}\n<p>\n{one}<pre>\nint f{n}();\n</pre>" for n, one in enumerate(parts)
    )
    (document,) = read(tmp_path / "page.html", old.encode())
    assert all(document.text.count(one) == 2 for one in parts)


@pytest.mark.parametrize("unit", ["\\", "`", "\\`", "9", " ", "```\n", "- "])
def test_no_line_takes_long_to_be_made_plain(unit):
    from nearfield.readers.html import _as_it_stood

    plain = _as_it_stood(unit * 300_000)
    assert set(plain) <= set(unit)
    assert len(plain) == len(unit * 300_000) / (2 if unit == "\\`" else 1)


def test_a_longer_text_of_trafilatura_is_taken_whatever_it_leaves_out(tmp_path, monkeypatch):
    from nearfield.readers import html

    monkeypatch.setattr(html, "_extract", lambda: lambda *_, **__: PROSE)
    page = f"<html><body><main>A short box of other words than the text.</main>{PROSE[:99]}"
    (document,) = read(tmp_path / "page.html", page.encode())
    assert document.text == PROSE.strip()


def test_a_page_that_trafilatura_cannot_take_is_read_all_the_same(tmp_path, monkeypatch):
    from nearfield.readers import html

    def broken(*_, **__):
        raise ValueError

    monkeypatch.setattr(html, "_extract", lambda: broken)
    (document,) = read(tmp_path / "page.html", PAGE.encode())
    assert "keep a cup of the water" in document.text
