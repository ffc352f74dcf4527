"""A sweep of trained trials on a LLaMA of 50,000 parameters that lies in a folder, to export."""

import importlib.metadata
import json
from pathlib import Path
from typing import Literal

import torch
from peft import PeftModel

from sweeper.data import Example, FieldsFormat, JsonlDataSpec
from sweeper.estimates import to_metrics
from sweeper.evaluation.adapter import load_base_of
from sweeper.experiment.trial import EngineSpec, TrainSpec, TrialSpec
from sweeper.models import DTYPES, FolderModelSpec
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.adapter_file import adapter_elements, save_adapter
from sweeper.training.trial import train
from sweeper_adapters import set_task_ids
from sweeper_adapters.methods import Method
from tests.adapters.conftest import build_llama
from tests.sweeper import tiny

Precision = Literal["fp32", "bf16", "fp16"]

IDS = torch.tensor([[1, 5, 7, 3, 9, 4, 4, 6], [1, 8, 2, 2, 5, 6, 11, 12]])
DOCUMENT = {"name": "tiny", "objective": {"metric": "eval_loss", "mode": "min"}}
STEPS = 2
# Large, so that two steps show.
LEARNING_RATE = 0.05


def write_model(folder: Path, model=None) -> FolderModelSpec:
    """Saves the model, and a tokenizer that fits it."""
    model = model or build_llama()
    # As models come; whoever loads one to train it turns it off.
    model.config.use_cache = True
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return FolderModelSpec(path=str(folder))


def write_data(folder: Path) -> JsonlDataSpec:
    """Writes sums and letters, each a domain."""
    folder.mkdir()
    rows = {"train": (0, 30), "validation": (100, 110), "test": (200, 206)}
    for name, (start, stop) in rows.items():
        lines = [json.dumps(_row(example)) for example in tiny.examples(start, stop)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return JsonlDataSpec(path=str(folder), format=FieldsFormat(domain="{domain}"))


def version(package: str) -> str:
    """The installed version of a package."""
    return importlib.metadata.version(package)


def _row(example: Example) -> dict[str, str]:
    return {"prompt": example.prompt, "answer": example.answer, "domain": example.domain}


def base_of(root: Path, precision="fp32"):
    """The frozen model in ``root``."""
    return FolderModelSpec(path=str(root / "model")).load(precision).model


def adapted(root: Path, folder: Path, precision="fp32"):
    """The model with an adapter from its folder, as whoever knows no trial loads it."""
    return PeftModel.from_pretrained(base_of(root, precision), folder)


@torch.no_grad()
def logits(model) -> torch.Tensor:
    """Logits of a model for two prompts, the first of task 0 and the second of task 1."""
    model.eval()
    set_task_ids(model, torch.tensor([0, 1]))
    found: torch.Tensor = model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return found


def trial(method: Method, root: Path, *, precision: Precision = "fp32") -> TrialSpec:
    """A trial on the model and the data in ``root``, which :func:`make_world` writes."""
    return TrialSpec(
        method=method,
        train=TrainSpec(
            steps=STEPS,
            learning_rate=LEARNING_RATE,
            schedule="constant",
            batch_size=2,
            evaluations=1,
            eval_examples=4,
            max_length=32,
        ),
        model=FolderModelSpec(path=str(root / "model")),
        data=JsonlDataSpec(path=str(root / "data"), format=FieldsFormat(domain="{domain}")),
        engine=EngineSpec(precision=precision),
    )


def make_world(root: Path) -> Path:
    """Writes model and data."""
    write_model(root / "model")
    write_data(root / "data")
    return root


def add(sweep: SweepFolder, spec: TrialSpec, *, number: int) -> TrialFolder:
    """A trial of a sweep, queued; its identity is its number."""
    return sweep.add_trial(
        f"{number:012x}",
        spec=spec.model_dump(mode="json"),
        number=number,
        method=spec.method.name,
        params={"rank": 4},
        steps_total=STEPS,
    )


def made(sweep: SweepFolder, spec: TrialSpec, *, number: int = 0, loss: float = 1.0) -> TrialFolder:
    """A complete trial whose adapter has random values, saved as after a training."""
    folder = add(sweep, spec, number=number)
    folder.begin(trainable=123, total=10_000)
    model = spec.method.inject(spec.model.load(spec.engine.precision).model, seed=0)
    elements = adapter_elements(model)
    training = spec.method.training(model, steps=STEPS)
    training.prepare(lambda number: _loss(model, number))
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    # As an engine does when it starts; it leaves buffers as they are.
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, DTYPES[spec.engine.precision]))
    with training.finished():
        save_adapter(model, folder.path / "adapter", elements=training.file_elements(elements))
    folder.append(STEPS, {"eval_loss": loss, "eval_loss_se": 0.1, "accuracy": 0.5})
    folder.complete()
    return folder


def _loss(model, number) -> torch.Tensor:
    ids = torch.randint(3, 20, (2, 8), generator=torch.Generator().manual_seed(number))
    set_task_ids(model, torch.tensor([0, 1]))
    loss: torch.Tensor = model(input_ids=ids, labels=ids).loss
    return loss


class _Report:
    """A progress that writes to a trial's record."""

    def __init__(self, folder: TrialFolder) -> None:
        self._folder = folder

    def log_step(self, step, metrics):
        self._folder.append(step, metrics)

    def report_evaluation(self, step, metrics, *, final):
        self._folder.append(step, to_metrics(metrics))
        return "on"

    def course(self):
        return "on"


def train_all(root, methods, precision, name):
    """Trains a trial of each method; returns what went wrong, by method. For a worker process."""
    sweep = SweepFolder.create(root / "sweeps", name, document=DOCUMENT)
    specs = {name: trial(method, root, precision=precision) for name, method in methods.items()}
    first = next(iter(specs.values()))
    base = load_base_of(first, device=torch.device("cpu"))
    wrong = {}
    for number, (method, spec) in enumerate(specs.items()):
        folder = add(sweep, spec, number=number)
        folder.begin()
        try:
            train(spec, base, folder=folder.path, progress=_Report(folder))
        except Exception as error:  # noqa: BLE001 - the tests of this method are told
            wrong[method] = f"{type(error).__name__}: {error}"
            continue
        folder.complete()
    return wrong
