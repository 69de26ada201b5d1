"""What would not teach what was meant is refused before it is trained, and the rows are named."""

import pytest

from alignment.errors import MaskError
from alignment.guard import check_masks, measure
from alignment.token_mask import training_tokenizer

pytest.importorskip("trl", reason="the guard asks TRL's own check of chat templates")

USER = {"role": "user", "content": "What is the capital of France?"}
GOOD = {"messages": [USER, {"role": "assistant", "content": "Paris."}]}
PLAIN = {"prompt": "What is the capital of France?", "completion": " Paris."}


@pytest.fixture
def plain(tiny_llama):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_llama)


@pytest.fixture
def tokenizer(plain):
    return training_tokenizer(plain)


def test_rows_that_teach_something_are_counted(tokenizer):
    report = check_masks(tokenizer, [GOOD, GOOD], "messages")
    of_one = tokenizer.apply_chat_template(GOOD["messages"], tokenize=True, return_dict=False)
    assert (report.rows, report.sequences, report.tokens, report.longest) == (2, 2, 2 * len(of_one), len(of_one))
    assert report.live == 2 * len(tokenizer("Paris.<|end|>")["input_ids"])
    assert report.lengths == (len(of_one),) * 2


def test_a_row_without_an_answer_is_refused_by_its_index(tokenizer):
    with pytest.raises(MaskError, match="row 1 would train no token"):
        check_masks(tokenizer, [GOOD, {"messages": [USER]}], "messages")


def test_many_such_rows_are_counted_and_the_first_named(tokenizer):
    rows = [{"messages": [USER]}] * 20
    with pytest.raises(MaskError, match="rows 0, 1, 2, 3, 4, 5, 6, 7 and 12 more would train no token"):
        check_masks(tokenizer, rows, "messages")


def test_an_answer_that_truncation_takes_away_is_refused(tokenizer):
    length = check_masks(tokenizer, [GOOD], "messages").longest
    live = check_masks(tokenizer, [GOOD], "messages").live
    trailing = 1  # the line feed after the end of the turn
    first = length - trailing - live
    with pytest.raises(MaskError, match=rf"row 0 would train no token after max_length {first}"):
        check_masks(tokenizer, [GOOD], "messages", first)
    report = check_masks(tokenizer, [GOOD], "messages", first + 1)
    assert (report.long, report.unended, report.live) == ((0,), (0,), 1)


@pytest.mark.parametrize(
    ("row", "row_format"),
    [
        ({"prompt": "What is it?", "chosen": " Paris.", "rejected": " Rome."}, "preference"),
        ({**PLAIN, "label": True}, "kto"),
        ({"prompt": "What is it?", "responses": [" a", " b"], "ranks": [1, 2]}, "ranking"),
        (PLAIN, "prompt_completion"),
        ({"prompt": [USER], "completion": [{"role": "assistant", "content": "Paris."}]}, "prompt_completion"),
    ],
)
def test_a_prompt_that_fills_the_length_alone_is_refused_in_every_format(plain, row, row_format):
    assert check_masks(plain, [row], row_format).rows == 1
    with pytest.raises(MaskError, match="row 0 would train no token after max_length 4"):
        check_masks(plain, [row], row_format, 4)


def test_a_template_without_markers_is_refused_for_conversations(plain):
    with pytest.raises(MaskError, match=r"no \{% generation %\} markers.*training_tokenizer"):
        check_masks(plain, [GOOD], "messages")


@pytest.mark.parametrize(
    ("row", "row_format"),
    [(GOOD, "messages"), ({"prompt": [USER]}, "prompt"), ({"prompt": [USER], "completion": []}, "prompt_completion")],
)
def test_conversations_without_a_chat_template_are_refused(plain, row, row_format):
    plain.chat_template = None
    with pytest.raises(MaskError, match="has no chat template"):
        check_masks(plain, [row], row_format)


def test_plain_texts_need_no_chat_template(plain):
    plain.chat_template = None
    assert check_masks(plain, [PLAIN], "prompt_completion").live > 0


def test_a_tokenizer_without_a_pad_token_is_refused(tokenizer):
    tokenizer.pad_token = None
    with pytest.raises(MaskError, match="no pad token"):
        check_masks(tokenizer, [GOOD], "messages")


def test_a_tokenizer_without_an_end_token_is_refused_for_plain_texts(plain):
    plain.eos_token = None
    with pytest.raises(MaskError, match=r"row 0: .*no end-of-sequence token"):
        check_masks(plain, [PLAIN], "prompt_completion")


def test_an_end_of_turn_outside_the_markers_is_refused(plain):
    plain.chat_template = (
        "{% for message in messages %}<|{{ message.role }}|>\n{% if message.role == 'assistant' %}"
        "{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}{% endif %}"
        "<|end|>\n{% endfor %}"
    )
    with pytest.raises(MaskError, match="leaves the end-of-turn token out"):
        check_masks(plain, [GOOD], "messages")


def test_a_completion_that_its_template_does_not_end_is_refused(plain):
    plain.chat_template = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}{% endfor %}"
    row = {"prompt": [USER], "completion": [{"role": "assistant", "content": "Paris."}]}
    with pytest.raises(MaskError, match="row 0: the end-of-turn token would not be trained"):
        check_masks(plain, [row], "prompt_completion")


def test_a_row_that_the_template_cannot_render_is_named_and_the_others_are_counted(tokenizer):
    rows = [GOOD, {"messages": [{"role": "user"}, {"role": "assistant", "content": None}]}, GOOD]
    tokenizer.chat_template = tokenizer.chat_template.replace("message['content'] or ''", "message['content'].strip()")
    report, refusal = measure(tokenizer, rows, "messages")
    assert (report.rows, report.sequences, report.lengths[1]) == (3, 2, 0)
    assert str(refusal).startswith("finding the assistant's tokens: row 1: the chat template cannot render it")


def test_prompts_alone_need_no_live_token(plain):
    report = check_masks(plain, [{"prompt": [USER]}], "prompt")
    assert (report.rows, report.live) == (1, 0)


def test_an_unknown_format_is_refused(plain):
    with pytest.raises(MaskError, match="'pairs' is no format"):
        check_masks(plain, [PLAIN], "pairs")
