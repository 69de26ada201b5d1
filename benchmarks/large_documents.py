"""One large and harmless file of each format, made of numbered sentences, for `benchmarks.documents --large`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator

SENTENCE = "Number {} of the ducks on the lake was counted by the warden on a quiet morning in May."
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
ODF = "urn:oasis:names:tc:opendocument:xmlns"
NAMES = "".join(f' xmlns:{name}="{ODF}:{name}:1.0"' for name in ("office", "text", "table", "presentation"))
NAMES += f' xmlns:draw="{ODF}:drawing:1.0"'


def sentences(count: int) -> Iterator[str]:
    """Numbered sentences of some ninety characters."""
    return (SENTENCE.format(number) for number in range(count))


def zipped(parts: dict[str, str]) -> bytes:
    """An archive of these parts."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return output.getvalue()


def relation(id_: str, kind: str, target: str) -> str:
    """One relation of an Office Open XML part."""
    return f'<Relationship Id="{id_}" Type="{OFFICE}/{kind}" Target="{target}"/>'


def xlsx(rows: int = 50_000, columns: int = 12) -> bytes:
    """A sheet of numbers and shared strings: 600,000 cells."""
    sheet = '<sheet name="Ducks" r:id="s"/>'
    cells = '<c><v>{0}.5</v></c><c t="s"><v>0</v></c>' * (columns // 2)
    body = "".join(f"<row>{cells.format(number)}</row>" for number in range(rows))
    return zipped(
        {
            "_rels/.rels": RELS.format(relation("r", "officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'<workbook xmlns:r="{OFFICE}"><sheets>{sheet}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": RELS.format(
                relation("s", "worksheet", "s.xml") + relation("t", "sharedStrings", "t.xml")
            ),
            "xl/s.xml": f"<worksheet><sheetData>{body}</sheetData></worksheet>",
            "xl/t.xml": "<sst><si><t>counted in May</t></si></sst>",
        }
    )


def pptx(slides: int = 1000) -> bytes:
    """A deck of 1,000 slides with twenty lines each."""
    lines = "".join(f"<a:p><a:r><a:t>{each}</a:t></a:r></a:p>" for each in sentences(20))
    slide = (
        f'<p:sld xmlns:p="urn:p" xmlns:a="urn:a"><p:spTree><p:sp><p:txBody>{lines}</p:txBody></p:sp></p:spTree></p:sld>'
    )
    names = [f"s{number}" for number in range(slides)]
    order = "".join(f"<sldId r:id={name!r}/>" for name in names)
    return zipped(
        {
            "_rels/.rels": RELS.format(relation("r", "officeDocument", "ppt/p.xml")),
            "ppt/p.xml": f'<p xmlns:r="{OFFICE}"><sldIdLst>{order}</sldIdLst></p>',
            "ppt/_rels/p.xml.rels": RELS.format("".join(relation(name, "slide", f"{name}.xml") for name in names)),
            **{f"ppt/{name}.xml": slide for name in names},
        }
    )


def odf(kind: str, body: str) -> bytes:
    """An OpenDocument file."""
    content = f"<office:document-content{NAMES}><office:body><office:{kind}>{body}</office:{kind}></office:body>"
    return zipped({"content.xml": f"{content}</office:document-content>"})


def odt(paragraphs: int = 100_000) -> bytes:
    """A text of 100,000 paragraphs, some 9 MB."""
    return odf("text", "".join(f"<text:p>{each}</text:p>" for each in sentences(paragraphs)))


def ods(rows: int = 30_000, columns: int = 10) -> bytes:
    """A sheet of 300,000 cells."""
    cells = (
        '<table:table-cell office:value-type="float" office:value="{0}"><text:p>{0}</text:p></table:table-cell>'
        * columns
    )
    body = "".join(f"<table:table-row>{cells.format(number)}</table:table-row>" for number in range(rows))
    return odf("spreadsheet", f'<table:table table:name="Ducks">{body}</table:table>')


def odp(slides: int = 1000) -> bytes:
    """A deck of 1,000 slides with twenty lines each."""
    lines = "".join(f"<text:p>{each}</text:p>" for each in sentences(20))
    page = f"<draw:page><draw:frame><draw:text-box>{lines}</draw:text-box></draw:frame></draw:page>"
    return odf("presentation", page * slides)


def epub(chapters: int = 50) -> bytes:
    """A book of 50 chapters, some 2 MB of text."""
    text = "".join(f"<p>{each}</p>" for each in sentences(400))
    page = f"<html><body><h1>A chapter</h1>{text}</body></html>"
    names = [f"c{number}" for number in range(chapters)]
    items = "".join(f'<item id="{name}" href="{name}.xhtml" media-type="application/xhtml+xml"/>' for name in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    return zipped(
        {
            "META-INF/container.xml": '<container><rootfile full-path="p.opf"/></container>',
            "p.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"{name}.xhtml": page for name in names},
        }
    )


def csv(rows: int = 200_000) -> bytes:
    """A table of 200,000 rows, some 18 MB."""
    return "".join(
        f"{number};May;{number / 3:.3f};quiet morning on the lake; counted by the warden\n" for number in range(rows)
    ).encode()


def records(count: int = 100_000) -> Iterator[dict[str, object]]:
    """Objects with a nested one and a list."""
    for number, text in enumerate(sentences(count)):
        yield {"id": number, "text": text, "where": {"lake": "North"}, "tags": ["duck", "May"]}


LARGE: dict[str, Callable[[], bytes]] = {
    ".xlsx": xlsx,
    ".pptx": pptx,
    ".odt": odt,
    ".ods": ods,
    ".odp": odp,
    ".epub": epub,
    ".csv": csv,
    ".json": lambda: json.dumps(list(records())).encode(),
    ".jsonl": lambda: "\n".join(map(json.dumps, records())).encode(),
    ".xml": lambda: (
        f"<ducks>{''.join(f'<duck><seen>{each}</seen></duck>' for each in sentences(100_000))}</ducks>".encode()
    ),
}
