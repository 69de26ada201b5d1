"""The alarm sounds when proxy and gold part, soon, and hardly ever when they do not. Rates are counted over seeds."""

import math
import random

import pytest

from alignment.overoptimisation import Alarm, OveroptimisationMonitor, Point, fit_gold, points_of, watch
from decoder.runs.folder import RunFolder

BATCHES = 300
HEALTHY = {
    "both rise": lambda d: (d, d),
    "both saturate": lambda d: (2 - 2 * math.exp(-2 * d), 1.5 - 1.5 * math.exp(-2 * d)),
    "nothing happens": lambda d: (0.0, 0.0),
    "gold stops, proxy goes on": lambda d: (d, min(d, 1.0)),
}


def noisy(curve, seed, noise=0.3, lasting=0.0, furthest=4.0, count=BATCHES):
    """`count` batches along a curve; proxy and gold share half of their noise, of which `lasting` stays a batch."""
    draw, points, shared = random.Random(seed), [], 0.0
    for step in range(count):
        distance = furthest * (step + 1) / count
        shared = lasting * shared + math.sqrt(1 - lasting**2) * draw.gauss(0, 1)
        proxy, gold = (
            value + noise * (shared + draw.gauss(0, 1)) / math.sqrt(2) if lasting == 0 else value + noise * shared
            for value in curve(distance)
        )
        points.append(Point(step, proxy, gold, distance**2 * (1 + 0.1 * draw.gauss(0, 1))))
    return points


def parting(distance):
    """Gao et al.'s curve for both, gold bending down at d = e."""
    return distance * (2 - 0.3 * math.log(distance)), distance * (2 - math.log(distance))


@pytest.mark.parametrize("curve", HEALTHY.values(), ids=HEALTHY)
def test_of_a_hundred_healthy_runs_none_is_called_over_optimised(curve):
    # 0 of 500 seeds for each of the four when counted at length; the last one is the hardest
    assert sum(bool(watch(noisy(curve, seed))) for seed in range(100)) == 0


@pytest.mark.parametrize("curve", HEALTHY.values(), ids=HEALTHY)
def test_noise_that_lasts_over_batches_gives_few_false_alarms(curve):
    assert sum(bool(watch(noisy(curve, seed, lasting=0.5))) for seed in range(100)) <= 10


@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_a_parted_run_is_told_within_25_batches_of_gold_falling_by_three_deviations(noise):
    true = [parting(10 * (step + 1) / BATCHES)[1] for step in range(BATCHES)]
    peak = max(range(BATCHES), key=true.__getitem__)
    fallen = next(step for step in range(peak, BATCHES) if true[peak] - true[step] > 3 * noise)
    for seed in range(50):
        (first, *_) = watch(noisy(parting, seed, noise=noise, furthest=10))
        assert peak < first.step <= fallen + 25
        assert first.gold_fall > 0 and first.proxy_rise > 0 and first.distance > first.best_distance


def test_both_falling_is_no_over_optimisation():
    assert not watch(noisy(lambda d: (-d, -d), 0))


def test_gold_falling_nearer_to_the_reference_is_none_either():
    points = noisy(parting, 0, noise=0.1, furthest=10)
    assert watch(points)
    assert not watch(Point(p.step, p.proxy, p.gold, 101 - p.kl) for p in points)


def test_an_alarm_sounds_once_and_again_only_after_a_new_best():
    monitor, heard = OveroptimisationMonitor(window=2), []
    golds = [*range(20), *range(20, -20, -1), *range(-20, 30), *range(30, 0, -1)]
    for step, gold in enumerate(golds):
        heard.append(monitor.add(step, float(step), float(gold), float(step)))
    alarms = [alarm for alarm in heard if alarm]
    assert len(alarms) == 2 and alarms[0].best_step == 20 and alarms[1].best_step == 110
    assert monitor.alarm is alarms[1]


def test_batches_without_a_number_are_passed_over():
    monitor = OveroptimisationMonitor(window=2)
    for values in ((None, 1.0, 1.0), (1.0, math.nan, 1.0), (1.0, 1.0, math.inf)):
        assert monitor.add(1, *values) is None
    assert points_of([{"step": 1, "reward": 1.0, "kl": 2}, {"step": 2, "reward": 1, "gold_reward": 2, "kl": 3}]) == [
        Point(2, 1.0, 2.0, 3.0)
    ]


def test_a_run_says_so_in_its_metrics_once_even_when_it_is_resumed_in_between(tmp_path):
    from types import SimpleNamespace

    from alignment.callbacks import MetricsToFolder

    folder, points = RunFolder(tmp_path), noisy(parting, 0, noise=0.1, furthest=10)
    for part in (points[:100], points[100:]):
        callback = MetricsToFolder(folder)
        state = SimpleNamespace(is_world_process_zero=True, global_step=0, max_steps=BATCHES)
        callback.on_train_begin(None, state, None)
        for point in part:
            state.global_step = point.step
            callback.on_log(None, state, None, {"reward": point.proxy, "rewards/gold/mean": point.gold, "kl": point.kl})
    told = [(line["step"], line["overoptimisation_alarm"]) for line in folder.metrics() if len(line) > 4]
    assert told == [(alarm.step, str(alarm)) for alarm in watch(points)] and len(told) == 1


def test_an_alarm_says_what_happened_in_one_line():
    said = str(Alarm(step=90, best_step=30, distance=3.0, best_distance=1.5, gold_fall=0.75, proxy_rise=1.25))
    assert said == (
        "over-optimised at step 90: since step 30 the reward trained on rose by 1.25 and gold fell by 0.75, "
        "while sqrt(KL) went from 1.5 to 3"
    )


def test_the_curve_of_gold_is_found_again_with_its_peak():
    exact = fit_gold(noisy(parting, 0, noise=0.0, furthest=10))
    assert exact.alpha == pytest.approx(2, abs=0.1) and exact.beta == pytest.approx(1, abs=0.05)
    assert exact.peak == pytest.approx(math.e, rel=0.05)
    assert fit_gold(noisy(lambda d: (d, d), 0, noise=0.0)).peak is None


def test_no_curve_is_fitted_to_too_little():
    assert fit_gold([Point(i, 0.0, 0.0, 1.0 + i) for i in range(7)]) is None
    assert fit_gold([Point(i, 0.0, float(i), 4.0) for i in range(20)]) is None
