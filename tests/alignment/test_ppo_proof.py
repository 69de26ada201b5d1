"""PPO counts as right when these hold: on a language small enough to enumerate, through the code that a run uses.

`python -m benchmarks.ppo_mutants` and `python -m benchmarks.ppo_trained` do the same over more seeds.
"""

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")

from benchmarks import ppo_checks, ppo_mutants, ppo_trained

# transformers 5.19 warns about the name that peft 0.21 asks by.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
SEED = 11


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("check", ppo_checks.CHECKS, ids=lambda check: check.__name__)
def test_check(check):
    check(SEED)


@pytest.mark.parametrize("mutant", ppo_mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fails_the_check_that_is_meant_for_it(mutant):
    check = getattr(ppo_checks, mutant.check)
    assert ppo_mutants.caught_by(mutant, SEED, (check,)), "the mistake goes unseen"


def test_a_mutant_that_does_not_fit_the_source_is_an_error():
    gone = ppo_mutants.Mutant("gone", "ppo_losses", "no such line", "", "padding")
    with pytest.raises(LookupError, match="0 times"):
        ppo_mutants.caught_by(gone, SEED)
    with pytest.raises(LookupError, match="times in ppo_losses"):
        ppo_mutants.caught_by(ppo_mutants.Mutant("vague", "ppo_losses", "advantages", "", "padding"), SEED)


@pytest.mark.parametrize("seed", range(3))
def test_a_trained_policy_is_nearly_the_best_one(seed, tmp_path):
    found = ppo_trained.train(seed, tmp_path)
    assert found.j_best - found.j_ref > 0.2, "there is something to gain"
    assert found.share >= ppo_trained.SHARE and found.kl_to_best <= ppo_trained.KL, found
