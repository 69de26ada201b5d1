"""What a stage is taught on: every row is used, or listed with its place and reason; nothing goes missing silently."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.data import drop_long, load_data
from alignment.data_split import rows_hash
from alignment.data_stages import TAKES
from alignment.errors import DataError
from alignment.sections import DataSection

HI = {"role": "user", "content": "Hi."}
YES = {"role": "assistant", "content": "Yes?"}


@pytest.fixture
def write(tmp_path):
    def write(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return write


def pair(prompt="Hi.", chosen="Yes?", rejected="No."):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def vote(index, label=True):
    return {"prompt": f"Question {index}?", "completion": f"Answer {index}.", "label": label}


def load(train, stage, **section):
    return load_data(DataSection(train=train, **section), stage)


RANKING = {"prompt": "Hi.", "responses": ["c", "a", "b"], "ranks": [2, 1, 2]}
ROWS = {
    "text": {"text": "Once."},
    "messages": {"messages": [HI, YES]},
    "prompt_completion": {"prompt": "Hi.", "completion": "Yes?"},
    "preference": pair(),
    "ranking": RANKING,
    "kto": vote(0),
    "prompt": {"prompt": "Hi."},
}


@pytest.mark.parametrize(
    ("stage", "taken"),
    [
        ("pretrain", {"text": "text"}),
        ("sft", {"messages": "messages", "prompt_completion": "prompt_completion"}),
        ("reward", {"preference": "preference", "ranking": "ranking"}),
        ("dpo", {"preference": "preference", "ranking": "preference"}),
        ("kto", {"kto": "kto", "preference": "kto"}),
        *((s, dict.fromkeys(("prompt", "messages", "prompt_completion"), "prompt")) for s in ("ppo", "grpo", "rloo")),
        ("constitution", dict.fromkeys(("prompt", "messages", "prompt_completion"), "prompt")),
    ],
)
def test_each_stage_takes_its_formats_and_refuses_the_others_naming_who_takes_them(stage, taken, write):
    for form, row in ROWS.items():
        if form in taken:
            assert load(write([row]), stage).format == taken[form]
            continue
        with pytest.raises(DataError, match=f"holds {form} rows, and {stage} takes") as caught:
            load(write([row]), stage)
        assert "Such rows go to" in caught.value.remedy and stage not in caught.value.remedy.split()


def test_a_vote_file_given_to_dpo_is_sent_to_kto(write):
    with pytest.raises(DataError, match="Such rows go to kto"):
        load(write([vote(0)]), "dpo")


def test_dpo_makes_every_pair_of_a_ranking_but_ties_and_says_so(write):
    data = load(write([RANKING]), "dpo")
    assert data.train == [pair(chosen="a", rejected="c"), pair(chosen="a", rejected="b")]
    assert (data.report.kept, data.report.train_rows) == (1, 2)
    assert data.report.notes == ("each ranking became a pair for every two responses of different rank",)
    spoken = load(write([{**RANKING, "prompt": [HI]}]), "dpo").train[0]
    assert spoken["chosen"] == [{"role": "assistant", "content": "a"}]


def test_kto_makes_two_votes_of_a_pair_and_says_so(write):
    data = load(write([pair()]), "kto")
    assert data.train == [
        {"prompt": "Hi.", "completion": "Yes?", "label": True},
        {"prompt": "Hi.", "completion": "No.", "label": False},
    ]
    assert data.report.notes == ("each pair became two votes, one up and one down",)


def test_stages_that_generate_get_prompts_with_the_columns_that_rewards_read(write):
    row = {"messages": [HI, YES], "answer": "Yes", "level": 2}
    assert load(write([row]), "grpo").train == [{"prompt": [HI], "answer": "Yes", "level": 2}]
    assert load(write([{"prompt": "1+1", "answer": "2"}]), "ppo").train == [{"prompt": "1+1", "answer": "2"}]


def test_the_first_bad_row_stops_with_its_place_and_how_many_more_there_are(write):
    source = write([vote(0), "", {**vote(1), "label": "good"}, "{", vote(2)])
    with pytest.raises(DataError) as caught:
        load(source, "kto")
    assert (caught.value.row, caught.value.field) == (1, "label")
    assert f"{source}, row 1 (line 3), label: it is neither true nor false" in str(caught.value)
    assert "1 more cannot be used" in str(caught.value) and "data.skip_bad" in caught.value.remedy


def test_skip_bad_lists_every_row_that_it_leaves_out(write):
    rows = [vote(0), {**vote(1), "label": "good"}, "{", vote(2), {"prompt": "a"}]
    data = load(write(rows), "kto", skip_bad=True)
    assert [row["prompt"] for row in data.train] == ["Question 0?", "Question 2?"]
    assert [(row.index, row.line, row.field) for row in data.report.dropped] == [
        (1, 2, "label"),
        (2, 3, ""),
        (4, 5, "completion"),
    ]
    assert "not JSON" in data.report.dropped[1].reason
    plain = data.report.plain()
    assert plain["dropped"] == 3 and plain["dropped_rows"][0]["reason"].startswith("it is neither true nor false")
    assert json.loads(json.dumps(plain)) == plain


def test_every_row_is_accounted_for(write):
    questions = write([{"question": "How many apples are left when three of nine apples are eaten today?"}], "q.jsonl")
    rows = [*map(vote, range(40)), vote(3), {**vote(4), "prompt": "question  4?\n"}, {"prompt": 3}, "x"]
    rows.append({**vote(9), "prompt": "Tell me: how many apples are left, when three of nine apples are eaten today?"})
    report = load(write(rows), "kto", skip_bad=True, contamination=questions, eval_fraction=0.2).report
    assert (report.rows, len(report.dropped), report.duplicates, report.contaminated) == (45, 2, 2, 1)
    assert report.rows == report.kept + len(report.dropped) + report.duplicates + report.contaminated
    assert report.kept == report.train_rows + report.eval_rows == 40
    assert report.matches[0].index == 44 and "how many apples are left when three" in report.matches[0].reason


def test_duplicates_may_be_kept(write):
    assert load(write([vote(0), vote(0)]), "kto", deduplicate=False).report.train_rows == 2
    assert load(write([vote(0), vote(0, False)]), "kto").report.train_rows == 2  # two people, two votes


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "holds no row"),
        (["", "  "], "holds no row"),
        (["{", "["], "none of the 2 rows of .* can be read; row 0 .line 1.: the line is not JSON"),
        (
            [{"prompt": "", "completion": "x"}],
            "of 1 rows of .* none is left: 1 cannot be used, 0 are duplicates, 0 hold",
        ),
        ([{"q": "x", "a": "y"}], "of no known format; they have the fields a, q"),
    ],
)
def test_a_set_of_which_nothing_is_left_says_why(write, rows, said):
    with pytest.raises(DataError, match=said):
        load(write(rows), "sft", skip_bad=True)


def test_a_set_of_evaluation_questions_alone_says_so(write):
    questions = write([{"question": "Hi!"}], "q.jsonl")
    with pytest.raises(DataError, match=r"1 hold evaluation questions; the first: row 0 .line 1.: .*: hi"):
        load(write([{"prompt": "Hi."}]), "ppo", contamination=questions)


def test_columns_are_renamed_and_a_missing_one_is_named(write):
    source = write([{"question": "1+1?", "answer": "2", "prompt": "the old one"}])
    data = load(source, "sft", columns={"prompt": "question", "completion": "answer"})
    assert data.train == [{"prompt": "1+1?", "completion": "2"}]
    assert load(source, "ppo", columns={"prompt": "question"}).train == [{"prompt": "1+1?", "answer": "2"}]
    lacking = write([{"question": "1+1?"}, {"prompt": "the old one"}], "lacking.jsonl")
    with pytest.raises(DataError, match=r"row 1 .line 2., prompt: it is missing"):
        load(lacking, "ppo", columns={"prompt": "question"})
    with pytest.raises(DataError, match=r"no column 'questoin'. Did you mean question\?"):
        load(source, "sft", columns={"prompt": "questoin"})


def test_a_system_message_goes_before_conversations_that_have_none(write):
    mine = {"role": "system", "content": "Mine."}
    source = write([{"messages": [HI, YES]}, {"messages": [mine, HI, YES]}])
    first, second = load(source, "sft", system="Be brief.").train
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert second["messages"][0] == mine
    assert load(source, "ppo", system="Be brief.").train[0]["prompt"][0]["content"] == "Be brief."
    plain = load(write([pair()], "plain.jsonl"), "dpo", system="Be brief.")
    assert plain.train == [pair()] and "data.system was not used" in plain.report.notes[0]


def test_texts_and_conversations_do_not_mix_as_trainers_look_at_the_first_row_alone(write):
    with pytest.raises(DataError, match=r"row 1 .line 2., prompt: it is a list, and in earlier rows a text"):
        load(write([{"prompt": "a"}, {"prompt": [HI]}]), "ppo")
    with pytest.raises(DataError, match=r"eval.jsonl, row 0 .line 1., prompt: it is a list"):
        load(write([{"prompt": "a"}]), "ppo", eval=write([{"prompt": [HI]}], "eval.jsonl"))


def test_an_evaluation_file_is_checked_too_and_its_rows_are_not_trained_on(write):
    held = write([vote(1), "{", vote(2)], "eval.jsonl")
    with pytest.raises(DataError, match=r"eval.jsonl, row 1 .line 2.: the line is not JSON"):
        load(write([vote(0), vote(1)]), "kto", eval=held)
    data = load(write([vote(0), vote(1)]), "kto", eval=held, skip_bad=True)
    assert (data.train, data.eval) == ([vote(0)], [vote(1), vote(2)])
    assert [(row.part, row.index) for row in data.report.dropped] == [("eval", 1)]
    assert (data.report.rows, data.report.kept, data.report.duplicates) == (2, 1, 1)
    with pytest.raises(DataError, match=r"eval.jsonl holds preference rows, and .* kto rows"):
        load(write([vote(0)]), "kto", eval=write([pair()], "eval.jsonl"))


def test_the_format_may_be_said_when_the_fields_leave_it_open(write):
    source = write([{**pair(), "completion": "Yes?", "label": True}])
    assert load(source, "kto").report.notes and not load(source, "kto", format="kto").report.notes
    with pytest.raises(DataError, match=r"row 0 .line 1., responses: it is missing"):
        load(source, "reward", format="ranking")


def test_the_first_rows_are_enough_when_so_asked(write):
    data = load(write([vote(0), vote(1), "{"]), "kto", max_rows=2)
    assert data.report.rows == 2 and data.report.train_rows == 2
    held = write(map(vote, range(3, 9)), "eval.jsonl")
    assert load(write([vote(0), vote(1)]), "kto", max_rows=1, eval=held).report.eval_rows == 6


def test_the_hashes_are_of_what_is_trained_on(write):
    data = load(write(map(vote, range(50))), "kto", eval_fraction=0.3, seed=4)
    report = data.report
    assert (report.sha256, report.eval_sha256) == (rows_hash(data.train), rows_hash(data.eval))
    assert report.seed == 4 and len(report.sha256) == 64
    more = load(write(map(vote, range(70))), "kto", eval_fraction=0.3, seed=4).report
    assert more.sha256 != report.sha256 and more.eval_sha256 != report.eval_sha256
    assert load(write([vote(0)]), "kto").report.eval_sha256 == ""


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"train": ""}, "data.train is empty"),
        ({"train": "nowhere.jsonl"}, "nowhere.jsonl does not exist"),
        ({"train": "example:votes", "max_rows": -1}, "data.max_rows is -1"),
        ({"train": "example:votes", "columns": {"prompt": ["a"]}}, "data.columns.prompt is \\['a'\\]"),
        ({"train": "."}, "of no kind that is read"),
        ({"train": "example:votes", "eval_fraction": 1.0}, "data.eval_fraction is 1.0"),
        ({"train": "example:votes", "eval_fraction": -0.1}, "data.eval_fraction is -0.1"),
        ({"train": "example:votes", "eval_fraction": 1e-9}, "leaves one side empty"),
        ({"train": "example:votes", "contamination": "nowhere.jsonl"}, "nowhere.jsonl does not exist"),
    ],
)
def test_a_section_that_cannot_be_followed_is_refused(section, said):
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        load_data(DataSection(**section), "kto")


def test_a_stage_that_is_none_is_refused(write):
    with pytest.raises(DataError, match="there is no stage 'sftt'"):
        load(write([vote(0)]), "sftt")


def test_rows_that_are_too_long_are_listed_never_just_gone():
    rows = [{"text": "a b"}, {"text": "a b c d"}, {"text": "a"}]
    kept, dropped = drop_long(rows, lambda row: len(row["text"].split()), 2, part="eval")
    assert kept == [rows[0], rows[2]]
    assert [str(row) for row in dropped] == ["row 1: it has 4 tokens, and 2 are allowed"] and dropped[0].part == "eval"


TURN = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "assistant", "system", "tool", "x"]), "content": st.text(max_size=3)}
)
VALUE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), TURN, st.lists(TURN, max_size=4),
    st.lists(st.text(max_size=2), max_size=3), st.lists(st.integers(0, 3), max_size=3),
    st.just("\n\nHuman: a\n\nAssistant: b"), st.just("\n\nHuman: a\n\nAssistant: c"),
)  # fmt: skip
FIELDS = ("messages", "conversations", "prompt", "completion", "chosen", "rejected", "responses", "ranks", "label",
          "instruction", "input", "output", "history", "system", "tools", "text", "answer")  # fmt: skip
SOME = st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=3)


@st.composite
def stages_and_rows(draw):
    """Rows that a stage takes, and what somebody may have made of them."""
    stage = draw(st.sampled_from(list(TAKES)))
    row = ROWS[draw(st.sampled_from(list(TAKES[stage])))]
    return stage, [{**row, **more} for more in draw(st.lists(SOME, min_size=1, max_size=4))]


@given(drawn=stages_and_rows(), system=st.sampled_from(["", "Be."]))
@settings(max_examples=120, deadline=None)
def test_any_rows_are_data_that_can_be_read_back_or_a_typed_error(drawn, system, tmp_path_factory):
    stage, rows = drawn
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        data = load(str(path), stage, system=system, skip_bad=True)
    except DataError as error:
        assert str(error)
        return
    report = data.report
    assert report.rows == len(rows) == report.kept + len(report.dropped) + report.duplicates
    assert len(data.train) == report.train_rows > 0
    path.write_text("".join(json.dumps(row) + "\n" for row in data.train))
    again = load(str(path), stage, format=data.format, system=system, deduplicate=False)
    assert (again.train, again.report.sha256) == (data.train, report.sha256)
