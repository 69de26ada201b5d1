"""Answers and conversations for tests of the chat."""

import pytest

LEASE = (
    "The rent is 900 euros a month. It is due on the third working day.\n\nPets need the landlord's written consent.\n"
)


@pytest.fixture
def kept(home):
    """The store of an empty home; decoders that a test opens are closed after it."""
    from ui.browser import opened
    from ui.browser.chat_store import store

    yield store()
    for decoder in opened._decoders.values():
        decoder.close()


@pytest.fixture
def served(home, mock_decoder, monkeypatch):
    """The mock decoder as the settings' one, answering by itself."""
    from ui.browser import chat_models

    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", mock_decoder.base_url)
    monkeypatch.setenv("HEARTH_DECODER_PRESET", "openai")
    before = mock_decoder.reply, mock_decoder.pace
    mock_decoder.reply, mock_decoder.pace = (lambda messages: "Hello from the model."), 0.0
    chat_models.forget()
    yield mock_decoder
    mock_decoder.reply, mock_decoder.pace = before


@pytest.fixture(scope="session")
def embedder():
    """The real embedding model, loaded once."""
    from rag.embed import open_embedder
    from rag.settings import rag_settings

    return open_embedder(rag_settings())


@pytest.fixture
def lease(home, tmp_path_factory, embedder):
    """A knowledge base "default" of one small document."""
    from rag.knowledge import KnowledgeBase
    from ui.browser import opened

    folder = tmp_path_factory.mktemp("documents")
    (folder / "lease.txt").write_text(LEASE)
    base = opened._bases["default"] = KnowledgeBase("default", embedder=embedder)
    base.add(folder)
    yield "default"
    base.close()
