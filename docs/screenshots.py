"""Pictures of the pages, for the README and the docs: docs/pictures/ui-PAGE-light.png and -dark.png.

    python docs/screenshots.py [--only chat --only health]

It starts `hearth ui` on a home of its own, has the example manual read, asks a question of it (without a decoder, so
the answer is quoted), searches in it, and takes every page in light and in dark. Chromium is the system's.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
PAGES = ("chat", "knowledge", "agents", "prompts", "alignment", "pictures", "health")
SIZE = {"width": 1280, "height": 800}
LARGEST = 150_000
"""Bytes of a picture."""
PORT = 8639
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SETTLED = "() => !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')"
PATIENCE = 120_000
"""Milliseconds; the example is read and embedded in the meantime."""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", choices=PAGES, help="this page; may be given again")
    only = parser.parse_args().only or PAGES
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="hearth-pictures-") as home, sync_playwright() as playwright:
        app = start(home)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            page = browser.new_page(viewport=SIZE)
            page.set_default_timeout(PATIENCE)
            prepare(page)
            for name in only:
                take(page, name)
            if "chat" in only:
                take_source(page)
        finally:
            browser.close()
            app.kill()
            app.wait()


def start(home: str) -> subprocess.Popen[bytes]:
    """`hearth ui`, once it answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    environment |= {"HEARTH_HOME": home, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ui.cli", "ui", "--no-browser", "--port", str(PORT)]
    app = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/_stcore/health", timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return app
    raise SystemExit("hearth ui does not answer")


def prepare(page: Any) -> None:
    """Have the example read, and ask it something."""
    visit(page, "chat")
    page.locator(".st-key-chat-example button").click()
    question = page.locator("[data-testid=stChatInputTextArea]")
    page.locator(".st-key-chat-suggested-2 button").click()
    page.locator("[class*=st-key-chat-actions]").first.wait_for()
    page.locator("[data-testid=stFeedback] button").first.click()  # so that there is something to learn from
    question.wait_for()
    visit(page, "pictures")
    page.get_by_role("button", name="Train a first model").click()
    page.locator(".st-key-pictures-draw button").click()
    page.locator("[data-testid=stImage] img").nth(3).wait_for()


def take(page: Any, name: str) -> None:
    """One page, light and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        visit(page, name)
        fill(page, name)
        page.wait_for_timeout(1500)  # what is drawn by degrees: charts, icons
        write(page, f"{name}-{scheme}")


def take_source(page: Any) -> None:
    """A citation that is opened in its page, in light."""
    page.emulate_media(color_scheme="light")
    visit(page, "chat")
    question = page.locator("[data-testid=stChatInputTextArea]")
    question.fill("How long does starting take on a small machine?")
    question.press("Enter")
    page.get_by_role("button", name="04-serving.pdf, page 1").click()
    page.get_by_role("dialog").get_by_role("img").first.wait_for()
    page.wait_for_timeout(1500)
    write(page, "source-light")


def write(page: Any, name: str) -> None:
    """What the window shows, as ui-NAME.png."""
    file = PICTURES / f"ui-{name}.png"
    file.write_bytes(small(page.screenshot()))
    print(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1000} kB")


def visit(page: Any, name: str) -> None:
    """Go to a page by its link, so that the session stays, or open the first."""
    link = page.locator("[data-testid=stSidebarNavLink]").filter(has_text=name.capitalize())
    if link.count():
        link.click()
    else:
        page.goto(f"http://127.0.0.1:{PORT}/{name}")
    page.get_by_role("heading", name=name.capitalize(), exact=True).first.wait_for()
    page.wait_for_function(SETTLED)


def fill(page: Any, name: str) -> None:
    """Bring a page into the state that is worth a picture."""
    if name == "knowledge":
        page.get_by_role("tab", name="Search").click()
        field = page.locator(".st-key-knowledge-query input").filter(visible=True)
        field.fill("How is a conversation saved?")
        field.press("Enter")
        page.get_by_text("conversation", exact=False).filter(visible=True).nth(1).wait_for()


def small(picture: bytes) -> bytes:
    """The same with a palette, of as many colours as fit."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64, 32):
        written = io.BytesIO()
        image.quantize(colours).save(written, "PNG", optimize=True)
        if written.tell() <= LARGEST:
            break
    return written.getvalue()


if __name__ == "__main__":
    main()
