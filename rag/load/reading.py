"""How files are read where there is a choice: passwords of PDFs, and whether pictures of text are recognised."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag.settings import rag_settings


@dataclass(frozen=True, slots=True)
class Reading:
    """What the user decides about reading.

    Attributes:
        passwords: tried one after another on an encrypted PDF; never shown, and in no error.
        ocr: whether Tesseract, where it is installed, reads scanned pages and pictures.
        languages: what it expects, such as "eng" or "eng+deu": the names of its language data.
    """

    passwords: tuple[str, ...] = field(default=(), repr=False)
    ocr: bool = True
    languages: str = "eng"


def configured(password: str = "") -> Reading:
    """What the settings say (`[rag]` and HEARTH_RAG_*), with `password` tried first; raises SettingsError."""
    settings = rag_settings()
    passwords = tuple(dict.fromkeys(each for each in (password, *settings.pdf_passwords.splitlines()) if each))
    return Reading(passwords, settings.ocr == "auto", settings.ocr_languages)
