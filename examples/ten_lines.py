"""An agent with one tool."""

from which_decoder import call, which_decoder

from agents import Agent, tool


@tool(effect="read")  # what is not declared counts as writing
def weather(city: str) -> str:
    """The weather in a city, today."""
    return {"Oslo": "snow, -4 °C", "Rome": "sun, 17 °C"}.get(city, "not known")


SCRIPT = [
    "I have to look up the weather in Oslo.",
    call("weather", city="Oslo"),
    "I know it now.",
    call("final_answer", answer="It snows in Oslo today, at -4 °C."),
]

if __name__ == "__main__":
    with which_decoder(SCRIPT) as decoder:
        result = Agent(decoder, [weather]).run("What is the weather in Oslo?")
    print(result.answer)
    print(f"Ended by: {result.ended}. Steps: {result.spent.steps}, tokens: {result.spent.tokens}.")
