"""The evaluation after the search: of the adapter on disk, of the best trials alone, and once."""

import json
import shutil
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import torch
from ray.exceptions import ActorDiedError

from sweeper.analysis.conclusions import conclusions_of
from sweeper.analysis.ranking import rank_sweep
from sweeper.data import EmbeddedDataSpec, Example, Splits
from sweeper.distributed import rank
from sweeper.errors import AdapterError, TrialError
from sweeper.estimates import to_metrics
from sweeper.evaluation.adapter import evaluate_adapter, evaluate_frozen, with_adapter
from sweeper.evaluation.adapter import evaluating as finals_of
from sweeper.evaluation.final import evaluate_final
from sweeper.evaluation.scoring import evaluate_base
from sweeper.execution.after.final_jobs import final_jobs
from sweeper.execution.pool import ReplicaConfig
from sweeper.execution.pool.worker import ReplicaWorker
from sweeper.experiment.sweep import FinalSpec, ObjectiveSpec, ResourcesSpec
from sweeper.experiment.trial import EvaluationSpec
from sweeper.models import EmbeddedModelSpec
from sweeper.report.document import sweep_result
from sweeper.tracking.final_result import FinalResult, read_final, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, read_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import (
    LoraSpec,
    MasaSpec,
    MtlLoraSpec,
    PissaSpec,
    PromptTuningSpec,
    QloraSpec,
)
from tests.sweeper import scenarios, tiny
from tests.sweeper.evaluation.test_likelihood import ROUNDING
from tests.sweeper.models.test_frozen import snapshot
from tests.sweeper.rows import row_scores

# An adapter file may hold what was trained in another form (PiSSA's is a LoRA of twice the rank).
FORM = 1e-4

METHODS = {
    "lora": LoraSpec(rank=4, targets=tiny.TARGETS),
    "masa": MasaSpec(rank=4, experts=2, group_size=2, targets=tiny.TARGETS),
    "mtl_lora": MtlLoraSpec(rank=4, targets=tiny.TARGETS),
    "pissa": PissaSpec(rank=4, targets=tiny.TARGETS),
    "qlora": QloraSpec(rank=4, targets=tiny.TARGETS),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=3),
}


def trial(name="lora", **settings):
    made = tiny.trial("lora", **({"steps": 4, "evaluations": 1, "eval_examples": 30} | settings))
    return made.model_copy(update={"method": METHODS[name]})


def train_each(folder):
    """Trains a trial of each method on a base without test rows; returns its last evaluation."""
    base = tiny.base()
    base.data.splits = Splits(base.data.splits.train, base.data.splits.validation, ())
    found = {}
    for name in METHODS:
        outcome, *_ = scenarios.attempt(trial(name), folder / name, base=base)
        found[name] = outcome if isinstance(outcome, str) else to_metrics(outcome.metrics)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of the trials, and the last evaluation of each."""
    folder = tmp_path_factory.mktemp("trained")
    (found,) = scenarios.run(train_each, 1, folder)
    return folder, found


def adapter_of(trained, name="lora"):
    return trained[0] / name / "adapter"


@pytest.mark.parametrize("name", METHODS)
def test_the_adapter_on_disk_scores_what_the_trial_scored_in_its_last_evaluation(name, trained):
    base = tiny.base()
    before, weights = snapshot(base.model), [p.clone() for p in base.model.parameters()]
    spec, rows = trial(name), base.data.splits.validation
    found = evaluate_adapter(spec, base, adapter_of(trained, name), rows)
    assert found.metrics == pytest.approx(trained[1][name], rel=FORM)
    kept = read_row_scores(trained[0] / name / VALIDATION_ROWS)
    assert kept is not None
    assert (kept.split, kept.step) == ("validation", 4)
    assert_same_rows(kept, found)
    frozen = evaluate_frozen(spec, base, rows)
    assert frozen.metrics == evaluate_base(base, max_length=16)
    assert found.metrics["eval_loss"] != pytest.approx(frozen.metrics["eval_loss"], rel=1e-3)
    assert snapshot(base.model) == before
    assert all(torch.equal(a, b) for a, b in zip(base.model.parameters(), weights, strict=True))


def assert_same_rows(kept, found, *, rel=FORM):
    assert kept.fingerprint == found.order.fingerprint
    assert kept.metrics.keys() == found.estimates.keys()
    for name, (places, values) in kept.metrics.items():
        expected = found.estimates[name]
        assert tuple(places) == expected.rows
        assert values == pytest.approx(expected.contributions, rel=rel, abs=1e-6)


def test_the_base_is_put_back_from_a_failed_evaluation(trained, monkeypatch):
    base = tiny.base()
    before = snapshot(base.model)

    def fail(*_, **__):
        raise ArithmeticError("in the middle")

    monkeypatch.setattr(finals_of, "evaluate_on", fail)
    with pytest.raises(ArithmeticError):
        evaluate_adapter(trial(), base, adapter_of(trained), base.data.splits.test)
    assert snapshot(base.model) == before


def test_without_an_adapter_there_is_nothing_to_evaluate(tmp_path):
    base = tiny.base()
    with (
        pytest.raises(AdapterError, match=r"is not there; .* restore them .*, or train the trial"),
        with_adapter(trial(), base, tmp_path),
    ):
        pass


def test_rows_of_any_task_can_be_asked(trained):
    base = tiny.base()
    spec = trial().model_copy(update={"evaluation": EvaluationSpec(max_new_tokens=3)})
    examples = [
        Example(f"{n}-", str(n), task="minus", domain="new", metrics=("exact",)) for n in range(3)
    ]
    found = evaluate_adapter(spec, base, adapter_of(trained), examples)
    assert "minus/exact" in found.metrics
    assert found.protocol["generation"] == {"minus": {"max_new_tokens": 3, "stop": []}}


def test_the_final_evaluation_takes_the_whole_split_or_as_many_rows_as_it_is_told(trained):
    base, spec, adapter = tiny.base(), trial(), adapter_of(trained)
    whole, scores = evaluate_final(spec, base, FinalSpec(), adapter=adapter, chosen_by={"place": 1})
    assert (whole.split, whole.rows, whole.rows_in_split) == ("test", 10, 10)
    assert whole.chosen_by == {"place": 1}
    assert whole.protocol["by_likelihood_of_choices"] == 3
    expected = evaluate_adapter(spec, base, adapter, base.data.splits.test)
    assert whole.metrics == expected.metrics
    assert (scores.split, len(scores.strata), scores.step) == ("test", 10, 0)
    assert scores.fingerprint == expected.order.fingerprint
    rows, losses = scores.metrics["eval_loss"]
    assert list(rows) == list(range(10))
    assert losses == pytest.approx(expected.estimates["eval_loss"].contributions, rel=1e-6)
    # Every third example is a letter to choose.
    assert list(scores.metrics["accuracy/letter"][0]) == [1, 4, 7]
    few, scores = evaluate_final(spec, base, FinalSpec(split="validation", rows=7), adapter=adapter)
    assert (few.split, few.rows, few.rows_in_split) == ("validation", 7, 30)
    assert (scores.split, len(scores.strata)) == ("validation", 7)
    frozen, _ = evaluate_final(spec, base, FinalSpec(), adapter=None)
    assert frozen.metrics == evaluate_base(base, max_length=16, split="test")


def test_rows_whose_answer_has_no_room_are_counted(trained):
    base, spec = tiny.base(), trial()
    test = (*base.data.splits.test, Example("1+1=", "1" * 20), Example("1+1=", "2" * 20))
    base.data.splits = Splits(base.data.splits.train, base.data.splits.validation, test)
    found, scores = evaluate_final(spec, base, FinalSpec(), adapter=adapter_of(trained))
    assert len(scores.strata) == 10
    assert (found.rows, found.rows_left_out, found.rows_in_split) == (10, 2, 12)
    assert (found.protocol["rows"], found.protocol["rows_left_out"]) == (10, 2)
    asked = evaluate_adapter(spec, base, adapter_of(trained), test)
    assert (asked.rows, asked.rows_left_out) == ({"": 10}, {"": 2})
    assert found.metrics == asked.metrics


def test_the_memory_of_an_adapter_is_given_back(trained, monkeypatch):
    base, calls = tiny.base(), []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(snapshot(base.model)))
    before = snapshot(base.model)
    with with_adapter(trial(), base, adapter_of(trained)):
        assert snapshot(base.model) != before
        base.device = torch.device("cuda")
    # Once the adapter is out of the base.
    assert calls == [before]


def test_a_split_without_rows_is_an_error():
    base = tiny.base()
    base.data.splits = Splits(base.data.splits.train, base.data.splits.validation, ())
    with pytest.raises(TrialError, match=r"test split of the data is empty.*final\.trials to 0"):
        evaluate_final(trial(), base, FinalSpec(), adapter=None)


def evaluate_on_workers(folder, stage):
    base = tiny.base()
    spec = trial("masa", workers=2, zero_stage=stage)
    scenarios.attempt(spec, folder, base=base)
    kept = read_row_scores(folder / VALIDATION_ROWS) if rank() == 0 else None
    return evaluate_adapter(spec, base, folder / "adapter", base.data.splits.test).metrics, kept


def test_workers_that_shared_a_trial_share_its_evaluation(tmp_path):
    (first, kept), (second, _) = scenarios.run(evaluate_on_workers, 2, tmp_path, 3)
    assert first == second
    base = tiny.base()
    alone = evaluate_adapter(trial("masa"), base, tmp_path / "adapter", base.data.splits.test)
    assert alone.metrics == pytest.approx(first, rel=ROUNDING)
    # Each worker asked a part of them, from long to short; they are kept in their order.
    adapter, rows = tmp_path / "adapter", base.data.splits.validation
    assert_same_rows(kept, evaluate_adapter(trial("masa"), base, adapter, rows), rel=ROUNDING)


# Which trials, and how often.


RESULT = FinalResult(split="test", rows=10, rows_in_split=10, metrics={"eval_loss": 1.5})


@pytest.fixture
def sweep(tmp_path):
    document = {"objective": ObjectiveSpec().model_dump(mode="json")}
    folder = SweepFolder.create(tmp_path, "one", document=document)
    for number, (loss, status) in enumerate(
        [(2.0, "complete"), (1.0, "complete"), (0.5, "prune"), (3.0, "complete")]
    ):
        made = folder.add_trial(
            f"{number:012x}",
            spec=trial(seed=number).model_dump(mode="json"),
            number=number,
            method="lora",
        )
        made.begin()
        made.append(4, {"eval_loss": loss, "eval_loss_se": 0.1})
        {"complete": made.complete, "prune": made.prune}[status]()
    return folder


def numbers(jobs):
    return ["base" if job.is_base else job.number for job in jobs]


def test_the_best_complete_trials_are_chosen_and_the_base_for_contrast(sweep):
    assert numbers(final_jobs(sweep, FinalSpec(trials=2))) == [1, 0, "base"]
    (job, base) = final_jobs(sweep, FinalSpec())
    assert job.chosen_by == {"metric": "eval_loss", "validation": 1.0, "place": 1}
    assert (job.folder, base.folder) == (sweep.trial(f"{1:012x}").path, sweep.path)
    assert len({job.trial_id for job in (job, base)} | {f"{1:012x}"}) == 3
    assert final_jobs(sweep, FinalSpec(trials=0)) == []


def test_what_has_a_result_is_not_done_again_and_what_failed_is(sweep):
    job, base = final_jobs(sweep, FinalSpec())
    write_final(job.folder, FinalResult.failed(FinalSpec(), "no memory"))
    assert numbers(final_jobs(sweep, FinalSpec())) == [1, "base"]
    write_final(job.folder, RESULT)
    assert numbers(final_jobs(sweep, FinalSpec())) == ["base"]
    write_final(base.folder, RESULT)
    assert final_jobs(sweep, FinalSpec()) == []
    with pytest.raises(TrialError, match=r"already holds a result; .* of a trial runs once"):
        write_final(job.folder, RESULT)


def test_results_that_are_no_numbers_survive_the_file(tmp_path):
    write_final(tmp_path, RESULT.model_copy(update={"metrics": {"eval_loss": float("inf")}}))
    found = read_final(tmp_path)
    assert found is not None
    assert found.metrics["eval_loss"] == float("inf")
    assert read_final(tmp_path / "elsewhere") is None


def test_the_report_shows_the_test_score_beside_the_one_that_chose(sweep):
    job, base = final_jobs(sweep, FinalSpec())
    write_final(job.folder, RESULT.model_copy(update={"metrics": {"eval_loss": 1.5}}))
    write_final(base.folder, RESULT.model_copy(update={"metrics": {"eval_loss": 2.5}}))
    sweep.note_protocol({"split": "validation", "rows": 30})
    ranking = rank_sweep(sweep)
    said = conclusions_of(sweep, ranking)
    text = " ".join(said.sentences)
    assert "Best by validation: trial 1 (lora), eval_loss 1.00 ± 0.10 (lower is better)" in text
    assert (
        "On 10 rows of the test split, which chose nothing, it has eval_loss 1.5. The frozen base "
        "has 2.5 there."
    ) in text
    document = sweep_result(sweep, ranking, said, tracking_uri="")
    assert document["best"]["final"]["metrics"] == {"eval_loss": 1.5}
    assert document["base_final"]["rows"] == 10
    assert document["evaluation"] == {"split": "validation", "rows": 30}
    assert [t["final"] is None for t in document["trials"]] == [True, False, True, True]
    json.dumps(document, allow_nan=False)
    # A record of a trial has none of it: it is what the search and the ranking read.
    assert sweep.trial(job.folder.name).read().metrics["eval_loss"] == 1.0


def on_rows(*losses, error="", **fields):
    metrics = {"eval_loss": fmean(losses)}
    result = RESULT.model_copy(update={"metrics": metrics, "error": error})
    return result, row_scores({"eval_loss": losses}, **fields)


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (
            (2.0, 3.1, 4.0),
            "(lora) is better than the frozen base by 1.03 [0.89, 1.18] (95 %",
        ),
        (
            (0.0, 1.0, 2.1),
            "(lora) is worse than the frozen base by 0.97 [0.82, 1.11] (95 %",
        ),
        (
            (0.0, 2.0, 4.0),
            "Not distinguishable yet: The adapter of trial 1 (lora) and the f",
        ),
    ],
)
def test_a_gain_over_the_base_is_that_of_the_same_rows(sweep, base, said):
    job, of_base = final_jobs(sweep, FinalSpec())
    write_final(job.folder, *on_rows(1.0, 2.0, 3.0))
    write_final(of_base.folder, *on_rows(*base))
    assert said in said_of(sweep)
    ranking = rank_sweep(sweep)
    document = sweep_result(sweep, ranking, conclusions_of(sweep, ranking), tracking_uri="")
    gain = document["best"]["final_gains"]["eval_loss"]
    assert gain == pytest.approx(2.0 - fmean(base))


def said_of(sweep):
    return " ".join(conclusions_of(sweep, rank_sweep(sweep)).sentences)


@pytest.mark.parametrize("other", [{"fingerprint": "f" * 16}, {"error": "gone"}])
def test_there_is_no_gain_on_other_rows(sweep, other):
    job, of_base = final_jobs(sweep, FinalSpec())
    write_final(job.folder, *on_rows(1.0, 2.0, 3.0))
    write_final(of_base.folder, *on_rows(2.0, 3.1, 4.0, **other))
    assert rank_sweep(sweep).gains == {}
    assert "adapter of trial" not in said_of(sweep)


def test_there_is_no_gain_without_rows(sweep):
    job, of_base = final_jobs(sweep, FinalSpec())
    write_final(job.folder, *on_rows(1.0, 2.0, 3.0))
    # As an earlier version left it.
    write_final(of_base.folder, on_rows(2.0, 3.1, 4.0)[0])
    (of_base.folder / "final_rows.json").write_text('{"eval_loss": [2.0, 3.1, 4.0]}')
    assert rank_sweep(sweep).gains == {}
    assert "The frozen base has 3.033 there." in said_of(sweep)
    assert sweep.damage() == []
    (of_base.folder / "final_rows.npz").write_bytes(b"PK")
    assert rank_sweep(sweep).gains == {}


def test_the_report_tells_what_the_final_evaluation_left_out(sweep):
    job, _ = final_jobs(sweep, FinalSpec())
    write_final(job.folder, RESULT.model_copy(update={"rows_left_out": 3}))
    assert "On 10 rows of the test split (3 left out: answer too long), wh" in said_of(sweep)


def test_a_failed_final_evaluation_is_told(sweep):
    job, _ = final_jobs(sweep, FinalSpec())
    write_final(job.folder, FinalResult.failed(FinalSpec(), "OSError: no room"))
    assert "No final score of trial 1 (lora): OSError: no room." in said_of(sweep)


# In a worker.


class Pool:
    """Takes what a worker tells its pool."""

    def __init__(self):
        self.ended: list[tuple[Any, ...]] = []
        self.done = SimpleNamespace(remote=self._done)
        self.status = SimpleNamespace(remote=dict)

    def _done(self, trial_id, status, *, metrics, error=""):
        self.ended.append((trial_id, status, dict(metrics), error))


@pytest.fixture
def worker(monkeypatch):
    made = ReplicaWorker.__new__(ReplicaWorker)
    pool: Any = Pool()
    made._pool, made._rank, made._control = pool, 0, None
    monkeypatch.setattr(ray, "get", lambda value: value)
    return made


def test_a_replica_evaluates_what_it_is_told(sweep, worker, trained):
    base, test = tiny.base(), tiny.base().data.splits.test
    job, of_base = final_jobs(sweep, FinalSpec())
    shutil.copytree(adapter_of(trained), job.folder / "adapter")
    for one in (job, of_base):
        worker.run(one, base)
    assert worker._pool.ended == [(one.trial_id, "complete", {}, "") for one in (job, of_base)]
    found, frozen = read_final(job.folder), read_final(sweep.path)
    assert found is not None
    assert frozen is not None
    assert found.rows == frozen.rows == len(test)
    assert found.chosen_by == job.chosen_by
    expected = evaluate_adapter(trial(seed=1), base, job.folder / "adapter", test)
    assert found.metrics == expected.metrics
    assert frozen.metrics == evaluate_base(base, max_length=16, split="test")
    assert final_jobs(sweep, FinalSpec()) == []
    # Gains over the base, of the same examples one by one.
    found_gains = rank_sweep(sweep).gains[job.folder.name]
    ours = expected.estimates["eval_loss"].contributions
    theirs = evaluate_frozen(trial(seed=1), base, test).estimates["eval_loss"].contributions
    differences = [one - other for one, other in zip(ours or (), theirs or (), strict=True)]
    gain = found_gains["eval_loss"]
    assert gain.value == pytest.approx(fmean(differences))
    assert gain.standard_error == pytest.approx(stdev(differences) / len(test) ** 0.5, rel=1e-4)
    assert set(found_gains) == {name for name in found.metrics if not name.endswith("_se")}


def test_the_replica_that_scores_the_base_keeps_its_rows(sweep, worker, trained, monkeypatch):
    worker._replica = 0
    worker._pool.claim_base = SimpleNamespace(remote=lambda replica: replica == 0)
    worker._config = ReplicaConfig(
        sweep_folder=sweep.path,
        model=EmbeddedModelSpec(),
        data=EmbeddedDataSpec(),
        train=trial().train,
        precision="fp32",
        resources=ResourcesSpec(),
    )
    monkeypatch.setattr("sweeper.models.load_base", lambda *_, **__: tiny.base())
    worker.load()
    kept = read_row_scores(sweep.path / VALIDATION_ROWS)
    of_trial = read_row_scores(trained[0] / "lora" / VALIDATION_ROWS)
    assert kept is not None
    assert of_trial is not None
    assert (kept.fingerprint, kept.split, kept.step) == (of_trial.fingerprint, "validation", 0)
    assert kept.metrics.keys() == of_trial.metrics.keys()
    for name, (rows, values) in kept.metrics.items():
        assert list(rows) == list(of_trial.metrics[name][0])
        assert values.mean() == pytest.approx(sweep.base_scores()[name])


def test_a_job_that_comes_again_is_not_done_again(sweep, worker, trained, monkeypatch):
    job, _ = final_jobs(sweep, FinalSpec())
    shutil.copytree(adapter_of(trained), job.folder / "adapter")
    worker.run(job, tiny.base())
    first = (job.folder / "final.json").read_text()
    monkeypatch.setattr(
        "sweeper.evaluation.final.evaluate_final", lambda *_, **__: pytest.fail("again")
    )
    worker.run(job, tiny.base())
    assert (job.folder / "final.json").read_text() == first
    assert [status for _, status, _, _ in worker._pool.ended] == ["complete", "complete"]


def test_a_final_evaluation_that_fails_leaves_the_trial_complete(sweep, worker):
    job, _ = final_jobs(sweep, FinalSpec())
    worker.run(job, tiny.base())
    ((trial_id, status, _, error),) = worker._pool.ended
    assert (trial_id, status) == (job.trial_id, "failed")
    assert "adapter is not there" in error
    found = read_final(job.folder)
    assert found is not None
    assert found.error == error
    assert sweep.trial(job.folder.name).read().status == "complete"
    assert not (sweep.path / "record.json").exists()


def test_where_the_pool_has_died_no_job_is_to_blame(sweep, worker):
    def die():
        raise ActorDiedError

    worker._pool.status = SimpleNamespace(remote=die)
    job, _ = final_jobs(sweep, FinalSpec())
    worker.run(job, tiny.base())
    assert worker._pool.ended == []
    assert read_final(job.folder) is None
    queued = sweep.add_trial("b" * 12, spec={}, number=9, method="lora")
    worker._note_failed(job, RuntimeError("no word"), lambda: queued.fail("RuntimeError", "no"))
    assert queued.read().status == "queued"
