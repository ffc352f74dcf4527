"""LoRA-Pro and HD-PiSSA through the trainer: every ZeRO stage, one worker and two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from sweeper.data.tokens.encoding import collate
from sweeper.estimates import to_metrics
from sweeper.evaluation.scoring import evaluate
from sweeper.training.schedule import DataOrder, learning_rate
from sweeper_adapters.methods import HdPissaSpec, LoraProSpec, Method
from tests.adapters.direct import Direct
from tests.sweeper import scenarios, tiny
from tests.whole import few

METHODS: dict[str, Method] = {
    "lora_pro": LoraProSpec(rank=3, targets=tiny.TARGETS),
    "lora_pro_full": LoraProSpec(rank=3, targets=tiny.TARGETS, mode="full"),
    # Not a divisor of any batch below but of what two workers see.
    "hd_pissa": HdPissaSpec(rank=2, slices=4, targets=tiny.TARGETS),
}
SETTINGS: dict[str, Any] = {
    "steps": 5,
    "evaluations": 1,
    "eval_examples": 6,
    "gradient_accumulation": 2,
    "max_grad_norm": 0.05,
    "weight_decay": 0.1,
    "warmup_ratio": 0.3,
}
ENGINES: list[dict[str, Any]] = [{"zero_stage": stage} for stage in range(4)]
ENGINES += [{"zero_stage": stage, "offload": "cpu"} for stage in (2, 3)]

# DeepSpeed sums gradients of float32 in another order than one backward pass over all examples
# does; AdamW divides by their size, which enlarges the difference.
SUM_ORDER = 1e-5
# bfloat16 has 8 bits of precision; the reference keeps all in float32.
HALF_PRECISION = 2e-3

# Mode full differs in what it keeps and sets, not in precisions and files.
each_optimizer = pytest.mark.parametrize("name", few(["lora_pro", "hd_pissa"], "hd_pissa"))


def trial(name, *, workers, **settings):
    # Two workers with two sequences each, or one with four: the same batch.
    made = tiny.trial(workers=workers, batch_size=4 // workers, **{**SETTINGS, **settings})
    return made.model_copy(update={"method": METHODS[name]})


def plainly(spec):
    """What a trial logs and ends with by plain PyTorch: one process, one pass for each step."""
    train = spec.train
    base = tiny.base()
    model = spec.method.inject(base.model, seed=train.seed)
    model.train()
    training = spec.method.training(model, steps=train.steps)
    trained = [p for p in model.parameters() if p.requires_grad]
    [group] = training.groups()
    decay = train.weight_decay * group.weight_decay
    optimizer = torch.optim.AdamW(trained, eps=1e-8 * group.eps, weight_decay=decay)
    order = DataOrder(base.data.train_tokens(train.max_length), seed=train.seed)
    logged = []
    size = train.batch_size * spec.engine.gradient_accumulation * spec.workers
    for step in range(train.steps):
        batch = collate(order.batch(step, size), base.pad_id)
        optimizer.zero_grad()
        loss = loss_of(model, training, batch)
        loss.backward()
        # LoRA-Pro adjusts what has been clipped.
        norm = torch.nn.utils.clip_grad_norm_(trained, train.max_grad_norm)
        training.before_step(Direct())
        rate = learning_rate(train, step)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        training.after_step(Direct(), learning_rate=rate, weight_decay=train.weight_decay)
        logged.append({"train_loss": float(loss.detach()), "grad_norm": float(norm)})
    return logged


def loss_of(model, training, batch):
    training.set_task_ids(batch["domains"])
    labels = batch["labels"][:, 1:]
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits = logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=-100
    )


def logged_of_all(specs):
    return [scenarios.logged(spec) for spec in specs]


def series(logged, name):
    return [metrics[name] for metrics in logged]


@pytest.mark.slow
@pytest.mark.parametrize("name", few(METHODS, "lora_pro_full", "hd_pissa"))
@pytest.mark.parametrize("workers", few([1, 2], 2))
def test_every_stage_gives_what_plain_pytorch_gives(name, workers):
    specs = [trial(name, workers=workers, **engine) for engine in ENGINES]
    expected = plainly(specs[0])
    # The clip was in play, and the loss moved.
    assert min(series(expected, "grad_norm")) > SETTINGS["max_grad_norm"]
    for engine, found in zip(ENGINES, scenarios.run(logged_of_all, workers, specs)[0], strict=True):
        for what in ("train_loss", "grad_norm"):
            wanted = pytest.approx(series(expected, what), rel=SUM_ORDER)
            assert series(found, what) == wanted, engine


@each_optimizer
def test_half_precision_follows_at_a_distance(name):
    specs = [trial(name, workers=2, zero_stage=stage, precision="bf16") for stage in range(4)]
    expected = series(plainly(specs[0]), "train_loss")
    for found in scenarios.run(logged_of_all, 2, specs)[0]:
        assert series(found, "train_loss") == pytest.approx(expected, rel=HALF_PRECISION)


@pytest.mark.parametrize("name", few(METHODS, "lora_pro_full"))
@pytest.mark.parametrize("stage", few([0, 3], 3))
def test_it_resumes_where_it_was(name, stage, tmp_path):
    spec = trial(name, workers=2, zero_stage=stage, steps=4, evaluations=2)
    cases = [
        (spec, tmp_path / "through", {}),
        (spec, tmp_path / "broken", {"fail_at": 2}),
        (spec, tmp_path / "broken", {}),
    ]
    through, broken, again = scenarios.run(scenarios.attempts, 2, cases)[0]
    assert "the pool is gone" in broken[0]
    assert again[0].resumed_at == 2
    assert through[2][2:] == again[2]
    first, second = tiny.weights(tmp_path / "through"), tiny.weights(tmp_path / "broken")
    assert first.keys() == second.keys()
    assert all(torch.equal(second[key], value) for key, value in first.items())


@each_optimizer
@pytest.mark.parametrize("stage", few([0, 2, 3], 3))
def test_the_file_holds_what_was_evaluated(name, stage, tmp_path):
    spec = trial(name, workers=1, zero_stage=stage, steps=8, learning_rate=2e-2)
    [(outcome, *_)] = scenarios.run(scenarios.attempt, 1, spec, tmp_path)
    base = tiny.base()
    untrained = evaluated(base, base.model)
    model = PeftModel.from_pretrained(base.model, str(Path(tmp_path) / "adapter"))
    found = evaluated(base, model)
    assert found == pytest.approx(outcome.metrics["eval_loss"].value, rel=1e-5)
    assert found < untrained - 0.1


def evaluated(base, model):
    def forward(*, domains, **inputs):
        return model(**inputs).logits

    model.eval()
    questions = base.data.questions(max_length=16, count=SETTINGS["eval_examples"])
    with torch.no_grad():
        metrics = to_metrics(evaluate(forward, questions, pad_id=base.pad_id, device=base.device))
    return metrics["eval_loss"]


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_hd_pissa_s_file_has_the_change_and_no_move(stage, tmp_path):
    spec = trial("hd_pissa", workers=2, zero_stage=stage)
    scenarios.run(scenarios.attempt, 2, spec, tmp_path)
    saved = tiny.weights(tmp_path)
    moves = [value for key, value in saved.items() if ".move_" in key]
    changes = [value for key, value in saved.items() if key.endswith(".change")]
    assert len(moves) == 2 * len(changes) == 2 * 3 * len(tiny.TARGETS)
    assert not any(value.any() for value in moves)
    assert all((value != 0).all() for value in changes)
    assert all(value.dtype == torch.float32 for value in saved.values())


def refused(spec, folder):
    base = tiny.base()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    found, *_ = scenarios.attempt(spec, folder, base=base)
    after = base.model.state_dict()
    is_same = after.keys() == before.keys()
    return found, is_same and all(torch.equal(after[name], before[name]) for name in before)


def test_a_batch_that_cannot_be_dealt_out_fails_the_trial_and_spares_the_base(tmp_path):
    spec = trial("hd_pissa", workers=1)
    spec = spec.model_copy(update={"train": spec.train.model_copy(update={"batch_size": 3})})
    [(found, is_spared)] = scenarios.run(refused, 1, spec, tmp_path)
    assert found.startswith("ValueError: hd_pissa: 1 workers with 3 sequences each")
    assert is_spared
