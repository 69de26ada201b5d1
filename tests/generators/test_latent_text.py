import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.errors import DataError, ModelError
from generators.latent_text import (
    caption_length,
    caption_words,
    check_prompts,
    known_part,
    known_words,
    make_tokenizer,
)

CAPTIONS = ("a three", "the digit three", "A seven", "the digit, seven")


def test_words_are_those_of_the_captions_in_lower_case_most_frequent_first():
    assert known_words(CAPTIONS) == ("a", "digit", "seven", "the", "three", ",")
    assert known_words(CAPTIONS, most=2) == ("a", "digit")


def test_pictures_without_captions_are_refused_with_what_to_set():
    with pytest.raises(DataError, match=r"Set data\.captions"):
        known_words(())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(string.ascii_letters, min_size=1, max_size=8), min_size=1, max_size=6))
def test_a_caption_comes_back_from_its_numbers(words):
    caption = " ".join(words)
    tokenizer = make_tokenizer(known_words([caption]), caption_length([caption]))
    numbers = tokenizer(caption).input_ids
    assert tokenizer.decode(numbers, skip_special_tokens=True) == caption.lower()
    assert len(numbers) == len(words) + 2


def test_captions_are_padded_between_their_ends_to_the_longest_one():
    tokenizer = make_tokenizer(known_words(CAPTIONS), caption_length(CAPTIONS))
    told = tokenizer(["", "a three"], padding="max_length", return_tensors="pt").input_ids
    assert told.shape == (2, 6)
    assert told[0].tolist() == [1, 2, 0, 0, 0, 0]
    assert told[1].tolist() == [1, 4, 8, 2, 0, 0]


def test_an_unknown_word_is_refused_with_what_is_near_it_and_what_is_known():
    words = known_words(CAPTIONS)
    with pytest.raises(ModelError, match="does not know: threee, wolf") as caught:
        check_prompts(["a three", "a threee wolf"], words, 6)
    assert "Near it: three" in str(caught.value) and "a, digit, seven, the, three" in str(caught.value)
    check_prompts(["THE  digit seven", ""], words, 6)


def test_nothing_that_is_typed_is_a_token_of_the_tokenizers_own():
    with pytest.raises(ModelError, match="does not know"):
        check_prompts(["a <unk>"], known_words(CAPTIONS), 6)


def test_a_prompt_that_would_be_cut_is_refused():
    with pytest.raises(ModelError, match="has 5 words, 4 fit"):
        check_prompts(["a a a a a"], known_words(CAPTIONS), 6)


def test_a_caption_is_kept_as_far_as_its_words_are_known():
    assert known_part("A three", {"a", "three"}) == "A three"
    assert known_part("A three", {"three"}) == "three"
    assert caption_words("a-b") == ["a", "-", "b"]
