"""What xgrammar's mask leaves out is allowed again, and nothing else is."""

import itertools

import pytest

pytest.importorskip("torch")
xgrammar = pytest.importorskip("xgrammar")

from decoder.spelled_tokens import FEW, Spelled  # noqa: E402  # after what it needs

END = "</s>"


def masks(vocabulary, grammar, begun=""):
    """The tokens that xgrammar allows after `begun`, and those that are allowed once what it left out was added."""
    info = xgrammar.TokenizerInfo([each.encode() for each in vocabulary], stop_token_ids=[vocabulary.index(END)])
    matcher = xgrammar.GrammarMatcher(xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(grammar))
    assert not begun or matcher.accept_string(begun)
    bits = xgrammar.allocate_token_bitmask(1, len(vocabulary))
    matcher.fill_next_token_bitmask(bits, 0)
    before = allowed(vocabulary, bits)
    Spelled(info.decoded_vocab).complete(bits[0], matcher)
    return before, allowed(vocabulary, bits)


def allowed(vocabulary, bits):
    words = bits[0].numpy().view("uint32")
    return {each for at, each in enumerate(vocabulary) if int(words[at // 32]) >> (at % 32) & 1}


def test_a_word_whose_own_end_is_a_token_is_allowed_though_xgrammar_leaves_it_out():
    before, after = masks([END, "c", "ck", "clock", "zz"], 'root ::= "clock"')
    assert after == {"c", "clock"}
    assert before == {"c"}, "xgrammar allows it by itself now: decoder/spelled_tokens.py can go"


@pytest.mark.parametrize(
    ("grammar", "begun", "expected"),
    [
        ('root ::= "clock" | "calculator"', "", {"c", "cal", "clock", "cl"}),
        ('root ::= "clock" | "calculator"', "c", {"al", "lock", "l"}),
        ('root ::= "clock" | "calculator"', "clock", {END}),
        ('root ::= "</s>" "c"', "", {"<"}),
    ],
)
def test_what_may_follow_is_allowed_and_no_more(grammar, begun, expected):
    vocabulary = [END, "c", "cal", "ck", "cl", "clock", "al", "l", "lock", "zz", "<", "<|x|>", "clocks"]
    assert masks(vocabulary, grammar, begun)[1] == expected


def test_every_spelling_of_every_word_is_allowed_at_each_of_its_places():
    syllables = ["".join(each) for size in (1, 2, 3) for each in itertools.product("ab", repeat=size)]
    vocabulary = [END, *syllables, "abab", "babab"]
    for word in ("ababab", "babab", "abbaab", "bbb"):
        for at in range(len(word)):
            expected = {token for token in vocabulary if word[at:].startswith(token)}
            assert masks(vocabulary, f'root ::= "{word}"', word[:at])[1] == expected, (word, at)


def test_where_much_is_allowed_the_mask_is_left_as_it_is():
    letters = [chr(at) for at in range(0x3B1, 0x3B1 + FEW + 1)]
    before, after = masks([END, *letters], f"root ::= [{''.join(letters)}]")
    assert before == after == set(letters)
