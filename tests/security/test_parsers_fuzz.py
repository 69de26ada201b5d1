"""Any bytes, and any change of good ones, are a document or a typed error, for every parser there is."""

import email.policy
import io
import json
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rag.errors import DocumentError
from rag.load import Limits, Reading, load_all
from rag.load.formats import FORMATS
from rag.load.names import member_name
from rag.types import Document

DATA = Path(__file__).parents[3] / "shared" / "data" / "docs" / "email" / "sources"
READING = Reading(ocr=False)


def mail():
    message = EmailMessage()
    message["Subject"], message["From"], message["Date"] = (
        "Grüße",
        "Ann <a@example.org>",
        "Tue, 3 Mar 2026 10:00:00 +0100",
    )
    message.set_content("Text")
    message.add_alternative("<p>Text <b>bold</b></p>", subtype="html")
    message.add_attachment(b"# Notes", maintype="text", subtype="markdown", filename="a.md")
    return message.as_bytes(policy=email.policy.SMTP)


def picture(kind):
    output = io.BytesIO()
    Image.effect_noise((24, 24), 90).save(output, kind)
    return output.getvalue()


def archive():
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("a.md", "# Text")
        members.writestr("b.eml", mail())
    return output.getvalue()


CUE = b"1\n00:00:01,000 --> 00:00:02,000\n<i>Text</i>\n\n2\n00:00:03,000 --> 00:00:04,000\n[noise]\n"
NOTEBOOK = {
    "cells": [{"cell_type": "code", "source": ["x"], "outputs": [{"data": {"text/plain": "1"}}]}],
    "metadata": {},
}
GOOD = {
    ".rst": b"Title\n=====\n\nText::\n\n  code\n\n=== ===\nA   B\n=== ===\n1   2\n=== ===\n\n+--+\n|a |\n+--+\n",
    ".eml": mail(),
    ".mhtml": mail(),
    ".mbox": b"From a Tue Mar  3\n" + mail() + b"\n\nFrom b\n" + mail(),
    ".ipynb": json.dumps(NOTEBOOK).encode(),
    ".srt": CUE,
    ".vtt": b"WEBVTT - title\n\n" + CUE.replace(b",", b"."),
    ".py": b"# coding: latin-1\nx = '\xe9'\n",
    ".txt": "Straße".encode("cp1252"),
    ".zip": archive(),
    ".png": picture("PNG"),
    ".jpg": picture("JPEG"),
    ".tif": picture("TIFF"),
    ".webp": picture("WEBP"),
    ".bmp": picture("BMP"),
}
if (DATA / "msg_with_attachment.msg").is_file():
    GOOD[".msg"] = (DATA / "msg_with_attachment.msg").read_bytes()


def check(path, content):
    path.write_bytes(content)
    for each in load_all(path, limits=Limits(seconds=10), reading=READING):
        assert isinstance(each, (Document, DocumentError))
        assert each.source.startswith(path.as_posix())
        if isinstance(each, Document):
            assert each.text.strip()
            assert "\0" not in each.text
            each.text.encode()
        else:
            assert "\n" not in str(each)
            assert "parser failed" not in str(each), "an error that nobody thought of"


SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("suffix", GOOD)
@SETTINGS
@given(st.data())
def test_changed_bytes(tmp_path, suffix, data):
    content = bytearray(GOOD[suffix])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(1, 3))] = data.draw(st.binary(max_size=4))
        content = content or bytearray(b"x")
    check(tmp_path / f"a{suffix}", bytes(content))


@pytest.mark.parametrize("suffix", GOOD)
@SETTINGS
@given(beginning=st.integers(0, 64), content=st.binary(max_size=300))
def test_any_bytes_behind_a_good_beginning(tmp_path, suffix, beginning, content):
    check(tmp_path / f"a{suffix}", GOOD[suffix][:beginning] + content)


@SETTINGS
@given(suffix=st.sampled_from(sorted({s for each in FORMATS for s in each.suffixes})), text=st.text(max_size=200))
def test_any_text_under_any_name(tmp_path, suffix, text):
    check(tmp_path / f"a{suffix}", text.encode("utf-8", "surrogatepass"))


@given(st.text(alphabet=st.sampled_from([*"./\\%2eEfF5cC:~a ;", "\u200b", "．", "／"]), max_size=24))
def test_no_accepted_name_leads_out(name):
    try:
        kept = member_name(name)
    except DocumentError:
        return
    assert not kept.startswith("/")
    assert ".." not in kept.split("/")
    assert (Path("/root/of/archive") / kept).resolve().is_relative_to("/root/of/archive")
