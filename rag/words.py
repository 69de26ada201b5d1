"""Words as evidence: the content words of a text, lightly stemmed, with names and numbers told apart.

What "the passage mentions it" means when an answer is checked; not a search index's tokenizer.
"""

# ruff: noqa: SIM905  # word lists read better as running text
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

STOP_WORDS = frozenset(
    "a about above after again against all also am an and any are aren as at be because been before being below "
    "between both but by can cannot could couldn did didn do does doesn doing don done down during each either else "
    "ever every few for from further get gets had hadn has hasn have haven having he her here hers herself him "
    "himself his how i if in into is isn it its itself just let like ll many may me might more most much must my "
    "myself neither no nor not now of off on once one only or other our ours out over own per please quite rather "
    "re same shall she should so some somehow such than that the their theirs them themselves then there these they "
    "this those though through to too under until up upon us use ve very via was wasn we were weren what when where "
    "whether which while who whom whose why will with within without won would wouldn yes yet you your yours "
    "tell explain describe give show say says said name call called know known mean means kind type sort".split()
)
"""Words that carry no evidence, and the verbs that a question or a command is dressed in."""

_TOKEN = re.compile(r"\d[\d,.:/–-]*\d|\d|[^\W\d_]+(?:['’][^\W\d_]+)?|[^\W_]+")
_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}


def tokens(text: str) -> Iterator[str]:
    """Words and numbers as written, possessive endings removed."""
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text)):
        yield re.sub(r"['’]s$|['’]$", "", match.group())


def content_words(text: str) -> list[str]:
    """Stems of the words that say something, in order, with repetitions; numbers without thousands' commas."""
    return [stem(token) for token in tokens(text) if is_content(token)]


def is_content(token: str) -> bool:
    """Whether a token says something by itself: no stop word, and no single lower-case letter."""
    if token[0].isdigit():
        return True
    return token.lower() not in STOP_WORDS and (len(token) > 1 or token.isupper() or ord(token[0]) > 0x2E80)


def numbers(text: str) -> set[str]:
    """Every number of the text, in digits or as a word, as `content_words` writes it."""
    return {word for word in content_words(text) if word[0].isdigit()}


def names(text: str) -> set[str]:
    """Stems of capitalised words that do not open a sentence, and of words with capitals inside (vLLM, GPU)."""
    found = set()
    for match in re.finditer(r"(?<!\w)[^\W\d_]\w*", text):
        token, before = match.group(), text[: match.start()].rstrip(" \t\r\n\"'“‘([*_#")
        opens = not before or before[-1] in ".!?:;-•"
        if is_content(token) and (any(c.isupper() for c in token[1:]) or (token[0].isupper() and not opens)):
            found.add(stem(token))
    return found


@lru_cache(maxsize=65536)
def stem(token: str) -> str:
    """A word's common form: case folded, accents and the usual English endings removed. Numbers lose commas."""
    if token[0].isdigit():
        return re.sub(r",(?=\d{3})", "", token)
    word = "".join(c for c in unicodedata.normalize("NFKD", token.casefold()) if not unicodedata.combining(c))
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    return _stem_english(word) if word.isascii() else word


def _stem_english(word: str) -> str:
    """Endings in the spirit of Porter (1980), fewer and gentler: what must meet is index/indexes/indexing/indexed."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending, least in (
        ("ations", 4),
        ("ation", 4),
        ("ement", 4),
        ("ment", 4),
        ("ing", 3),
        ("ed", 3),
        ("ly", 4),
        ("er", 4),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
        word = word[:-1]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word
