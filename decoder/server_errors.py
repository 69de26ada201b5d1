"""Errors of the vLLM process: leaves of the tree in `decoder/errors.py`.

UsageError
├── VllmMissing          there is no environment with vLLM in it
├── ServerExists         a server of this name runs already
├── NoSuchServer         no server of this name runs
└── AdapterUnusable      a folder is not a LoRA adapter that can be loaded
DecoderError
├── ServerStartFailed    the process died, or was not healthy in time
└── AdapterFailed        the server would not load or unload an adapter
"""

from __future__ import annotations

from decoder.errors import DecoderError, UsageError


class VllmMissing(UsageError):
    """There is no environment with vLLM in it."""


class ServerExists(UsageError):
    """A server of this name runs already."""


class NoSuchServer(UsageError):
    """No server of this name runs."""


class AdapterUnusable(UsageError):
    """A folder is not a LoRA adapter that can be loaded: files are missing, or weights are not safetensors."""


class ServerStartFailed(DecoderError):
    """The server's process died before it was healthy, or was not healthy in time."""


class AdapterFailed(DecoderError):
    """The server would not load or unload an adapter."""
