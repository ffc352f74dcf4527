"""A trial in a warm replica is the trial in a fresh one; what it leaves behind, and how it ends."""

import json
import logging
import math
import shutil
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import pytest
import torch

from sweeper.errors import TrialError
from sweeper.estimates import to_metrics
from sweeper.models.snapshot import ModelSnapshot
from sweeper.tracking.row_scores import VALIDATION_ROWS
from sweeper.training import checkpoint
from sweeper.training.trial import train
from sweeper_adapters.methods import LoraSpec
from tests.sweeper import scenarios, tiny
from tests.sweeper.models.test_frozen import snapshot

STAGES = (0, 1, 2, 3)

# Two workers sum the same float32 numbers as one does, in another order; a few steps of AdamW
# enlarge what rounding leaves.
SUM_ORDER = 2e-4

DROPOUT = tiny.METHODS["lora"].model_copy(update={"dropout": 0.2})


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (0, ["lora", "masa", "lora"]),
        pytest.param(1, ["masa", "mosa", "masa"], marks=pytest.mark.whole),
        pytest.param(2, ["masa", "lora", "masa"], marks=pytest.mark.whole),
        (3, ["masa", "mosa", "masa"]),
        pytest.param(3, ["mosa", "lora", "mosa"], marks=pytest.mark.whole),
    ],
)
def test_a_warm_replica_gives_bit_for_bit_what_a_fresh_one_gives(stage, names, tmp_path):
    # With accumulation where it is cheap.
    settings = {"zero_stage": stage, "gradient_accumulation": 1 if stage == 3 else 2}
    specs = [tiny.trial(name, workers=2, **settings) for name in names]
    (fresh,), _ = scenarios.run(scenarios.trials, 2, specs[:1], tmp_path / "fresh")
    warm, _ = scenarios.run(scenarios.trials, 2, specs, tmp_path / "warm")
    losses, reports = fresh
    assert len(losses) == 3
    assert len(reports) == 2
    assert warm[0] == warm[2] == fresh
    assert warm[1][0] != losses
    files = [tmp_path / name for name in ("fresh/0", "warm/0", "warm/2")]
    saved = [tiny.weights(folder) for folder in files]
    for other in saved[1:]:
        assert other.keys() == saved[0].keys()
        assert all(torch.equal(other[name], saved[0][name]) for name in other)


def look_at_base(spec, folder):
    base = tiny.base()
    before, weights = snapshot(base.model), [p.clone() for p in base.model.parameters()]
    buffers = [b.clone() for b in base.model.buffers()]
    outcome, *_ = scenarios.attempt(spec, folder, base=base)
    same = all(torch.equal(a, b) for a, b in zip(base.model.parameters(), weights, strict=True))
    same &= all(torch.equal(a, b) for a, b in zip(base.model.buffers(), buffers, strict=True))
    after = snapshot(base.model)
    return outcome.status, same, [name for name in before if before[name] != after[name]]


def look_at_bases(folder):
    return [
        look_at_base(
            tiny.trial(name, workers=2, zero_stage=stage, gradient_checkpointing=stage == 2),
            Path(folder) / f"{name}-{stage}",
        )
        for stage, name in [(0, "masa"), (1, "lora"), (2, "masa"), (3, "mosa")]
    ]


def test_a_trial_leaves_the_base_as_it_was(tmp_path):
    for found in scenarios.run(look_at_bases, 2, tmp_path):
        assert found == [("complete", True, [])] * 4


def test_two_workers_give_the_losses_of_one_with_twice_the_batch(tmp_path):
    settings: dict[str, Any] = {"steps": 4, "evaluations": 1, "learning_rate": 1e-3}
    alone = tiny.trial("masa", batch_size=4, **settings)
    together = [
        tiny.trial("masa", workers=2, batch_size=2, zero_stage=stage, **settings)
        for stage in STAGES
    ]
    (one,) = scenarios.run(scenarios.trials, 1, [alone], tmp_path / "one")
    two, _ = scenarios.run(scenarios.trials, 2, together, tmp_path / "two")
    losses, reports = one[0]
    for other_losses, other_reports in two:
        assert other_losses == pytest.approx(losses, rel=SUM_ORDER)
        assert other_reports[-1][1]["eval_loss"] == pytest.approx(
            reports[-1][1]["eval_loss"], rel=SUM_ORDER
        )


def test_recomputing_activations_changes_no_loss(tmp_path):
    specs = [
        tiny.trial("masa", workers=2, zero_stage=stage, gradient_checkpointing=is_on)
        for is_on in (False, True)
        for stage in STAGES
    ]
    found = scenarios.run(scenarios.trials, 2, specs, tmp_path)[0]
    assert found[:4] == found[4:]


# Interruptions.


def dropping(stage, **settings):
    spec = tiny.trial("lora", workers=2, zero_stage=stage, steps=5, evaluations=2, **settings)
    return spec.model_copy(update={"method": DROPOUT})


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """One trial for each kind of engine: through, broken off at step 2 of 5, and resumed."""
    folder = tmp_path_factory.mktemp("interrupted")
    specs = [dropping(stage) for stage in STAGES]
    specs += [dropping(stage, precision="bf16") for stage in (0, 2)]
    names = [f"{spec.engine.zero_stage}-{spec.engine.precision}" for spec in specs]
    runs = {}
    for run, fate in [("through", {}), ("broken", {"fail_at": 2}), ("resumed", {})]:
        place = "through" if run == "through" else "broken"
        cases = [(s, folder / n / place, fate) for s, n in zip(specs, names, strict=True)]
        if run == "resumed":
            shutil.copytree(folder, folder.with_name("copy"))
        runs[run] = scenarios.run(scenarios.attempts, 2, cases)
    return {
        name: {run: [rank[number] for rank in ranks] for run, ranks in runs.items()}
        for number, name in enumerate(names)
    }, (folder.with_name("copy"), folder)


KINDS = ["0-fp32", "1-fp32", "2-fp32", "3-fp32", "0-bf16", "2-bf16"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_that_resumes_gives_bit_for_bit_the_later_losses(interrupted, kind):
    runs = interrupted[0][kind]
    _, steps, losses, reports = runs["through"][0]
    assert steps == [1, 2, 3, 4, 5]
    outcome, steps_after, losses_after, reports_after = runs["resumed"][0]
    assert steps_after == [3, 4, 5]
    assert losses_after == losses[2:]
    # The report of the checkpoint comes again: nobody knows whether it arrived.
    assert [step for step, *_ in reports_after] == [2, 5]
    assert reports_after == reports
    assert outcome.resumed_at == 2
    assert outcome.steps == 5
    assert outcome.train_tokens == runs["through"][0][0].train_tokens
    assert 0 < outcome.attempt_train_time_s < outcome.train_time_s
    # What the rows contribute is kept at the end alone, and is the same.
    before, after = (place / kind for place in interrupted[1])
    assert not (before / "broken" / VALIDATION_ROWS).exists()
    kept = [(after / run / VALIDATION_ROWS).read_bytes() for run in ("through", "broken")]
    assert kept[0] == kept[1]


def test_dropout_was_in_play(interrupted, tmp_path):
    # Otherwise the random state in the checkpoint would not have been tested.
    to_metrics = tiny.trial("lora", workers=2, steps=2, evaluations=1)
    losses = scenarios.run(scenarios.attempts, 2, [(to_metrics, tmp_path, {})])[0][0][2]
    dropped = interrupted[0]["0-fp32"]["through"][0][2]
    assert losses[0] == dropped[0]
    assert losses[1] != dropped[1]


def test_a_folder_that_cannot_be_written_fails_the_trial_on_all_workers(tmp_path):
    (tmp_path / "file").touch()
    cases: list[Any] = [(tiny.trial(workers=2), tmp_path / "file", {})]
    for ((error, *_),) in scenarios.run(scenarios.attempts, 2, cases):
        assert error.startswith("TrialError: the checkpoint in ")
        assert "could not be written: NotADirectoryError" in error


def test_a_failed_report_fails_the_trial_on_all_workers(interrupted):
    first, second = interrupted[0]["0-fp32"]["broken"]
    assert first[0] == "ConnectionError: the pool is gone"
    assert second[0].startswith("TrialError: worker 0 could not report an evaluation")


def elements(value) -> int:
    """Elements of all tensors in a checkpoint's file."""
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, dict):
        return sum(elements(item) for item in value.values())
    return sum(elements(item) for item in value) if isinstance(value, list | tuple) else 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_holds_adapter_and_optimizer_and_not_the_base(interrupted, kind):
    runs, (folder, _) = interrupted
    outcome = runs[kind]["through"][0][0]
    (path,) = (folder / kind / "broken" / "checkpoint").iterdir()
    assert path.name == "step-00000002"
    hashes = json.loads((path / "manifest.json").read_text())["files"]
    files = ["manifest.json", "rank-0.pt", "rank-1.pt", "shared.pt"]
    assert sorted(file.name for file in path.iterdir()) == files
    held = 0
    for name in files[1:]:
        content = checkpoint._load(path / name, hashes[name])
        content.pop("random", None)
        held += elements(content)
    # The adapter, two moments, with ZeRO a copy in float32; small change for steps and padding.
    assert outcome.trainable * 3 <= held <= outcome.trainable * 4 + 200


@pytest.mark.parametrize("stage", STAGES)
def test_the_last_two_checkpoints_are_kept(interrupted, stage):
    _, (_, done) = interrupted
    paths = list((done / f"{stage}-fp32" / "through" / "checkpoint").iterdir())
    assert sorted(path.name for path in paths) == ["step-00000002", "step-00000005"]


def spoil(path: Path, how: str) -> None:
    (path,) = path.glob("checkpoint/step-*")
    if how == "torn":
        content = (path / "rank-0.pt").read_bytes()
        (path / "rank-0.pt").write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        flipped = bytearray((path / "shared.pt").read_bytes())
        flipped[len(flipped) // 2] ^= 1
        (path / "shared.pt").write_bytes(flipped)
    elif how == "incomplete":
        (path / "rank-1.pt").unlink()
    elif how == "without manifest":
        (path / "manifest.json").write_text("{")
    elif how == "of another trial":
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["identity"] = "0" * 12
        (path / "manifest.json").write_text(json.dumps(manifest))


SPOILT = ["torn", "flipped", "incomplete", "without manifest", "of another trial"]


def resume_spoilt(cases):
    handler = BufferingHandler(1000)
    logging.getLogger("sweeper.training.checkpoint").addHandler(handler)
    found = []
    for spec, folder in cases:
        handler.buffer.clear()
        outcome, steps, *_ = scenarios.attempt(spec, folder)
        messages = [record.getMessage() for record in handler.buffer]
        found.append((outcome.resumed_at, steps, messages))
    return found


def test_a_checkpoint_that_cannot_be_used_is_passed_over(interrupted, tmp_path):
    cases = []
    for how in SPOILT:
        shutil.copytree(interrupted[1][0] / "2-fp32" / "broken", tmp_path / how)
        spoil(tmp_path / how, how)
        cases.append((dropping(2), tmp_path / how))
    for rank, found in enumerate(scenarios.run(resume_spoilt, 2, cases)):
        for resumed_at, steps, warnings in found:
            assert resumed_at == 0
            assert steps == ([1, 2, 3, 4, 5] if rank == 0 else [])
            assert len(warnings) == 1
            assert warnings[0].startswith("ignoring checkpoint")


def test_a_trial_that_is_done_returns_at_once(interrupted, tmp_path):
    runs, (_, done) = interrupted
    shutil.copytree(done / "1-fp32" / "through", tmp_path / "done")
    shutil.rmtree(tmp_path / "done" / "adapter")
    cases: list[Any] = [(dropping(1), tmp_path / "done", {})]
    outcome, steps, _, reports = scenarios.run(scenarios.attempts, 2, cases)[0][0]
    before = runs["1-fp32"]["through"][0]
    assert steps == []
    assert reports == before[3][-1:]
    assert outcome.status == "complete"
    assert to_metrics(outcome.metrics) == to_metrics(before[0].metrics)
    assert (tmp_path / "done" / "adapter" / "adapter_model.safetensors").is_file()


# How a trial ends.


def stop(spec, folder):
    outcome, steps, *_ = scenarios.attempt(spec, Path(folder), stop_at=1)
    return outcome.status, outcome.steps, steps


def test_a_trial_stops_on_all_workers_when_it_is_told_to(tmp_path):
    found = scenarios.run(stop, 2, tiny.trial(workers=2), tmp_path)
    assert found == [("pruned", 1, [1]), ("pruned", 1, [])]
    assert tiny.weights(tmp_path)


def test_a_trial_that_pauses_between_evaluations_goes_on_bit_for_bit(tmp_path):
    cases = [
        (dropping(stage), tmp_path / f"{stage}-{place}", fate)
        for stage in (0, 2)
        for place, fate in [("through", {}), ("paused", {"courses": {3: "pause"}}), ("paused", {})]
    ]
    for ranks in scenarios.run(scenarios.attempts, 2, cases):
        for through, paused, resumed in (ranks[:3], ranks[3:]):
            assert [found[0].status for found in (through, paused, resumed)] == [
                *("complete", "paused", "complete")
            ]
            assert (paused[0].steps, resumed[0].resumed_at) == (3, 3)
            assert paused[2] + resumed[2] == through[2]
            # Nothing is reported again: the checkpoint is of no evaluation.
            assert paused[3] + resumed[3] == through[3]
            assert resumed[0].train_tokens == through[0].train_tokens
    for stage in (0, 2):
        kept = [tiny.weights(tmp_path / f"{stage}-{place}") for place in ("through", "paused")]
        assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_a_paused_trial_has_a_checkpoint_and_no_adapter(tmp_path):
    spec = tiny.trial(steps=4, evaluations=1)
    cases = [(spec, tmp_path, {"courses": {2: "pause"}})]
    scenarios.run(scenarios.attempts, 1, cases)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["step-00000002"]
    assert not (tmp_path / "adapter").exists()


def test_a_trial_that_its_owner_stops_leaves_its_adapter_as_it_stands(tmp_path):
    fate = {"courses": {1: "stop"}}
    cases = [(dropping(0), tmp_path / "stopped", fate)]
    ((first,), (other,)) = scenarios.run(scenarios.attempts, 2, cases)
    assert [(found[0].status, found[0].steps) for found in (first, other)] == [("stopped", 1)] * 2
    assert first[0].metrics == {}
    assert tiny.weights(tmp_path / "stopped")


@pytest.mark.parametrize("course", ["stop", "pause"])
def test_a_trial_that_has_taken_its_last_step_is_complete_whatever_it_is_told(course, tmp_path):
    spec = tiny.trial(steps=2, evaluations=1)
    cases = [(spec, tmp_path, {"courses": {2: course}})]
    outcome, *_ = scenarios.run(scenarios.attempts, 1, cases)[0][0]
    assert outcome.status == "complete"
    assert tiny.weights(tmp_path)


def fail_on_one_base(cases):
    """Trials on one base, of which all but the last fail; the last shows that it is unharmed."""
    base = tiny.base()
    found = [
        scenarios.attempt(spec, Path(folder), base=base, **fate) for spec, folder, fate in cases
    ]
    return [(outcome, losses) for outcome, _, losses, _ in found]


class HalfInjected(LoraSpec):
    """A method that fails with the adapter in place."""

    def inject(self, model, *, seed):
        super().inject(model, seed=seed)
        raise ValueError("only half of it")


@pytest.mark.parametrize("stage", [0, 3])
def test_a_failed_trial_harms_no_other(stage, tmp_path):
    spec = tiny.trial(zero_stage=stage)
    half = spec.model_copy(update={"method": HalfInjected(rank=4, targets=tiny.TARGETS)})
    cases = [
        (half, tmp_path / "0", {}),
        (spec, tmp_path / "1", {"die_at": 2}),
        (spec, tmp_path / "2", {"is_out_of_memory": True}),
        (spec, tmp_path / "3", {}),
    ]
    found = scenarios.run(fail_on_one_base, 1, cases)[0]
    assert found[0][0] == "ValueError: only half of it"
    assert found[1][0] == "InterruptedError: died at step 2"
    assert found[2][0].startswith("OutOfMemoryError")
    (fresh,) = scenarios.run(scenarios.trials, 1, [spec], tmp_path / "fresh")
    assert found[3][1] == fresh[0][0]


def diverge(spec, folder):
    base = tiny.base()
    weight = base.model.model.norm.weight.data
    before = weight.clone()
    weight.fill_(math.inf)
    found, *_ = scenarios.attempt(spec, Path(folder), base=base)
    # ZeRO-3 has put other memory in its place.
    base.model.model.norm.weight.data.copy_(before)
    again, *_ = scenarios.attempt(spec, Path(folder) / "again", base=base)
    return found, again.status


@pytest.mark.parametrize("stage", [0, 3])
def test_a_diverged_trial_fails_alike_on_all_workers(stage, tmp_path):
    found = scenarios.run(diverge, 2, tiny.trial(workers=2, zero_stage=stage), tmp_path)
    for error, status in found:
        assert error.startswith("DivergedError: the training loss is")
        assert "at step 1 with learning rate 0.01" in error
        assert status == "complete"


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"workers": 2}, "workers of the trial is 2 but the replica has 1"),
        ({"engine": tiny.trial(precision="bf16").engine}, "engine.precision of the trial is bf16"),
    ],
)
def test_a_trial_for_another_replica_is_refused(update, message, tmp_path):
    spec = tiny.trial().model_copy(update=update)
    with pytest.raises(TrialError, match=message):
        train(spec, tiny.base(), folder=tmp_path, progress=tiny.Recorded())


# What a trial leaves behind.


def test_the_logs_of_each_step_are_complete(tmp_path):
    (logged,) = scenarios.run(scenarios.logged, 1, tiny.trial(warmup_ratio=0.25))
    assert [set(metrics) for metrics in logged] == [
        {"train_loss", "learning_rate", "grad_norm", "train_tokens", "step_time_s"}
    ] * 3
    assert logged[0]["learning_rate"] == pytest.approx(0.005)
    assert 0 < logged[0]["train_tokens"] < logged[2]["train_tokens"]
    assert all(math.isfinite(value) for metrics in logged for value in metrics.values())


def score_adapter(folder):
    from peft import PeftModel

    from sweeper.estimates import to_metrics
    from sweeper.evaluation.scoring import evaluate

    base = tiny.base()
    kept = ModelSnapshot(base.model)
    model = PeftModel.from_pretrained(base.model, str(folder / "adapter")).eval()

    def forward(**inputs):
        return model(**inputs).logits

    questions = base.data.questions(max_length=16, count=9)
    with torch.no_grad():
        found = to_metrics(evaluate(forward, questions, pad_id=0, device=base.device))
    kept.restore()
    return found


def test_the_adapter_is_whole_and_gives_the_last_metrics(tmp_path):
    kinds = [(name, 3) for name in tiny.METHODS] + [("masa", 0), ("lora", 2)]
    specs = [tiny.trial(name, workers=2, zero_stage=stage) for name, stage in kinds]
    found = scenarios.run(scenarios.trials, 2, specs, tmp_path)[0]
    for number, (spec, (_, reports)) in enumerate(zip(specs, found, strict=True)):
        folder = tmp_path / str(number)
        saved = tiny.weights(folder)
        assert sum(x.numel() for x in saved.values()) == spec.method.count(tiny.shape())
        score = score_adapter(folder)
        assert score["eval_loss"] == pytest.approx(reports[-1][1]["eval_loss"], rel=SUM_ORDER)
