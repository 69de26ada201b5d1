"""Compare: two or more variants on the same questions, started as a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from decoder import tiny
from decoder.errors import HearthError, UsageError
from ui.browser import jobs, opened, prompt_data, prompt_own
from ui.browser.problems import problems_shown
from ui.browser.prompt_comparison import show_comparisons
from ui.browser.prompt_library import find_decoder, show_if_tiny, show_no_decoder
from ui.browser.prompt_try import KINDS
from ui.browser.strings import say

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

FIRST = ("zero-shot-cot", "few-shot-cot")
MOST_VARIANTS = 4


def show_compare(prefix: str, person_id: str) -> None:
    """What is to be compared, the button, and the comparisons that there are."""
    from prompts.variants import TECHNIQUES

    names = _usable(prefix)
    st.caption(say("prompts.compare_what"))
    how_many = st.segmented_control(
        say("prompts.how_many"), list(range(2, MOST_VARIANTS + 1)), default=2, key="compare-count", required=True
    )
    variants = [_variant(number, names, TECHNIQUES) for number in range(int(how_many or 2))]
    rows, kind = _questions()
    decoder = find_decoder()
    if decoder is None:
        show_no_decoder()
    else:
        show_if_tiny(decoder)
        if st.button(say("prompts.compare"), type="primary", icon=":material/balance:", key="compare-start"):
            embedded = tiny.NAME if opened.is_tiny(decoder) else ""
            with problems_shown():
                _start(prefix, person_id, variants, rows, kind, embedded)
    show_comparisons(person_id)


def _usable(prefix: str) -> list[str]:
    """Prompts that a question alone is enough for, and those that only a file of one's own can fill."""
    known = prompt_own.known(prefix)
    found: dict[str, int] = {}
    for name in known:
        try:
            found[name] = sum(variable.required for variable in known[name].variables)
        except HearthError:
            continue
    return sorted(found, key=lambda name: (found[name] > 1, name))


def _variant(number: int, names: Sequence[str], techniques: Sequence[str]) -> dict[str, Any]:
    prompt, technique, samples = st.columns([3, 2, 2])
    first = FIRST[number] if number < len(FIRST) else FIRST[0]
    with prompt:
        name = st.selectbox(
            say("prompts.variant", number=number + 1),
            names,
            index=names.index(first) if first in names else 0,
            key=f"compare-prompt-{number}",
        )
    with technique:
        how = st.selectbox(
            say("prompts.technique"),
            techniques,
            format_func=lambda each: say(f"prompts.technique_{each.replace(' ', '_').replace('-', '_')}"),
            key=f"compare-technique-{number}",
            help=say("prompts.technique_help"),
        )
    with samples:
        count = st.number_input(
            say("prompts.variant_samples"), 1, 40, 1, key=f"compare-samples-{number}", help=say("prompts.samples_help")
        )
    return {"name": str(name), "technique": str(how), "samples": int(count)}


def _questions() -> tuple[str, str]:
    """JSON lines, empty while no file was given; and the kind of their answers."""
    own = say("prompts.data_own")
    chosen = st.radio(say("prompts.data"), [say("prompts.data_example"), own], key="compare-data", horizontal=True)
    if chosen != own:
        with st.expander(say("prompts.data_show")):
            st.code(prompt_data.example_rows(), language=None, wrap_lines=True)
        return prompt_data.example_rows(), "number"
    kind = st.selectbox(
        say("prompts.kind"), KINDS, format_func=lambda each: say(f"prompts.kind_{each}"), key="compare-kind"
    )
    given: UploadedFile | None = st.file_uploader(
        say("prompts.upload"), type=["jsonl", "csv"], key="compare-file", help=say("prompts.upload_help")
    )
    rows = ""
    if given is not None:
        with problems_shown():
            rows = prompt_data.rows_of(given.name, given.getvalue())
    return rows, kind


def _start(
    prefix: str, person_id: str, variants: Sequence[Mapping[str, Any]], rows: str, kind: str, embedded: str
) -> None:
    """Check that it can be run, and start it. Raises UsageError."""
    if not rows:
        raise UsageError("comparing prompts", "there are no questions yet", "Choose a file, or the example questions")
    known = prompt_own.known(prefix)
    prompt_data.checked(rows, [known[each["name"]] for each in variants], kind)
    asked = [
        {**each, "text": prompt_own.text_of(prefix, each["name"]), "label": label}
        for each, label in zip(variants, labels(variants), strict=True)
    ]
    title = say("prompts.job_title", names=", ".join(each["label"] for each in asked))
    spec = {"variants": asked, "rows": rows, "answer": kind, "embedded": embedded}
    jobs.start("prompts", title, spec, person_id)
    st.rerun()


def labels(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each is called: its prompt, technique and samples, and a number where two would be called the same."""
    found: list[str] = []
    for each in variants:
        parts = [each["name"], *([each["technique"]] if each["technique"] != "plain" else [])]
        label = ", ".join([*parts, *([f"×{each['samples']}"] if each["samples"] > 1 else [])])
        found.append(label if label not in found else f"{label} ({len(found) + 1})")
    return found
