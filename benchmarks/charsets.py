"""How often the character set of a text is found out where nothing declares it, beside charset-normalizer alone.

    python -m benchmarks.charsets [FOLDER] [--pages 6] [--first 1]

FOLDER holds manual pages in many languages, `<language>/man*/*.gz`, in UTF-8, as /usr/share/man does on most Linux
systems. Each page is encoded in every character set that is used for its language, whole and cut to a few lines
with letters beyond ASCII; found means that decoding gives back the same text. The scores were fitted on other text
(tests/rag/test_load_encodings.py); with `--pages 6 --first 0` faults were looked for, so measure others.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rag.errors import DocumentError
from rag.load.text import decode

WESTERN, CENTRAL = ("cp1252", "latin-1"), ("cp1250", "iso8859-2")
CYRILLIC = ("cp1251", "koi8-r", "iso8859-5", "cp866")
CHARSETS = {
    **dict.fromkeys(("da", "de", "es", "fi", "fr", "it", "nl", "pt", "pt_BR", "sv", "id"), WESTERN),
    **dict.fromkeys(("cs", "hr", "hu", "pl", "ro", "sl"), CENTRAL),
    "ru": CYRILLIC,
    "uk": ("cp1251", "koi8-u"),
    "sr": ("cp1251", "iso8859-5"),
    "tr": ("cp1254", "iso8859-9"),
    "ja": ("shift_jis", "euc_jp", "iso2022_jp"),
    "ko": ("cp949",),
    "zh_CN": ("gb18030", "gbk"),
    "zh_TW": ("big5",),
}
LINES = 3


def pages(folder: Path, language: str, most: int, first: int) -> Iterator[str]:
    """Texts of manual pages with letters beyond ASCII, from all over the list."""
    files = sorted((folder / language).glob("man*/*.gz"))
    for file in files[first :: max(1, len(files) // most)][:most]:
        text = gzip.decompress(file.read_bytes()).decode("utf-8", "replace")
        if "\ufffd" not in text and sum(c > "\x7f" for c in text) > 20:
            yield text


def cut(text: str) -> str:
    """A few lines with letters beyond ASCII."""
    return "\n".join([line for line in text.split("\n") if any(c > "\x7f" for c in line)][5 : 5 + LINES])


def by_normalizer(data: bytes) -> str:
    """What charset-normalizer makes of it."""
    from charset_normalizer import from_bytes

    return str(from_bytes(data).best() or "")


def by_hearth(data: bytes) -> str:
    """What `rag.load` makes of it."""
    try:
        return decode(data)
    except DocumentError:
        return ""


def main() -> int:
    """Print one row for each way and each length."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/share/man"))
    parser.add_argument("--pages", type=int, default=6, help="pages of each language")
    parser.add_argument("--first", type=int, default=1, help="which page is the first; 0 was looked at for faults")
    arguments = parser.parse_args()
    cases = list(encoded(arguments.folder, arguments.pages, arguments.first))
    if not cases:
        print(f"no manual pages in {arguments.folder}")
        return 1
    print(f"{len({language for language, *_ in cases})} languages, {len(cases)} encoded texts")
    for name, way in (("rag.load", by_hearth), ("charset-normalizer", by_normalizer)):
        found, total, wrong = Counter[str](), Counter[str](), Counter[str]()
        started = time.perf_counter()
        for language, charset, length, text, data in cases:
            total[length] += 1
            found[length] += (is_right := way(data).replace("\r", "") == text)
            wrong[f"{language}/{charset}"] += not is_right
        seconds = time.perf_counter() - started
        rates = ", ".join(f"{length} {found[length] / total[length]:.3f} (n={total[length]})" for length in total)
        print(f"{name}: {rates}; {seconds / len(cases) * 1000:.1f} ms a text")
        print("   missed most:", ", ".join(f"{pair} {n}" for pair, n in wrong.most_common(6) if n) or "none")
    return 0


def encoded(folder: Path, most: int, first: int) -> Iterator[tuple[str, str, str, str, bytes]]:
    """Language, character set, "whole" or "lines", the text, and its bytes."""
    for language, charsets in CHARSETS.items():
        for page in pages(folder, language, most, first):
            for length, text in (("whole", page), (f"{LINES} lines", cut(page))):
                for charset in charsets:
                    data = text.encode(charset, "ignore")
                    if any(byte > 0x7F for byte in data) or charset.startswith("iso2022"):
                        yield language, charset, length, data.decode(charset).replace("\r", ""), data


if __name__ == "__main__":
    sys.exit(main())
