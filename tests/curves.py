"""A table of learning curves with known answers, for tests that train nothing."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.curves.table import About, Cell, CurveTable

STEPS = tuple(range(10, 121, 10))
BASE = 3.0
"""Loss of the frozen base."""


def final_loss(cell: Cell) -> float:
    """A bowl over the rate for each method: no two configurations are alike."""
    method, size, rate = cell
    return 0.5 + 0.1 * method - 0.03 * size + 0.02 * (rate - 4 - 0.1 * method) ** 2


def table(  # what a table is made of
    *,
    methods: int = 3,
    ranks: Sequence[int] = (8, 32),
    rates: int = 7,
    seeds: int = 2,
    rows: int = 16,
    noise: float = 0.0,
    diverged: Sequence[Cell] = (),
    missing: Sequence[Cell] = (),
    loss: Callable[[Cell], float] = final_loss,
    labels: Sequence[str] = "abcdefgh",
    model: Mapping[str, str] | None = None,
) -> CurveTable:
    """A table whose validation and test losses are those of ``loss``, with noise over seeds.

    It is of methods ``a``, ``b``, … on no model, unless ``labels`` and ``model`` say another thing.
    Losses fall evenly from the base's to the last one. What diverges does so after 25 steps.
    """
    chance = np.random.default_rng(5)
    all_cells = [(m, z, r) for m in range(methods) for z in range(len(ranks)) for r in range(rates)]
    keys = [(x, s) for s in range(seeds) for x in all_cells if x not in missing]
    row_effects = np.linspace(-0.3, 0.3, rows)
    validation = np.empty((len(keys), len(STEPS), rows))
    test = np.empty((len(keys), rows))
    for place, (cell, _) in enumerate(keys):
        last = loss(cell) + noise * chance.standard_normal()
        shares = np.array(STEPS) / STEPS[-1]
        validation[place] = (BASE + shares * (last - BASE))[:, None] + row_effects
        test[place] = loss(cell) + row_effects
        if cell in diverged:
            validation[place, 2:] = np.nan
            test[place] = np.nan
    places = np.array([(*x, s) for x, s in keys], np.int64).T
    is_diverged = np.array([x in diverged for x, _ in keys])
    return CurveTable(
        about(labels[:methods], ranks=ranks, rates=rates, seeds=seeds, model=model),
        method=places[0],
        size=places[1],
        rate=places[2],
        seed=places[3],
        steps=np.where(is_diverged, 25, STEPS[-1]).astype(np.int64),
        trainable=np.full(len(keys), 1000, np.int64),
        step_time_s=np.full(len(keys), 0.02, np.float32),
        identity=np.array([f"{number:012x}" for number in range(len(keys))]),
        validation=validation.astype(np.float16),
        test=test.astype(np.float16),
        base_validation=(BASE + row_effects).astype(np.float16),
        base_test=(BASE + row_effects).astype(np.float16),
    )


def about(
    methods: Sequence[str],
    *,
    ranks: Sequence[int],
    rates: int,
    seeds: int,
    model: Mapping[str, str] | None,
) -> About:
    return About(
        metric="eval_loss",
        methods=tuple(methods),
        ranks=tuple(ranks),
        rates=tuple(float(f"{1e-4 * 2.6**n:.2g}") for n in range(rates)),
        seeds=tuple(range(seeds)),
        evaluation_steps=STEPS,
        validation_rows="0123456789abcdef",
        test_rows="fedcba9876543210",
        settings={} if model is None else {"model": dict(model)},
        sweeps=({"name": "made"},),
        versions={"torch": "1", "peft": "2", "optuna": "3"},
    )
