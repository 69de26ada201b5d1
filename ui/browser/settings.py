"""Section `[ui]` of the settings: where the browser's app listens, who may do what, how much is taken in."""

from __future__ import annotations

from dataclasses import dataclass

from decoder.settings import section


@dataclass(frozen=True, slots=True)
class UiSettings:
    """Section `[ui]`.

    Attributes:
        host, port: where `hearth ui` listens; this machine alone unless told otherwise.
        language: the file of words, `ui/browser/<language>.toml`; what it lacks is said in English.
        trusted_header: a header by which a proxy in front names the person, such as X-Forwarded-User; empty is off.
        admins: persons, with commas, who may train, serve and see health where people sign in; empty: nobody.
        max_upload_mb: of one file, MB.
        max_uploads: files at once.
        max_jobs: job processes at once.
        approval_minutes: how long an agent waits for a yes before it takes it for a no.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    language: str = "en"
    trusted_header: str = ""
    admins: str = ""
    max_upload_mb: int = 50
    max_uploads: int = 100
    max_jobs: int = 4
    approval_minutes: float = 30.0


def ui_settings() -> UiSettings:
    """The settings as they are now. Raises SettingsError."""
    return section("ui", UiSettings)
