"""Hostile office files and books: bombs, entities, absurd numbers, links, changed bytes. Typed errors alone."""

import io
import socket
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedDocument, DocumentError, DocumentLimit
from rag.load import docx, epub, load, odp, ods, odt, pptx, xlsx
from rag.load.formats import BY_SUFFIX

X = "http://schemas.openxmlformats.org"
R = f"{X}/officeDocument/2006/relationships"
LISTED = f'<main xmlns:r="{R}"><{{0}}>{{1}}</{{0}}></main>'
RELS = f'<Relationships xmlns="{X}/package/2006/relationships">{{}}</Relationships>'
ODF = "urn:oasis:names:tc:opendocument:xmlns"
PREFIXES = {each: f"{ODF}:{each}:1.0" for each in ("office", "text", "table", "presentation")} | {
    "draw": f"{ODF}:drawing:1.0"
}
NAMES = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in PREFIXES.items())


def relation(id_, kind, target, more=""):
    return f'<Relationship Id="{id_}" Type="{R}/{kind}" Target="{target}" {more}/>'


def package(main, **parts):
    """The parts of an Office Open XML file that begins at `main`; parts by the names that the keys stand for."""
    named = {f"{main.partition('/')[0]}/{name.replace('__', '/')}.xml": content for name, content in parts.items()}
    return {"_rels/.rels": RELS.format(relation("r", "officeDocument", main)), **named}


def odf(kind, body):
    opened = f"<office:document-content {NAMES}><office:body><office:{kind}>"
    return {"content.xml": f"{opened}{body}</office:{kind}></office:body></office:document-content>"}


SAID = "<p:txBody><a:p><a:r><a:t>Hi</a:t></a:r></a:p></p:txBody>"
SHAPE = f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr>{SAID}</p:sp>'
CELLS = '<row r="1"><c r="A1" s="0"><v>45292</v></c><c r="B1" t="s"><v>0</v></c></row>'
FRAME = '<draw:frame draw:z-index="1"><draw:text-box><text:p>Hello</text:p></draw:text-box></draw:frame>'
ITEM = '<text:list><text:list-item><text:p>One<text:s text:c="2"/>two</text:p></text:list-item></text:list>'
SPAN = 'table:number-columns-spanned="2" table:number-rows-spanned="2" table:number-columns-repeated="3"'
CELL = f"<table:table-cell {SPAN}><text:p>x</text:p></table:table-cell>"
ROW = f'<table:table-row table:number-rows-repeated="2">{CELL}</table:table-row>'
PARTS = {
    "docx": {
        **package("word/document.xml", document='<w:document xmlns:w="{}"><w:body>{}</w:body></w:document>'.format(
            f"{X}/wordprocessingml/2006/main", "<w:p><w:r><w:t>Hello</w:t></w:r></w:p>")),
        "[Content_Types].xml": f'<Types xmlns="{X}/package/2006/content-types"><Override PartName="/word/document.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    },
    "pptx": {
        **package("ppt/presentation.xml", presentation=LISTED.format("sldIdLst", '<sldId id="256" r:id="s"/>'),
            s=f'<p:sld xmlns:p="urn:p" xmlns:a="urn:a"><p:spTree>{SHAPE}</p:spTree></p:sld>'),
        "ppt/_rels/presentation.xml.rels": RELS.format(relation("s", "slide", "s.xml")),
    },
    "xlsx": {
        **package("xl/workbook.xml", workbook=LISTED.format("sheets", '<sheet name="S" r:id="s"/>'),
            s=f'<worksheet><sheetData>{CELLS}</sheetData><mergeCell ref="A1:A3"/></worksheet>',
            strings="<sst><si><t>x</t></si></sst>", styles='<s><cellXfs><xf numFmtId="14"/></cellXfs></s>'),
        "xl/_rels/workbook.xml.rels": RELS.format(
            relation("s", "worksheet", "s.xml") + relation("t", "sharedStrings", "strings.xml")
            + relation("u", "styles", "styles.xml")
        ),
    },
    "odt": odf("text", f'<text:h text:outline-level="1">Hello</text:h>{ITEM}<table:table>{ROW}</table:table>'),
    "ods": odf("spreadsheet", f'<table:table table:name="S">{ROW}</table:table>'),
    "odp": odf("presentation", f"<draw:page>{FRAME}</draw:page>"),
    "epub": {
        "META-INF/container.xml": '<container><rootfile full-path="p.opf"/></container>',
        "p.opf": '<package><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>',
        "c.xhtml": "<html><body><h1>Hello</h1><p>You</p></body></html>",
    },
}  # fmt: skip
MAIN = {"docx": "word/document.xml", "pptx": "ppt/s.xml", "xlsx": "xl/s.xml", "epub": "p.opf"}
PARSERS = {"docx": docx, "pptx": pptx, "xlsx": xlsx, "odt": odt, "ods": ods, "odp": odp, "epub": epub}
KINDS = sorted(PARTS)


def zipped(parts):
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return output.getvalue()


def changed(kind, change):
    """A sound file of this kind with its main part changed."""
    name = MAIN.get(kind, "content.xml")
    return zipped(PARTS[kind] | {name: change(PARTS[kind][name].encode())})


@pytest.fixture
def read(tmp_path):
    def read(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return load(path)

    return read


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_below_are_sound_before_they_are_changed(read, kind):
    assert read(f"a.{kind}", zipped(PARTS[kind])).media_type == BY_SUFFIX[f".{kind}"].media_type


LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "entity", ['<!ENTITY i SYSTEM "file:///etc/passwd">', LAUGHS, f'<!ENTITY i "{"x" * 100_000}">']
)
def test_entities_are_refused_in_every_kind(read, kind, entity):
    def laughing(part):
        return f"<!DOCTYPE x [{entity}]>".encode() + part.replace(b"Hello", b"&i;" * 1000)

    with pytest.raises(DamagedDocument, match="document type"):
        read(f"a.{kind}", changed(kind, laughing))


@pytest.mark.parametrize("kind", KINDS)
def test_bombs_are_refused_before_they_are_unpacked(read, kind):
    with pytest.raises(DocumentLimit, match="unpack"):
        read(f"a.{kind}", changed(kind, lambda part: part + b" " * (129 << 20)))


def test_many_parts_that_are_small_alone_are_too_much_together(read):
    slide = PARTS["pptx"]["ppt/s.xml"] + " " * (9 << 20)
    parts = PARTS["pptx"] | {f"ppt/s{i}.xml": slide for i in range(15)}
    many = "".join(relation(f"s{i}", "slide", f"s{i}.xml") for i in range(15))
    order = "".join(f'<sldId r:id="s{i}"/>' for i in range(15))
    parts["ppt/_rels/presentation.xml.rels"] = RELS.format(many)
    parts["ppt/presentation.xml"] = LISTED.format("sldIdLst", order)
    with pytest.raises(DocumentLimit, match="unpack"):
        read("many.pptx", zipped(parts))
    with pytest.raises(DocumentLimit, match="parts"):
        read("parts.odt", zipped(PARTS["odt"] | {f"p{i}": "" for i in range(50_001)}))


def test_unusual_compression_and_a_password_on_a_part_are_refused(read):
    data = zipped(PARTS["odt"])
    entry = data.rindex(b"PK\x01\x02")
    lzma = bytearray(data)
    lzma[entry + 10] = 14
    with pytest.raises(DamagedDocument, match="unusual"):
        read("lzma.odt", bytes(lzma))
    locked = bytearray(data)
    locked[entry + 8] |= 1
    with pytest.raises(DocumentError, match="password"):
        read("locked.odt", bytes(locked))


@pytest.mark.parametrize("kind", KINDS)
def test_deep_nesting_is_an_error_of_that_file(read, kind):
    deep = b"<x:a xmlns:x='urn:x'>" * 5000
    with pytest.raises(DamagedDocument):
        read(f"a.{kind}", changed(kind, lambda part: part.replace(b">", b">" + deep, 1)))


@pytest.mark.parametrize("kind", ["odt", "odp"])
def test_the_deepest_that_xml_allows_is_read_without_recursing_too_far(kind):
    deep = "<text:list><text:list-item>" * 120 + "<text:p>down</text:p>" + "</text:list-item></text:list>" * 120
    body = deep if kind == "odt" else f"<draw:page>{deep}</draw:page>"
    assert "down" in PARSERS[kind].parse(zipped(odf({"odt": "text", "odp": "presentation"}[kind], body))).pages[0]


def workbook(rows, more="", string="x"):
    parts = {"xl/s.xml": f"<worksheet><sheetData>{rows}</sheetData>{more}</worksheet>"}
    return zipped(PARTS["xlsx"] | parts | {"xl/strings.xml": f"<sst><si><t>{string}</t></si></sst>"})


def test_far_corners_and_diagonals_cost_what_they_hold(read):
    corner = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    claimed = '<dimension ref="A1:XFD1048576"/>'
    assert read("corner.xlsx", workbook(corner, claimed)).text == "## S\n\n1\n\n2\n"
    letters = [chr(65 + i // 26) + chr(65 + i % 26) for i in range(26 * 26)]
    diagonal = "".join(f'<row r="{i}"><c r="{name}{i}"><v>{i}</v></c></row>' for i, name in enumerate(letters, 1))
    assert "\nBA27: 27\n" in read("diagonal.xlsx", workbook(diagonal)).text


def test_what_repeats_itself_is_a_limit(read):
    with pytest.raises(DocumentLimit, match="characters"):
        read("strings.xlsx", workbook('<row><c t="s"><v>0</v></c></row>' * 10_000, string="x" * 1_000_000))
    merged = "".join(f'<mergeCell ref="A{i}:XFD1048576"/>' for i in range(1, 1000))
    rows = "".join(f'<row r="{i}"><c r="A{i}"><v>1</v></c></row>' for i in range(1, 50_000))
    with pytest.raises(DocumentLimit, match="cells"):
        read("merged.xlsx", workbook(rows, merged))
    most = 'table:number-columns-repeated="99999999"><text:p>x</text:p></table:table-cell>'
    with pytest.raises(DocumentLimit, match="cells"):
        cells = f"<table:table-cell {most}" * 100
        row = f'<table:table-row table:number-rows-repeated="99999999">{cells}</table:table-row>'
        read("repeated.ods", zipped(odf("spreadsheet", f"<table:table>{row}</table:table>")))


def test_links_are_never_opened(read):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        outside = 'TargetMode="External"'
        slides = RELS.format(relation("s", "slide", "s.xml") + relation("t", "slide", url, outside))
        order = LISTED.format("sldIdLst", '<sldId r:id="s"/><sldId r:id="t"/>')
        parts = {"ppt/_rels/presentation.xml.rels": slides, "ppt/presentation.xml": order}
        assert "Hi" in read("a.pptx", zipped(PARTS["pptx"] | parts)).text
        assert "=WEBSERVICE" in read("a.xlsx", workbook(f'<row><c><f>WEBSERVICE("{url}")</f></c></row>')).text
        linked = f'<draw:frame><draw:image xlink:href="{url}" xmlns:xlink="urn:l"/></draw:frame><text:p>Hi</text:p>'
        assert "Hi" in read("a.odt", zipped(odf("text", linked))).text
        page = f'<html><body><img src="{url}"/><script src="{url}"/><p>Hi</p></body></html>'
        assert "Hi" in read("a.epub", zipped(PARTS["epub"] | {"c.xhtml": page})).text
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("target", ["../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "..\\..\\s.xml"])
def test_names_that_lead_out_of_the_archive_are_names_in_it(read, target):
    parts = {"ppt/_rels/presentation.xml.rels": RELS.format(relation("s", "slide", target))}
    with pytest.raises(DocumentError, match="no text"):
        read("a.pptx", zipped(PARTS["pptx"] | parts))


HOSTILE = settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9)), min_size=1, max_size=4)
ABSURD = st.sampled_from(["-1", "0", "1", "99999999", "1e400", "1048577", "²", "x" * 50, ""])


def only_document_errors(kind, data):
    try:
        parsed = PARSERS[kind].parse(data)
    except DocumentError:
        return
    assert all(isinstance(page, str) for page in parsed.pages)


def edited(data, edits):
    for place, cut, put in edits:
        at = int(place * len(data))
        data = data[:at] + put + data[at + cut :]
    return data


OURS = st.sampled_from([kind for kind in KINDS if kind != "docx"])
"""mammoth, which reads DOCX, raises what it likes; the parsing process gives that a type."""


@HOSTILE
@given(OURS, st.binary(max_size=300))
def test_arbitrary_bytes_are_typed_errors(kind, data):
    only_document_errors(kind, data)
    only_document_errors(kind, b"PK\x03\x04" + data)


@HOSTILE
@given(OURS, EDITS, st.booleans())
def test_changed_files_are_read_or_are_typed_errors(kind, edits, within):
    """Bytes changed in the archive, or in its main part with the archive sound."""
    data = changed(kind, lambda part: edited(part, edits)) if within else edited(zipped(PARTS[kind]), edits)
    only_document_errors(kind, data)


@HOSTILE
@given(OURS, st.data())
def test_absurd_attributes_are_read_or_are_typed_errors(kind, data):
    """Each attribute of each part may say anything."""

    def absurd(text):
        pieces = text.split('"')
        odd = [i for i in range(1, len(pieces), 2) if "xmlns" not in pieces[i - 1]]
        for i in odd and data.draw(st.lists(st.sampled_from(odd), max_size=3)):
            pieces[i] = data.draw(ABSURD)
        return '"'.join(pieces)

    only_document_errors(kind, zipped({name: absurd(text) for name, text in PARTS[kind].items()}))
