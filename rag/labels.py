"""What the user says of the documents that are added: whose they are, who may read them, and facts to filter by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rag.filters import check_metadata, check_principal
from rag.manifest import DocumentEntry
from rag.types import Document, Metadata, Passage


@dataclass(frozen=True, slots=True)
class Labels:
    """Checked when made; raises UsageError for names and values that no filter could meet.

    Attributes:
        tenant: whose documents these are; empty where there are no tenants.
        readers: who may see them, such as "user:ann"; none means everybody of the tenant.
        metadata: joins what the file says of itself, and wins over it.
    """

    tenant: str = ""
    readers: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in (*([self.tenant] if self.tenant else []), *self.readers):
            check_principal(name)
        object.__setattr__(self, "readers", tuple(sorted(set(self.readers))))
        object.__setattr__(self, "metadata", check_metadata(self.metadata))

    def on(self, passages: Sequence[Passage], document: Document) -> list[Passage]:
        """The passages of `document` with these labels."""
        metadata = {**document.metadata, **self.metadata}
        return [
            replace(
                passage,
                media_type=document.media_type,
                tenant=self.tenant,
                readers=self.readers,
                metadata=metadata,
            )
            for passage in passages
        ]

    @property
    def key(self) -> str:
        """Equal for equal labels: documents of one hash are duplicates only when these agree."""
        return repr((self.tenant, self.readers, sorted(self.metadata.items())))


def labels_of(entry: DocumentEntry) -> Labels:
    """The labels that a document was added with."""
    return Labels(entry.tenant, entry.readers, entry.metadata)
