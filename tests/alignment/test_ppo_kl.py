"""The price of distance from the reference: fixed, or steered as in Ziegler et al. 2019."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.ppo_kl import KlControl

nats = st.floats(0, 100)


@given(nats, st.integers(1, 10**6))
def test_a_fixed_coefficient_stays(kl, episodes):
    control = KlControl(0.05)
    control.update(kl, episodes)
    assert control.coefficient == 0.05


@given(nats, st.floats(0.1, 50), st.integers(1, 10**6))
def test_it_rises_above_the_target_and_falls_below_by_a_fifth_at_most(kl, target, episodes):
    control = KlControl(0.1, target, horizon=10_000)
    control.update(kl, episodes)
    assert 0.08 - 1e-12 <= control.coefficient <= 0.12 + 1e-12
    assert (control.coefficient - 0.1) * (kl - target) >= 0


def test_the_papers_figures():
    """e = clip((KL - target) / target, -0.2, 0.2), beta grows by 1 + K e; K is 256 / 10,000."""
    control = KlControl(0.2, target=6.0, horizon=10_000)
    control.update(6.6, 256)
    assert control.coefficient == pytest.approx(0.2 * (1 + 0.0256 * 0.1))
    control.update(60.0, 256)
    assert control.coefficient == pytest.approx(0.2 * (1 + 0.0256 * 0.1) * (1 + 0.0256 * 0.2))


def test_it_finds_the_coefficient_that_holds_the_target():
    """A policy whose KL is 1 / beta, as that of a quadratic reward would be."""
    control = KlControl(0.01, target=5.0, horizon=1000)
    for _ in range(2000):
        control.update(1 / control.coefficient, 100)
    assert 1 / control.coefficient == pytest.approx(5.0, rel=0.01)
