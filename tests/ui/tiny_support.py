"""Decoders that know the answers of held-out cases, or none, and the wordings that training uses."""

import json
import re

from agents.prompt import ACT
from alignment.tiny import arithmetic, dialogue, errands, facts, records
from alignment.tiny.grounding import brief
from alignment.tiny.words import BOXES, DAYS, THINGS
from decoder.scripted import ScriptedDecoder
from ui.tiny.agent_rows import replies


def final(answer):
    return json.dumps({"name": "final_answer", "arguments": {"answer": answer}})


def knowing(held):
    """Right about everything that is no errand."""
    solved = {each.question: each for each in held.problems}
    told = {each.question: each for each in held.grounded}
    known = {each.text: each.json for each in held.orders}
    said = {tuple(text for turn in turns for text in turn)[:-1]: turns[-1][1] for turns in held.dialogues}

    def answer(messages):
        text = messages[-1].text
        if text in solved:
            chain = "step by step" in messages[0].text
            return solved[text].solution if chain else str(solved[text].answer)
        question = text.rpartition("Question: ")[2]
        if question in told:
            return brief(told[question])
        return known.get(text) or said[tuple(message.text for message in messages)]

    return ScriptedDecoder(answer)


def wrong(held):
    """Wrong about everything, errands too, each in its own form."""
    known = {each.text: each.record for each in held.orders}

    def answer(messages):
        text = messages[-1].text
        if text.endswith(ACT):
            return final("nothing")
        if text in known:
            record = known[text]
            other = {"thing": THINGS[THINGS.index(record["thing"]) - 1], "day": DAYS[DAYS.index(record["day"]) - 1]}
            return json.dumps({"name": "Nobody", "count": 0, **other})
        return "Nobody has 99999 [9]."

    return ScriptedDecoder(answer)


def doing(*ways):
    """Does errands as they should be done, with their tools or at once: pairs of cases and whether there are tools."""
    script = []
    for cases, tools in ways:
        for case in cases:
            script += replies(case) if tools else [case.concluded, final(case.answer)]
    return ScriptedDecoder(script)


def _forms():
    """Every wording that training uses, with how many of its kind are held out."""
    pools = [getattr(arithmetic, name) for name in ("OWNED", "PACKED", "MORE", "FEWER", "TIMES", "SHARED")]
    pools += [arithmetic.HOW_MANY, arithmetic.EACH, dialogue.NAMED, dialogue.WHO_AM_I, dialogue.TELL]
    pools += [errands.TIME, errands.DAY, errands.TIME_IN, errands.SEVERAL, *errands.STORIES.values()]
    pools += [forms for relation in facts.RELATIONS for forms in (relation.told, relation.asked)]
    both = [(pool, 1) for pool in pools] + [(errands.SUMS, 2), (records.TOLD, 2)]
    return [form for pool, held_out in both for form in pool[:-held_out] if form != "{f}"]


_NUMBER, _NAME = r"\d+", r"[A-Z]\w+"
_FIELDS = {
    **dict.fromkeys(("a", "b", "k", "count"), _NUMBER),
    **dict.fromkeys(("n", "m", "name"), _NAME),
    **dict.fromkeys(("t", "thing"), "|".join(THINGS)),
    "x": "|".join(BOXES),
    "day": "|".join(DAYS),
    "s": r"(?:[Tt]he \w+ of )?[A-Z]\w+",
    "c": r"[A-Z]\w+(?: [A-Z]\w+)?",
    "v": r"[\w ]+",
    "f": r".+",
    "word": "plus|minus|times",
    "sign": "[+×-]",
}


def _pattern(form):
    parts = [
        f"(?:{_FIELDS[part[1:-1]]})" if part.startswith("{") else re.escape(part) for part in re.split(r"({\w+})", form)
    ]
    return re.compile(rf"(?:^|(?<=[.?!] )){''.join(parts)}(?= |$)")


TRAINED = [_pattern(form) for form in _forms()]


def trained_wordings(text):
    """The patterns of training that a text is written in."""
    return [pattern.pattern for pattern in TRAINED if pattern.search(text)]
