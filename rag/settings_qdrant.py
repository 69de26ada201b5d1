"""What the settings for a Qdrant server may be. Knows the names and bounds, and no client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from decoder.errors import SettingsError, UsageError
from rag.filters import check_key

if TYPE_CHECKING:
    from rag.settings import RagSettings

QUANTIZATIONS = ("none", "scalar", "binary", "product")
INDEX_KINDS = ("keyword", "integer", "float", "bool")
BOUNDS: dict[str, tuple[float, float]] = {
    "qdrant_grpc_port": (1, 65_535),
    "qdrant_shard_number": (1, 1024),
    "qdrant_replication_factor": (1, 64),
    "qdrant_write_consistency_factor": (1, 64),
    "qdrant_oversampling": (1, 100),
}
_STEP = "reading settings"


def check_qdrant(settings: RagSettings) -> None:
    """Raises SettingsError, naming the setting, when one of them is out of bounds or they contradict each other."""
    for name, (least, most) in BOUNDS.items():
        value = getattr(settings, name)
        if not least <= value <= most:  # also refuses what is not a number
            raise SettingsError(_STEP, f"rag.{name} is {value}", f"Give a number from {least:g} to {most:g}")
    if settings.qdrant_quantization not in QUANTIZATIONS:
        cause = f"rag.qdrant_quantization is {settings.qdrant_quantization!r}"
        raise SettingsError(_STEP, cause, f"Choose one of {', '.join(QUANTIZATIONS)}")
    copies, needed = settings.qdrant_replication_factor, settings.qdrant_write_consistency_factor
    if needed > copies:
        cause = f"rag.qdrant_write_consistency_factor={needed} with rag.qdrant_replication_factor={copies}"
        raise SettingsError(
            _STEP, cause, "No more copies can have a write than there are: raise one or lower the other"
        )
    metadata_indexes(settings)


def metadata_indexes(settings: RagSettings) -> dict[str, str]:
    """Metadata fields with the kind of their payload index; raises SettingsError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in settings.qdrant_metadata_indexes.split(","))):
        name, _, kind = part.partition(":")
        try:
            check_key(name)
        except UsageError as error:
            raise SettingsError(_STEP, f"rag.qdrant_metadata_indexes: {error.cause}", error.remedy) from error
        if kind not in INDEX_KINDS:
            cause = f"rag.qdrant_metadata_indexes holds {part!r}"
            raise SettingsError(_STEP, cause, f"Write field:kind, the kind one of {', '.join(INDEX_KINDS)}")
        found[name] = kind
    return found
