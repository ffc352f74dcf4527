"""The frozen base model that a replica holds once, and what puts it back after each trial."""

from __future__ import annotations

import atexit
import gc
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sweeper._third_party import load_deepspeed
from sweeper.data import DataSpec, Example, Splits
from sweeper.data.packing import demand_packing
from sweeper.data.token_cache import training_tokens
from sweeper.data.token_table import TokenTable
from sweeper.distributed import control_group, workers
from sweeper.errors import DataError
from sweeper.models import ModelSpec
from sweeper.questions import Question, drawn, questions_of

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Base", "Kept", "load_base"]

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Base:
    """A frozen model with its data: what the trials of a replica have in common."""

    model_spec: ModelSpec
    data_spec: DataSpec
    precision: str
    """``fp32``, ``bf16`` or ``fp16``: the dtype of the weights."""
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    splits: Splits
    data_fingerprint: str
    device: torch.device
    control: ProcessGroup | None
    """Group of all workers in which no trial communicates; None where there is only one."""
    domains: tuple[str, ...] = field(init=False)
    """Domains of the data, sorted: an example's task is told by its position here."""
    _is_packable: bool = False
    _train: dict[int, TokenTable] = field(default_factory=dict)
    _questions: dict[tuple[str, int, int], tuple[Question, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Collects the domains."""
        self.domains = self.splits.domains()

    @property
    def pad_id(self) -> int:
        """Token that fills up shorter rows of a batch; masked, so any would do."""
        return int(self.tokenizer.pad_token_id)

    def train_tokens(self, max_length: int) -> TokenTable:
        """Returns the training examples as token ids; read or encoded once for each length.

        Args:
            max_length: tokens after which a prompt is cut on the left, and an answer on the right.
        """
        if max_length not in self._train:
            table = training_tokens(
                self.splits.train, self.tokenizer, max_length, domains=self.domains
            )
            if table.prompts_cut or table.answers_cut:
                logger.warning(
                    "of %d training examples %d prompts and %d answers are cut to %d tokens; "
                    "raise train.max_length to train on all of them",
                    len(table),
                    table.prompts_cut,
                    table.answers_cut,
                    max_length,
                )
            self._train[max_length] = table
        return self._train[max_length]

    def demand_packing(self) -> None:
        """Looks, once, whether the model keeps the examples of a packed row apart.

        Raises:
            DataError: it does not.
        """
        if not self._is_packable:
            demand_packing(self.model)
            self._is_packable = True

    def questions(
        self, *, max_length: int, count: int | None = None, split: str = "validation"
    ) -> tuple[Question, ...]:
        """Returns the questions of an evaluation, the same for every trial.

        Args:
            max_length: tokens after which a prompt is cut from the left.
            count: how many, drawn with a fixed seed; all of the split where None or too many.
            split: ``train``, ``validation`` or ``test``.

        Raises:
            DataError: not one of them has room for its answer, so that there is no loss.
        """
        examples: Sequence[Example] = getattr(self.splits, split)
        size = len(examples) if count is None else min(count, len(examples))
        key = (split, max_length, size)
        if key not in self._questions:
            self._questions[key] = questions_of(
                drawn(examples, size),
                self.tokenizer,
                max_length,
                domains=self.domains,
                needs_loss=True,
            )
        return self._questions[key]

    def put_back(self, kept: Kept) -> None:
        """Makes the model what it was, and gives the memory back that an adapter took.

        Args:
            kept: the model before the adapter. Under ZeRO-3 all workers must call this.
        """
        import torch

        kept.restore()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def load_base(
    model: ModelSpec,
    data: DataSpec,
    *,
    precision: str,
    max_length: int,
    device: torch.device | str,
) -> Base:
    """Returns the frozen model on its device and its data as token ids.

    Everything that exists when it returns is taken out of the garbage collector's sight
    (``gc.freeze``): a replica collects after each trial, and walking through all of torch and
    transformers would cost a good part of what a trial may cost besides its steps.

    Args:
        model: where the weights come from.
        data: where the examples come from.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        max_length: length that the trials train with; another one is encoded when it is asked for.
        device: where the model lives.

    Raises:
        MissingError: the model or the data is not there.
        DataError: a split is empty.
    """
    # PEFT imports it where it is installed; it would tell each user of a CPU with AVX512-BF16 that
    # it has no kernel from the Hub.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import peft  # noqa: F401 - so that the first trial need not wait for it
    import torch

    load_deepspeed()
    loaded = model.load(precision)
    splits = data.load()
    for name in ("train", "validation"):
        if not getattr(splits, name):
            raise DataError(
                f"the {name} split of the data is empty; a trial needs at least one example in it; "
                "give data that has some"
            )
    frozen = loaded.model
    # Moves it in place; transformers types the method as if it were not one.
    torch.nn.Module.to(frozen, torch.device(device))
    base = Base(
        model_spec=model,
        data_spec=data,
        precision=precision,
        model=frozen,
        tokenizer=loaded.tokenizer,
        splits=splits,
        data_fingerprint=data.fingerprint(),
        device=torch.device(device),
        control=control_group(),
    )
    base.train_tokens(max_length)
    gc.collect()
    gc.freeze()
    # At its end the interpreter wants to collect all of it after all.
    atexit.register(gc.unfreeze)
    return base


class Kept:
    """The state of a model before a trial, and the way back to it.

    An adapter replaces modules, an engine adds hooks and attributes and, under ZeRO-3, cuts the
    weights into shards. All of that hangs on the attributes of modules and parameters, so these are
    noted and put back, whatever a trial did and wherever it failed. The weights themselves are
    copied, to the CPU, only for a method that changes them. Good for one restore.
    """

    def __init__(self, model: torch.nn.Module, *, copies_weights: bool = False) -> None:
        self._modules = [(module, _note(module)) for module in model.modules()]
        self._parameters = [
            (parameter, parameter.requires_grad, dict(vars(parameter)))
            for parameter in model.parameters()
        ]
        copied = model.parameters() if copies_weights else ()
        self._weights = [parameter.detach().to("cpu", copy=True) for parameter in copied]

    @property
    def is_sharded(self) -> bool:
        """Whether a weight is cut into shards (ZeRO-3), so that putting it back needs all ranks."""
        return any(hasattr(parameter, "ds_tensor") for parameter, _, _ in self._parameters)

    def restore(self) -> None:
        """Puts the model back. Under ZeRO-3 all workers must call it."""
        for parameter, requires_grad, attributes in self._parameters:
            _unshard(parameter)
            vars(parameter).clear()
            vars(parameter).update(attributes)
            parameter.requires_grad_(requires_grad)
            parameter.grad = None
        for (parameter, _, _), weight in zip(self._parameters, self._weights, strict=False):
            # The method may have given back the memory that it was in.
            parameter.data = weight.to(parameter.device)
        # Whoever holds the error of a failed trial would hold them, too.
        self._weights.clear()
        for module, noted in self._modules:
            vars(module).clear()
            vars(module).update(noted)


def _note(module: torch.nn.Module) -> dict[str, Any]:
    """Returns the attributes of a module, with a copy of each container (children, hooks, …)."""
    containers = {dict, OrderedDict, set, list}
    return {
        name: value.copy() if type(value) in containers else value
        for name, value in vars(module).items()
    }


def _unshard(parameter: torch.nn.Parameter) -> None:
    """Makes a parameter whole that ZeRO-3 has cut into shards.

    Reads the shards themselves, not DeepSpeed's gathered copy: they are right also where a trial
    failed in the middle of a forward pass.
    """
    import torch
    import torch.distributed as dist

    shard = getattr(parameter, "ds_tensor", None)
    if shard is None:
        return
    # With offload the shard lives in the CPU's memory, the process group on the GPU.
    local = shard.data.to(parameter.device)
    shards = [local]
    if workers() > 1:
        shards = [torch.empty_like(local) for _ in range(workers())]
        dist.all_gather(shards, local)
    whole = torch.cat(shards)[: parameter.ds_numel]  # type: ignore[attr-defined]
    parameter.data = whole.view(parameter.ds_shape).clone()  # type: ignore[attr-defined]
