"""What a sweep is: on what it runs, how it searches, what it evaluates at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from sweeper._spec import Spec
from sweeper.data import DataSpec, TasksDataSpec
from sweeper.data.hygiene import HygieneSpec
from sweeper.experiment.confirm import ConfirmSpec
from sweeper.experiment.design import MOST_TRIALS, DesignPlan
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.objective import ObjectiveSpec
from sweeper.experiment.paper import PaperSpec
from sweeper.experiment.space.space import Space
from sweeper.experiment.trial import EngineSpec, EvaluationSpec
from sweeper.models import ModelSpec

__all__ = [
    "AshaSpec",
    "ConfirmSpec",
    "FinalSpec",
    "GpuType",
    "NotifyEvent",
    "NotifySpec",
    "ObjectiveSpec",
    "RacingSpec",
    "ResourcesSpec",
    "SearchSpec",
    "ShareSpec",
    "Sweep",
    "SweepSpec",
]


# What trials are compared by in a race.
_RACED = ("eval_loss", "min")


class FinalSpec(Spec):
    """The evaluation after the search, of the best trials alone. The search never sees it."""

    trials: int | None = Field(default=1, ge=0)
    """How many of the best trials are evaluated; 0 for none, ``all`` or ``null`` for all that are
    complete. A design evaluates all: what it compares, it compares on rows that chose nothing."""
    split: Literal["test", "validation"] = "test"
    """Split that the final evaluation uses."""
    rows: int | None = Field(default=None, ge=1)
    """Most rows of the split, drawn with a fixed seed; null uses all."""
    metric: str | None = Field(default=None, exclude_if=lambda metric: metric is None)
    """What the configurations of a design are compared by, where it is not the objective: the
    score of test rows of another task than those that are trained on, such as ``accuracy``. Rates
    are still chosen by the objective."""

    @field_validator("trials", mode="before")
    @classmethod
    def _all_is_no_number(cls, trials: object) -> object:
        return None if trials == "all" else trials


GpuType = Literal[
    "T4", "V100-32GB", "A10", "L4", "L40S", "A100-40GB", "A100-80GB", "H100-PCIE", "H100", "H200"
]
"""GPUs whose published rates are known."""


class ResourcesSpec(Spec):
    """What one replica (one Ray Train worker group) takes from the cluster."""

    workers: int = Field(default=1, ge=1)
    """Worker processes of a replica; the trial is sharded over them by DeepSpeed."""
    cpus_per_worker: float = Field(default=1, gt=0)
    """CPUs of one worker."""
    gpus_per_worker: float = Field(default=0, ge=0)
    """GPUs of one worker; 0 runs on the CPU with gloo."""
    max_replicas: int = Field(default=64, ge=1)
    """Most replicas that are started; fewer if the cluster is too small."""
    gpu_type: GpuType | None = Field(default=None, exclude_if=lambda gpu: gpu is None)
    """GPU of a worker, where ``plan`` is to compute times and memory from its published rates: this
    machine has none, or not the model. It is no part of a trial's identity, and asks the cluster
    for nothing."""
    price_per_hour: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000_000,
        allow_inf_nan=False,
        exclude_if=lambda price: price is None,
    )
    """What an hour of one worker costs with its CPUs and GPUs, in any currency; ``status`` then
    says what the trials have cost. It is no part of a trial's identity."""


NotifyEvent = Literal["end", "failure", "stopped"]
"""How a run of a sweep ended."""


class NotifySpec(Spec):
    """Who is told when a run of the sweep ends; no part of a trial's identity.

    A notice is JSON: ``text`` (a line to be read), ``sweep``, ``event``, ``best``, ``counts`` (of
    trials by status), ``link``, ``folder``, ``host``. It gets 10 seconds; that it failed is a
    warning.
    """

    url_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the address to which a notice is sent by POST.
    The address itself is a secret and stands in no file."""
    command: tuple[str, ...] = ()
    """Program and arguments that get a notice as their input. It runs with your rights, without a
    shell."""
    on: tuple[NotifyEvent, ...] = ("end", "failure")
    """Of what is told: ``end``, all trials have ended; ``failure``, the sweep could not go on;
    ``stopped``, by Ctrl-C or its owner."""


class AshaSpec(Spec):
    """Asynchronous successive halving (arXiv:1810.05934): stops trials that are behind."""

    grace: int = Field(default=1, ge=1)
    """Evaluations before a trial can be stopped."""
    reduction: float = Field(default=3, gt=1, le=16)
    """About one in this many trials continues past a rung."""


class RacingSpec(Spec):
    """Stops a trial whose loss is worse than that of the best before it at the same evaluation.

    Rows are asked in growing blocks, for as long as it is undecided.
    """

    alpha: float = Field(default=0.05, gt=0, le=0.2)
    """Most probability that a race of the sweep stops a trial that is no worse than the one it has
    lost to. It is spent over all pairs of trials and all evaluations."""
    rows: int = Field(default=32, ge=16, le=100_000)
    """Validation rows that are asked before a trial can be stopped; from there on by half as many
    again, for as long as it is undecided."""
    grace: int = Field(default=1, ge=1)
    """First evaluation at which a trial can be stopped; beyond ``train.evaluations`` none is."""


class ShareSpec(Spec):
    """Ends every trial after the same share of its evaluations; the best go on to their end."""

    fraction: float = Field(default=0.25, gt=0, lt=1)
    """Part of a trial's evaluations after which it is compared with the others, rounded to the
    nearest one. Where that is the last one, every trial is trained to its end."""
    finalists: int = Field(default=1, ge=1, le=100)
    """How many of the best are trained to their end, each from its checkpoint, once all trials have
    come so far. The best of the complete trials is the sweep's best one. They are as many as
    ``final.trials`` or ``search.confirm.top`` where these ask for more."""

    def ends_at(self, evaluations: int) -> int:
        """Returns the evaluation at which trials are compared, from 1.

        Args:
            evaluations: of a whole trial, at least 1.
        """
        return max(1, round(self.fraction * evaluations))


class SearchSpec(Spec):
    """How the space is searched."""

    trials: int = Field(default=8, ge=1, le=MOST_TRIALS)
    """Number of trials, baselines included."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the sampler."""
    sampler: Literal["gp", "tpe", "random"] = "gp"
    """What draws the points after the first ones: ``gp``, a Gaussian process that is told the
    standard error of each trial's value, and compares trainings of one length alone (``stop:
    share``, or ``asha: null``); ``tpe``, the tree-structured Parzen estimator, the default where
    trials are not stopped at a share; ``random``."""
    startup_trials: int = Field(default=4, ge=1, le=MOST_TRIALS)
    """Trials drawn at random before the sampler's model is used."""
    stop: Literal["share", "asha", "racing"] = "share"
    """What ends trials early: ``share``, all of them after the same part of their evaluations, and
    the best go on; ``asha``, those behind at a rung, the default where ``asha`` is given;
    ``racing``, those whose loss is worse than the best one's for certain."""
    asha: Annotated[AshaSpec | None, Field()] = AshaSpec()
    """The rungs of ``stop: asha``; ``null`` trains every trial to its end."""
    share: ShareSpec = ShareSpec()
    """The part of ``stop: share``."""
    racing: RacingSpec = RacingSpec()
    """The races of ``stop: racing``."""
    sources: tuple[str, ...] = Field(default=(), alias="from")
    """Earlier sweeps, by name or folder: their trials enter the study as observations where they
    are ones that this search could draw. They are no trials of this sweep, and no report counts
    them; ``plan`` says how many are taken, and why others are not."""
    prefetch: int = Field(default=1, ge=0, le=1000)
    """Trials suggested in advance, so that no replica waits for its next one."""
    max_failures: int = Field(default=2, ge=0, le=1000)
    """Times a trial is retried after its replica died."""
    confirm: ConfirmSpec | None = None
    """A comparison of the best trials after the search; without it what the search found best may
    owe that to its seed."""

    @property
    def rungs(self) -> AshaSpec | None:
        """ASHA's settings; None where it stops no trial."""
        return self.asha if self.stop == "asha" else None

    def compared_at(self, evaluations: int) -> int:
        """Returns the evaluation whose value a trial is searched by: the last one, or the share's.

        Args:
            evaluations: of a whole trial, at least 1.
        """
        return self.share.ends_at(evaluations) if self.stop == "share" else evaluations

    @field_validator("sources")
    @classmethod
    def _sources_are_names(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((name for name in sources if not name or sources.count(name) > 1), None)
        if wrong is not None:
            how = "twice" if wrong else "as a sweep"
            raise ValueError(f"names {wrong!r} {how}; it must name sweeps; give each one once")
        return sources

    @model_validator(mode="before")
    @classmethod
    def _defaults_agree(cls, given: object) -> object:
        """Fills in what follows from what is given: that of ASHA, and its sampler."""
        if not isinstance(given, dict):
            return given
        stop = given.get("stop", "asha" if "asha" in given else "share")
        if stop == "share" and given.get("asha", AshaSpec()) is None:
            raise ValueError(
                "asha is null, and stop is share, which reads nothing of it; with stop: asha and "
                "no rungs every trial is trained to its end; set stop to asha, or leave asha out"
            )
        sampler = {} if stop == "share" else {"sampler": "tpe"}
        return {"stop": stop, **sampler, **given}

    @model_validator(mode="after")
    def _settings_are_read(self) -> SearchSpec:
        for unread in ("asha", "share", "racing"):
            default = type(self).model_fields[unread].default
            if unread != self.stop and getattr(self, unread) not in (default, None):
                raise ValueError(
                    f"stop is {self.stop}, which reads nothing of {unread}, but {unread} has "
                    f"values of its own; one of them stops trials; set stop to {unread}, or leave "
                    f"{unread} out{' (--set search.asha=null)' if unread == 'asha' else ''}"
                )
        return self

    @model_validator(mode="after")
    def _values_can_be_compared(self) -> SearchSpec:
        if self.sampler == "gp" and (self.rungs is not None or self.stop == "racing"):
            raise ValueError(
                f"sampler is gp, and stop is {self.stop}; a Gaussian process compares trainings of "
                f"one length, and {self.stop} ends them at several; set stop to share, or asha to "
                "null, or sampler to tpe"
            )
        return self


class SweepSpec(Spec):
    """A sweep without its space: on what it runs and how it searches."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the search space; the sweep's folder and its MLflow run start with it."""
    description: str = ""
    """One line for ``plan``."""
    profile: str = Field(min_length=1)
    """Name of the profile, or path of its file."""
    model: ModelSpec
    """The frozen base model (from the profile)."""
    data: DataSpec
    """Training and evaluation data (from the profile)."""
    engine: EngineSpec = EngineSpec()
    """DeepSpeed (from the profile)."""
    resources: ResourcesSpec = ResourcesSpec()
    """Resources of a replica (from the profile)."""
    hygiene: HygieneSpec = HygieneSpec()
    """Checks of the data before a sweep starts; not part of a trial's identity."""
    objective: ObjectiveSpec = ObjectiveSpec()
    """Metric that the search optimises."""
    search: SearchSpec = SearchSpec()
    """How the space is searched."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """How generated answers are scored."""
    final: FinalSpec = FinalSpec()
    """The evaluation of the best trials after the search."""
    notify: NotifySpec = NotifySpec()
    """Who is told when the sweep ends. A profile may say it for all of its sweeps."""
    paper: PaperSpec | None = None
    """The table or figure of a paper that the file asks again; not part of a trial's identity."""
    fresh: bool = False
    """Whether every trial is trained, also where another sweep in the folder of all sweeps has
    finished the same one; ``--fresh`` sets it."""

    @property
    def compared_by(self) -> str:
        """The metric that comparisons are of: the objective, or that of the end of a design."""
        return self.final.metric or self.objective.metric

    @field_validator("evaluation")
    @classmethod
    def _tasks_name_their_metrics(
        cls, evaluation: EvaluationSpec, info: ValidationInfo
    ) -> EvaluationSpec:
        if evaluation.metrics and isinstance(info.data.get("data"), TasksDataSpec):
            raise ValueError(
                f"metrics is [{', '.join(evaluation.metric_names)}], and the data is made of "
                "tasks, each of which names its own metrics; leave metrics out, or read the rows "
                "by another kind of data"
            )
        return evaluation

    @field_validator("search")
    @classmethod
    def _races_are_of_losses(cls, search: SearchSpec, info: ValidationInfo) -> SearchSpec:
        objective = info.data.get("objective")
        if search.stop == "racing" and isinstance(objective, ObjectiveSpec):
            given = (objective.metric, objective.mode)
            if given != _RACED:
                raise ValueError(
                    f"stop is racing, and the objective is {' '.join(given)}; races compare the "
                    f"loss of single rows, so that the objective must be {' '.join(_RACED)}; "
                    "leave objective out, or set search.stop to asha"
                )
        return search

    @property
    def finalists(self) -> int:
        """How many trials ``stop: share`` trains to their end: as many as are asked for after it.

        A confirmation compares whole trials, and whole trials are evaluated at the end.
        """
        confirm = self.search.confirm
        compared = 0 if confirm is None else confirm.top
        return max(self.search.share.finalists, compared, self.final.trials or 0)

    def fingerprint(self, data: str) -> str:
        """Returns the hash that a trial's identity has of the files it is trained on.

        Args:
            data: the hash of the data.

        Raises:
            BadInputError: a file of the model cannot be read.
        """
        model = self.model.fingerprint()
        return f"{data} {model}" if model else data


@dataclass(frozen=True)
class Sweep:
    """A sweep, checked and complete."""

    spec: SweepSpec
    space: Space
    document: Document
    """The resolved document: :func:`build_sweep` makes the same sweep of it."""
    design: DesignPlan | None = None
    """What is compared, where the sweep is a design and no search."""
    is_batch_open: bool = False
    """Whether the micro-batch is still to be chosen: its batches have one sequence until then."""
