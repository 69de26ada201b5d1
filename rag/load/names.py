"""What documents are called; and names of files in an archive, which must lead nowhere else in any notation."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath
from urllib.parse import unquote

from rag.errors import DamagedDocument

MOST = 1024
"""Characters of a name."""
_ABSOLUTE = re.compile(r"\s*(?:/|~|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:/)")
_UPWARDS = re.compile(r"[\s.;]*\.[\s.;]*\.[\s.;]*")
"""Two dots, alone or among dots, spaces and semicolons, which some systems drop."""
_SLASHES = dict.fromkeys(map(ord, "\\\u2044\u2215\u29f8\u29f5\u2216\ufe68"), "/")
"""Characters that look like a slash, or are one somewhere."""
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They show a name in another order than it has."""
_DECODED = 3
"""A percent sign may itself be percent-encoded; so many times is looked for."""


def source_of(path: PurePath) -> str:
    r"""A path as the name of a document: posix style, one line, bytes that are no UTF-8 as `\udc80` escapes."""
    name = path.as_posix().encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def member_name(name: str) -> str:
    """The name of a member with `/` between folders, without `.` folders.

    Raises:
        DamagedDocument: it is empty or too long, holds control characters, is absolute or names a drive, a
            share or a scheme, or has a part that leads upwards: as it stands, percent-encoded, with other
            characters for dots and slashes, or with what some systems drop.
    """
    if not name.strip() or len(name) > MOST:
        raise _refused("its name is empty or too long")
    for form in _forms(name):
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI or c == "\ufffd" for c in form):
            raise _refused("its name holds control characters")
        visible = "".join(c for c in form if unicodedata.category(c) != "Cf")
        if _ABSOLUTE.match(visible):
            raise _refused("its name is absolute")
        if any(_UPWARDS.fullmatch(part) for part in visible.split("/")):
            raise _refused("its name leads out of the archive")
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        raise _refused("its name is empty or too long")
    return "/".join(parts)


def _forms(name: str) -> list[str]:
    """The name as different readers would see it."""
    forms = [name]
    for _ in range(_DECODED):
        forms.append(unquote(forms[-1], errors="replace"))
    return [unicodedata.normalize("NFKC", form).translate(_SLASHES) for form in dict.fromkeys(forms)]


def _refused(cause: str) -> DamagedDocument:
    return DamagedDocument("loading", cause, "Pack it again under a plain name")
