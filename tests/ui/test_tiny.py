"""hearth-tiny at the command line: where no other decoder is named, set or running."""

import pytest

REMARK = "No server runs: hearth-tiny, a very small model, answers. `hearth serve MODEL` starts a better one.\n"


def test_a_prompt_is_answered_without_a_server_and_that_is_said_once(hearth, tiny_stand_in):
    result = hearth("prompt", "run", "zero-shot-cot", "--example", "--max-tokens", "4")
    assert result.code == 0
    assert result.out.strip()
    assert result.err.startswith(REMARK)
    assert result.err.count("hearth-tiny") == 1


def test_its_name_stands_for_its_folder(hearth, tiny_stand_in):
    result = hearth("prompt", "run", "zero-shot-cot", "--example", "--max-tokens", "4", "--embedded", "hearth-tiny")
    assert result.code == 0
    assert "No server runs" not in result.err


def test_a_decoder_that_was_asked_for_is_not_replaced(hearth, tiny_stand_in):
    result = hearth("prompt", "run", "zero-shot", "--example", "--base-url", "http://127.0.0.1:9/v1")
    assert result.code == 1
    assert "hearth-tiny" not in result.err
    assert hearth("agent", "Go.", "--model", "other").code == 2


def test_questions_on_documents_are_still_quoted(hearth, tiny_stand_in, house):
    (house / "lease.txt").write_text("The rent is 900 euros a month.")
    result = hearth("ask", "--docs", house / "lease.txt", "How much is the rent?", "--json")
    assert result.json["generated"] is False
    assert "hearth-tiny" not in result.err


def test_the_agent_counts_with_the_calculator(hearth, hearth_tiny):
    result = hearth("agent", "What is 348 × 27?", "--json")
    assert result.code == 0, result.err
    assert "9396" in result.json["answer"].replace(",", "")
    assert result.json["spent"]["tool_calls"] == 1


def test_a_prompt_is_followed_to_its_answer(hearth, hearth_tiny):
    result = hearth("prompt", "run", "zero-shot-cot", "--set", "question=Tom has 12 pens and buys 30 more. How many?")
    assert result.code == 0, result.err
    assert "Answer:" in result.out


@pytest.mark.parametrize("command", ["eval", "compare"])
def test_prompts_are_measured_on_it(hearth, tiny_stand_in, house, command):
    (house / "rows.jsonl").write_text('{"question": "What is 1 + 1?", "answer": 2}\n')
    prompts = ("zero-shot-cot",) if command == "eval" else ("zero-shot-cot", "plan-and-solve")
    result = hearth("prompt", command, *prompts, house / "rows.jsonl", "--max-tokens", "2", "--json")
    assert result.code == 0, result.err
    assert result.json["questions"] == 1
    assert result.err.startswith(REMARK)
