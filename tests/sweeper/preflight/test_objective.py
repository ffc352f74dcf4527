"""An objective that no evaluation in training has is refused, with those that they have."""

import json

import pytest
import yaml

from sweeper.errors import SpecError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import EvaluationSpec
from sweeper.preflight.checks import require_runnable
from sweeper.preflight.objective import metric_names, require_objective
from sweeper.preflight.plan import plan_of
from tests.places import SPACES
from tests.sweeper import arc, tiny
from tests.sweeper.evaluation.test_task_scores import answers, ask, base, choice, written

SPACE = SPACES / "masa.yaml"

MIXTURES = {
    "no task": list(tiny.base().data.splits.validation[:12]),
    "choices": [choice(n, group="ab"[n % 2], domain="xyz"[n % 3]) for n in range(6)],
    "written": [written(n, domain="xy"[n % 2]) for n in range(4)],
    "both": [*[choice(n) for n in range(3)], *[written(n) for n in range(3)]],
    "no encoder": [written(n, "talk", ("bert_score", "exact")) for n in range(3)],
    "losses": [written(n, "text", ("perplexity",)) for n in range(3)],
}


@pytest.mark.parametrize("generates", [False, True])
@pytest.mark.parametrize("name", MIXTURES)
def test_the_names_are_those_of_an_evaluation(name, generates, monkeypatch):
    examples = MIXTURES[name]
    found = base(*examples)
    answers(monkeypatch, ["1"] * len(examples))
    spec = EvaluationSpec(generates=generates)
    metrics = ask(found, spec)
    expected = {own for own in metrics if own.removesuffix("_se") == own}
    assert set(metric_names(examples, spec, generates=generates)) == expected


@pytest.fixture
def sweep(tmp_path):
    """Takes an objective and overrides; of a task whose answers are written."""
    for split in ("train", "test"):
        arc.write_rows(tmp_path / f"commonsense/ARC-Easy/{split}.jsonl", arc.rows())
    data = f"data={{kind: tasks, root: {tmp_path}, train: [arc_easy], validation_fraction: 0.2}}"

    def load(metric, *overrides):
        wanted = f"objective={{metric: {metric}, mode: max}}"
        return load_sweep(SPACE, overrides=[data, wanted, *overrides])

    return load


def test_a_score_of_generated_answers_needs_generation(sweep):
    for metric in ("accuracy", "arc_easy/option"):
        with pytest.raises(SpecError, match=r"set evaluation\.generates to true") as caught:
            require_objective(sweep(metric))
        known = "reported are eval_loss, arc_easy/loss, arc_easy/greedy_exact; it scores generated"
        assert f"objective.metric: got '{metric}', which" in str(caught.value)
        assert known in str(caught.value)
        require_objective(sweep(metric, "evaluation.generates=true"))
    require_objective(sweep("arc_easy/greedy_exact"))


def test_a_name_of_no_metric_is_told_with_the_nearest(sweep):
    message = r"reported are eval_loss, .*; did you mean 'arc_easy/greedy_exact'\?"
    with pytest.raises(SpecError, match=message):
        require_objective(sweep("arc_easy/greedy"))
    with pytest.raises(SpecError, match="arc_easy/option, accuracy; name one of them"):
        require_objective(sweep("zzz", "evaluation.generates=true"))


def test_nothing_is_read_where_the_loss_is_optimised(monkeypatch):
    sweep = load_sweep(SPACE)
    monkeypatch.setattr(type(sweep.spec.data), "load", lambda self: pytest.fail("it is read"))
    require_objective(sweep)


def test_neither_a_plan_nor_a_sweep_begins_with_it(sweep):
    with pytest.raises(SpecError, match="which evaluations during training do not report"):
        plan_of(sweep("accuracy"))
    with pytest.raises(SpecError, match="which evaluations during training do not report"):
        require_runnable(sweep("accuracy"))


@pytest.fixture
def design(tmp_path, sweep):
    """Takes overrides; of a design on the data of the task whose answers are written."""
    data = sweep("eval_loss").document["data"]
    path = tmp_path / "design.yaml"
    document = {
        "name": "design",
        "methods": [{"name": "lora"}, {"name": "mosa"}],
        "design": {"kind": "paired", "tune": None, "seeds": 2},
    }
    path.write_text(yaml.safe_dump(document))

    def load(*overrides):
        return load_sweep(path, overrides=[f"data={json.dumps(data)}", *overrides])

    return load


def test_what_a_design_is_compared_by_is_reported_of_the_test_rows(design):
    require_objective(design("final.metric=accuracy"))
    with pytest.raises(
        SpecError, match=r"final\.metric: got 'bleu', which the evaluation of the te"
    ):
        require_objective(design("final.metric=bleu"))
