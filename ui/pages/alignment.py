"""The page "alignment": from what people said of answers to a model that answers better, and back out again."""

from __future__ import annotations

from ui.browser import (
    align_data_view,
    align_feedback_view,
    align_recipe_view,
    align_registry_view,
    align_run_view,
    align_steps,
)
from ui.browser.entrance import enter
from ui.browser.problems import problems_shown

SHOW = {
    "feedback": align_feedback_view.show,
    "data": align_data_view.show,
    "train": align_recipe_view.show,
    "runs": align_run_view.show,
    "models": align_registry_view.show,
}

enter("alignment")
view = align_steps.chosen()
with problems_shown():
    SHOW[view]()
