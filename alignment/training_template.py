"""A chat template that says which tokens the assistant wrote, with `{% generation %}` markers, for any tokenizer.

Its own template where that has the markers; TRL's training variant where TRL knows the family; else one that is made:
the template as it is, in a macro, rendered once for the whole and once up to each assistant turn, so that a turn's
words are what is new between the two. What was made is checked on conversations before it is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from alignment.errors import MaskError

STEP = "finding the assistant's tokens"
REMEDY = "Give a Jinja file with {% generation %} … {% endgeneration %} in model.chat_template"

_HEAD = "{%- macro hearth_render(messages, add_generation_prompt) -%}{{ '' }}"
_TAIL = """{{ '' }}{%- endmacro -%}
{%- set whole = hearth_render(messages, add_generation_prompt) -%}
{%- set seen = namespace(at=0) -%}
{%- for message in messages -%}
    {%- if message['role'] == 'assistant' -%}
        {%- set before = hearth_render(messages[:loop.index0], true) -%}
        {%- set after = hearth_render(messages[:loop.index], false) -%}
        {%- if not whole.startswith(after) and eos_token is defined and after.endswith(eos_token) -%}
            {%- set after = after[:after|length - eos_token|length] -%}
        {%- endif -%}
        {%- if not (whole.startswith(after) and after.startswith(before)) -%}
            {{- raise_exception('an earlier turn is rendered otherwise when later ones follow') -}}
        {%- endif -%}
        {%- set said = after[before|length:].rstrip() -%}
        {{- whole[seen.at:before|length] -}}
        {%- generation -%}{{- said -}}{%- endgeneration -%}
        {%- set seen.at = before|length + said|length -%}
    {%- endif -%}
{%- endfor -%}
{{- whole[seen.at:] -}}"""

_TURNS = [
    {"role": "user", "content": "What is (two) plus two?"},
    {"role": "assistant", "content": "It is 4, as ever."},
    {"role": "user", "content": "And plus one?"},
    {"role": "assistant", "content": "Five.\n\n- one line\n- and another"},
    {"role": "user", "content": "Thank you"},
]
_PROBES = (
    _TURNS[:2],
    _TURNS[:4],
    _TURNS,
    [{"role": "system", "content": "Be brief."}, *_TURNS[:2]],
    [{"role": "system", "content": "Be brief."}, *_TURNS],
)


def training_tokenizer(tokenizer: Any) -> Any:
    """A copy of the tokenizer whose chat template marks what the assistant said, its end-of-turn token included.

    The tokenizer that was given keeps its own template: that is the one to save beside the model.

    Raises:
        MaskError: it has no chat template; its markers leave the end of a turn out; or it has none, TRL knows none
            for it, and none can be added so that the text stays the same.
    """
    template = template_of(tokenizer)
    marked = copy.deepcopy(tokenizer)
    marked.chat_template, origin = _marked(tokenizer, template)
    check_end_of_turn(marked, origin)
    return marked


def template_of(tokenizer: Any) -> str:
    """The tokenizer's chat template; of several by name, the default one. Raises MaskError when it has none."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise MaskError(STEP, "the tokenizer has no chat template, and the rows are conversations", REMEDY)
    return str(template)


def check_end_of_turn(tokenizer: Any, origin: str = "the chat template") -> None:
    """Refuse a marked template that leaves the token which ends a turn untrained. Raises MaskError."""
    from trl.chat_template_utils import is_chat_template_stop_token_trained

    if not is_chat_template_stop_token_trained(tokenizer):
        cause = (
            f"{origin} leaves the end-of-turn token out of {{% generation %}}, or ends a turn with no token of its own"
        )
        raise MaskError(STEP, cause, REMEDY + ", with the end of the turn inside")


def made_template(template: str) -> str:
    """`template` in a macro, and around what it renders for the assistant, markers. Unchecked."""
    return _HEAD + template.removesuffix("\n") + _TAIL


def spans(tokenizer: Any, messages: Sequence[Any], template: str, **context: Any) -> tuple[str, list[tuple[int, int]]]:
    """The rendered text, and start and end of each part within markers, in characters.

    Raises what a template raises: jinja2.TemplateError, TypeError, ValueError.
    """
    from transformers.utils.chat_template_utils import render_jinja_template
    from trl.chat_template_utils import has_generation_markers

    marked = has_generation_markers(template)

    rendered: Any = render_jinja_template(
        conversations=[list(messages)],
        chat_template=template,
        return_assistant_tokens_mask=marked,
        **{**tokenizer.special_tokens_map, **context},
    )
    texts, found = rendered
    return texts[0], found[0] if marked else []


def _marked(tokenizer: Any, template: str) -> tuple[str, str]:
    """A template with markers, and what to call it."""
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    if has_generation_markers(template):
        return template, "the tokenizer's own chat template"
    try:
        known = get_training_chat_template(tokenizer)
    except ValueError:
        known = None
    if known is not None:
        return known, "TRL's training template"
    made = made_template(template)
    if reason := next(_differences(tokenizer, template, made), ""):
        raise MaskError(
            STEP, f"the chat template has no {{% generation %}} markers and none can be added: {reason}", REMEDY
        )
    return made, "the marked chat template"


def _differences(tokenizer: Any, template: str, made: str) -> Iterator[str]:
    """Why `made` is not `template` with markers, as far as conversations show it."""
    from jinja2 import TemplateError

    rendered = 0
    for probe in _PROBES:
        for prompt in (False, True):
            try:
                plain, _ = spans(tokenizer, probe, template, add_generation_prompt=prompt)
            except (TemplateError, TypeError, ValueError):
                continue  # many templates refuse a system message
            rendered += 1
            try:
                text, found = spans(tokenizer, probe, made, add_generation_prompt=prompt)
            except (TemplateError, TypeError, ValueError) as error:
                yield str(error)
                return
            if text != plain:
                yield "the text would change"
            said = [message["content"] for message in probe if message["role"] == "assistant"]
            yield from _loose(tokenizer, said, [text[start:end] for start, end in found])
    if not rendered:
        yield "it renders no conversation of user and assistant"


def _loose(tokenizer: Any, said: Sequence[str], marked: Sequence[str]) -> Iterator[str]:
    """Where the marked parts are not a turn's words and the tokens that end it."""
    if len(said) != len(marked):
        yield "not every turn of the assistant is found"
    for words, part in zip(said, marked, strict=False):
        if not part.startswith(words):
            yield "more than the assistant's words would be trained"
        elif not _ends_turn(tokenizer, part[len(words) :]):
            yield "its turns end with no token of their own"


def _ends_turn(tokenizer: Any, tail: str) -> bool:
    """Whether a text is of added tokens alone, white space aside."""
    added = set(tokenizer.get_added_vocab().values())
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"]
    kept = [token for token in ids if tokenizer.decode([token]).strip()]
    return bool(kept) and all(token in added for token in kept)
