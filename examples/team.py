"""A supervisor and two workers that work side by side, all inside one budget."""

from which_decoder import call, turns, which_decoder

from agents import Agent, Budget, tool
from agents.events import Nested, Observation, RunEnded
from agents.team import supervisor
from decoder import Message


@tool(effect="read", trusted=True)  # our own price list: it does not taint what follows
def fare(to: str) -> int:
    """The price of a train ticket to a city, in euros."""
    return {"Rome": 89, "Oslo": 140}[to]


@tool(effect="read", trusted=True)
def room(city: str, nights: int) -> int:
    """The price of a room in a city, in euros."""
    return {"Rome": 70, "Oslo": 95}[city] * nights


# What each of the three would say. They speak at the same time, so the script is told apart by who is spoken to.
TRAINS = ["I look it up.", call("fare", to="Rome"), "There it is.", call("final_answer", answer="89 euros")]
ROOMS = ["I look it up.", call("room", city="Rome", nights=2), "There.", call("final_answer", answer="140 euros")]
BOTH = f"[{call('trains', task='A ticket to Rome?')}, {call('rooms', task='Two nights in Rome?')}]"
BOSS = ["I ask both at once.", BOTH, "89 + 140 = 229.", f"[{call('final_answer', answer='229 euros in all.')}]"]


def script(messages: tuple[Message, ...]) -> str:
    """The next words of whoever this conversation belongs to."""
    who = messages[0].text
    said = TRAINS if "You know trains" in who else ROOMS if "You know rooms" in who else BOSS
    # A worker's action is one call, the supervisor's a list of them.
    return said[turns(messages)]


if __name__ == "__main__":
    with which_decoder(script) as decoder:
        small = Budget(steps=4)  # each worker's own, inside the supervisor's
        trains = Agent(decoder, [fare], name="trains", instructions="You know trains.", budget=small)
        rooms = Agent(decoder, [room], name="rooms", instructions="You know rooms.", budget=small)
        planner = Agent(decoder, name="planner", budget=Budget(tokens=50_000, tool_calls=10, seconds=120))
        team = supervisor(planner, {"Knows the prices of trains.": trains, "Knows the prices of rooms.": rooms})
        for event in team.stream("What does a trip to Rome cost, with two nights?"):
            if isinstance(event, Nested) and isinstance(event.event, Observation):
                print(f"  {event.agent} used {event.event.call.tool}: {event.event.text}")
            elif isinstance(event, Observation):
                print(f"  {event.call.tool} answered: {event.text}")
            elif isinstance(event, RunEnded):
                result = event.result
    print(result.answer)
    print(f"All three together: {result.spent.tool_calls} calls of tools, {result.spent.tokens} tokens.")
