"""Which East Asian character set bytes are in, told by which rows of its table the characters come from.

Every set puts what is written most into a few rows: kana, the more frequent half of the ideographs, Hangul.
Text in one set falls into the wrong rows of another.
"""

from __future__ import annotations

import re
from collections import Counter

SAMPLE = 1 << 15
LEAST = 0.9
"""This share of the pairs must be in a set's frequent rows."""
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_HANGUL, _LEVEL_1 = range(0xB0, 0xC9), range(0xB0, 0xD8)
_KANA, _SIGNS = range(0xA4, 0xA6), range(0xA1, 0xA4)
_SHIFT_JIS = (*range(0x81, 0x84), *range(0x88, 0x98))
_BIG5 = (*range(0xA1, 0xA4), *range(0xA4, 0xC7))


def east_asian(data: bytes) -> str | None:
    """Shift-JIS, EUC-JP, GB 18030, Big5 or the Korean set of Windows; None when it is none of these for sure."""
    sample = data[:SAMPLE]
    pairs = _PAIR.findall(sample)
    high = sum(byte > 0x7F for byte in sample)
    if not pairs:
        return None
    leads = Counter(pair[0] for pair in pairs)
    is_euc = sum(pair[1] > 0xA0 for pair in pairs) > 0.97 * len(pairs) and not any(lead < 0xA1 for lead in leads)
    if is_euc and high < 1.9 * len(pairs):
        return None  # single bytes stand among the pairs
    return _euc(leads) if is_euc else _other(leads)


def _euc(leads: Counter[int]) -> str | None:
    """Pairs of two high bytes each: Japanese has kana, Korean little but Hangul, Chinese the whole first level."""
    total = leads.total()
    if _count(leads, _KANA) > 0.2 * total:
        return "euc_jp"
    signs = _count(leads, _SIGNS)
    if _count(leads, _HANGUL) > LEAST * (total - signs):
        return "cp949"
    return "gb18030" if _count(leads, _LEVEL_1) > LEAST * (total - signs) else None


def _other(leads: Counter[int]) -> str | None:
    """Second bytes among ASCII: Shift-JIS begins below its kana, Big5 above all of it."""
    total = leads.total()
    if _count(leads, _SHIFT_JIS) > LEAST * total:
        return "cp932"
    return "big5" if _count(leads, _BIG5) > LEAST * total else None


def _count(leads: Counter[int], rows: range | tuple[int, ...]) -> int:
    return sum(leads[row] for row in rows)
