"""What the papers' tables and figures cost at their own size, forecast; nothing is trained."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks._bench import document, machine, wrapped, write
from sweeper.experiment.loading import load_sweep
from sweeper.preflight.plan import plan_of
from sweeper.report.papers import PaperFile, paper_files

PAGE = Path(__file__).parents[1] / "docs" / "measurements" / "full-size.md"
GPU, GPUS = "A100-80GB", 8
"""What they are forecast for: so many of these."""
PRICE = 2.0
"""Of an hour of one of them, in any currency."""
_HEAD = """# Full size

What would the papers' tables and figures cost at their own size? `make full-size` asks `plan` of
each file in `search_spaces/papers`, on each of its profiles that has a model of the Hub. **Nothing
here was trained, and nothing was measured on a GPU**: times and memory are computed from operations
and from the data sheet's rates, with their range in brackets. Expect a factor of two. How far
computed [forecasts](forecast.md) are off is known on CPUs alone.
"""
_TERMS = """- *Trials* are all configurations and seeds, control arms among them.
- *GPU hours* are those of training; *hours* are from the command to the prompt on all GPUs, with
  the evaluation after it. That is taken to be of 500 rows, since the test splits are not at hand:
  MMLU's has 14,042.
- *Memory* is the peak of a worker, one GPU; it is the largest of the item's configurations.
"""


def forecasts(files: tuple[PaperFile, ...]) -> Iterator[dict[str, Any]]:
    """Yields the forecast of each item on each profile of its own size.

    Args:
        files: of the papers.
    """
    for file in files:
        for profile in file.paper.profiles:
            sweep = load_sweep(file.path, profile=profile)
            if sweep.spec.model.kind != "hub":
                continue
            workers = sweep.spec.resources.workers
            settings = {
                "gpu_type": GPU,
                "price_per_hour": PRICE,
                "max_replicas": max(1, GPUS // workers),
            }
            overrides = [f"resources.{name}={value}" for name, value in settings.items()]
            sweep = load_sweep(file.path, profile=profile, overrides=overrides)
            # A cluster has what this machine has not.
            costs = plan_of(sweep, address="auto", within_s=0).document()["costs"]
            yield {
                "item": file.paper.title,
                "name": file.name,
                "profile": profile,
                "workers": workers,
                "costs": costs,
            }


def page(rows: list[dict[str, Any]]) -> str:
    """Returns the page of the forecasts.

    Args:
        rows: of :func:`forecasts`.
    """
    about = (
        f"On {GPUS} GPUs of the type {GPU}, as many replicas at once as fit, at {PRICE:g} an hour "
        "and GPU. "
        f"The rates: {rows[0]['costs']['rates']}."
    )
    names = (
        "item",
        "profile",
        "GPUs of a replica",
        "trials",
        "GPU hours",
        "hours",
        "memory, GB",
        "cost",
    )
    table = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    table += [f"| {' | '.join(_cells(row))} |" for row in rows]
    return "\n".join([_HEAD, wrapped(about), "", *table, "", _TERMS])


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    costs, workers = row["costs"], row["workers"]
    yield from (row["item"], f"`{row['profile']}`", str(workers), str(costs["trials"]))
    yield _ranged(costs["trial_s"], costs["trials"] * workers / 3600)
    yield _ranged(costs["seconds"], 1 / 3600)
    yield _ranged(costs["memory_bytes"], 1e-9)
    yield _ranged(costs["money"], 1)


def _ranged(figure: Mapping[str, float], scale: float) -> str:
    value, low, high = (_short(scale * figure[name]) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _short(number: float) -> str:
    """Returns a number with two digits, or all of those before its point."""
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"


def main() -> None:
    """Forecasts all items, prints their table and, where asked to, writes its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page of measurements")
    given = parser.parse_args()
    rows = list(forecasts(paper_files()))
    print(page(rows))
    if given.write:
        PAGE.write_text(page(rows), encoding="utf-8")
        settings = {"gpu_type": GPU, "gpus": GPUS, "price_per_hour": PRICE}
        result = document("full-size", rows=rows, seeds={}, settings=settings, machine=machine())
        print(PAGE, write(result, is_whole=True))


if __name__ == "__main__":
    main()
