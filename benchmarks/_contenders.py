"""The methods that `bench-step` compares, at the size of one LoRA, and their training steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from sweeper.experiment.space.budget import MatchBudget, fit_to_budget
from sweeper.training.parameter_access import parameters_of
from sweeper_adapters.methods import EngineFacts, Method, ModelShape, MosaSpec
from sweeper_adapters.training import Training
from sweeper_kernels import Tessellation, group_index

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "CONTENDERS",
    "DOMAINS",
    "RANK",
    "REFERENCE",
    "TARGETS",
    "Contender",
    "Step",
    "budget",
    "build_base",
]

RANK = 32
"""Of the LoRA that all are compared with: Table 11 of the MoSA paper."""
TARGETS = MosaSpec().targets
"""Layers that get an adapter, the same for all methods: those of the MoSA paper."""
REFERENCE = "lora"
DOMAINS = ("knowledge", "other")
"""Domains of the random data, for methods that must know them."""
_LEARNING_RATE, _WEIGHT_DECAY, _ADAMW_EPS = 1e-4, 0.01, 1e-8
# So many that no schedule ends within a bench.
_SCHEDULED_STEPS = 1000


@dataclass(frozen=True)
class Contender:
    """A row of the bench: a method, and how its size is set."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of its spec, besides its targets."""
    is_matched: bool = True
    """Whether its size is set by the budget; else it has LoRA's rank."""
    is_plain_autograd: bool = False
    """Whether MoSA's layers are made of indexing and autograd."""
    is_headline: bool = False
    """Whether a target is about it; such get more rounds."""
    note: str = ""

    def spec(self, shape: ModelShape) -> Method:
        """Returns its method in its size.

        Args:
            shape: of the model.
        """
        fields = {"name": self.name, **self.fields}
        union, *_ = get_args(Method)
        known = {spec.model_fields["name"].default: spec for spec in get_args(union)}
        accepted = known[fields["name"]].model_fields
        if "targets" in accepted:
            fields["targets"] = TARGETS
        if "group_size" in accepted:
            # A model of one layer has nothing to share with.
            fields["group_size"] = min(2, shape.layers)
        if not self.is_matched:
            fields["rank"] = RANK
        if "vector_length" in accepted:
            fields["vector_length"] = fields["vectors"] = 64
        method: Method = TypeAdapter(Method).validate_python(fields)
        return fit_to_budget(budget(), method, shape) if self.is_matched else method


def budget() -> MatchBudget:
    """Returns the budget of all methods."""
    return MatchBudget(match="lora", rank=RANK, targets=TARGETS)


CONTENDERS = (
    Contender("mosa-stored", {"name": "mosa", "index": "stored"}, is_headline=True),
    Contender("mosa-computed", {"name": "mosa", "index": "computed"}, is_headline=True),
    Contender(
        "mosa-autograd",
        {"name": "mosa"},
        is_plain_autograd=True,
        is_headline=True,
        note="W0 + λ[Γ.long()] by indexing and autograd",
    ),
    Contender(
        "masa-collapsed",
        {"name": "masa"},
        is_matched=False,
        is_headline=True,
        note="5 A, trained as their sum, at LoRA's rank",
    ),
    Contender(
        "masa-plain",
        {"name": "masa", "collapse": False},
        is_matched=False,
        is_headline=True,
        note="5 A, each trained, at LoRA's rank",
    ),
    Contender("masa"),
    Contender("masa_control"),
    Contender("mae"),
    Contender("hydralora"),
    Contender("moelora"),
    Contender("loramoe", {"knowledge_domains": DOMAINS[:1]}, note="random domains"),
    Contender("mtl_lora", {"tasks": len(DOMAINS)}, note="two tasks, random"),
    Contender("multilora"),
    Contender("cola"),
    Contender("bslora"),
    Contender("mora"),
    # One calibration batch: it comes before training, and is not timed.
    Contender("lora_ga", {"calibration_batches": 1}),
    Contender("lora_pro"),
    Contender("hd_pissa", {"slices": 2}, note="two slices on one worker"),
    Contender("dora"),
    Contender("pissa"),
    Contender("qlora", note="a base of 4 bit, dequantised for each product on the CPU"),
    Contender("hira"),
    Contender("vblora"),
    # In the phase that most of its steps are in: ranks are given out after each.
    Contender("adalora", {"target_rank": RANK // 2, "warmup_share": 0.0}),
    Contender("prompt_tuning", note="as many virtual tokens as LoRA has parameters for"),
    Contender("p_tuning", {"encoder_size": 128}, note="as prompt_tuning, encoder of 128"),
)
"""All but the reference."""


def build_base(
    config: Mapping[str, Any],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """Returns a frozen model with random weights.

    Args:
        config: content of its config.json.
        device: where it is made, and stays.
        dtype: of its weights and buffers, float32 or bfloat16.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = {name: value for name, value in config.items() if name != "model_type"}
    with torch.device(device):
        model: PreTrainedModel = LlamaForCausalLM(LlamaConfig(**settings, use_cache=False))
    return model.requires_grad_(False).to(dtype)


class Step:
    """One training step of a method: forward, backward, its hooks, AdamW, gradients given back.

    As the trainer takes it, but for DeepSpeed, the clip and the logs, which are the same for all.
    On a base of bfloat16 the adapter is bfloat16, too, and AdamW steps float32 copies of it, as
    DeepSpeed has it.
    """

    def __init__(
        self, contender: Contender, spec: Method, base: PreTrainedModel, batch: Tensor, *, seed: int
    ) -> None:
        """Puts the adapter into a copy of the base.

        Args:
            contender: which row.
            spec: its method, in its size.
            base: frozen; its weights are shared unless the method changes them.
            batch: token ids, [B, T].
            seed: of the initial values and of the samples' domains.

        Raises:
            ValueError: the method cannot be trained here.
        """
        precision = "bf16" if base.dtype == torch.bfloat16 else "fp32"
        here = EngineFacts(
            zero_stage=0,
            workers=1,
            precision=precision,
            has_gpu=base.device.type == "cuda",
            batch_size=len(batch),
        )
        if problems := spec.engine_problems(here):
            raise ValueError(problems[0][1])
        model = _copy(base, shares_weights=not spec.changes_base)
        # Else the first layer would lack the gradient of its input, which all others have.
        model.enable_input_require_grads()  # type: ignore[no-untyped-call]
        if contender.is_plain_autograd:
            assert isinstance(spec, MosaSpec)
            _put_in_autograd(model, spec)
            # It only asks for the model's parameters.
            self._training = Training(model)  # type: ignore[arg-type]
        else:
            injected = spec.inject(model, seed=seed)
            self._training = spec.training(injected, steps=_SCHEDULED_STEPS)
        self._batch = batch
        generator = torch.Generator().manual_seed(seed)
        domains = torch.randint(len(DOMAINS), (len(batch),), generator=generator).tolist()
        self._task_ids = [spec.task_ids(DOMAINS)[domain] for domain in domains]
        if precision == "bf16":
            self._training.model.to(base.dtype)
        self._training.model.train()
        self._training.prepare(lambda _: self._loss())
        groups = [
            {
                "params": list(group.parameters),
                "lr": _LEARNING_RATE * group.learning_rate,
                "weight_decay": _WEIGHT_DECAY * group.weight_decay,
                "eps": _ADAMW_EPS * group.eps,
            }
            for group in self._training.groups()
        ]
        self._optimizer: torch.optim.AdamW | _AdamWOfCopies = (
            torch.optim.AdamW(groups) if precision == "fp32" else _AdamWOfCopies(groups)
        )
        self._parameters = parameters_of(self._optimizer, zero_stage=0, precision=precision)

    def __call__(self) -> None:
        """Takes the step."""
        loss = self._loss()
        auxiliary = self._training.auxiliary_loss()
        (loss if auxiliary is None else loss + auxiliary).backward()  # type: ignore[no-untyped-call]
        self._training.before_step(self._parameters)
        self._optimizer.step()
        self._training.after_step(
            self._parameters, learning_rate=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
        )
        self._optimizer.zero_grad()
        if self._batch.device.type == "cuda":
            # It is over when the card is.
            torch.cuda.synchronize()

    def _loss(self) -> Tensor:
        self._training.set_task_ids(torch.tensor(self._task_ids, device=self._batch.device))
        loss: Tensor = self._training.model(input_ids=self._batch, labels=self._batch).loss
        return loss


class _AdamWOfCopies:
    """AdamW on float32 copies of 16-bit parameters, under the names that DeepSpeed has for them."""

    loss_scale = 1.0

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.fp16_groups: list[list[nn.Parameter]] = [group["params"] for group in groups]
        self.fp32_groups = [
            [nn.Parameter(p.detach().float()) for p in group] for group in self.fp16_groups
        ]
        self._adamw = torch.optim.AdamW(
            {**group, "params": copies}
            for group, copies in zip(groups, self.fp32_groups, strict=True)
        )

    def step(self) -> None:
        both = list(zip(self.fp16_groups, self.fp32_groups, strict=True))
        for parameters, copies in both:
            for parameter, one in zip(parameters, copies, strict=True):
                one.grad = None if parameter.grad is None else parameter.grad.float()
        self._adamw.step()
        with torch.no_grad():
            for parameters, copies in both:
                torch._foreach_copy_(parameters, copies)

    def zero_grad(self) -> None:
        for group in (*self.fp16_groups, *self.fp32_groups):
            for parameter in group:
                parameter.grad = None


class _AutogradLinear(nn.Module):
    """MoSA by indexing: autograd keeps W0 + λ[Γ], and adds its gradient up one by one."""

    def __init__(self, frozen: nn.Linear, index: Tensor, *, groups: int) -> None:
        super().__init__()
        self.frozen = frozen
        self.values = nn.Parameter(torch.zeros(groups))
        self._index = index

    def forward(self, x: Tensor) -> Tensor:
        frozen = self.frozen
        # In the dtype of the layer, as one would write it: the reference is float32 throughout.
        delta = self.values[self._index.long()].to(frozen.weight.dtype)
        return F.linear(x, frozen.weight + delta, frozen.bias)


def _put_in_autograd(model: nn.Module, spec: MosaSpec) -> None:
    """Replaces the targets; those of one shape have one Γ, as in MoSA's own tuner."""
    config: Any = spec.peft_config()
    indices: dict[Tessellation, Tensor] = {}
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in spec.targets:
            tessellation: Tessellation = config.of_layer(name).tessellation(
                out_features=layer.out_features, in_features=layer.in_features
            )
            device = layer.weight.device
            if tessellation not in indices:
                indices[tessellation] = group_index(tessellation, device=device)
            made = _AutogradLinear(layer, indices[tessellation], groups=tessellation.groups)
            model.set_submodule(name, made.to(device))


def _copy(base: PreTrainedModel, *, shares_weights: bool) -> PreTrainedModel:
    """Returns the model again, its modules anew."""
    tensors = (*base.parameters(), *base.buffers()) if shares_weights else ()
    return copy.deepcopy(base, {id(tensor): tensor for tensor in tensors})
