"""A base goes back to what it was, whatever was done to it."""

import gc
import json

import pytest
import torch

import sweeper_kernels
from sweeper.data import EmbeddedDataSpec, JsonlDataSpec, Splits
from sweeper.errors import DataError
from sweeper.models import EmbeddedModelSpec, FolderModelSpec, LoadedModel, frozen
from sweeper.models.frozen import load_base
from sweeper.models.snapshot import ModelSnapshot
from sweeper.training.trial import train
from tests.sweeper import scenarios, tiny


def snapshot(model):
    """Everything of a model that a trial could leave a trace in."""
    return {
        "tree": [(name, id(module), type(module)) for name, module in model.named_modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "mode": [module.training for module in model.modules()],
        "hooks": [
            len(hooks)
            for module in model.modules()
            for name, hooks in vars(module).items()
            if "hooks" in name and hooks is not None
        ],
        "containers": [type(module._parameters) for module in model.modules()],
        "parameters": [
            (name, id(p), p.shape, p.dtype, p.requires_grad, p.grad, sorted(vars(p)))
            for name, p in model.named_parameters()
        ],
    }


@pytest.mark.parametrize("name", list(tiny.METHODS))
def test_an_adapter_leaves_no_trace(name):
    model = tiny.model()
    before, weights = snapshot(model), [p.clone() for p in model.parameters()]
    kept = ModelSnapshot(model)
    adapted = tiny.METHODS[name].inject(model, seed=0)
    adapted.activation_checkpointing_enable({"use_reentrant": False})
    adapted.train()
    adapted.register_forward_hook(print)
    next(model.parameters()).requires_grad_(True)
    next(model.parameters()).grad = torch.zeros_like(next(model.parameters()))
    assert snapshot(model) != before
    kept.restore()
    assert snapshot(model) == before
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_a_base_is_put_back_from_the_middle_of_an_injection():
    model = tiny.model()
    before = snapshot(model)
    kept = ModelSnapshot(model)
    model.model.layers[1].self_attn.q_proj = torch.nn.Identity()
    del model.model.layers[2].mlp.up_proj
    setattr(model, "leftover", [1])  # noqa: B010 - torch types what a module may have
    kept.restore()
    assert snapshot(model) == before
    assert not kept.is_sharded


@pytest.mark.parametrize("change", ["values", "memory"])
def test_weights_that_a_method_changes_are_put_back(change):
    model = tiny.model()
    before, weights = snapshot(model), [p.clone() for p in model.parameters()]
    kept = ModelSnapshot(model, copies_weights=True)
    for parameter in model.parameters():
        if change == "values":
            parameter.data += 1
        else:
            parameter.data = parameter.data.new_empty(0)
    kept.restore()
    assert snapshot(model) == before
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_questions_are_encoded_once_and_nested():
    base = tiny.base()
    few = base.data.questions(max_length=16, count=5)
    assert base.data.questions(max_length=16, count=5) is few
    assert len(few) == 5
    many = base.data.questions(max_length=16, count=12)
    prompts = [
        {q.candidates[0].ids[: q.candidates[0].answer_start] for q in found}
        for found in (few, many)
    ]
    assert prompts[0] < prompts[1]
    assert base.data.questions(max_length=16, count=1000) == base.data.questions(max_length=16)
    assert base.data.questions(max_length=16, split="test") != many
    assert base.data.train_tokens(16) is base.data.train_tokens(16)


def load(folder):
    gc.unfreeze()
    base = load_base(
        FolderModelSpec(path=str(folder / "model")),
        JsonlDataSpec(path=str(folder / "data")),
        precision="bf16",
        max_length=16,
        device="cpu",
    )
    spec = tiny.trial(precision="bf16").model_copy(
        update={"model": base.model_spec, "data": base.data.spec}
    )
    outcome, *_ = scenarios.attempt(spec, folder / "trial", base=base)
    return (
        outcome.status,
        base.data.fingerprint,
        {str(p.dtype) for p in base.model.parameters()},
        any(p.requires_grad for p in base.model.parameters()),
        len(base.data.train_tokens(16)),
        gc.get_freeze_count() > 100_000,
    )


@pytest.mark.parametrize(("device", "times"), [("cpu", 1), ("meta", 0)])
def test_a_base_on_a_cpu_multiplies_by_what_is_fastest_there(device, times, monkeypatch):
    class ReadError(Exception):
        pass

    class Model(FolderModelSpec):
        def load(self, precision):
            raise ReadError

    taken = []
    monkeypatch.setattr(sweeper_kernels, "take_onednn", lambda: taken.append(True))
    with pytest.raises(ReadError):
        frozen.hold_base(Model(path="model"), EmbeddedDataSpec(), precision="fp32", device=device)
    assert len(taken) == times


def write_rows(path, rows):
    lines = [json.dumps({"prompt": e.prompt, "answer": e.answer}) for e in rows]
    path.write_text("\n".join(lines))


def test_a_base_is_loaded_from_its_specs(tmp_path):
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "train.jsonl", tiny.examples(0, 30))
    write_rows(tmp_path / "data" / "validation.jsonl", tiny.examples(30, 40))
    write_rows(tmp_path / "data" / "test.jsonl", tiny.examples(40, 50))
    ((status, fingerprint, dtypes, is_trained, examples, is_settled),) = scenarios.run(
        load, 1, tmp_path
    )
    assert status == "complete"
    assert fingerprint == JsonlDataSpec(path=str(tmp_path / "data")).fingerprint()
    assert dtypes == {"torch.bfloat16"}
    assert not is_trained
    assert examples == 30
    assert is_settled


class Nothing(EmbeddedDataSpec):
    def load(self):
        return Splits(tiny.examples(0, 3), (), ())


class Ready(EmbeddedModelSpec):
    def load(self, dtype):
        return LoadedModel(model=tiny.model(), tokenizer=tiny.tokenizer())


def load_nothing():
    try:
        load_base(Ready(), Nothing(), precision="fp32", max_length=16, device="cpu")
    except DataError as error:
        return str(error)


def test_data_without_validation_examples_is_refused():
    (error,) = scenarios.run(load_nothing, 1)
    assert error.startswith("the validation split of the data is empty")


def tensors_left(specs, folder):
    """Tensors alive after each trial that were not before the first; the last trial fails."""
    base = tiny.base()
    # As `load_base` does.
    base.data.train_tokens(16)
    gc.collect()
    gc.freeze()
    counts, errors = [], []
    for number, spec in enumerate(specs):
        last = number == len(specs) - 1
        try:
            train(
                spec,
                base,
                folder=folder / str(number),
                progress=tiny.Recorded(die_at=1 if last else -1),
            )
        except InterruptedError as error:
            # Whoever records a failure holds on to it.
            errors.append(error)
        gc.collect()
        counts.append(sum(isinstance(found, torch.Tensor) for found in gc.get_objects()))
    return counts, len(errors)


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_a_trial_leaves_no_memory_in_use(stage, tmp_path):
    specs = [tiny.trial(name, zero_stage=stage) for name in ("masa", "lora", "mosa", "masa")]
    (found,) = scenarios.run(tensors_left, 1, specs, tmp_path)
    # What the data and the questions are cached in holds no tensor.
    assert found == ([0, 0, 0, 0], 1)
