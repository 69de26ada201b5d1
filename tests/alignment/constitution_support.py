"""A run of the stage in a process of its own: `python constitution_support.py RECIPE OUT DELAY [--resume]`.

Its decoder answers by a hash of the request and writes each request's key to OUT before it answers.
"""

import asyncio
import hashlib
import sys

from alignment import constitution_stage
from alignment.recipe import load_recipe
from decoder.recorded import request_key
from decoder.scripted import ScriptedDecoder
from decoder.types import Sampling, as_messages


def answer(messages):
    text = "".join(message.text for message in messages)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if messages[0].text.startswith("You judge"):
        return '{"verdict": "%s"}' % ("first", "second", "tie")[int(digest[0], 16) % 3]  # noqa: UP031
    return f"Answer {digest[:8]}."


class Logged(ScriptedDecoder):
    def __init__(self, log, delay):
        super().__init__(answer)
        self.log, self.slow = log, delay

    def note(self, key):
        with open(self.log, "a") as log:
            log.write(key + "\n")

    async def acomplete(self, prompt, *, sampling=None, constraint=None, tools=()):
        asked = {"messages": as_messages(prompt), "sampling": sampling or Sampling(), "constraint": constraint}
        self.note(request_key("complete", {**asked, "tools": tuple(tools)}))
        await asyncio.sleep(self.slow)
        return await super().acomplete(prompt, sampling=sampling, constraint=constraint, tools=tools)


if __name__ == "__main__":
    recipe, log, delay = sys.argv[1:4]
    print("ready", flush=True)
    constitution_stage.run(load_recipe(recipe), resume="--resume" in sys.argv, decoder=Logged(log, float(delay)))
