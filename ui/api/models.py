"""What can be asked by which name: knowledge bases, the decoder, the embedding model. A name is never a path."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rag.knowledge import KnowledgeBase
from rag.settings import is_index_name
from ui.api.errors import ApiRefusal

if TYPE_CHECKING:
    from decoder.base import Decoder
    from rag.embed import Embedder
    from rag.filters import Access

PREFIX = "kb:"
DECODER = "decoder"
EMBEDDER = "embedder"


class Models:
    """The models that one server offers. Safe to share between threads.

    Args:
        names: the knowledge bases to serve; empty serves all that there are, new ones too.
        decoder: writes their answers, and is a model of its own; None quotes and offers no such model.
        home, embedder: as `KnowledgeBase` takes them.
    """

    def __init__(
        self,
        names: tuple[str, ...] = (),
        decoder: Decoder | None = None,
        *,
        home: str | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.decoder = decoder
        self._names, self._home = names, home
        self._lock = threading.Lock()
        self._root = KnowledgeBase(names[0] if names else "default", home=home, embedder=embedder)
        self._bases: dict[tuple[str, Access | None], KnowledgeBase] = {}

    @property
    def embedder(self) -> Embedder:
        """The one embedding model that all knowledge bases share; loaded on first use."""
        return self._root.embedder

    def warm(self) -> None:
        """Load the embedding model now, so that the first question need not wait; raises EmbedderError."""
        self.embedder.embed_query("ready")

    def names(self) -> tuple[str, ...]:
        """The knowledge bases that are served and exist, sorted."""
        found = KnowledgeBase.list(self._home)
        return tuple(name for name in found if not self._names or name in self._names)

    def ids(self) -> tuple[str, ...]:
        """Every model's id."""
        bases = tuple(f"{PREFIX}{name}" for name in self.names())
        return (*bases, *((DECODER,) if self.decoder is not None else ()), EMBEDDER)

    def find(self, model: str, access: Access | None) -> KnowledgeBase | Decoder:
        """The knowledge base, as `access` sees it, or the decoder; raises ApiRefusal (404)."""
        if model == DECODER and self.decoder is not None:
            return self.decoder
        name = model.removeprefix(PREFIX)
        if not is_index_name(name) or name not in self.names():
            raise unknown(model)
        return self._base(name, access)

    def check_embedder(self, model: str) -> None:
        """Raises ApiRefusal (404) when `model` does not name the embedding model."""
        if model not in (EMBEDDER, self.embedder.name):
            raise unknown(model)

    def close(self) -> None:
        """Let go of every index. Idempotent."""
        with self._lock:
            bases, self._bases = list(self._bases.values()), {}
        for base in bases:
            base.close()

    def _base(self, name: str, access: Access | None) -> KnowledgeBase:
        with self._lock:
            found = self._bases.get((name, access))
            if found is None:
                beside = next((base for (other, _), base in self._bases.items() if other == name), None)
                store = beside.store if beside else None
                found = KnowledgeBase(
                    name,
                    home=self._home,
                    decoder=self.decoder,
                    embedder=self.embedder,
                    store=store,
                    access=access,
                )
                self._bases[name, access] = found
            return found


def unknown(model: str) -> ApiRefusal:
    """The refusal for a model that is not there, or that the caller could not know of."""
    return ApiRefusal(404, f"the model {model[:80]!r} does not exist", "model_not_found", "model")
