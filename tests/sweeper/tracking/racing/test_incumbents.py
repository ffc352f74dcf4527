import numpy as np
import pytest

from sweeper.data.row_order import RowOrder
from sweeper.estimates import mean_estimate
from sweeper.tracking.racing import Incumbents
from sweeper.tracking.row_scores import RowScores

FINGERPRINT = "0" * 16
OTHER = "1" * 16


def scores(losses, *, fingerprint=FINGERPRINT) -> RowScores:
    order = RowOrder(fingerprint, ("",) * len(losses), None)
    found = {"eval_loss": mean_estimate(losses).on_rows(range(len(losses)))}
    return RowScores.of(found, order, split="validation", step=5)


def best(incumbents, evaluation=1, *, fingerprint=FINGERPRINT, but="") -> str | None:
    found = incumbents.best(evaluation, fingerprint=fingerprint, but=but)
    return None if found is None else found.trial_id


def names(folder) -> list[str]:
    return sorted(path.name for path in (folder / "racing" / "1").iterdir())


def test_the_best_is_the_one_of_the_smallest_mean_with_what_it_lost_on_each_row(tmp_path):
    incumbents = Incumbents(tmp_path)
    assert best(incumbents) is None
    incumbents.add(1, "a", scores([1.0, 2.0, 3.0]))
    incumbents.add(1, "b", scores([2.0, 0.5, 2.0]))
    incumbents.add(1, "c", scores([9.0, 9.0, 9.0]))
    found = incumbents.best(1, fingerprint=FINGERPRINT, but="")
    assert (found.trial_id, found.mean) == ("b", 1.5)
    assert found.losses == {0: 2.0, 1: 0.5, 2: 2.0}


def test_those_behind_are_taken_away(tmp_path):
    incumbents = Incumbents(tmp_path)
    for trial_id, loss in (("a", 2.0), ("b", 1.0), ("c", 3.0)):
        incumbents.add(1, trial_id, scores([loss, loss]))
    assert names(tmp_path) == ["b.npz"]


def test_of_equal_ones_the_identity_decides_whoever_came_first(tmp_path):
    for number, order in enumerate((("a", "b"), ("b", "a"))):
        incumbents = Incumbents(tmp_path / str(number))
        for trial_id in order:
            incumbents.add(1, trial_id, scores([1.0]))
        assert best(incumbents) == "a"


def test_evaluations_and_other_rows_are_apart(tmp_path):
    incumbents = Incumbents(tmp_path)
    incumbents.add(1, "a", scores([1.0]))
    incumbents.add(2, "b", scores([2.0]))
    incumbents.add(1, "c", scores([0.1], fingerprint=OTHER))
    assert (best(incumbents), best(incumbents, 2), best(incumbents, 3)) == ("a", "b", None)
    assert best(incumbents, fingerprint=OTHER) == "c"


def test_nobody_is_behind_itself(tmp_path):
    """A trial that died after it was noted is evaluated again."""
    incumbents = Incumbents(tmp_path)
    incumbents.add(1, "a", scores([1.0]))
    assert best(incumbents, but="a") is None
    assert best(incumbents, but="b") == "a"


def test_a_damaged_file_is_passed_over(tmp_path, caplog):
    incumbents = Incumbents(tmp_path)
    incumbents.add(1, "b", scores([2.0]))
    (tmp_path / "racing" / "1" / "a.npz").write_bytes(b"half of a f")
    assert best(incumbents) == "b"
    assert "not compared with a" in caplog.text
    incumbents.add(1, "c", scores([3.0]))
    assert names(tmp_path) == ["a.npz", "b.npz"]


def test_without_room_the_trials_go_on(tmp_path, caplog):
    (tmp_path / "racing").write_text("no folder")
    Incumbents(tmp_path).add(1, "a", scores([1.0]))
    assert "compared with no later one" in caplog.text


@pytest.mark.parametrize("count", [1, 63, 100])
def test_losses_come_back_to_seven_digits(tmp_path, count):
    losses = np.random.default_rng(count).gamma(1.0, 1.0, count)
    Incumbents(tmp_path).add(1, "a", scores(losses.tolist()))
    found = Incumbents(tmp_path).best(1, fingerprint=FINGERPRINT, but="")
    assert list(found.losses.values()) == pytest.approx(losses, rel=1e-6)
