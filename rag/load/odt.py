"""ODT to Markdown, with lxml over its parts: headings, lists, tables, notes and comments. Deleted text stays out.

Written over the parts because odfpy, the usual library, would hand out the same elements from a tree without limits.
"""

from __future__ import annotations

from rag.load.budget import Budget
from rag.load.formats import Parsed
from rag.load.odf import body_of, odf_properties, open_odf, styles_of
from rag.load.odf_text import Context, blocks


def parse(data: bytes) -> Parsed:
    """The document as Markdown; its title is the one it names, else its first heading."""
    archive = open_odf(data)
    content = archive.xml("content.xml")
    context = Context(styles_of(archive, content), Budget())
    found = list(blocks(body_of(content, "text"), context))
    title, metadata = odf_properties(archive)
    heading = next((block.lstrip("# ") for block in found if block.startswith(("# ", "## "))), "")
    return Parsed(("\n\n".join(found) + "\n",), title or heading, metadata)
