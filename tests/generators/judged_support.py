"""Digits and their judges; a judge is trained once a session, since every file of tests finds it where it is kept."""

import dataclasses
import functools

import torch

from generators import judge_training
from generators.data import load_pictures
from generators.judge import judge_for
from generators.metrics import Reference
from generators.sections import DataSection


@functools.cache
def digits():
    """1,400 digits of 16x16 to train on, 397 held out."""
    return load_pictures(DataSection())


@functools.cache
def first():
    """The first judge as it ships; some 14 CPU seconds the first time."""
    torch.set_num_threads(1)
    return judge_for(digits().train)


@functools.cache
def known():
    return Reference.of(digits(), first())


def hurry(monkeypatch, steps=30, *variants):
    """Let the named judges learn for a few steps only, where it does not matter how good they are."""
    for variant in variants or ("first", "second"):
        short = dataclasses.replace(judge_training.RECIPES[variant], steps=steps)
        monkeypatch.setitem(judge_training.RECIPES, variant, short)
