"""DOCX, PPTX, XLSX, ODT, ODS, ODP and EPUB: what is read from each. The files are made here, part by part."""

import io
import zipfile

import pytest

from rag.errors import EncryptedDocument, NoText
from rag.load import load, ods
from rag.load.excel_values import kind_of, number_text

O = "http://schemas.openxmlformats.org"  # noqa: E741
R = f"{O}/officeDocument/2006/relationships"
A, P, S = f"{O}/drawingml/2006/main", f"{O}/presentationml/2006/main", f"{O}/spreadsheetml/2006/main"
C = f"{O}/drawingml/2006/chart"
ODF = "urn:oasis:names:tc:opendocument:xmlns"
NAMES = " ".join(
    f'xmlns:{each}="{ODF}:{each}:1.0"' for each in ("office", "text", "table", "style", "presentation", "manifest")
)
NAMES += (
    f' xmlns:draw="{ODF}:drawing:1.0" xmlns:svg="{ODF}:svg-compatible:1.0" xmlns:xlink="http://www.w3.org/1999/xlink"'
)
NAMES += f' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:meta="{ODF}:meta:1.0"'


def zipped(parts):
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return output.getvalue()


def rels(**targets):
    """Relations by id: "kind target", external ones with "!" before the target."""
    each = (f"{id_} {text}".split() for id_, text in targets.items())
    mode = {True: ' TargetMode="External"', False: ""}
    body = "".join(
        f'<Relationship Id="{id_}" Type="{R}/{kind}" Target="{target.lstrip("!")}"{mode[target.startswith("!")]}/>'
        for id_, kind, target in each
    )
    return f'<Relationships xmlns="{O}/package/2006/relationships">{body}</Relationships>'


def make_pptx(*slides, extra=()):
    ids = "".join(f'<p:sldId id="{256 + i}" r:id="s{i}"/>' for i in range(len(slides)))
    order = {f"s{i}": f"slide slides/slide{9 - i}.xml" for i in range(len(slides))}
    parts = {
        "_rels/.rels": rels(r1="officeDocument ppt/presentation.xml"),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>{ids}</p:sldIdLst>'
        '<p:extLst><p:section><p:sldIdLst><p:sldId id="256"/></p:sldIdLst></p:section></p:extLst></p:presentation>',
        "ppt/_rels/presentation.xml.rels": rels(**order, a="commentAuthors authors.xml"),
        "ppt/authors.xml": f'<p:l xmlns:p="{P}"><p:cmAuthor id="0" name="Ann Lee"/></p:l>',
    }
    for i, shapes in enumerate(slides):
        parts[f"ppt/slides/slide{9 - i}.xml"] = (
            f'<p:sld xmlns:p="{P}" xmlns:a="{A}" xmlns:r="{R}"><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>'
        )
    return zipped(parts | dict(extra))


def box(*lines, kind=None, ppr=""):
    holder = "" if kind is None else f'<p:ph type="{kind}"/>'
    body = "".join(f"<a:p>{ppr}<a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f"<p:sp><p:nvSpPr><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:txBody>{body}</p:txBody></p:sp>"


def make_xlsx(sheets, strings="", styles="", extra=(), state=""):
    listed = "".join(f'<sheet name="{name}" {state} r:id="s{i}"/>' for i, name in enumerate(sheets))
    parts = {
        "_rels/.rels": rels(r1="officeDocument xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": rels(
            st="sharedStrings strings.xml",
            sy="styles styles.xml",
            **{f"s{i}": f"worksheet w{i}.xml" for i in range(len(sheets))},
        ),
        "xl/strings.xml": f'<sst xmlns="{S}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{S}">{styles}</styleSheet>',
    }
    for i, body in enumerate(sheets.values()):
        parts[f"xl/w{i}.xml"] = f'<worksheet xmlns="{S}">{body}</worksheet>'
    return zipped(parts | dict(extra))


def sheet(*rows, first=1, more=""):
    """Rows of texts, None for an empty cell; from row `first`."""
    lines = []
    for i, row in enumerate(rows, first):
        cells = (f'<c r="{chr(65 + k)}{i}" t="str"><v>{each}</v></c>' for k, each in enumerate(row) if each is not None)
        lines.append(f'<row r="{i}">{"".join(cells)}</row>')
    return f'<dimension ref="A1:XFD1048576"/><sheetData>{"".join(lines)}</sheetData>{more}'


def make_odf(kind, body, styles="", extra=()):
    content = f"<office:document-content {NAMES}><office:automatic-styles>{styles}</office:automatic-styles>"
    content += f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    return zipped({"content.xml": content, **dict(extra)})


def make_epub(chapters, metadata="", extra=()):
    items = "".join(
        f'<item id="c{i}" href="t/c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in reversed(range(len(chapters))))
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></container>',
        "OPS/p.opf": f'<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>{metadata}</metadata><manifest>{items}'
        '<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>'
        f"<spine>{spine}</spine></package>",
        "OPS/toc.ncx": '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://example.org/ncx.dtd"><ncx><navMap><navPoint>'
        '<navLabel><text>The first</text></navLabel><content src="t/c0.xhtml#x"/></navPoint></navMap></ncx>',
    }
    for i, body in enumerate(chapters):
        parts[f"OPS/t/c{i}.xhtml"] = (
            f'<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'
        )
    return zipped(parts | dict(extra))


@pytest.fixture
def read(tmp_path):
    def read(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return load(path)

    return read


def core(**fields):
    body = "".join(f'<d:{name} xmlns:d="urn:d">{text}</d:{name}>' for name, text in fields.items())
    return {"docProps/core.xml": f"<core>{body}</core>"}


def test_docx_keeps_formulas_boxes_to_tick_and_properties(read):
    word, math = f"{O}/wordprocessingml/2006/main", f"{O}/officeDocument/2006/math"
    formula = (
        "<m:oMath><m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath>"
    )
    box = '<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val="{}"/></w14:checkbox></w:sdtPr><w:sdtContent/></w:sdt>'
    names = f'xmlns:w="{word}" xmlns:m="{math}" xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
    said = "<w:r><w:t>Done</w:t></w:r>"
    body = f"<w:p>{formula}{formula}</w:p><w:p>{box.format(1)}{said}</w:p><w:p>{box.format(0)}{said}</w:p>"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{O}/package/2006/content-types">'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": rels(r="officeDocument word/document.xml"),
        "word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>",
    }
    document = read("a.docx", zipped(parts | core(title="A paper", creator="Ann")))
    assert document.text == "$x^{2}$ $x^{2}$\n\n[x] Done\n\n[ ] Done\n"
    assert (document.title, document.metadata) == ("A paper", {"author": "Ann"})


def test_slides_are_pages_in_the_order_of_the_deck_with_titles_lists_and_footers_left_out(read):
    first = box("Q3 results", kind="title") + box("Up 18%", "APAC | 12%", kind="body") + box("7", kind="sldNum")
    second = (
        "<p:grpSp>" + box("In a group") + "</p:grpSp>" + box("One", "Two", ppr='<a:pPr lvl="1"><a:buAutoNum/></a:pPr>')
    )
    deck = read("deck.pptx", make_pptx(first, "", second))
    assert [segment.page for segment in deck.segments] == [1, 2, 3]
    pages = [deck.text[segment.start : segment.end].strip() for segment in deck.segments]
    assert pages[0] == "## Slide 1: Q3 results\n\n- Up 18%\n- APAC | 12%"
    assert pages[1] == ""
    assert pages[2] == "## Slide 3\n\nIn a group\n\n  1. One\n  2. Two"
    assert deck.title == "Q3 results"


def test_notes_comments_tables_charts_and_picture_texts_of_a_slide(read):
    def cell(text, more=""):
        return f"<a:tc {more}><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>"

    rows = cell("Both", 'gridSpan="2"') + cell("", 'hMerge="1"') + "</a:tr><a:tr>" + cell("a") + cell("b")
    frame = "<p:graphicFrame><a:graphic>{}</a:graphic></p:graphicFrame>"
    slide = frame.format(f"<a:tbl><a:tr>{rows}</a:tr></a:tbl>") + frame.format(f'<c:chart xmlns:c="{C}" r:id="c"/>')
    slide += '<p:pic><p:nvPicPr><p:cNvPr descr="A cat"/></p:nvPicPr></p:pic><p:pic><p:cNvPr descr="cat.png"/></p:pic>'
    values = "".join(f'<c:pt idx="{i}"><c:v>{v}</c:v></c:pt>' for i, v in enumerate((3, 4)))
    years = values.replace(">3<", ">2023<").replace(">4<", ">2024<")
    series = f"<c:tx><c:v>EU</c:v></c:tx><c:cat>{years}</c:cat><c:val>{values}</c:val>"
    chart = f"<c:title><a:t>Sales</a:t></c:title><c:ser>{series}</c:ser>"
    comment = '<p:cm authorId="0" dt="2026-01-02T10:00:00"><p:text>Is it?</p:text></p:cm>'
    notes = box("Say hello") + box("9", kind="sldNum")
    extra = {
        "ppt/slides/_rels/slide9.xml.rels": rels(
            c="chart ../charts/c.xml",
            n="notesSlide ../notes/n.xml",
            m="comments ../m.xml",
            x="chart !http://example.org/",
        ),
        "ppt/charts/c.xml": f'<c:chartSpace xmlns:c="{C}" xmlns:a="{A}"><c:chart>{chart}</c:chart></c:chartSpace>',
        "ppt/notes/n.xml": f'<p:notes xmlns:p="{P}" xmlns:a="{A}"><p:spTree>{notes}</p:spTree></p:notes>',
        "ppt/m.xml": f'<p:l xmlns:p="{P}">{comment}</p:l>',
    }
    text = read("deck.pptx", make_pptx(slide, extra=extra)).text
    assert "| Both | Both |\n| --- | --- |\n| a | b |" in text
    assert "Sales\n\n|  | EU |\n| --- | --- |\n| 2023 | 3 |\n| 2024 | 4 |" in text
    assert "A cat" in text
    assert "cat.png" not in text
    assert text.endswith("Notes: Say hello\n\nComment by Ann Lee (2026-01-02): Is it?")


def test_the_properties_of_a_file_become_metadata(read):
    about = core(
        title="PowerPoint Presentation", creator=" Ann\nLee ", keywords="a, b;c", created="2026-05-31T10:00:00Z"
    )
    deck = read("deck.pptx", make_pptx(box("Title", kind="title"), extra=about))
    assert deck.title == "Title"
    assert deck.metadata == {
        "author": "Ann Lee",
        "keywords": ("a", "b", "c"),
        "created": "2026-05-31",
        "created_year": 2026,
    }
    assert (
        read("x.pptx", make_pptx(box("x"), extra=core(title="A deck", creator="x" * 999))).metadata["author"]
        == "x" * 200
    )
    assert read("y.pptx", make_pptx(box("x"), extra={"docProps/core.xml": "<broken"})).metadata == {}


def test_sheets_have_headings_their_tables_are_told_apart_and_titles_stand_above(read):
    rows = [("Ducks a year",), (), ("Year", "Ducks", None, "Site", "Nests"), ("2019", "120", None, "Lake", "7")]
    book = read("ducks.xlsx", make_xlsx({"Wild &amp; free": sheet(*rows), "Empty": sheet()}))
    assert book.text == (
        "## Wild & free\n\nDucks a year\n\n| Year | Ducks |\n| --- | --- |\n| 2019 | 120 |\n\n"
        "| Site | Nests |\n| --- | --- |\n| Lake | 7 |\n"
    )
    assert not book.segments


def test_a_label_column_belongs_to_its_table(read):
    text = read("a.xlsx", make_xlsx({"S": sheet(("Voltage", None, "kV", "130"), ("Phases", None, "", "3"))})).text
    assert "| Voltage | kV | 130 |" in text


def test_merged_cells_are_repeated_within_the_rows_that_are_used(read):
    merged = '<mergeCells><mergeCell ref="A2:A3"/><mergeCell ref="B1:C1"/><mergeCell ref="B3:XFD1048576"/></mergeCells>'
    rows = sheet(("Kind", "Size"), ("Duck", "1", "2"), (None, "3"), more=merged)
    lines = read("m.xlsx", make_xlsx({"S": rows})).text.splitlines()
    assert lines[2].startswith("| Kind | Size | Size |")
    assert lines[4] == "| Duck | 1 | 2 |"
    assert lines[5].startswith("| Duck | 3 | 3 | 3")
    assert len(lines) == 6


def test_cells_show_their_saved_values_and_nothing_is_computed(read):
    cells = """<c t="s"><v>0</v></c><c t="b"><v>1</v></c><c><f>1+1</f><v>2</v></c><c><f>WEBSERVICE("http://x")</f></c>
        <c t="e"><v>#DIV/0!</v></c><c s="1"><v>45292</v></c><c s="2"><v>45292.5</v></c><c s="3"><v>0.125</v></c>
        <c><v>0.30000000000000004</v></c><c t="inlineStr"><is><t>in</t></is></c><c t="s"><v>99</v></c>"""
    strings = "<si><r><t>rich </t></r><r><t>text_x000A_here</t></r><rPh><t>no</t></rPh></si>"
    styles = """<numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy\\ hh:mm"/></numFmts>
        <dxfs><dxf><numFmt numFmtId="164" formatCode="0"/></dxf></dxfs><cellXfs><xf numFmtId="0"/>
        <xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="10"/></cellXfs>"""
    body = f"<sheetData><row>{cells}</row><row><c/><c t='str'><v>x</v></c></row></sheetData>"
    line = read("v.xlsm", make_xlsx({"S": body}, strings, styles)).text.splitlines()[2]
    assert line == (
        '| rich text here | TRUE | 2 | =WEBSERVICE("http://x") | #DIV/0! | 2024-01-01 '
        "| 2024-01-01 12:00 | 12.5% | 0.3 | in |"
    )


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        ("1", "m/d/yy", "1900-01-01"),
        ("60", "d mmm", "1900-02-28"),
        ("61", "yyyy", "1900-03-01"),
        ("0.75", "h:mm AM/PM", "18:00"),
        ("1.5", "[h]:mm:ss", "36:00"),
        ("45292.999999", "yyyy-mm-dd hh:mm", "2024-01-02 00:00"),
        ("-5", "dd.mm.yyyy", "-5"),
        ("1e300", "dd.mm.yyyy", "1e300"),
        ("nan", "dd.mm.yyyy", "nan"),
        ("1234.5", '#,##0.00 "days"', "1234.5"),
        ("5", "[Red]0;[Blue]-0", "5"),
        ("5", "General", "5"),
    ],
)
def test_number_formats_tell_dates_from_numbers(value, code, shown):
    assert number_text(value, kind_of(code), False) == shown


def test_hidden_sheets_stay_out(read):
    with pytest.raises(NoText):
        read("h.xlsx", make_xlsx({"S": sheet(("secret",))}, state='state="veryHidden"'))


def test_comments_on_cells_say_whose_they_are(read):
    extra = {
        "xl/_rels/w0.xml.rels": rels(c="comments c.xml"),
        "xl/c.xml": f'<comments xmlns="{S}"><authors><author>Ann</author></authors><commentList>'
        '<comment ref="B2" authorId="0"><text><t>Why?</t></text></comment></commentList></comments>',
    }
    assert "Comment on B2 by Ann: Why?" in read("c.xlsx", make_xlsx({"S": sheet(("a",))}, extra=extra)).text


STYLES = """<style:style style:name="P1" style:parent-style-name="Title"/><text:list-style style:name="L1">
    <text:list-level-style-number text:level="1" style:num-format="1"/></text:list-style>"""


def test_odt_keeps_headings_lists_tables_notes_and_comments_and_leaves_deleted_text_out(read):
    body = """<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
        <text:p text:style-name="P1">Manual</text:p><text:h text:outline-level="2">Set<text:s text:c="3"/>up</text:h>
        <text:list text:style-name="L1">
          <text:list-item><text:p>One</text:p>
            <text:list><text:list-item><text:p>Within</text:p></text:list-item></text:list></text:list-item>
          <text:list-item><text:p>Two</text:p></text:list-item></text:list>
        <text:p>See <text:a xlink:href="https://example.org/">it</text:a>, <text:a xlink:href="#x">here</text:a>
          <text:note><text:note-citation>1</text:note-citation>
            <text:note-body><text:p>A note</text:p></text:note-body></text:note>.
          <office:annotation><dc:creator>Ann</dc:creator><dc:date>2026-01-02T03:04:05</dc:date>
            <text:p>Sure?</text:p></office:annotation></text:p>
        <table:table>
          <table:table-row><table:table-cell table:number-columns-spanned="2"><text:p>Both</text:p></table:table-cell>
            <table:covered-table-cell/></table:table-row>
          <table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>
            <table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>
        <text:p><draw:frame><draw:text-box><text:p>In a box</text:p></draw:text-box></draw:frame></text:p>"""
    meta = "<office:meta><dc:creator>Last</dc:creator><meta:initial-creator>First</meta:initial-creator></office:meta>"
    extra = {"meta.xml": f"<office:document-meta {NAMES}>{meta}</office:document-meta>"}
    document = read("m.odt", make_odf("text", body, STYLES, extra))
    assert document.text == (
        "# Manual\n\n## Set up\n\n1. One\n   - Within\n2. Two\n\n"
        "See [it](https://example.org/), here [^1].\n\n[^1]: A note\n\n"
        "Comment by Ann (2026-01-02): Sure?\n\n| Both | Both |\n| --- | --- |\n| a | b |\n\nIn a box\n"
    )
    assert (document.title, document.metadata) == ("Manual", {"author": "First"})


def test_ods_repeats_are_bounded_and_dates_are_readable(read):
    def cell(text, more=""):
        return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"

    date = 'office:value-type="date" office:date-value="2026-05-31T00:00:00"'
    empty = '<table:table-cell table:number-columns-repeated="16384"/>'
    rows = f'<table:table-row table:number-rows-repeated="5">{empty}</table:table-row>'
    rows += f"<table:table-row>{cell('Day')}{cell('Cost')}</table:table-row>"
    rows += f"<table:table-row>{cell('31. Mai', date)}{cell('5 €')}</table:table-row>"
    rows += f'<table:table-row table:number-rows-repeated="1048569">{cell("x")}{cell("y")}</table:table-row>'
    text = read("s.ods", make_odf("spreadsheet", f'<table:table table:name="Costs">{rows}</table:table>')).text
    assert text.startswith("## Costs\n\n| Day | Cost |\n| --- | --- |\n| 2026-05-31 | 5 € |\n| x | y |\n")
    assert text.count("| x | y |") == ods.REPEATED


def test_odp_slides_are_pages_with_notes(read):
    body = """<draw:page>
        <draw:frame presentation:class="title"><draw:text-box><text:p>Hello</text:p></draw:text-box></draw:frame>
        <draw:frame presentation:class="page-number"><draw:text-box><text:p>7</text:p></draw:text-box></draw:frame>
        <draw:custom-shape><text:p>A shape</text:p></draw:custom-shape><presentation:notes>
        <draw:frame presentation:class="notes"><draw:text-box><text:p>Smile</text:p></draw:text-box></draw:frame>
        </presentation:notes></draw:page><draw:page/>"""
    deck = read("d.odp", make_odf("presentation", body))
    assert deck.text.strip() == "## Slide 1: Hello\n\nA shape\n\nNotes: Smile"
    assert [segment.page for segment in deck.segments] == [1, 2]


def test_epub_chapters_come_in_reading_order_with_headings_and_the_author(read):
    metadata = "<dc:title>A book</dc:title><dc:creator>Ann Lee</dc:creator><dc:date>1923</dc:date>"
    metadata += "<dc:subject>Ducks</dc:subject>"
    book = read(
        "b.epub", make_epub(["<p>Called first</p>", "<h2>Second</h2><script>alert()</script><p>Text</p>"], metadata)
    )
    assert book.text == "## Second\n\nText\n\n## The first\n\nCalled first\n"
    assert book.title == "A book"
    assert book.metadata == {"author": "Ann Lee", "created": "1923", "created_year": 1923, "keywords": ("Ducks",)}


def test_encrypted_files_say_so_and_scrambled_fonts_do_not_count(read):
    entry = "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
    manifest = {"META-INF/manifest.xml": f"<manifest:manifest {NAMES}>{entry}</manifest:manifest>"}
    drm = "<encryption><CipherReference URI='OPS/{}'/></encryption>"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 1000 + "EncryptedPackage".encode("utf-16-le")
    for name, data in {
        "a.odt": make_odf("text", "", extra=manifest),
        "b.ods": zipped({"encrypted-package": "x"}),
        "c.epub": make_epub(["<p>x</p>"], extra={"META-INF/encryption.xml": drm.format("t/c0.xhtml")}),
        "d.xlsx": ole,
        "e.pptx": ole,
    }.items():
        with pytest.raises(EncryptedDocument):
            read(name, data)
    fonts = {"META-INF/encryption.xml": drm.format("fonts/a.otf")}
    assert read("f.epub", make_epub(["<p>Hello</p>"], extra=fonts)).text.strip().endswith("Hello")
