"""Prompts from files and values from anywhere: templates that would run code or never end, and values that would."""

import resource
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts import Insert, MalformedPrompt, Prompt, Turn, Variable, library
from prompts.budget import MOST_CHARACTERS
from prompts.errors import PromptError, RenderError, TooMuchText, WrongType
from prompts.sandbox import BadTemplate, compiled, escape, outline
from prompts.variables import REQUIRED

INJECTIONS = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ x|attr('__class__') }}",
    "{{ x['__cl' ~ 'ass__'] }}",
    "{{ x.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ request.application.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ dict.__base__ }}",
    "{{ range.__class__ }}",
    "{{ range.__init__ }}",
    "{{ range(3).__class__ }}",
    "{{ loop }}",
    "{% for a in x %}{{ loop.__class__ }}{% endfor %}",
    "{% for a in x %}{{ loop['__class__'] }}{% endfor %}",
    "{% for a in x %}{{ loop.cycle('a') }}{% endfor %}",
    "{% for a in x %}{{ loop._iterable }}{% endfor %}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ '{0.__class__}'.format_map({}) }}",
    "{{ '%s' % x }}",
    "{{ '%999999999d' % 1 }}",
    "{{ x | format(1) }}",
    "{{ x | map('attr', '__class__') | list }}",
    "{{ x | map(attribute='__class__') | list }}",
    "{{ [x] | sort(attribute='__class__') }}",
    "{{ x | groupby('__class__') }}",
    "{{ x | selectattr('__class__') | list }}",
    "{{ x | pprint }}",
    "{{ x | safe }}",
    "{{ x | xmlattr }}",
    "{{ x | random }}",
    "{{ x | center(999999999) }}",
    "{{ x | replace('a', 'aaaaaaaaaaaaaaaaaaaaaa') }}",
    "{{ _budget }}",
    "{{ _budget.characters }}",
    "{% set _budget = 1 %}",
    "{% for _budget in range(9) %}{% endfor %}",
    "{% for x in range(9) %}{% for _budget in x %}{% endfor %}{% endfor %}",
    "{% if x.append(1) %}{% endif %}",
    "{{ x.pop() }}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% with a = x %}{% endwith %}",
    "{% block a %}{% endblock %}",
    "{% include '/etc/passwd' %}",
    "{% from '/etc/passwd' import a %}",
    "{% do x %}",
    "{{ caller() }}",
    "{{ x | counted }}",
    "{{ '' | default(x, true) | attr('a') }}",
    "{{ 'a' | items }}",
    "{{ x | items }}",
    "{{ [1, 'a'] | sort }}",
    "{{ x | join(1) }}",
    "{{ {}.items }}",
    "{{ [].append }}",
    "{{ x.upper }}",
    "{{ undefined_name }}",
    "{% debug %}",
]
PAYLOADS = [
    *INJECTIONS,
    "{x.__class__}",
    "{0}",
    "%(x)s",
    "%s",
    "${x}",
    "#{x}",
    "{% raw %}",
    "{# a #}",
    "{{",
    "}}",
    "{%",
]


def prompt(text, *, kind="string", rest=""):
    return Prompt("evil", variables=(Variable("x", kind),), messages=(Turn("user", text + rest),))


@pytest.mark.parametrize("template", INJECTIONS)
def test_a_template_that_reaches_for_more_than_values_is_refused_or_fails(template):
    with pytest.raises(PromptError) as caught:
        print(prompt(template).render(x="a"))
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_value_is_never_a_template(payload):
    assert prompt("<{{ x }}>").render(x=payload)[0].text == f"<{payload}>"
    assert prompt("{{ x | join('') }}", kind="array").render(x=[payload])[0].text == payload
    turns = Prompt("evil", variables=(Variable("x", "messages"),), messages=(Insert("x"),))
    assert turns.render(x=[{"role": "user", "content": payload}])[0].text == payload


MARKED = {("revise", "draft"), ("revise", "critique"), ("pairwise-judge", "first"), ("pairwise-judge", "second")}
"""Texts that `mark_untrusted` may change, because they come from models."""


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nor_is_it_in_any_prompt_of_the_library(payload):
    for made in library().values():
        values = {v.name: v.example for v in made.variables if v.example is not REQUIRED}
        for variable in made.variables:
            if variable.type == "string":
                shown = "".join(m.text for m in made.render(**{**values, variable.name: payload}))
                assert payload in shown or (made.name, variable.name) in MARKED


@pytest.mark.parametrize("payload", PAYLOADS)
def test_escaped_text_is_said_as_it_is_and_can_be_joined(payload):
    assert prompt(escape(payload)).render(x="a")[0].text == payload
    assert prompt(escape(payload + "{"), rest="{{ x }}").render(x="a")[0].text == payload + "{a"


BRACES = st.text(st.sampled_from("{}%#-+'\"\\ \r\nax"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(BRACES, BRACES)
def test_any_text_can_be_escaped(one, other):
    template = f"{escape(one)}{{{{ x }}}}{escape(other)}"
    if (one + other).strip():
        assert prompt(template).render(x="y")[0].text == f"{one}y{other}"
    assert [piece for kind, piece in outline(template) if kind != "text"] == ["x"]
    assert "".join(piece for kind, piece in outline(template) if kind == "text") == one + other


WORDS = ["{{", "}}", "{%", "%}", "if", "for", "x", "in", "endif", "endfor", "else", "range", "(", ")", "[", "]"]
WORDS += [".", "|", "~", "'", "__class__", "1", "-", "=", ","]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS)))
def test_any_template_is_read_or_refused(words):
    template = " ".join(words)
    try:
        made = prompt(template, rest="end")
    except MalformedPrompt:
        return
    try:
        assert "<class" not in made.render(x="a")[0].text
    except RenderError:
        return


class Secret:
    api_key = "sk-123"

    def __str__(self):
        raise AssertionError("an object was shown")


@pytest.mark.parametrize("kind", ["string", "array", "object", "untrusted", "messages", "examples"])
def test_objects_never_get_in(kind):
    text = "{{ x }} {{ untrusted_rule }}"
    part = Insert("x") if kind in ("messages", "examples") else Turn("user", text)
    made = Prompt("evil", variables=(Variable("x", kind),), messages=(part,))
    for value in (Secret(), [Secret()], {"a": Secret()}, types.SimpleNamespace(text="a"), iter("a"), lambda: "a"):
        with pytest.raises(WrongType) as caught:
            made.render(x=value)
        assert "sk-123" not in str(caught.value)


def test_a_text_that_is_more_than_a_text_becomes_one():
    class Loud(str):
        def __str__(self):
            return "{{ replaced }}"

        upper = property(lambda self: 1 / 0)

    assert prompt("{{ x }}").render(x=Loud("quiet"))[0].text == "{{ replaced }}"
    assert type(prompt("{{ x }}").resolve({"x": Loud("quiet")})["x"]) is str


BOMBS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxx{% endfor %}{% endfor %}",
    "{% for a in range(999999999999) %}{% endfor %}",
    "{{ range(999999999999) | list }}",
    "{{ range(99999) | list | tojson }}" * 40,
    "{% for a in range(99999) %}{% if x | upper | lower | upper %}{% endif %}{% endfor %}",
    "{% for a in range(99999) %}{{ x | indent(999999999) }}{% endfor %}",
    "{{ range(99999) | join(x ~ x ~ x ~ x) }}",
    "{{ x * 999999999 }}",
    "{{ 'a' * 999999999 }}",
    "{{ [0] * 999999999 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{% if 'a' * 99999999999 %}{% endif %}",
    "{{ 9999999999999999999 * 9999999999999999999 }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ x[:" + "9" * 100 + "] * 2 }}",
    "{{ " + " ~ ".join(["x"] * 5000) + " }}",
    "{{ 1 | round(-99999999) }}" + "{{ [x, x] | tojson(99999999) }}" * 90,
    "{% for a in x %}{% for b in x %}{{ x }}{% endfor %}{% endfor %}",
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_not_end_or_would_fill_memory_is_stopped(bomb):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        ended = prompt(bomb).render(x="<&>\n" * 5000)
    except (RenderError, MalformedPrompt):
        ended = ()
    assert sum(len(message.text) for message in ended) <= MOST_CHARACTERS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_the_steps_are_counted():
    with pytest.raises(TooMuchText, match="steps"):
        prompt(BOMBS[0]).render(x="a")
    with pytest.raises(TooMuchText, match="characters"):
        prompt(BOMBS[1].replace("99999", "300").replace("xx", "xxxxxx")).render(x="a")


@pytest.mark.timeout(30)
def test_nothing_is_computed_when_a_template_is_only_read():
    with pytest.raises(RenderError):
        prompt("{{ 'a' * 99999999999 }}").render(x="a")
    assert compiled("{{ 1 + 1 }}").names == frozenset()
    with pytest.raises(BadTemplate):
        compiled("{{ 2 ** 99999999 }}")
