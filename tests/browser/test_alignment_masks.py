"""Which tokens are trained is shown as alignment has it, and rows that hold markup are shown as their letters."""

import json
import re

from alignment.data import load_data
from alignment.preview import CLOSE, OPEN
from alignment.recipe import make_recipe
from alignment.sections import DataSection
from alignment.token_mask import mask_row, training_tokenizer
from ui.browser import align_job, align_masks


def test_the_masks_of_chosen_rows_are_alignments_own(tiny_llama, tmp_path):
    from transformers import AutoTokenizer

    rows = tmp_path / "rows.jsonl"
    talks = [
        [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}] for n in range(5)
    ]
    rows.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    recipe = make_recipe(
        {"stage": "sft", "name": "look", "model": {"path": str(tiny_llama)}, "data": {"train": str(rows)}}
    )
    found = align_job.look(recipe, measure=False, rows=[3, 1, 99])
    tokenizer = training_tokenizer(AutoTokenizer.from_pretrained(tiny_llama))
    data = load_data(DataSection(train=str(rows)), "sft")
    assert len(found["preview"]) == 2, "a row that is not there is passed over"
    for shown, place in zip(found["preview"], (3, 1), strict=True):
        own = mask_row(tokenizer, data.train[place], "messages")
        assert tuple(shown["live"]) == own.live and tuple(shown["pieces"]) == own.pieces
        marked = align_masks.shown(shown["pieces"], shown["live"])
        trained = "".join(re.findall(rf"{OPEN}(.*?){CLOSE}", marked)).replace("\\", "")
        assert f"It is {place}." in trained and "Say" not in trained
    assert dict(map(tuple, found["facts"]))["rows"].startswith("5 to train on")


def test_rows_are_shown_as_letters_with_brackets_and_colour():
    pieces = ["<b>", " ![x](http://a)", "\n", "  two", ":red[x]", "⟦"]
    marked = align_masks.shown(pieces, [False, True, True, True, False, False])
    assert "<b>" not in marked and "![" not in marked and "\\<b\\>" in marked
    assert marked.count(":green-background[") == 2, "a stretch over two lines is marked on each"
    assert "\u00a0\u00a0two" in marked, "blanks are kept"
    assert "\\:red\\[" in marked
    assert align_masks.as_text(["a", " b"], [False, True]) == f"a{OPEN} b{CLOSE}"
