"""The kinds of jobs, each with the module whose `run(spec, job)` does it; `job_process.py` imports it there."""

from __future__ import annotations

KINDS = {
    "agent": "ui.browser.agent_job",
    "align": "ui.browser.align_job",
    "draw": "ui.browser.picture_draw_job",
    "index": "ui.browser.knowledge_job",
    "pictures": "ui.browser.picture_train_job",
    "prompts": "ui.browser.prompt_job",
    "promote": "ui.browser.align_promote_job",
    "serve": "ui.browser.health_serve_job",
}
