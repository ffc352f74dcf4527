"""What each row loses is kept of every evaluation of a trial where that is asked for."""

import pytest

from sweeper.experiment.trial import EvaluationSpec, TrialSpec
from sweeper.tracking.row_scores import VALIDATION_ROWS, read_row_scores, rows_at
from tests.sweeper import scenarios, tiny

# The rows are kept as float32.
ROUNDING = 1e-6


def asking(keep_rows="every", *, workers=2) -> TrialSpec:
    """A trial with an evaluation after each of four steps."""
    spec = tiny.trial(workers=workers, steps=4, evaluations=4)
    return spec.model_copy(update={"evaluation": EvaluationSpec(keep_rows=keep_rows)})


def there(folder) -> set[str]:
    return {path.name for path in folder.glob(f"{VALIDATION_ROWS.partition('.')[0]}*")}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Reports of a trial, and its folder, beside one that was broken off and resumed."""
    folder = tmp_path_factory.mktemp("kept")
    cases = [
        (asking(), folder / "through", {}),
        (asking(), folder / "broken", {"fail_at": 2}),
        (asking(), folder / "broken", {}),
        (asking(), folder / "pruned", {"stop_at": 2}),
        (asking("last"), folder / "last", {}),
    ]
    ran, _ = scenarios.run(scenarios.attempts, 2, cases)
    return ran[0][3], folder


def test_every_evaluation_has_a_file_whose_mean_is_what_it_reported(kept):
    reports, folder = kept
    assert there(folder / "through") == {VALIDATION_ROWS, *map(rows_at, (1, 2, 3, 4))}
    assert [step for step, *_ in reports] == [1, 2, 3, 4]
    for step, metrics, _ in reports:
        found = read_row_scores(folder / "through" / rows_at(step))
        assert found is not None
        assert (found.step, found.split) == (step, "validation")
        rows, values = found.metrics["eval_loss"]
        assert len(rows) == len(found.strata) == 9
        assert values.mean() == pytest.approx(metrics["eval_loss"], rel=ROUNDING)
    first, last = (read_row_scores(folder / "through" / rows_at(step)) for step in (1, 4))
    assert first is not None
    assert last is not None
    assert (first.metrics["eval_loss"][1] != last.metrics["eval_loss"][1]).all()


def test_the_last_one_is_that_of_a_complete_trial(kept):
    through = kept[1] / "through"
    assert (through / rows_at(4)).read_bytes() == (through / VALIDATION_ROWS).read_bytes()


def test_a_trial_that_resumes_has_the_same_files(kept):
    through, broken = kept[1] / "through", kept[1] / "broken"
    assert there(broken) == there(through)
    for name in there(through):
        assert (broken / name).read_bytes() == (through / name).read_bytes()


def test_a_trial_that_was_stopped_has_those_of_its_evaluations(kept):
    assert there(kept[1] / "pruned") == {rows_at(1), rows_at(2)}


def test_unless_it_is_asked_for_nothing_else_is_kept_and_no_identity_changes(kept):
    assert there(kept[1] / "last") == {VALIDATION_ROWS}
    plain = tiny.trial()
    assert "keep_rows" not in plain.model_dump()["evaluation"]
    assert asking("last").identity() != asking("every").identity()
