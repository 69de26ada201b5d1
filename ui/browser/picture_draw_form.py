"""The forms of drawing: what a trained run, or a pretrained pipeline, is asked."""

from __future__ import annotations

from typing import Any

import streamlit as st

from generators.settings import generator_settings
from ui.browser.picture_models import DrawnBy
from ui.browser.settings import ui_settings
from ui.browser.strings import say

MOST = 64
MOST_SEED = 2**31 - 1
DIFFUSION = ("ddim", "ddpm", "dpm++", "euler", "heun", "unipc")
FLOW = ("flow_euler", "flow_heun", "flow_dpm++", "flow_unipc")
PICTURES = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"]


def run_form(run: str, about: DrawnBy) -> dict[str, Any]:
    """What a run's model is asked, as data for the job."""
    captions: list[str] = []
    labels: list[int] = []
    if "captions" in about.hears:
        text = st.text_area(
            say("pictures.captions"), key="pictures-captions", height=100, help=say("pictures.captions_help")
        )
        captions = [line.strip() for line in text.splitlines() if line.strip()]
        with st.expander(say("pictures.words")):
            st.text(", ".join(about.words[:400]))
    elif "labels" in about.hears:
        labels = st.multiselect(
            say("pictures.classes"),
            list(range(len(about.class_names))),
            format_func=lambda number: about.class_names[number],
            key="pictures-labels",
            placeholder=say("pictures.all_classes"),
        )
        labels = [label for label in labels if label < len(about.class_names)]
    asked: dict[str, Any] = {"from": "run", "run": run}
    if about.translates:
        asked |= _uploaded("image", say("pictures.to_translate"), say("pictures.to_translate_help"))
    count, seed = _count_and_seed()
    with st.expander(say("pictures.options"), key="pictures-options"):
        asked["options"] = _options(about)
    turns = [labels[i % len(labels)] for i in range(count)] if labels else []
    texts = [captions[i % len(captions)] for i in range(count)] if captions else []
    return {**asked, "count": count, "seed": seed, "labels": turns, "captions": texts}


def pipeline_form() -> dict[str, Any]:
    """What a pretrained pipeline is asked, as data for the job."""
    if "pictures-folder" not in st.session_state:
        st.session_state["pictures-folder"] = generator_settings().model
    folder = st.text_input(say("pictures.folder"), key="pictures-folder", help=say("pictures.folder_help"))
    prompt = st.text_area(say("pictures.prompt"), key="pictures-prompt", height=100, max_chars=10_000)
    negative = st.text_input(say("pictures.negative"), key="pictures-negative", max_chars=10_000)
    count, seed = _count_and_seed()
    asked: dict[str, Any] = {"from": "pipeline", "model": folder, "prompt": prompt, "negative": negative}
    with st.expander(say("pictures.options"), key="pictures-options"):
        steps = st.number_input(say("pictures.steps"), 0, 1000, key="pictures-steps", help=say("pictures.zero_own"))
        guidance = st.number_input(
            say("pictures.guidance"), 0.0, 100.0, None, key="pictures-guidance", placeholder=say("pictures.models_own")
        )
        sides = [
            st.number_input(label, 0, 4096, step=8, key=key, help=say("pictures.zero_own"))
            for label, key in ((say("pictures.width"), "pictures-width"), (say("pictures.height"), "pictures-height"))
        ]
        scheduler = st.selectbox(
            say("pictures.scheduler"),
            ["", *DIFFUSION, *FLOW],
            format_func=lambda name: name or say("pictures.models_own"),
            key="pictures-scheduler",
        )
    with st.expander(say("pictures.from_picture"), key="pictures-from"):
        asked |= _uploaded("image", say("pictures.start_picture"), say("pictures.start_picture_help"))
        asked |= _uploaded("mask", say("pictures.mask"), say("pictures.mask_help"))
        st.session_state.setdefault("pictures-strength", 0.8)
        strength = st.slider(say("pictures.strength"), 0.05, 1.0, key="pictures-strength")
    sized = {"width": int(sides[0]), "height": int(sides[1]), "steps": int(steps)}
    ways = {"guidance_scale": guidance, "scheduler": scheduler, "strength": strength}
    return {**asked, **sized, **ways, "count": count, "seed": seed}


def _count_and_seed() -> tuple[int, int]:
    left, right = st.columns(2)
    st.session_state.setdefault("pictures-count", 16)
    count = left.number_input(say("pictures.count"), 1, MOST, key="pictures-count")
    seed = right.number_input(say("pictures.seed"), 0, MOST_SEED, key="pictures-seed", help=say("pictures.seed_help"))
    return int(count), int(seed)


def _options(about: DrawnBy) -> dict[str, Any]:
    """The options that were set; what is left as it is, the model decides."""
    found: dict[str, Any] = {}
    own = say("pictures.models_own")
    if not about.options:
        st.caption(say("pictures.no_options"))
    if "steps" in about.options:
        found["steps"] = st.number_input(
            say("pictures.steps"), 1, 1000, None, key="pictures-run-steps", placeholder=own
        )
    if "guidance_scale" in about.options:
        found["guidance_scale"] = st.number_input(
            say("pictures.guidance"), 0.0, 100.0, None, key="pictures-run-guidance", placeholder=own
        )
    if "negative" in about.options:
        found["negative"] = st.text_input(say("pictures.negative"), key="pictures-run-negative") or None
    if "scheduler" in about.options:
        known = FLOW if about.family == "flow_matching" else DIFFUSION
        found["scheduler"] = st.selectbox(
            say("pictures.scheduler"), known, None, key=f"pictures-run-scheduler-{about.family}", placeholder=own
        )
    for name, label in (
        ("temperature", say("pictures.temperature")),
        ("truncation", say("pictures.truncation")),
        ("truncation_psi", say("pictures.truncation_psi")),
    ):
        if name in about.options:
            found[name] = st.number_input(label, 0.0, 10.0, None, key=f"pictures-run-{name}", placeholder=own)
    return {name: value for name, value in found.items() if value is not None}


def _uploaded(name: str, label: str, told: str) -> dict[str, Any]:
    """A picture's bytes, within the bound of the settings; they are decoded by whoever keeps them."""
    most = ui_settings().max_upload_mb
    given = st.file_uploader(label, PICTURES, key=f"pictures-upload-{name}", help=told, max_upload_size=most)
    return {f"{name}_bytes": given.getvalue()} if given is not None else {}
