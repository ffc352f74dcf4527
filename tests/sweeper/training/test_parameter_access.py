"""A method's hooks reach gradients and values the same, wherever DeepSpeed keeps them."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from sweeper.data.tokens.encoding import collate
from sweeper.distributed import rank, workers
from sweeper.evaluation.likelihood import answer_logits
from sweeper.experiment.trial import EngineSpec, TrainSpec
from sweeper.training.engine import Engine
from sweeper.training.schedule import DataOrder
from sweeper_adapters.methods import LoraSpec, Method, MosaSpec
from sweeper_adapters.training import ParameterGroup, Training
from tests.sweeper import scenarios, tiny
from tests.whole import few

# DeepSpeed sums gradients of float32 in another order than one backward pass over all examples.
SUM_ORDER: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-7}
# One step of AdamW in float32, by another kernel and on flattened tensors.
STEP_ROUNDING: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-7}
# bfloat16 has 8 bits of precision, and gradients are rounded to it in each layer.
HALF_PRECISION: dict[str, Any] = {"rtol": 0.05, "atol": 0.02}
# DeepSpeed divides a clip's factor out in float32.
CLIP_ROUNDING = 1e-5

ACCUMULATION = 2
TRAIN = TrainSpec(
    steps=4, learning_rate=1e-2, batch_size=2, max_length=16, weight_decay=0.1, max_grad_norm=0.5
)
# 101 and 32 * 3 numbers: what cannot be cut into equal parts, and what can.
METHODS: dict[str, Method] = {
    "mosa": MosaSpec(groups=101, targets=tiny.TARGETS),
    "lora": LoraSpec(rank=3, targets=("q_proj", "v_proj")),
}
ENGINES = [
    EngineSpec(zero_stage=stage, precision=precision, gradient_accumulation=ACCUMULATION)
    for precision in ("fp32", "bf16")
    for stage in (0, 1, 2, 3)
]
ENGINES += [
    EngineSpec(zero_stage=stage, offload="cpu", gradient_accumulation=ACCUMULATION)
    for stage in (1, 2, 3)
]


class Watched(Training):
    """Notes what a hook sees, and replaces gradients before a step and values after it."""

    def __init__(self, model, *, takes_clipped):
        super().__init__(model)
        self.takes_clipped_gradients = takes_clipped
        self.seen: list[dict[str, dict[str, torch.Tensor]]] = []
        self.gradients: dict[str, torch.Tensor] = {}
        self.values: dict[str, torch.Tensor] = {}

    @property
    def trained(self):
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def groups(self):
        parameters = tuple(self.trained.values())
        return [
            ParameterGroup(parameters[0::2]),
            ParameterGroup(parameters[1::2], learning_rate=0.5, weight_decay=2.0),
        ]

    def read(self, function):
        return {name: function(parameter) for name, parameter in self.trained.items()}

    def before_step(self, parameters):
        seen = {"gradient": self.read(parameters.gradient), "before": self.read(parameters.value)}
        for name, gradient in self.gradients.items():
            parameters.set_gradient(self.trained[name], gradient)
        seen["set gradient"] = self.read(parameters.gradient)
        self.seen.append(seen)

    def after_step(self, parameters, *, learning_rate, weight_decay):
        assert (learning_rate, weight_decay) == (TRAIN.learning_rate, TRAIN.weight_decay)
        self.seen[-1]["value"] = self.read(parameters.value)
        for name, value in self.values.items():
            parameters.set_value(self.trained[name], value)
        self.seen[-1]["set value"] = self.read(parameters.value)


def numbers(shapes, *, seed, scale):
    """Random numbers that bfloat16 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(shape, generator=generator) * scale).bfloat16().float()
        for name, shape in shapes.items()
    }


def batch_of(base, step, *, size, start=0, stop=None):
    examples = DataOrder(base.data.train_tokens(16), seed=0).batch(step, size)
    return collate(examples[start:stop], base.pad_id)


def take_step(engine, base, step):
    """One optimiser step on a global batch: each worker has its part of each micro-batch."""
    across = TRAIN.batch_size * workers()
    size = across * ACCUMULATION
    for number in range(ACCUMULATION):
        start = number * across + rank() * TRAIN.batch_size
        batch = batch_of(base, step, size=size, start=start, stop=start + TRAIN.batch_size)
        logits, labels = answer_logits(engine, batch)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / size
        engine.backward(loss, is_last=number == ACCUMULATION - 1)
    return engine.step(learning_rate=TRAIN.learning_rate)


def visit(method, spec, *, takes_clipped, loss_scale):
    """All that hooks can do, in four steps; returns norms, what was seen, and logits after."""
    base = tiny.base(spec.precision)
    training = Watched(method.inject(base.model, seed=3), takes_clipped=takes_clipped)
    shapes = {n: p.shape for n, p in training.trained.items()}
    set_all(training.trained, numbers(shapes, seed=1, scale=0.1))
    engine = Engine(training, TRAIN, spec, task_ids=(0, 0))
    if loss_scale != 1:
        scale_loss(engine, loss_scale)
    norms = [take_step(engine, base, 0)]
    training.gradients = numbers(shapes, seed=2, scale=0.2)
    norms.append(take_step(engine, base, 1))
    training.gradients = {}
    training.values = numbers(shapes, seed=3, scale=0.1)
    norms.append(take_step(engine, base, 2))
    training.values = {}
    with engine.evaluating():
        logits, _ = answer_logits(engine, batch_of(base, 3, size=5))
    training.gradients = numbers(shapes, seed=4, scale=1e-4)
    norms.append(take_step(engine, base, 3))
    return norms, training.seen, logits


def scale_loss(engine, scale):
    """Turns on what fp16 has, and which DeepSpeed does not offer on the CPU."""
    optimizer = engine._engine.optimizer
    if hasattr(optimizer, "loss_scaler"):
        optimizer.override_loss_scale(scale)
    else:
        optimizer.loss_scale = scale


def visits(method, specs, *, takes_clipped=False, loss_scale=1.0):
    return [visit(method, s, takes_clipped=takes_clipped, loss_scale=loss_scale) for s in specs]


def set_all(trained, values):
    with torch.no_grad():
        for name, value in values.items():
            trained[name].copy_(value)


class Plain:
    """The same, by plain PyTorch: one process, one pass over the global batch."""

    def __init__(self, method, *, count, precision="fp32"):
        self.base = tiny.base(precision)
        self.training = Watched(method.inject(self.base.model, seed=3), takes_clipped=False)
        self.trained = self.training.trained
        self.shapes = {n: p.shape for n, p in self.trained.items()}
        self.size = TRAIN.batch_size * count * ACCUMULATION
        for parameter in self.trained.values():
            # As DeepSpeed does it.
            parameter.data = parameter.data.to(tiny.DTYPES[precision])
        set_all(self.trained, numbers(self.shapes, seed=1, scale=0.1))
        first, second = (list(group.parameters) for group in self.training.groups())
        rate, decay = TRAIN.learning_rate, TRAIN.weight_decay
        self.optimizer = torch.optim.AdamW(
            [
                {"params": first, "lr": rate, "weight_decay": decay},
                {"params": second, "lr": rate * 0.5, "weight_decay": decay * 2},
            ]
        )

    def logits(self, batch):
        def forward(*, domains, **inputs):
            return self.training.model(**inputs).logits

        return answer_logits(forward, batch)

    def gradients(self, step):
        self.optimizer.zero_grad()
        logits, labels = self.logits(batch_of(self.base, step, size=self.size))
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / self.size
        loss.backward()
        return {n: p.grad.clone() for n, p in self.trained.items()}

    def step(self, gradients, *, max_norm=TRAIN.max_grad_norm):
        """Clips these gradients and steps with them; returns the values after it."""
        for name, gradient in gradients.items():
            self.trained[name].grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_(list(self.trained.values()), max_norm)
        self.optimizer.step()
        return {n: p.detach().clone() for n, p in self.trained.items()}


def norm_of(gradients):
    return float(torch.nn.utils.get_total_norm(gradients.values()))


@pytest.mark.slow
@pytest.mark.parametrize("count", few([1, 2], 2))
@pytest.mark.parametrize("name", few(METHODS, "mosa"))
def test_hooks_reach_the_global_gradient_and_the_values(name, count):
    results = scenarios.run(visits, count, METHODS[name], ENGINES)
    for found in results:
        for spec, (norms, seen, logits) in zip(ENGINES, found, strict=True):
            check_steps(METHODS[name], count, spec, norms, seen)
            check_logits(METHODS[name], count, spec, seen, logits)


@pytest.mark.slow
def test_a_loss_scale_shows_nowhere():
    method = METHODS["mosa"]
    specs = [spec for spec in ENGINES if spec.precision == "bf16" or spec.zero_stage > 0]
    [found] = scenarios.run(scaled_visits, 1, method, specs)
    assert len(found) == 10
    for spec, (norms, seen, _) in zip(specs, found, strict=True):
        check_steps(method, 1, spec, norms, seen)


def scaled_visits(method, specs):
    return visits(method, specs, loss_scale=1024.0)


@pytest.mark.slow
@pytest.mark.parametrize("count", few([1, 2], 2))
def test_a_method_may_take_clipped_gradients(count):
    method = METHODS["lora"]
    for spec, (norms, seen, _) in zip(
        ENGINES, scenarios.run(clipped_visits, count, method, ENGINES)[0], strict=True
    ):
        rounding = CLIP_ROUNDING if spec.precision == "fp32" else HALF_PRECISION["rtol"]
        plain = Plain(method, count=count)
        expected = norm_of(plain.gradients(0))
        assert norms[0] == pytest.approx(expected, rel=rounding)
        assert norm_of(seen[0]["gradient"]) == pytest.approx(TRAIN.max_grad_norm, rel=rounding)
        plain.step(seen[0]["gradient"], max_norm=float("inf"))
        # What it sets is larger than the clip, and stepped with as it is.
        replaced = seen[1]["set gradient"]
        assert norm_of(replaced) > 2 * TRAIN.max_grad_norm
        stepped = plain.step(replaced, max_norm=float("inf"))
        assert_close(seen[1]["value"], stepped, **STEP_ROUNDING, msg=describe(str(spec)))


def clipped_visits(method, specs):
    return visits(method, specs, takes_clipped=True)


class Counted(Training):
    takes_clipped_gradients = True
    calls = 0

    def before_step(self, parameters):
        self.calls += 1


def overflow(specs):
    found = []
    for spec in specs:
        base = tiny.base()
        training = Counted(METHODS["lora"].inject(base.model, seed=3))
        engine = Engine(training, TRAIN, spec, task_ids=(0, 0))
        logits, labels = answer_logits(engine, batch_of(base, 0, size=2))
        loss = torch.nn.functional.cross_entropy(logits, labels) * float("inf")
        engine.backward(loss, is_last=True)
        found.append((engine.step(learning_rate=1e-3), training.calls))
    return found


def test_a_method_never_sees_clipped_gradients_that_are_not_finite():
    specs = [EngineSpec(zero_stage=stage) for stage in (0, 1, 2, 3)]
    for norm, calls in scenarios.run(overflow, 1, specs)[0]:
        assert norm != norm or norm == float("inf")
        assert calls == 0


def check_steps(method, count, spec, norms, seen):
    tolerance = SUM_ORDER if spec.precision == "fp32" else HALF_PRECISION
    plain = Plain(method, count=count)
    shapes = plain.shapes
    replaced = {1: numbers(shapes, seed=2, scale=0.2), 3: numbers(shapes, seed=4, scale=1e-4)}
    for step, (norm, found) in enumerate(zip(norms, seen, strict=True)):
        label = f"{spec}, step {step}"
        for entries in found.values():
            assert {value.dtype for value in entries.values()} == {torch.float32}, label
        before = {n: p.detach() for n, p in plain.trained.items()}
        assert_close(found["before"], before, **STEP_ROUNDING, msg=describe(label))
        assert_close(found["gradient"], plain.gradients(step), **tolerance, msg=describe(label))
        # Steps are compared on the engine's own gradients, which differ in their last bits.
        used = replaced.get(step, found["gradient"])
        assert_close(found["set gradient"], used, rtol=0, atol=0, msg=describe(label))
        assert norm == pytest.approx(norm_of(used), rel=CLIP_ROUNDING), label
        # The clip is in play but in the last step.
        assert (norm > TRAIN.max_grad_norm) == (step != 3), label
        assert_close(found["value"], plain.step(used), **STEP_ROUNDING, msg=describe(label))
        if step == 2:
            set_all(plain.trained, numbers(shapes, seed=3, scale=0.1))
        after = {n: p.detach() for n, p in plain.trained.items()}
        assert_close(found["set value"], after, **STEP_ROUNDING, msg=describe(label))


def describe(label):
    return lambda message: f"{label}: {message}"


def check_logits(method, count, spec, seen, logits):
    """The model computes with the values that were set, and not with those before."""
    plain = Plain(method, count=count, precision=spec.precision)
    batch = batch_of(plain.base, 3, size=5)
    with torch.no_grad():
        set_all(plain.trained, seen[2]["set value"])
        assert_close(plain.logits(batch)[0], logits, **SUM_ORDER, msg=describe(str(spec)))
        set_all(plain.trained, seen[2]["value"])
        assert not torch.allclose(plain.logits(batch)[0], logits, rtol=0.1, atol=0.01)
