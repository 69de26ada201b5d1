"""Answers out of a fixed few: a letter, one of some words, yes or no."""

from __future__ import annotations

import re
from functools import partial

from decoder.errors import UsageError
from prompts.extract_found import Found, Seek

LETTERS = "ABCDE"
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
_NEGATED = re.compile(r"\b(?:not|n't|neither|nor|rather than|instead of)\s+(?:option\s+)?\W*$", re.I)
_MARKS = re.compile(r"\\[a-z]+|[*_`$\\{}\"'“”]")
_ALTERNATIVE = re.compile(r"\W*(?:and|or|/|,|&)\W*", re.I)
_YES_NO = re.compile(
    r"\b(?P<yes>yes|yeah|yep|true|correct)\b|\b(?P<no>nope|false|incorrect|no(?=\W*$|\s*[,.;:!)]|\s+(?:because|since)\b))",
    re.I,
)
_LEAD = re.compile(r"\W*(?:(?:so|thus|therefore|hence|then|and|it's|it is|that is|the statement is)\b\W*)*", re.I)


def choice(option: str) -> Seek:
    """One letter of `option` (`ABCDE` by default), or one of the words that it separates by `|`.

    Raises:
        UsageError: fewer than two choices, or one twice.
    """
    words = [word.strip() for word in option.split("|")] if "|" in option else list(option.upper() or LETTERS)
    folded = [word.casefold() for word in words]
    if (
        len(set(folded)) != len(folded)
        or len(words) < 2
        or not all(folded)
        or ("|" not in option and option[1:2] == ",")
    ):
        remedy = "Write choice:ABCD, or choice:cat|dog"
        raise UsageError("choosing an extractor", f"{option!r} is no set of choices", remedy)
    if all(len(word) == 1 and word.isalpha() for word in words):
        letters = "".join(word.upper() for word in words)
        return Seek(partial(_letter, letters), partial(_loose_letter, letters), partial(_letter, letters))
    return Seek(partial(_word, words), partial(_loose_word, words), partial(_word, words))


def _letter(letters: str, segment: str) -> Found | None:
    """The letter that a segment means: alone or in brackets, after "option", or the one letter that it names."""
    text = _MARKS.sub("", segment).strip()
    if whole := re.fullmatch(rf"\W*([{letters}])\W*", text, re.I):
        return Found(whole[1].upper(), whole[1])
    found = [match for pattern in _letter_patterns(letters) for match in pattern.finditer(text)]
    found = [match for match in found if not _NEGATED.search(text, 0, match.start(1) - 1 if match.start(1) else 0)]
    if not found:
        return None
    found.sort(key=lambda match: match.start(1))
    first = found[0]
    for later in found[1:]:
        if later[1].upper() != first[1].upper() and _ALTERNATIVE.fullmatch(text[first.end(1) : later.start(1)]):
            return None  # "A or B" is no choice
    return Found(first[1].upper(), first[1])


def _letter_patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    both = letters + letters.lower()
    article = "(?<!\\w)([" + letters.replace("A", "").replace("I", "") + "])(?!['’\\w])"
    return (
        re.compile(rf"\(([{both}])\)"),
        re.compile(rf"\b(?:[Oo]ption|[Cc]hoice|[Ll]etter|[Aa]lternative)\s+\(?([{both}])\b"),
        re.compile(rf"^\W*([{both}])[).:]"),
        re.compile(rf"(?<!\w)([{letters}])(?=\s*(?:[).:,;]|$|\s(?:because|since|or|and)\b))"),
        *((re.compile(article),) if "[]" not in article else ()),
    )


def _loose_letter(letters: str, text: str) -> Found | None:
    """A letter that begins the output as a label, or that its last line names as one."""
    plain = _MARKS.sub("", text).strip()
    both = letters + letters.lower()
    last = plain.split("\n")[-1].strip()
    if whole := re.fullmatch(rf"\W*([{both}])\W*", last):
        return Found(whole[1].upper(), whole[1])
    named = re.findall(rf"\(([{both}])\)|\b(?:[Oo]ption|[Cc]hoice)\s+\(?([{both}])\b", last)
    if named and len({(a or b).upper() for a, b in named}) == 1:
        letter = named[0][0] or named[0][1]
        return Found(letter.upper(), letter)
    start = re.match(rf"\W*([{letters}])(?:[).:,]|\s*$)", plain)
    return Found(start[1], start[1]) if start and not named else None


def _word(words: list[str], segment: str) -> Found | None:
    """The one word of the list that a segment names and does not deny."""
    longest = sorted(words, key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest), re.I)
    said = {
        match[0].casefold(): match[0]
        for match in pattern.finditer(segment)
        if not _NEGATED.search(segment, 0, match.start())
    }
    if len(said) != 1:
        return None
    folded, text = next(iter(said.items()))
    return Found(next(word for word in words if word.casefold() == folded), text)


def _loose_word(words: list[str], text: str) -> Found | None:
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence.strip()]
    for sentence in reversed(sentences):
        if found := _word(words, sentence):
            return found
    return None


def _yes_or_no(segment: str) -> Found | None:
    match = _YES_NO.search(_MARKS.sub("", segment))
    if match is None:
        return Found(*whole) if (whole := _initial(segment)) else None
    if _NEGATED.search(_MARKS.sub("", segment), 0, match.start()):
        return Found("no" if match["yes"] else "yes", f"not {match[0]}")
    return Found("yes" if match["yes"] else "no", match[0])


def _initial(segment: str) -> tuple[str, str] | None:
    letter = segment.strip(" .*_`'\"()[]").lower()
    return ({"y": "yes", "n": "no", "t": "yes", "f": "no"}[letter], letter) if letter in ("y", "n", "t", "f") else None


def _loose_yes_or_no(text: str) -> Found | None:
    """The last sentence that is a yes or a no, or begins with one."""
    for sentence in reversed(_SENTENCE.split(text)):
        plain = _MARKS.sub("", sentence)
        lead = _LEAD.match(plain)
        match = _YES_NO.match(plain, lead.end() if lead else 0)
        if match and (match.end() == len(plain.rstrip()) or not plain[match.end() : match.end() + 1].isspace()):
            return Found("yes" if match["yes"] else "no", match[0])
    whole = _initial(text)
    return Found(*whole) if whole else None


YES_OR_NO = Seek(_yes_or_no, _loose_yes_or_no, _yes_or_no)
