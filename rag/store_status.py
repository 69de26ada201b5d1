"""Where passages are kept, as it is now: files on the disk, or a Qdrant server that answers or does not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from decoder.errors import DecoderError
from rag.settings import RagSettings, index_folder

SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What is known of the store.

    Attributes:
        store: edge, qdrant or memory, as in the settings.
        place: the folder, or the server's address; empty for memory.
        indexes, files, size: how many of each are in the folder, and bytes; 0 for others.
        version: of the server, where it answers.
        error: why it does not; empty when all is well.
    """

    store: str
    place: str = ""
    indexes: int = 0
    files: int = 0
    size: int = 0
    version: str = ""
    error: str = ""


def store_status(settings: RagSettings) -> StoreStatus:
    """The store of these settings. A server that does not answer is told in `error`, not raised."""
    if settings.store == "edge":
        return _folder(index_folder(settings))
    if settings.store == "qdrant":
        return _server(settings)
    return StoreStatus(settings.store)


def _folder(folder: Path) -> StoreStatus:
    sizes = []
    for file in folder.rglob("*"):
        try:
            if file.is_file():
                sizes.append(file.stat().st_blocks * 512)  # as they lie on the disk: segments have holes
        except OSError:  # removed since it was listed
            continue
    indexes = sum(each.is_dir() for each in folder.iterdir()) if folder.is_dir() else 0
    return StoreStatus("edge", str(folder), indexes, len(sizes), sum(sizes))


def _server(settings: RagSettings) -> StoreStatus:
    from decoder.server_http import request

    try:
        status, text = request(settings.qdrant_url, "/", api_key=settings.api_key, timeout=SECONDS)
        said = json.loads(text)
        version = str(said.get("version", "")) if isinstance(said, dict) else ""
    except DecoderError as error:
        return StoreStatus("qdrant", settings.qdrant_url, error=error.cause)
    except ValueError:
        status, version = 0, ""
    problem = "" if status == 200 and version else "what answers there is no Qdrant server"
    return StoreStatus("qdrant", settings.qdrant_url, version=version, error=problem)
