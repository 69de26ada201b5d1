"""The knowledge base's errors: leaves of the tree in `decoder/errors.py`."""

from __future__ import annotations

from decoder.errors import ServiceError, UsageError


class DocumentError(UsageError):
    """One document cannot be read; the others go on. `source` is its path as given."""

    def __init__(self, step: str, cause: str, remedy: str = "", source: str = "") -> None:
        super().__init__(step, cause, remedy)
        self.source = source

    def __reduce__(self) -> tuple[type[DocumentError], tuple[str, str, str, str]]:
        return type(self), (self.step, self.cause, self.remedy, self.source)


class UnsupportedFormat(DocumentError):
    """No loader reads this kind of file."""


class DamagedDocument(DocumentError):
    """The file is not what its name says, or is broken."""


class EncryptedDocument(DocumentError):
    """The file needs a password."""


class NoText(DocumentError):
    """The file holds no text (a scan, or an empty file)."""


class DocumentLimit(DocumentError):
    """Loading the file took more than its time, memory or size limit."""


class DocumentChanged(DocumentError):
    """The file is no longer the one that was indexed."""


class FetchRefused(DocumentError):
    """An address that is not fetched: its scheme, its port, where it leads, or what its site's robots.txt says."""


class FetchFailed(DocumentError):
    """The address may be fetched, but the server did not give the page."""


class EmbedderError(UsageError):
    """The embedding model cannot be found, or is not the one that it claims to be."""


class IndexNotFound(UsageError):
    """There is no knowledge base of this name yet."""


class IndexMismatch(UsageError):
    """The index was made by another embedding model or schema."""


class IndexLocked(UsageError):
    """Another process is writing this index."""


class StoreFailed(ServiceError):
    """The vector store could not read or write."""


class StoreUnreachable(StoreFailed):
    """The vector store's server does not answer, or not now; the same request may succeed later."""


class EngineFailed(ServiceError):
    """The engine that spreads indexing over several processes could not do it."""


class QuestionTooLong(UsageError):
    """The question leaves no room for documents in the decoder's context."""


class RerankerError(UsageError):
    """The reranking model cannot be found or used."""
