"""ChatHearth: LangChain's own standard tests, and what they do not look at."""

import json
from typing import Annotated, TypedDict

import pytest

langchain_tests = pytest.importorskip("langchain_tests", reason="langchain-tests is in the dev extra")

from langchain_core.messages import (  # noqa: E402  # after the skip
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool  # noqa: E402
from langchain_tests.integration_tests import ChatModelIntegrationTests  # noqa: E402
from langchain_tests.unit_tests import ChatModelUnitTests  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from decoder import (  # noqa: E402
    ConstraintRefused,
    EmbeddedDecoder,
    ImagePart,
    Message,
    RecordedDecoder,
    ScriptedDecoder,
    TextPart,
    ToolCall,
    UsageError,
)
from decoder.langchain import ChatHearth  # noqa: E402
from decoder.langchain_messages import to_messages  # noqa: E402
from decoder.toolcalls import BEGIN, END  # noqa: E402

JOKE = '{"setup": "Why did the cat sit on the mat?", "punchline": "It was typed."}'
ARGUMENTS = {
    "a": 3,
    "b": 4,
    "description": "A company.",
    "input": 3,
    "answer_style": "Pirate",
    "location": "here",
    "customer_name": "你好啊集团",
}


def answer(messages):
    """Calls the first tool that it is told of, with arguments that it knows; otherwise makes conversation."""
    first, last = messages[0], messages[-1]
    if first.role == "system" and "You can call these tools" in first.text and last.role != "tool":
        lines = first.text.splitlines()
        described = next(json.loads(line) for line in lines if line.startswith('{"name": "'))
        wanted = described["parameters"].get("properties", {})
        known = ARGUMENTS | {"customer_name": last.text.partition("'")[2].partition("'")[0]}
        call = {"name": described["name"], "arguments": {k: v for k, v in known.items() if k in wanted}}
        text = json.dumps(call, ensure_ascii=False)
        return text if lines[-1].startswith("Answer with one") else f"{BEGIN}{text}{END}"
    if "joke" in last.text.lower():
        return JOKE
    return "Hello, my friend! How are you today?"


class TestUnit(ChatModelUnitTests):
    @property
    def chat_model_class(self):
        return ChatHearth

    @property
    def chat_model_params(self):
        return {"decoder": ScriptedDecoder(answer)}

    @property
    def supports_image_inputs(self):
        return True

    @property
    def supports_image_urls(self):
        return True


class TestIntegration(ChatModelIntegrationTests):
    """Against scripted replies, which are recorded and replayed: everything but the model's wits is real."""

    @pytest.fixture(autouse=True)
    def recording(self, tmp_path, monkeypatch):
        import httpx

        self.path = tmp_path / "recording.jsonl"
        monkeypatch.setattr(
            httpx, "get", lambda *_, **__: httpx.Response(200, content=b"\x89PNG")
        )  # one test's picture

    @property
    def chat_model_class(self):
        return ChatHearth

    @property
    def chat_model_params(self):
        return {"decoder": RecordedDecoder(self.path, ScriptedDecoder(answer))}

    @property
    def supports_model_override(self):
        return False  # a decoder is one model; another name is refused, see below

    @property
    def supports_image_inputs(self):
        return True

    @property
    def supports_image_urls(self):
        return True

    @property
    def supports_json_mode(self):
        return True


@tool
def weather(city: str, days: int = 1) -> str:
    """The weather in a city."""
    return f"rain in {city} for {days} days"


def chat(*script, **options):
    return ChatHearth(decoder=ScriptedDecoder(script), **options)


def called(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def test_a_required_call_is_constrained_to_the_tools_and_needs_no_parser_on_the_server():
    model = chat(called("weather", city="Oslo"))
    message = model.bind_tools([weather], tool_choice="any").invoke("Weather in Oslo?")
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Oslo"})
    assert message.content == ""
    assert message.response_metadata["finish_reason"] == "tool_calls"
    (request,) = model.decoder.requests
    assert request.constraint.kind == "json"
    assert request.tools == ()


def test_a_tool_named_by_choice_is_the_only_one_allowed():
    @tool
    def dice() -> str:
        """Throw a die."""
        return "4"

    model = chat(called("dice"))
    model.bind_tools([weather, dice], tool_choice="dice").invoke("Go.")
    (request,) = model.decoder.requests
    assert request.constraint.value["properties"]["name"] == {"const": "dice"}
    with pytest.raises(UsageError, match="no tool of these"):
        model.bind_tools([weather], tool_choice="dise")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_free_choice_gives_text_and_calls(streamed):
    text = f"Let me look. {BEGIN}{called('weather', city='Rome')}{END}"
    model = chat(text).bind_tools([weather])
    message = model.invoke("Weather?")
    if streamed:
        model = chat(text).bind_tools([weather])
        message = sum_chunks(model.stream("Weather?"))
    assert message.content == "Let me look. "
    assert [call["args"] for call in message.tool_calls] == [{"city": "Rome"}]


def sum_chunks(chunks):
    first, *others = chunks
    for chunk in others:
        first += chunk
    assert isinstance(first, AIMessageChunk)
    return first


def test_no_piece_of_a_call_is_streamed_as_text():
    model = chat(f"<tool of trade {BEGIN}{called('weather', city='Rome')}{END} <tool").bind_tools([weather])
    pieces = [chunk.content for chunk in model.stream("Weather?")]
    assert "".join(pieces) == "<tool of trade  <tool"


def test_a_decoder_without_constraints_is_given_the_tools_and_its_own_calls_are_used():
    said = Message("assistant", "", tool_calls=(ToolCall("call_1", "weather", '{"city": "Oslo"}'),))
    decoder = ScriptedDecoder([said, said], constraints=())
    model = ChatHearth(decoder=decoder).bind_tools([weather])
    assert model.invoke("Weather?").tool_calls[0]["id"] == "call_1"
    assert sum_chunks(model.stream("Weather?")).tool_calls[0]["args"] == {"city": "Oslo"}
    assert [t.name for t in decoder.requests[0].tools] == ["weather"]
    required = ChatHearth(decoder=decoder).bind_tools([weather], tool_choice="any")
    with pytest.raises(ConstraintRefused):
        required.invoke("Weather?")


def test_arguments_that_cannot_be_parsed_are_reported_not_dropped():
    said = Message("assistant", "", tool_calls=(ToolCall("call_1", "weather", '{"city": '),))
    model = ChatHearth(decoder=ScriptedDecoder([said], constraints=())).bind_tools([weather])
    (invalid,) = model.invoke("Weather?").invalid_tool_calls
    assert invalid["args"] == '{"city": '


def test_a_call_cut_short_by_max_tokens_is_text_with_finish_reason_length():
    model = chat(called("weather", city="Oslo"), max_tokens=2).bind_tools([weather], tool_choice="any")
    message = model.invoke("Weather?")
    assert message.tool_calls == []
    assert message.response_metadata["finish_reason"] == "length"


class City(BaseModel):
    """A city."""

    name: str
    people: int


class Town(TypedDict):
    """A town."""

    name: Annotated[str, ..., "its name"]
    people: int


OSLO = '{"name": "Oslo", "people": 700000}'


@pytest.mark.parametrize("schema", [City, Town, City.model_json_schema()], ids=["pydantic", "typeddict", "schema"])
def test_structured_output_is_constrained_to_the_schema(schema):
    model = chat(OSLO)
    result = model.with_structured_output(schema).invoke("Describe Oslo.")
    assert (result if isinstance(result, dict) else result.model_dump()) == {"name": "Oslo", "people": 700000}
    constraint = model.decoder.requests[0].constraint
    assert constraint.kind == "json"
    assert constraint.value["required"] == ["name", "people"]


def test_structured_output_with_its_message_tells_a_parsing_error_instead_of_raising():
    model = chat(OSLO, OSLO, max_tokens=None)
    good = model.with_structured_output(City, include_raw=True).invoke("Describe Oslo.")
    assert (good["parsed"], good["parsing_error"]) == (City(name="Oslo", people=700000), None)
    assert isinstance(good["raw"], AIMessage)
    cut = chat(OSLO, max_tokens=2).with_structured_output(City, include_raw=True).invoke("Describe Oslo.")
    assert cut["parsed"] is None
    assert cut["parsing_error"] is not None


def test_a_real_model_in_process_cannot_but_call_by_the_schema(tiny_llama):
    @tool
    def paint(colour: bool) -> str:
        """Paint the house."""
        return "done"

    with EmbeddedDecoder(tiny_llama, device="cpu") as decoder:
        model = ChatHearth(decoder=decoder, max_tokens=100, seed=1).bind_tools([paint], tool_choice="any")
        (call,) = model.invoke("Hello").tool_calls
        (streamed,) = sum_chunks(model.stream("Hello")).tool_calls
    assert call["name"] == streamed["name"] == "paint"
    assert type(call["args"]["colour"]) is bool


def test_every_sampling_field_reaches_the_decoder_from_the_model_and_from_the_call():
    model = chat("a", "b", temperature=0.5, seed=1, stop=["x"], max_tokens=9)
    model.invoke("Hello", seed=2, top_k=5)
    model.bind(stop=["y"]).invoke("Hello")
    first, second = (request.sampling for request in model.decoder.requests)
    assert (first.temperature, first.seed, first.top_k, first.stop, first.max_tokens) == (0.5, 2, 5, ("x",), 9)
    assert (second.seed, second.stop) == (1, ("y",))


@pytest.mark.parametrize("options", [{"temprature": 1}, {"model": "another"}])
def test_an_option_that_would_be_ignored_is_refused(options):
    with pytest.raises(UsageError):
        chat("a").invoke("Hello", **options)


def test_n_gives_n_generations():
    result = chat("a", "b", n=2).generate([[HumanMessage("Hello")]])
    assert [generation.text for generation in result.generations[0]] == ["a", "b"]


def test_messages_are_converted_with_tools_images_and_reasoning():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    standard = {"type": "image", "base64": "BBBB", "mime_type": "image/jpeg"}
    thought = {"type": "reasoning", "reasoning": "Hm."}
    call = {"name": "weather", "args": {"city": "Zürich"}, "id": "1"}
    ours = to_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage(["Look: ", {"type": "text", "text": "this"}, image, standard], name="ann"),
            AIMessage([thought, {"type": "text", "text": "I call."}], tool_calls=[call]),
            ToolMessage("rain", tool_call_id="1"),
        ]
    )
    assert ours == (
        Message("system", "Be brief."),
        Message(
            "user",
            (
                TextPart("Look: "),
                TextPart("this"),
                ImagePart("data:image/png;base64,AAAA"),
                ImagePart("data:image/jpeg;base64,BBBB"),
            ),
            name="ann",
        ),
        Message("assistant", "I call.", (ToolCall("1", "weather", '{"city": "Zürich"}'),), reasoning="Hm."),
        Message("tool", "rain", tool_call_id="1"),
    )


def test_content_that_no_decoder_takes_is_refused():
    with pytest.raises(UsageError, match="audio"):
        to_messages([HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}])])


def test_reasoning_is_kept_beside_the_answer():
    said = Message("assistant", "42", reasoning="Six times seven.")
    model = chat(said, said)
    assert model.invoke("?").additional_kwargs["reasoning_content"] == "Six times seven."
    assert sum_chunks(model.stream("?")).additional_kwargs["reasoning_content"] == "Six times seven."


def test_leaving_a_stream_early_closes_it():
    model = ChatHearth(decoder=ScriptedDecoder(["word " * 1000], delay=0.01))
    stream = model.stream("Hello")
    assert next(stream).content
    stream.close()


async def test_an_agent_of_langchain_calls_a_tool_and_answers():
    agents = pytest.importorskip("langchain.agents", reason="langchain is in the dev extra")
    model = chat(f"{BEGIN}{called('weather', city='Oslo', days=2)}{END}", "It rains.")
    agent = agents.create_agent(model, [weather])
    result = await agent.ainvoke({"messages": [("user", "Weather in Oslo?")]})
    assert result["messages"][-1].content == "It rains."
    assert result["messages"][-2].content == "rain in Oslo for 2 days"


@pytest.mark.vllm
def test_vllm_without_any_tool_parser_calls_tools_through_it(vllm_server):
    from decoder import ServedDecoder

    @tool
    def paint(colour: bool) -> str:
        """Paint the house."""
        return "done"

    with ServedDecoder(vllm_server.base_url, vllm_server.model) as decoder:
        model = ChatHearth(decoder=decoder, max_tokens=300, seed=7)
        (call,) = model.bind_tools([paint], tool_choice="paint").invoke("Hello").tool_calls
        free = sum_chunks(model.bind_tools([paint]).stream("Hello"))
    assert type(call["args"]["colour"]) is bool
    assert free.usage_metadata["output_tokens"] > 0
