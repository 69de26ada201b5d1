"""E-mail in files: EML, MHTML, MBOX and Outlook's MSG."""

import email.policy
import os
from email.message import EmailMessage
from pathlib import Path

import pytest

from rag.errors import DamagedDocument, DocumentError, NoText
from rag.load import load

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "docs"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the public test documents are not at {DATA}")


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def message(text="All is well.", html="", subject="Hello", attachments=()):
    mail = EmailMessage()
    mail["From"] = "Ann Äther <ann@example.org>"
    mail["To"] = "bob@example.org, cy@example.org"
    mail["Date"] = "Tue, 03 Mar 2026 10:00:00 +0100"
    if subject:
        mail["Subject"] = subject
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    for name, content in attachments:
        mail.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return mail.as_bytes(policy=email.policy.SMTP)


def test_headers_are_metadata_and_a_short_head_of_the_text(write):
    document = load(write("a.eml", message(subject="Grüße aus Zürich")))
    assert document.title == "Grüße aus Zürich"
    assert document.media_type == "message/rfc822"
    assert document.metadata == {
        "subject": "Grüße aus Zürich",
        "from": "Ann Äther <ann@example.org>",
        "to": "bob@example.org, cy@example.org",
        "date": "2026-03-03T10:00:00+01:00",
    }
    assert document.text == (
        "# Grüße aus Zürich\n\nFrom: Ann Äther <ann@example.org>\nTo: bob@example.org, cy@example.org\n"
        "Date: 2026-03-03T10:00:00+01:00\n\nAll is well.\n"
    )


def test_the_plain_text_is_read_where_it_says_as_much_and_the_html_where_it_does_not(write):
    page = (
        "<h1>News</h1><p>The <b>warehouse</b> opens at nine. " + "It is in Zurich. " * 10 + "</p><script>x()</script>"
    )
    text = load(write("a.eml", message("Your program shows no HTML.", page))).text
    assert "## News\n\nThe **warehouse** opens at nine." in text
    assert "no HTML" not in text
    assert "x()" not in text
    both = load(write("b.eml", message("The warehouse opens at nine.", "<p>The warehouse opens at nine.</p>"))).text
    assert both.count("warehouse") == 1


def test_attachments_of_formats_that_are_read_are_read_and_all_are_named(write):
    inner = message("The inner message.", subject="Inner", attachments=[("c.txt", b"deep down")])
    document = load(
        write(
            "a.eml",
            message(
                attachments=[
                    ("notes.md", "# Notes\n\nGrüezi".encode()),
                    ("page.html", b"<p>A <i>page</i></p>"),
                    ("run.py", b"x = 1\n"),
                    ("inner.eml", inner),
                    ("cat.png", b"\x89PNG\r\n\x1a\n"),
                    ("broken.pdf", b"not a PDF"),
                    ("../../etc/passwd.txt", b"a name of a file"),
                ]
            ),
        )
    )
    assert document.metadata["attachments"] == (
        "notes.md", "page.html", "run.py", "inner.eml", "cat.png", "broken.pdf", "passwd.txt",
    )  # fmt: skip
    assert "## Attachment: notes.md\n\n## Notes\n\nGrüezi" in document.text
    assert "A *page*" in document.text
    assert "## Attachment: run.py\n\n```python\nx = 1\n```" in document.text
    assert "The inner message." in document.text
    assert "deep down" in document.text
    assert "cat.png" not in document.text


def test_messages_in_messages_are_read_three_levels_deep(write):
    mail = message("level 5")
    for level in range(4, -1, -1):
        mail = message(f"level {level}", attachments=[("m.eml", mail)])
    text = load(write("a.eml", mail)).text
    assert [level for level in range(6) if f"level {level}" in text] == [0, 1, 2, 3]


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "koi8-r", "unknown-8bit", "no-such-charset"])
def test_bodies_are_decoded_as_declared_and_guessed_where_the_declaration_is_wrong(write, charset):
    text = "Привет, мир! Сегодня хорошая погода." if charset == "koi8-r" else "Grüße aus der Straße"
    encoded = text.encode(charset if charset in ("iso-8859-1", "utf-8", "koi8-r") else "cp1252")
    head = f"Subject: x\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n"
    assert text in load(write("a.eml", head.encode() + encoded)).text


@pytest.mark.parametrize(
    "header",
    [
        b"Subject: =?utf-8?q?=FF=FE?=",
        b"To: a@b@c <<>>,,; (",
        b"From: =?utf-8?b?broken",
        b"Date: the day before yesterday",
        b"Content-Type: text/plain; charset*0*=x''y; charset*2=z",
        b"Content-Disposition: attachment; filename*=utf-8'",
        b"Subject: \xff\xfe raw bytes \xe9",
        b"Subject: a\n b\n\tc",
    ],
)
def test_malformed_headers_cost_no_message(write, header):
    assert "The body" in load(write("a.eml", header + b"\n\nThe body\n")).text


def test_an_empty_message_has_no_text(write):
    with pytest.raises((NoText, DamagedDocument)):
        load(write("a.eml", b"\n\n"))


def test_a_mailbox_is_one_document_with_each_message_under_its_subject(write):
    messages = [message(f"Text {n}.\n\nFrom here on", subject=f"Number {n}" if n != 2 else "") for n in (1, 2, 3)]
    quoted = [m.replace(b"\nFrom here", b"\n>From here") for m in messages]
    box = b"".join(
        b"From ann@example.org Tue Mar  3 10:00:00 2026\n" + m.replace(b"\r\n", b"\n") + b"\n" for m in quoted
    )
    document = load(write("a.mbox", box))
    headings = [line for line in document.text.split("\n") if line.startswith("# ")]
    assert headings == ["# Number 1", "# Message 2", "# Number 3"]
    assert document.metadata == {"messages": 3}
    assert document.text.count("\nFrom here on") == 3


def test_what_is_no_mailbox_is_damaged(write):
    with pytest.raises(DamagedDocument, match="mailbox"):
        load(write("a.mbox", "Dear diary"))


@needs_data
@pytest.mark.parametrize(
    "name", ["eml_simple.eml", "msg_simple.msg", "eml_with_attachment.eml", "msg_with_attachment.msg"]
)
def test_real_messages(name):
    document = load(DATA / "email" / "sources" / name)
    has_attachment = "attachment" in name
    assert document.title == ("Email with Attachment" if has_attachment else "Simple Email")
    assert document.metadata["from"].endswith("<alice@example.com>")
    assert document.metadata["to"].startswith("Bob Example")
    assert ("test attachment file" if has_attachment else "simple email body") in document.text


@needs_data
def test_a_web_page_in_one_file_is_read(write):
    document = load(DATA / "small" / "kotaemon" / "dummy.mhtml")
    assert document.media_type == "multipart/related"
    assert "This is a test." in document.text


@pytest.mark.parametrize("size", [0, 100, 600, 2000])
def test_a_cut_msg_is_a_typed_error(write, size):
    with pytest.raises(DocumentError):
        load(write("a.msg", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * size))
