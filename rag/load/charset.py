"""Which character set bytes are in, where no mark says so: wide ones by their zeros, one-byte ones by their letters.

General detectors take French in Windows-1252 for Windows-1250 once the text is long enough. What tells them apart is
the language: French has no "ů". So every pair of a language and a character set that is used for it is scored by how
likely the letters beyond ASCII are in that language, and the best pair wins. Character sets of DOS and the old Mac
are looked at only where no other fits. East Asian ones fit no language here: see `rag.load.east_asian`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass

SAMPLE = 1 << 15
WIDE_SAMPLE = 4096
FEW = 6
"""Fewer bytes beyond ASCII are never taken for East Asian."""
_WESTERN = ("cp1252", "iso8859-15", "mac_roman", "cp850", "cp437")
_CENTRAL = ("cp1250", "iso8859-2", "cp852", "mac_latin2")
_BALTIC = ("cp1257", "iso8859-13", "iso8859-4")
_CYRILLIC = ("cp1251", "koi8-r", "iso8859-5", "cp866", "mac_cyrillic")
_MARKS = "“”„‘’‚–—…«»‹›°§€£©®™·¿¡ºª\u00a0•†×÷±²³½¼´`‰№"
_FREQUENT = "“”‘’–—…\u00a0«»"
_OUTSIDE = -9.0
"""Logarithm of the likelihood of a character that the language does not use."""
_MARK = math.log(0.1 / 16)
_MARKS_ALONE = math.log(0.4 / 9)
_CAPITAL = math.log(0.06)
_MISPLACED, _MIXED = -6.0, -3.0
_ACCEPTED = -4.6
"""A text of a language scores between -2 and -4 a character; what scores less than this is something else."""
_PRIORS = ((("cp1252",), 0.0), (("cp125",), -2.5), (("iso", "koi8", "cp874"), -3.5), (("",), -5.0))
"""How much rarer a character set is, by the beginning of its name: what decides where letters are few."""
_OLD = ("mac_roman", "mac_latin2", "mac_greek", "cp4", "cp7", "cp8")
_FITS = -4.0
_MARK_INSIDE = re.compile(r"[a-z][“”„‘‚…•†‰«»‹›°§¿¡±³²¬][a-z]", re.IGNORECASE)
_CUT_WORD = re.compile(r"[a-z][^\W\d_a-zA-Z]|[^\W\d_a-zA-Z][a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Language:
    """The letters beyond ASCII from the most frequent on, and the character sets that it is written in."""

    letters: str
    charsets: tuple[str, ...]
    is_latin: bool = True


LANGUAGES = (
    _Language("éï", _WESTERN),  # English, which has marks rather than letters
    _Language("üäöß", _WESTERN),
    _Language("éèàêçîôûùâïëœ", _WESTERN),
    _Language("óáéíñúü", _WESTERN),
    _Language("ãçáéíêóõúâàô", _WESTERN),
    _Language("èàùòìé", _WESTERN),
    _Language("äåöé", _WESTERN),
    _Language("åøæéö", _WESTERN),
    _Language("íáðúéþöóæý", _WESTERN),
    _Language("ëéïèüö", _WESTERN),
    _Language("àéèíòóçïúü", _WESTERN),
    _Language("łąęóżśćńź", _CENTRAL),
    _Language("íáéěřčžýšůúťďňó", _CENTRAL),
    _Language("áíčéúžšľýťôňäďóŕĺ", _CENTRAL),
    _Language("áéöóőüíűú", _CENTRAL),
    _Language("ăîâşţ", _CENTRAL),
    _Language("čšžćđ", _CENTRAL),
    _Language("ışğüçöİâî", ("cp1254", "iso8859-9", "cp857")),
    _Language("äõöüšž", _BALTIC),
    _Language("āīēšūļņžķčģ", _BALTIC),
    _Language("ėšžųįūąčę", _BALTIC),
    _Language("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё", _CYRILLIC, is_latin=False),
    _Language("оаинвтеірсклдмупзяьбгйчхцїжєшющфґ", ("cp1251", "koi8-u", "iso8859-5"), is_latin=False),
    _Language("аоиенрстјукдвмплзбгчцћшжхњљфђџ", ("cp1251", "iso8859-5"), is_latin=False),
    _Language("αοιετνσηρπκυμλςόίάωέήθγδύώχφβξζψϊΐϋΰ", ("cp1253", "iso8859-7", "mac_greek", "cp737"), is_latin=False),
    _Language("יוהלאמתרשבנםכעקדחפגסטזןץךףצ", ("cp1255", "iso8859-8", "cp862"), is_latin=False),
    _Language("اليمونترهبدسفعكقحجشطصخذزثضغئءةىأإآؤظ،؟", ("cp1256", "iso8859-6"), is_latin=False),
    _Language("านร่กอเ้งมัยลิวดีทส์ตะปุบคหแจพ็ืชขใไโำผูซถศธณภึฐฉญฟฮฝษๆ", ("cp874",), is_latin=False),
)


def unmarked_wide(data: bytes) -> str | None:
    """UTF-32 or UTF-16 without a mark, told by where its zeros are; None when it is neither."""
    head = data[:WIDE_SAMPLE]
    if len(data) % 4 == 0 and len(head) >= 8 and len(data) >= 8:
        quads = head[: len(head) // 4 * 4]
        if not any(quads[3::4]) and max(quads[2::4]) <= 0x10 and any(quads[0::4]):
            return "utf-32-le"
        if not any(quads[0::4]) and max(quads[1::4]) <= 0x10 and any(quads[3::4]):
            return "utf-32-be"
    if len(data) % 2 or len(head) < 2 or b"\0" not in head:
        return None
    even, odd = head[0::2], head[1::2]
    for high, low, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if (high.count(0) > 0.7 * len(high) and not low.count(0)) or _is_one_script(high, low):
            return name
    return None


def _is_one_script(high: bytes, low: bytes) -> bool:
    """Whether UTF-16's high bytes are those of one script: an alphabet beyond Latin, or Chinese, Japanese, Korean."""
    if any(h == 0 and (unit < 9 or 13 < unit < 32) for h, unit in zip(high, low, strict=True)):
        return False  # control characters
    counts = Counter(high)
    total = len(high) - counts[0]
    if total < 8 or not counts[0]:  # no space and no line end: that is no text
        return False
    alphabet = max(counts[page] for page in range(0x03, 0x0F))
    ideographs = sum(counts[page] for page in (*range(0x4E, 0xA0), *range(0xAC, 0xD8)))
    kana = counts[0x30] + counts[0xFF]
    return alphabet > 0.8 * total or (
        ideographs + kana > 0.95 * total and (kana > 0.03 * total or counts[0] > 0.1 * total)
    )


def seven_bit(data: bytes) -> str | None:
    """ISO-2022, which switches between character sets with escape sequences and so looks like ASCII."""
    if b"\x1b$)C" in data[:SAMPLE]:
        return "iso2022_kr"
    if any(mark in data[:SAMPLE] for mark in (b"\x1b$B", b"\x1b$@", b"\x1b(J", b"\x1b(I")):
        return "iso2022_jp_ext"
    return None


def one_byte(data: bytes) -> str | None:
    """The likeliest one-byte character set; None when the letters beyond ASCII fit no language that has one."""
    sample = data[:SAMPLE]
    charsets = dict.fromkeys(charset for language in LANGUAGES for charset in language.charsets)
    scores = {charset: _score(sample, charset) for charset in charsets}
    many = sum(byte > 0x7F for byte in sample)
    usual = [charset for charset in charsets if not charset.startswith(_OLD) and scores[charset] > _FITS * many]
    best = max(usual or charsets, key=lambda charset: scores[charset] + _prior(charset))  # of equals the first
    return best if scores[best] > _ACCEPTED * many or many < FEW else None


def _prior(charset: str) -> float:
    return next(prior for beginnings, prior in _PRIORS if charset.startswith(beginnings))


def _score(sample: bytes, charset: str) -> float:
    """Logarithmic likelihood of the characters beyond ASCII, in the language that fits best."""
    text = sample.decode(charset, "replace")
    counts = Counter(c for c in text if c > "\x7f")
    mixed = len(_CUT_WORD.findall(text))
    wrong = len(_MARK_INSIDE.findall(text))
    inside = sum(a.islower() and b.isupper() for a, b in itertools.pairwise(text) if b > "\x7f" or a > "\x7f")
    return max(
        _likelihood(counts, language) + _MISPLACED * (inside + wrong) + (0 if language.is_latin else _MIXED * mixed)
        for language in LANGUAGES
        if charset in language.charsets
    )


def _likelihood(counts: Counter[str], language: _Language) -> float:
    weights = {letter: 1 / (rank + 2) for rank, letter in enumerate(language.letters)}
    whole = sum(weights.values())
    total = 0.0
    for character, count in counts.items():
        if weight := weights.get(character):
            total += count * math.log(0.9 * weight / whole)
        elif weight := weights.get(character.lower()):
            total += count * (math.log(0.9 * weight / whole) + _CAPITAL)
        else:
            mark = _MARKS_ALONE if character in _FREQUENT and language is LANGUAGES[0] else _MARK
            total += count * (mark if character in _MARKS else _OUTSIDE)
    return total
