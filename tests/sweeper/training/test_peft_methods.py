"""PEFT's own methods in training: the base stays as it was, and files do what was trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from sweeper.evaluation.scoring import evaluate
from sweeper_adapters.methods import (
    AdaloraSpec,
    DoraSpec,
    EngineFacts,
    HiraSpec,
    Method,
    PissaSpec,
    PromptTuningSpec,
    PTuningSpec,
    QloraSpec,
    VbloraSpec,
)
from tests.sweeper import scenarios, tiny
from tests.sweeper.models.test_frozen import snapshot, tensors_left
from tests.whole import few

STAGES = (0, 1, 2, 3)
# The file is computed with in another order than what was trained; relative.
FORM = 1e-5
# ZeRO-3 sums in another order; a few steps of AdamW enlarge what rounding leaves.
SUM_ORDER = 2e-4

METHODS: dict[str, Method] = {
    "dora": DoraSpec(rank=4, targets=tiny.TARGETS, dropout=0.2),
    "pissa": PissaSpec(rank=4, targets=tiny.TARGETS),
    "qlora": QloraSpec(rank=4, targets=tiny.TARGETS),
    "hira": HiraSpec(rank=4, targets=tiny.TARGETS),
    "vblora": VbloraSpec(rank=2, vectors=6, vector_length=16, targets=tiny.TARGETS),
    "vblora-top-k": VbloraSpec(
        rank=2, vectors=6, vector_length=16, saves_top_k=True, targets=tiny.TARGETS
    ),
    # Of six steps one warms up, and in the last two the ranks are final.
    "adalora": AdaloraSpec(
        initial_rank=4, target_rank=2, warmup_share=0.2, final_share=0.4, targets=tiny.TARGETS
    ),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=3),
    "p_tuning": PTuningSpec(virtual_tokens=3),
    "p_tuning-lstm": PTuningSpec(virtual_tokens=3, encoder="lstm", encoder_size=5),
}
HERE = EngineFacts(zero_stage=0, workers=2, precision="fp32", has_gpu=False, batch_size=2)
each = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.skip(why) for _, why in spec.engine_problems(HERE)])
        for name, spec in METHODS.items()
    ],
)


def trial(name, **settings):
    standard: dict[str, Any] = {"steps": 4, "evaluations": 1, "eval_examples": 4, "workers": 2}
    spec = tiny.trial("lora", **(standard | settings))
    return spec.model_copy(update={"method": METHODS[name]})


def reloaded(spec, folder):
    """What the adapter's file makes of a new base, in its last evaluation."""
    base = tiny.base(spec.engine.precision)
    spec.method.prepare_base(base.model)
    model = PeftModel.from_pretrained(base.model, str(folder / "adapter"))
    virtual_tokens = spec.method.tokens_before

    def forward(*, logits_to_keep, domains, **inputs):
        kept = torch.nn.functional.pad(logits_to_keep, (virtual_tokens, 0))
        return model(**inputs, logits_to_keep=kept).logits

    train = spec.train
    questions = base.data.questions(max_length=train.max_length, count=train.eval_examples)
    with torch.no_grad():
        found = evaluate(forward, questions, pad_id=base.pad_id, device=base.device)
    return found["eval_loss"].value


def look(spec, folder, **fate):
    """Trains one trial; returns what became of it, and what it has left in the base."""
    base = tiny.base(spec.engine.precision)
    before, weights = snapshot(base.model), [p.clone() for p in base.model.parameters()]
    outcome, steps, losses, reports = scenarios.attempt(spec, folder, base=base, **fate)
    same = all(torch.equal(a, b) for a, b in zip(base.model.parameters(), weights, strict=True))
    after = snapshot(base.model)
    traces = [name for name in before if before[name] != after[name]]
    return outcome, steps, losses, reports, same and traces == []


def stages_of(name):
    """All where the frozen weights change, or no layer is adapted; else where they are in parts."""
    spec = METHODS[name]
    return STAGES if spec.changes_base or not spec.adapts_layers else (3,)


def look_at_stages(name, folder):
    scenarios.keep_nothing_whole()
    found = []
    for stage in stages_of(name):
        spec, place = trial(name, zero_stage=stage), Path(folder) / str(stage)
        found.append((look(spec, place), reloaded(spec, place)))
    return found


@each
def test_it_leaves_the_base_as_it_was_and_a_file_that_does_the_same(name, tmp_path):
    found = scenarios.run(look_at_stages, 2, name, tmp_path)[0]
    assert len(found) == len(stages_of(name))
    for (outcome, _, losses, reports, is_kept), eval_loss in found:
        assert not isinstance(outcome, str), outcome
        assert is_kept
        assert eval_loss == pytest.approx(reports[-1][1]["eval_loss"], rel=FORM)
        assert losses == pytest.approx(found[0][0][2], rel=SUM_ORDER)


def fail(name, folder):
    return [look(trial(name), Path(folder), die_at=2)[4], look(trial(name), Path(folder))[4]]


@pytest.mark.parametrize("name", ["pissa"])
def test_a_trial_that_fails_leaves_the_base_as_it_was(name, tmp_path):
    assert scenarios.run(fail, 1, name, tmp_path) == [[True, True]]


def lives(folder):
    """Tensors that are left after each of some trials, the last of which fails."""
    names = ["pissa", "adalora", "prompt_tuning", "p_tuning", "vblora", "dora", "pissa"]
    return tensors_left([trial(name, workers=1, zero_stage=2) for name in names], folder)


def test_a_trial_leaves_no_memory_in_use(tmp_path):
    assert scenarios.run(lives, 1, tmp_path) == [([0] * 7, 1)]


def interrupted(name, folder):
    """Trains with some stages: through, broken off at the first report, and on from there."""
    scenarios.keep_nothing_whole()
    found = []
    for stage in (0, 1, 3):
        spec = trial(name, zero_stage=stage, steps=6, evaluations=2)
        place = Path(folder) / str(stage)
        through = look(spec, place / "through")
        broken = look(spec, place / "broken", fail_at=3)
        resumed = look(spec, place / "broken")
        found.append((through, broken, resumed))
    return found


# The ones with a state of their own, and with two groups of parameters.
@pytest.mark.slow
@pytest.mark.parametrize("name", few(["adalora", "vblora"], "adalora"))
def test_it_resumes_bit_for_bit(name, tmp_path):
    found = scenarios.run(interrupted, 2, name, tmp_path)[0]
    assert len(found) == 3
    for through, broken, resumed in found:
        assert isinstance(broken[0], str)
        assert through[1] == [1, 2, 3, 4, 5, 6]
        assert resumed[1:3] == ([4, 5, 6], through[2][3:])
        assert resumed[3][-1] == through[3][-1]
    for stage in (0, 1, 3):
        saved = [tiny.weights(tmp_path / str(stage) / run) for run in ("through", "broken")]
        assert saved[0].keys() == saved[1].keys()
        assert all(torch.equal(value, saved[1][key]) for key, value in saved[0].items())
