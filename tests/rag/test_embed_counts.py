"""Counting tokens by words: the same numbers as the tokenizer gives for whole texts, whatever the text."""

import sys
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, Metaspace

from rag import embed_counts
from rag.embed import SentenceEmbedder
from rag.embed_counts import GLUE, TokenCounts, adds_up

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(SPACES),
    st.sampled_from(
        ["word", "unbelievably", "[SEP]", "[MASK]", "##ing", "don't", "日本語", "e\u0301", "\u200b", "x" * 101]
    ),
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


@pytest.fixture(scope="module")
def tokenizer():
    found = Tokenizer.from_file(str(SentenceEmbedder().folder / "tokenizer.json"))
    found.no_truncation()
    found.no_padding()
    return found


@pytest.fixture(scope="module")
def counts(tokenizer):
    assert adds_up(tokenizer)
    return TokenCounts(tokenizer)


def whole(tokenizer, text):
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS)
@example(text="".join(f"a{space}b" for space in SPACES))
@example(text=" \u0301a [SEP]b \u0301")
def test_a_text_has_the_tokens_of_its_words(tokenizer, counts, text):
    assert counts.count(text) == whole(tokenizer, text)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(TEXTS, max_size=6))
def test_counts_of_many_are_those_of_each(tokenizer, texts):
    assert TokenCounts(tokenizer).count_many(texts) == [whole(tokenizer, text) for text in texts]


@pytest.mark.parametrize("space", SPACES)
def test_what_is_white_space_to_python_alone_does_not_part_words(tokenizer, space):
    parted, joined = (whole(tokenizer, f"to{middle}day") for middle in (" ", ""))
    assert (parted, joined) == (2, 1)
    assert whole(tokenizer, f"to{space}day") == (joined if space in GLUE else parted)


def test_a_full_memory_is_emptied_and_counts_on(tokenizer, monkeypatch):
    monkeypatch.setattr(embed_counts, "MEMO", 3)
    counts = TokenCounts(tokenizer)
    for text in ("one two three four five", "six seven", "eight", "nine one two", "one two three four five"):
        assert counts.count(text) == len(text.split())
        assert len(counts._known) <= 3


def test_threads_count_the_same_while_the_memory_is_emptied(tokenizer, monkeypatch):
    monkeypatch.setattr(embed_counts, "MEMO", 50)
    counts, wrong = TokenCounts(tokenizer), []

    def work(first):
        for number in range(first, first + 200):
            text = " ".join(f"word {each}" for each in range(number, number + 20))
            if counts.count(text) != whole(tokenizer, text):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 50, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def bert(*added):
    made = Tokenizer(WordPiece({"[UNK]": 0, "new": 1, "york": 2}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    made.add_tokens([AddedToken(each) for each in added])
    return made


def test_an_added_token_with_a_space_is_one_token():
    assert adds_up(bert("newyork"))
    made = bert("new york")
    assert not adds_up(made)
    assert TokenCounts(made).count("new york new york") == whole(made, "new york new york") == 2


def test_a_tokenizer_that_merges_over_spaces_counts_whole_texts():
    made = Tokenizer(BPE({"a": 0, "▁": 1, "▁a": 2, "▁a▁a": 3}, [("▁", "a"), ("▁a", "▁a")]))
    made.pre_tokenizer = Metaspace(split=False)
    assert not adds_up(made)
    assert TokenCounts(made).count_many(["a a", "a"]) == [1, 1]
    assert TokenCounts(made).count("a a a") == whole(made, "a a a") == 2
