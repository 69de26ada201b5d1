"""Errors of the code sandbox.

UsageError
├── SandboxUnavailable      this machine cannot isolate code, so none is run
└── SandboxRefused          code, files or limits that no run could take
ServiceError
└── SandboxFailed           a sandbox that worked before did not start, or did not end
"""

from __future__ import annotations

from decoder.errors import ServiceError, UsageError


class SandboxUnavailable(UsageError):
    """This machine cannot isolate code: nothing was run. The remedy says what to install or to allow."""


class SandboxRefused(UsageError):
    """The code, a file or a limit is not one that a run could take."""


class SandboxFailed(ServiceError):
    """A sandbox did not start or did not end, on a machine where the first one did."""
