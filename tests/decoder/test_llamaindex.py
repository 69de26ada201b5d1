"""HearthLLM: inside LlamaIndex's own components, and what it promises by itself."""

import gc
import json

import pytest

pytest.importorskip("llama_index.core", reason="llama-index-core is in the rag extra")

from llama_index.core import Document, MockEmbedding, SummaryIndex, VectorStoreIndex  # after the skip
from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from decoder import (
    EmbeddedDecoder,
    ImagePart,
    MalformedResponse,
    Message,
    Sampling,
    ScriptedDecoder,
    TextPart,
    ToolCall,
    UsageError,
)
from decoder.llamaindex import HearthLLM
from decoder.llamaindex_messages import to_messages
from decoder.toolcalls import BEGIN, END

# LlamaIndex's own: its sync wrappers leave their event loop and its chat memory its database to the garbage
# collector, and its workflows read a deprecated attribute of pydantic.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:<aiosqlite:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:(The `__fields|Accessing the .model_)"),
]


@pytest.fixture(autouse=True)
def collected():
    """What a test left behind is collected while its filters hold, and not in some other module's test."""
    yield
    gc.collect()


def llm(*script, **sampling):
    return HearthLLM(decoder=ScriptedDecoder(script), sampling=Sampling(**sampling))


def called(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


WEATHER = FunctionTool.from_defaults(weather)


def test_a_query_engine_answers_from_its_documents():
    model = llm("The hearth stands in the middle.")
    documents = [Document(text="The hearth stands in the middle of the house.")]
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    response = index.as_query_engine(llm=model).query("Where does the hearth stand?")
    assert str(response) == "The hearth stands in the middle."
    (request,) = model.decoder.requests
    said = "\n".join(message.text for message in request.messages)
    assert "middle of the house" in said
    assert "Where does the hearth stand?" in said


def test_a_query_engine_streams():
    engine = SummaryIndex.from_documents([Document(text="Bread is baked.")]).as_query_engine(
        llm=llm("It is baked."), streaming=True
    )
    assert list(engine.query("Bread?").response_gen) == ["It", " is", " baked.", ""]


async def test_a_chat_engine_keeps_the_conversation():
    model = llm("Hello Ann.", "You are Ann.")
    engine = SimpleChatEngine.from_defaults(llm=model)
    await engine.achat("I am Ann.")
    assert str(await engine.achat("Who am I?")) == "You are Ann."
    assert [m.text for m in model.decoder.requests[1].messages] == ["I am Ann.", "Hello Ann.", "Who am I?"]


async def test_chat_and_complete_agree_in_all_their_forms():
    model = llm(*["one two three"] * 8)
    messages = [ChatMessage("Count.", role=MessageRole.USER)]
    assert model.chat(messages).message.content == "one two three"
    assert (await model.achat(messages)).message.content == "one two three"
    assert model.complete("Count.").text == (await model.acomplete("Count.")).text == "one two three"
    streams = [
        list(model.stream_complete("Count.")),
        [item async for item in await model.astream_complete("Count.")],
        list(model.stream_chat(messages)),
        [item async for item in await model.astream_chat(messages)],
    ]
    for responses in streams:
        assert "".join(response.delta for response in responses) == "one two three"
    assert [response.text for response in streams[0]] == ["one", "one two", "one two three", "one two three"]


def test_tokens_are_counted():
    response = llm("one two three").complete("Count to three.")
    assert response.additional_kwargs == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_sampling_is_taken_from_the_model_and_from_the_call():
    model = llm("a", temperature=0.5, stop=("x",))
    model.complete("Hello", seed=3)
    sampling = model.decoder.requests[0].sampling
    assert (sampling.temperature, sampling.stop, sampling.seed) == (0.5, ("x",), 3)
    with pytest.raises(UsageError, match="temprature"):
        model.complete("Hello", temprature=1)


def test_the_context_window_is_the_decoders():
    known = HearthLLM(decoder=ScriptedDecoder([], context_length=900))
    assert known.metadata.context_window == 900
    assert known.metadata.is_function_calling_model
    assert llm().metadata.context_window == 4096


def test_a_required_tool_is_called_under_a_constraint():
    model = llm(called("weather", city="Oslo"))
    response = model.chat_with_tools([WEATHER], "Weather in Oslo?", tool_required=True)
    (call,) = model.get_tool_calls_from_response(response)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Oslo"})
    assert model.decoder.requests[0].constraint.kind == "json"


def test_predict_and_call_runs_the_tool():
    model = llm(f"{BEGIN}{called('weather', city='Rome')}{END}")
    assert model.predict_and_call([WEATHER], "Weather in Rome?").response == "rain in Rome"


async def test_calls_are_streamed_whole():
    model = llm(f"Wait. {BEGIN}{called('weather', city='Rome')}{END}")
    *_, last = [item async for item in await model.astream_chat_with_tools([WEATHER], "Weather?")]
    assert last.message.content == "Wait. "
    assert model.get_tool_calls_from_response(last)[0].tool_kwargs == {"city": "Rome"}


def test_an_answer_without_the_needed_call_is_a_typed_error():
    model = llm("I would rather not.")
    response = model.chat_with_tools([WEATHER], "Weather?")
    assert model.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(MalformedResponse):
        model.get_tool_calls_from_response(response)


class City(BaseModel):
    """A city."""

    name: str
    large: bool


async def test_structured_prediction_is_constrained_to_the_schema():
    oslo = '{"name": "Oslo", "large": true}'
    model = llm(oslo, oslo, oslo)
    template = PromptTemplate("Describe {city}.")
    assert model.structured_predict(City, template, city="Oslo") == City(name="Oslo", large=True)
    assert await model.astructured_predict(City, template, city="Oslo") == City(name="Oslo", large=True)
    structured = model.as_structured_llm(City)
    assert isinstance(structured, StructuredLLM)
    assert structured.complete("Describe Oslo.").raw == City(name="Oslo", large=True)
    assert {request.constraint.kind for request in model.decoder.requests} == {"json"}


def test_a_structure_cut_short_is_a_typed_error():
    with pytest.raises(MalformedResponse, match="City"):
        llm('{"name": "Oslo", "large": true}', max_tokens=2).structured_predict(City, PromptTemplate("Describe."))


async def test_an_agent_of_llamaindex_calls_a_tool_and_answers():
    from llama_index.core.agent.workflow import FunctionAgent

    model = llm(f"{BEGIN}{called('weather', city='Oslo')}{END}", "It rains.")
    agent = FunctionAgent(tools=[WEATHER], llm=model)
    assert str(await agent.run("Weather in Oslo?")) == "It rains."
    assert model.decoder.requests[1].messages[-1].text == "rain in Oslo"
    assert model.decoder.requests[1].messages[-1].role == "tool"


def test_messages_are_converted_with_tools_images_and_reasoning():
    picture = ImageBlock(url="https://example.org/a.png")
    call = ToolCallBlock(tool_call_id="1", tool_name="weather", tool_kwargs={"city": "Zürich"})
    ours = to_messages(
        [
            ChatMessage("Be brief.", role=MessageRole.SYSTEM),
            ChatMessage([TextBlock(text="Look:"), picture], role=MessageRole.USER),
            ChatMessage([ThinkingBlock(content="Hm."), call], role=MessageRole.ASSISTANT),
            ChatMessage("rain", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "1"}),
        ]
    )
    assert ours == (
        Message("system", "Be brief."),
        Message("user", (TextPart("Look:"), ImagePart("https://example.org/a.png"))),
        Message("assistant", "", (ToolCall("1", "weather", '{"city": "Zürich"}'),), reasoning="Hm."),
        Message("tool", "rain", tool_call_id="1"),
    )


def test_a_real_model_in_process_streams_through_it(tiny_llama):
    with EmbeddedDecoder(tiny_llama, device="cpu") as decoder:
        model = HearthLLM(decoder=decoder, sampling=Sampling(max_tokens=8, seed=1))
        *_, last = model.stream_complete("Hello")
        assert last.text == model.complete("Hello").text
        assert model.metadata.context_window == 4096
