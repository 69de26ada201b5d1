"""What all sessions share: nothing that hangs holds up what does not, and nothing grows without end."""

import threading

from decoder import ScriptedDecoder
from ui.browser import opened
from ui.cli import wiring
from ui.cli.wiring import DecoderChoice


def test_a_server_that_hangs_holds_up_no_knowledge_base(home, monkeypatch):
    asked, go_on = threading.Event(), threading.Event()

    def hang(choice):
        asked.set()
        go_on.wait(20)

    monkeypatch.setattr(wiring, "find_decoder", hang)
    monkeypatch.setattr(wiring, "open_knowledge_base", lambda name, beside=None: name)
    looking = threading.Thread(target=opened.decoder)
    opening = threading.Thread(target=opened.knowledge_base, args=("notes",))
    looking.start()
    try:
        assert asked.wait(10)
        opening.start()
        opening.join(5)
        assert not opening.is_alive()
    finally:
        go_on.set()
        looking.join(10)
        opening.join(10)


def test_names_of_models_that_are_typed_do_not_pile_up(home, monkeypatch):
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: ScriptedDecoder([]))
    for number in range(2 * opened.MOST_DECODERS):
        opened.decoder(DecoderChoice(model=f"model-{number}"))
    assert len(opened._decoders) == opened.MOST_DECODERS
