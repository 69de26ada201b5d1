"""The map of passages: principal components, a bounded and steady sample."""

import numpy as np
import pytest

from rag.projection import principal_components, project


def test_the_first_axis_is_the_one_along_which_the_vectors_differ_most():
    rng = np.random.default_rng(0)
    along, across = rng.normal(size=(200, 1)) * 5, rng.normal(size=(200, 1))
    directions = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    vectors = along @ directions[:1] + across @ directions[1:2] + 3
    xy, kept = principal_components(vectors)
    assert abs(np.corrcoef(xy[:, 0], along[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(xy[:, 1], across[:, 0])[0, 1]) > 0.99
    assert kept == pytest.approx(1)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    assert np.allclose(np.linalg.norm(xy[:, None] - xy[None], axis=2), distances)


def test_how_much_it_shows_is_said():
    vectors = np.eye(5)
    _, kept = principal_components(vectors)
    assert kept == pytest.approx(2 / 4)


@pytest.mark.parametrize("vectors", [np.zeros((0, 4)), np.ones((1, 4)), np.ones((3, 4))])
def test_what_does_not_differ_lies_in_the_middle(vectors):
    xy, kept = principal_components(vectors)
    assert (xy == 0).all()
    assert xy.shape == (len(vectors), 2)
    assert kept == 1


def test_a_map_shows_the_passages_and_documents_alike_lie_together(store, write):
    write(
        store,
        {
            "lamps.md": [f"lamp bulb light wire {n}" for n in range(8)],
            "cups.md": [f"cup tea saucer pot {n}" for n in range(8)],
        },
    )
    shown = project(store)
    assert len(shown.passages) == shown.total == 16
    lamps = shown.xy[[passage.source == "lamps.md" for passage in shown.passages]]
    cups = shown.xy[[passage.source == "cups.md" for passage in shown.passages]]
    between = np.linalg.norm(lamps.mean(0) - cups.mean(0))
    assert between > 2 * max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in (lamps, cups))


def test_a_sample_is_bounded_and_the_same_each_time(store, write):
    write(store, {f"{d}.md": [f"word{d} number {n}" for n in range(10)] for d in range(10)})
    first, second = project(store, most=20), project(store, most=20)
    assert [p.id for p in first.passages] == [p.id for p in second.passages]
    assert len(first.passages) == 20
    assert len({p.source for p in first.passages}) > 5
    assert np.array_equal(first.xy, second.xy)
    assert first.total == 100
    of_some = project(store, most=100, looked_at=30)
    assert len({p.source for p in of_some.passages}) == 3
