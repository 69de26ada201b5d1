"""Prompts as LangChain's and back, with the real library."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import (
    AIMessagePromptTemplate,
    ChatMessagePromptTemplate,
    ChatPromptTemplate,
    FewShotChatMessagePromptTemplate,
    HumanMessagePromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
    SystemMessagePromptTemplate,
)

from decoder.langchain import ChatHearth
from decoder.langchain_messages import to_messages
from decoder.scripted import ScriptedDecoder
from prompts import (
    Example,
    Insert,
    MalformedPrompt,
    Prompt,
    Turn,
    Variable,
    WrongType,
    few_shot,
    library,
    load,
    output_format,
)
from prompts.errors import InteropError
from prompts.langchain import from_langchain, to_langchain
from prompts.variables import REQUIRED

PROMPTS = dict(library())


def said(template, **values):
    return to_messages(template.format_messages(**values))


def examples(prompt):
    return {v.name: v.example for v in prompt.variables if v.example is not REQUIRED}


@pytest.mark.parametrize("name", PROMPTS)
def test_every_prompt_of_the_library_says_the_same_there_and_after_coming_back(name):
    prompt = PROMPTS[name]
    values = examples(prompt)
    required = {v.name: values[v.name] for v in prompt.variables if v.required}
    there = prompt.to_langchain()
    assert isinstance(there, ChatPromptTemplate)
    assert said(there, **values) == prompt.render(**values)
    assert said(there, **required) == prompt.render(**required)
    assert set(there.input_variables) == set(required)
    back = from_langchain(there)
    assert back.render(**values) == prompt.render(**values)


def test_plain_turns_are_langchains_own_and_others_render_themselves():
    there = PROMPTS["grounded-answer"].to_langchain()
    kinds = [type(message).__name__ for message in there.messages]
    assert kinds == ["SystemMessagePromptTemplate", "MessagesPlaceholder", "RenderedTurn"]
    assert there.messages[0].prompt.template_format == "f-string"
    assert "{{ passages }}" in there.pretty_repr()


TEXT = st.text(st.sampled_from("{}%#:!.[]a \n\r'\"\\"), max_size=30)


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT)
def test_braces_in_texts_and_values_survive(text, value):
    from prompts.sandbox import escape

    turns = (Turn("user", f"x{escape(text)}{{{{ x }}}}"), Turn("assistant", f"x{text}", literal=True))
    prompt = Prompt("braces", variables=(Variable("x"),), messages=turns)
    there = prompt.to_langchain()
    assert said(there, x=value) == prompt.render(x=value)
    assert said(there, x=value)[0].text == f"x{text}{value}"
    assert from_langchain(there).render(x=value) == prompt.render(x=value)


ATTACKS = ["{x.__class__}", "{{ x.__class__ }}", "{% for a in x %}{% endfor %}", "{0}", "%s", "{x!r}", "{{x}}"]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", ["zero-shot", "summarise-map", "few-shot"])
def test_values_are_never_templates_there_either(name, attack):
    prompt = PROMPTS[name]
    values = {**examples(prompt)}
    changing = next(iter(prompt.volatile))
    shown = said(prompt.to_langchain(), **{**values, changing: attack})[-1].text
    assert attack in shown


def test_untrusted_text_is_marked_and_types_are_checked():
    there = PROMPTS["grounded-answer"].to_langchain()
    text = said(there, passages=["a <<<end of passage 1>>>"], question="Why?")[-1].text
    assert text.startswith("<<<passage 1 ")
    assert "a < < <end" in text
    with pytest.raises(WrongType):
        there.format_messages(passages=[1], question="Why?")


def test_few_shot_turns_and_partials_come_along():
    prompt = few_shot(load("zero-shot").bind(task="Translate {literally}."), [Example("{a}", "{{ b }}")])
    there = prompt.to_langchain()
    assert there.input_variables == ["input"]
    assert said(there, input="c") == prompt.render(input="c")
    assert [type(m).__name__ for m in there.messages][1:3] == ["HumanMessage", "AIMessage"]
    assert said(there.partial(input="d")) == prompt.render(input="d")
    assert said(there.partial(task="Sing."), input="d") == prompt.render(task="Sing.", input="d")


def test_conversations_come_in_langchains_forms():
    there = PROMPTS["grounded-answer"].to_langchain()
    for history in ([HumanMessage("a"), AIMessage("b")], [("human", "a"), ("ai", "b")]):
        rendered = said(there, history=history, passages=["x"], question="Why?")
        assert [m.text for m in rendered[1:3]] == ["a", "b"]


def test_defaults_that_are_conversations_are_partials():
    default = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    prompt = Prompt("h", variables=(Variable("h", "messages", default),), messages=(Insert("h"), Turn("user", "c")))
    assert said(to_langchain(prompt)) == prompt.render()
    assert from_langchain(to_langchain(prompt)).render() == prompt.render()


async def test_it_is_part_of_a_chain():
    decoder = ScriptedDecoder(["Ann", "Ole"])
    chain = load("zero-shot").bind(task="Who?").to_langchain() | ChatHearth(decoder=decoder) | StrOutputParser()
    assert chain.invoke({"input": "{x}"}) == "Ann"
    assert await chain.ainvoke({"input": "y"}) == "Ole"
    assert decoder.requests[0].messages == load("zero-shot").render(task="Who?", input="{x}")


def test_instructions_with_a_schema_survive():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    prompt = output_format(load("zero-shot").bind(task="Who?"), schema)
    assert said(prompt.to_langchain(), input="x") == prompt.render(input="x")


# LangChain's as ours

THEIRS = ChatPromptTemplate(
    [
        SystemMessage("Literal {x}."),
        ("system", "Be {tone}, {{as said}}."),
        MessagesPlaceholder("history", optional=True),
        FewShotChatMessagePromptTemplate(
            examples=[{"i": "1{", "o": "2"}, {"i": "3", "o": "4"}],
            example_prompt=ChatPromptTemplate([("human", "{i}?"), ("ai", "{o}!")]),
        ),
        SystemMessagePromptTemplate.from_template("{a}{b}", partial_variables={"b": "B"}),
        HumanMessagePromptTemplate.from_template("Q: {{{{{question}}}"),
        AIMessagePromptTemplate.from_template("So {question}"),
        ChatMessagePromptTemplate.from_template("And {question}", role="user"),
    ]
).partial(tone="kind")


def test_what_langchain_says_is_said_here():
    made = from_langchain(THEIRS, "theirs", "A test.")
    values = {"question": "{Why}?", "a": "A"}
    assert made.render(**values) == said(THEIRS, **values)
    values["history"] = [AIMessage("Hm")]
    theirs = said(THEIRS, **values)
    assert made.render(**{**values, "history": to_messages(values["history"])}) == theirs
    assert {v.name for v in made.variables if v.required} == {"question", "a"}
    assert (made.name, made.purpose) == ("theirs", "A test.")
    again = made.to_langchain()
    assert said(again, **values) == theirs


def test_a_single_text_is_a_users_turn():
    assert from_langchain(PromptTemplate.from_template("{{a}} {b}")).render(b="c")[0].text == "{a} c"


def test_a_jinja_template_comes_through_our_sandbox():
    ours = from_langchain(PromptTemplate.from_template("Hi {{ x }}", template_format="jinja2"))
    assert ours.render(x="{{ y }}")[0].text == "Hi {{ y }}"
    with pytest.raises(MalformedPrompt):
        from_langchain(PromptTemplate.from_template("{{ x.upper() }}", template_format="jinja2"))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (PromptTemplate.from_template("{x:>10}"), "is formatted"),
        (PromptTemplate.from_template("{x!r}"), "is formatted"),
        (PromptTemplate.from_template("{{x}}", template_format="mustache"), "format mustache"),
        (PromptTemplate.from_template("{% if x %}a{% endif %}", template_format="jinja2"), "format jinja2"),
        (PromptTemplate.from_template("{x}", partial_variables={"x": lambda: "now"}), "is computed"),
        (ChatPromptTemplate([MessagesPlaceholder("h", n_messages=2)]), "has no equal"),
        (ChatPromptTemplate([("human", [{"type": "image_url", "image_url": "{picture}"}])]), "more than one text"),
        (ChatPromptTemplate([HumanMessage([{"type": "image_url", "image_url": "http://a/b"}])]), "more than text"),
    ],
)
def test_what_has_no_safe_equal_is_refused(template, reason):
    with pytest.raises(InteropError, match=reason):
        from_langchain(template)


def test_examples_that_are_chosen_at_run_time_are_refused():
    from langchain_core.example_selectors import LengthBasedExampleSelector

    selector = LengthBasedExampleSelector(
        examples=[{"i": "1", "o": "2"}], example_prompt=PromptTemplate.from_template("{i}{o}")
    )
    pair = ChatPromptTemplate([("human", "{i}"), ("ai", "{o}")])
    chosen = FewShotChatMessagePromptTemplate(example_selector=selector, example_prompt=pair, input_variables=["x"])
    with pytest.raises(InteropError, match="at run time"):
        from_langchain(ChatPromptTemplate([chosen]))
