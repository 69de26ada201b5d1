"""An agent that reads a knowledge base and names its sources, and a program that checks that it really saw them."""

from dataclasses import dataclass

from which_decoder import call, which_decoder

from agents import Agent, Observation
from agents.builtin import knowledge_search
from rag import KnowledgeBase


@dataclass
class Finding:
    """The agent's answer. The decoder is held to this shape, so there is nothing to parse."""

    answer: str
    places: list[str]


SCRIPT = [
    "I look for the key that stops an answer.",
    call("knowledge_search", query="stop an answer while it is being written", limit=3),
    "The second question is about the licence.",
    call("knowledge_search", query="licence of Hearth", limit=3),
    "Both are in the manual.",
    call(
        "final_answer",
        answer="Ctrl-C stops an answer. Hearth is under the Apache License 2.0.",
        places=["02-chat-commands.html", "05-questions.txt", "99-invented.txt"],
    ),
]

if __name__ == "__main__":
    shown: list[str] = []  # all that the knowledge base gave, to check the answer's places against

    def listen(event: object) -> None:
        """Hear every event of the run."""
        if isinstance(event, Observation):
            print(f"  {event.call.tool} {event.call.arguments['query']!r}: {len(event.text)} characters")
            shown.append(event.text)

    with which_decoder(SCRIPT) as decoder, KnowledgeBase("example-manual") as kb:
        kb.add(["examples/manual"])  # from the repository's root; what did not change is not read again
        researcher = Agent(
            decoder,
            [knowledge_search(kb)],
            instructions="Answer from the knowledge base alone. As places, give the names of the documents you used.",
            output=Finding,
        )
        question = "Which key stops an answer while it is being written, and which licence does Hearth have?"
        result = researcher.run(question, listeners=[listen])

    if not result.ok:
        raise SystemExit(f"No answer: the run ended by {result.ended}.")
    print(result.answer.answer)
    for place in result.answer.places:
        # A decoder can name whatever it likes. That it was shown a document, only code can say.
        seen = any(place in text for text in shown)
        print(f"  {place}: {'it was shown this' if seen else 'NOT shown, do not trust it'}")
