"""The page "chat": talk with documents, or with the model."""

from __future__ import annotations

from ui.browser.chat_ask import show_input
from ui.browser.chat_compare import show_comparison
from ui.browser.chat_drawing import in_turn
from ui.browser.chat_here import here, show_problem_of_before
from ui.browser.chat_live import show_live
from ui.browser.chat_sidebar import show_sidebar
from ui.browser.chat_turns import show_turns
from ui.browser.entrance import enter
from ui.browser.problems import apart

enter("chat")
with in_turn():
    page = here()
    with apart():
        show_sidebar(page)
    show_input(page)
    show_problem_of_before()
    if page.path and not show_comparison(page):
        show_turns(page)
show_live(page)
