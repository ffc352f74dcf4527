"""The plan of a sweep and the doctor's findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper._text import bytes_text, count, duration, params_text, value_text, varying
from sweeper.analysis.statistics.verdicts import PLAIN, POINTS
from sweeper.report.terminal.forecast import costs_lines
from sweeper.report.terminal.tables import row_table

__all__ = [
    "dropped_text",
    "earlier_text",
    "plan_view",
    "taken_text",
]

_QUESTIONS = {
    "best": "which configuration is the best, and which cannot be told from it",
    "tuned": "which method is better, each at the learning rate that is best for it",
    "one_factor": "what each change does to the baseline",
    "effects": "what each factor does by itself, and with another one",
}


def plan_view(plan: Mapping[str, Any]) -> RenderableType:
    """Returns what a plan's document (``plan --json``) says, for people."""
    trials, memory, resources = plan["trials"], plan["memory"], plan["resources"]
    objective = plan["objective"]
    table = _trials(trials) if plan.get("design") is None else _configurations(plan)
    # First: a long plan must not hide that it cannot be run.
    parts: list[RenderableType] = [Text(f"Missing: {x}", style="bold") for x in plan["missing"]]
    parts += [""] if plan["missing"] else []
    parts += [
        Text.assemble(
            (f"Plan of {plan['space']} on {plan['profile']}", "bold"),
            f"  {count(plan['search']['trials'], 'trial')}, "
            f"{'lowest' if objective['mode'] == 'min' else 'highest'} {objective['metric']}",
        ),
        "",
        table,
        "",
        *_design(plan),
        *_epochs(plan),
        *_patience(plan),
        *_racing(plan),
        *_rates(plan),
        *_scale(plan),
        *_budget(plan),
        *costs_lines(plan.get("costs")),
        _pairs("Memory of one worker, by formula", {k: bytes_text(v) for k, v in memory.items()}),
        _pairs("Resources of one replica", resources),
    ]
    parts += _notes(plan)
    parts += _confirmation(plan)
    parts += ["", Text("Nothing was started.")]
    return Group(*parts)


def dropped_text(fields: Iterable[str]) -> str:
    """Returns a sentence on what a file searches and its comparison does not; empty without any.

    Args:
        fields: of methods and of the training, such as ``masa.experts``.
    """
    named = ", ".join(fields)
    return f"Not taken over in a comparison, at the default: {named}" if named else ""


def taken_text(sources: Iterable[str | None], *, is_over: bool = False) -> str:
    """Returns a sentence on trials that other sweeps have trained; empty where there are none.

    Args:
        sources: of each trial the sweep that trained it, None where it is this one.
        is_over: whether the sweep has been run.
    """
    counts = Counter(source for source in sources if source)
    if not counts:
        return ""
    known = ", ".join(f"{number} from {name}" for name, number in counts.items())
    number = sum(counts.values())
    if is_over:
        return f"{count(number, 'trial')} taken over, not trained here: {known}."
    are = "is" if number == 1 else "are"
    return (
        f"{count(number, 'trial')} {are} finished already and {are} taken over: {known}. "
        "--fresh trains all."
    )


def earlier_text(earlier: Mapping[str, Any]) -> str:
    """Returns which trials of earlier sweeps a search learns from, and why others are left out.

    Args:
        earlier: as a plan's document has it; empty where the file names no sweep.
    """
    taken = Counter(found["sweep"] for found in earlier.get("taken", ()))
    left = [(x["sweep"], x["trials"], x["why"]) for x in earlier.get("left_out", ())]
    if not taken and not left:
        return ""
    total = Counter(taken)
    for name, number, _ in left:
        total[name] += number
    said = ", ".join(f"{taken[name]} of {count(n, 'trial')} of {name}" for name, n in total.items())
    why = "; ".join(f"{number} of {name}: each {text}" for name, number, text in left)
    left_out = f" Not taken: {why}." if why else ""
    return f"The search learns from {said}; none counts as a trial of this sweep.{left_out}"


def _trials(trials: Sequence[Mapping[str, Any]]) -> Table:
    table = row_table()
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("origin", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("trainable", justify="right", no_wrap=True)
    table.add_column("percent", justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold", ratio=1)
    names = varying(trial["params"] for trial in trials)
    for trial in trials:
        table.add_row(
            str(trial["number"]),
            trial["origin"],
            trial["method"],
            f"{trial['trainable']:,}",
            f"{trial['percent']:.4f}",
            Text(params_text(trial["params"], names)),
        )
    return table


def _configurations(plan: Mapping[str, Any]) -> Table:
    """Returns a table of what a design compares; a tuned method has one row for all rates."""
    table = row_table()
    table.add_column("configuration", overflow="fold")
    for name in ("trials", "finished", "trainable", "percent"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("answers", overflow="fold", ratio=1)
    for name, found in _rows(plan["design"]).items():
        names = {configuration["name"] for configuration in found}
        own = [trial for trial in plan["trials"] if trial["configuration"] in names]
        answers = found[0]["answers"]
        if len(found) > 1:
            answers = f"the peak of {name} over {len(found)} learning rates"
        table.add_row(
            name,
            str(len(own)),
            str(sum(trial["taken_from"] is not None for trial in own)),
            f"{own[0]['trainable']:,}",
            f"{own[0]['percent']:.4f}",
            Text(answers),
        )
    return table


def _rows(design: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the configurations of each row of a table."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for found in design["configurations"]:
        name = found["name"] if design["tuned"] is None else found["levels"]["name"]
        rows.setdefault(name, []).append(found)
    return rows


def _design(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns what a design decides, line by line."""
    design = plan.get("design")
    if design is None:
        return []
    number, seeds = len(design["configurations"]), design["seeds"]
    size = f"{count(number, 'configuration')} × {count(len(seeds), 'seed')} = {number * len(seeds)}"
    lines = [
        ("Question", _QUESTIONS[design["question"]]),
        ("Trials", f"{size}; each runs to its end and is evaluated after its training"),
    ]
    if design["tuned"] is not None:
        values = design["tuned"]["values"]
        text = f"{len(values)} learning rates from {values[0]:.3g} to {values[-1]:.3g}"
        lines.append(("Tuned", f"{text}, the same for each method"))
    if design["baseline"] is not None:
        lines.append(("Baseline", design["baseline"]))
    if len(design["looks"]) > 1:
        after = ", ".join(map(str, design["looks"]))
        lines.append(("Looks", f"conclusions may be drawn after {after} seeds"))
    delta = design["delta"]
    default = "a point of accuracy, or 2 % of the control's mean (the default)"
    text = default if delta is None else f"{delta:g} {plan['objective']['metric']}"
    lines.append(("Smallest difference of interest", text))
    if design["control"] == "none":
        lines.append(("Control arms", "none are added (control: none)"))
    lines += _detection(plan)
    if plan["forecast"] is not None:
        forecast = plan["forecast"]
        text = (
            f"{duration(forecast['seconds'])} of one replica for "
            f"{count(forecast['trials'], 'trial')}, as in sweep {forecast['source']}"
        )
        lines.append(("Time", text))
    return [Text.assemble((f"{name}: ", "bold"), text) for name, text in lines]


def _detection(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns which difference the design finds, and what it takes for the smallest of interest."""
    found, seeds = plan["detection"], len(plan["design"]["seeds"])
    if seeds < 2:
        return []
    if found is None:
        text = (
            "unknown: no sweep of this model and data has several seeds; the variance of "
            "search_spaces/variance.yaml would tell"
        )
        return [("Found in 80 %", text)]
    unit = POINTS if found["is_fraction"] else PLAIN
    spread = f"as sweep {found['source']} spreads" if found["source"] else "by the assumed spread"
    difference = unit.amount(found["difference"], found["difference"])
    floor = unit.amount(found["floor"], found["floor"])
    delta = unit.exact(found["delta"])
    needs = [f"{found['seeds']} seeds"] if found["seeds"] else ["no number of seeds up to 200"]
    if found["needed_rows"] and found["needed_rows"] > found["rows"]:
        needs.append(f"or {found['needed_rows']:,} rows with these seeds")
    if plan["design"]["question"] == "effects":
        difference = f"a main effect of {difference}, or twice as much of two factors together,"
    lines = [
        ("Found in 80 %", f"{difference} with {seeds} seeds and {found['rows']:,} rows, {spread}"),
        ("Floor of these rows", f"{floor}, which no number of seeds beats"),
        (f"To find {delta}", " ".join(needs)),
    ]
    if found["winner"] is not None:
        text = f"in about {100 * found['winner']:.0f} %, where the best is {delta} ahead of all"
        lines.append(("Named the best alone", text))
    return lines


def _confirmation(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns what follows on a search: how many trials, of which nobody knows yet."""
    found = plan.get("confirmation")
    if found is None:
        return []
    top, seeds = found["trials"] // found["seeds"], count(found["seeds"], "fresh seed")
    best = "the best configuration" if top == 1 else f"the best {top} configurations"
    text = f"{best} × {seeds} = {count(found['trials'], 'trial')} more, after the search"
    if found["controlled"]:
        methods = ", ".join(found["controlled"])
        text += f"; a control arm of {methods} adds {count(found['seeds'], 'trial')}"
    return ["", Text.assemble(("Confirmation: ", "bold"), f"{text}.")]


def _notes(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns what the table does not show."""
    # With it comes Optuna, which no other view needs.
    from sweeper.search.draws import MOST_DRAWN

    trials = plan["trials"]
    notes: list[RenderableType] = []
    if len(trials) < plan["search"]["trials"]:
        is_alone = len(trials) == 1
        what = "shown" if len(trials) == MOST_DRAWN else "all that the space has"
        text = f"{count(len(trials), 'trial')} {'is' if is_alone else 'are'} {what}; none is run"
        notes += ["", Text(f"{text} twice.")]
    for text in (
        taken_text(trial.get("taken_from") for trial in trials),
        earlier_text(plan.get("earlier", {})),
    ):
        notes += ["", Text(text)] if text else []
    if any(trial["is_example"] for trial in trials):
        first = next(trial["number"] for trial in trials if trial["is_example"])
        text = f"From trial {first} on, the draws depend on results; these rows are examples."
        notes += ["", Text(text)]
    return notes


def _epochs(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns what the epochs of the file come to, where it has some."""
    epochs = plan.get("epochs")
    if epochs is None:
        return []
    fewest, most = epochs["fewest_steps"], epochs["most_steps"]
    steps = count(fewest, "step") if fewest == most else f"{fewest:,} to {most:,} steps"
    text = f"{steps} a trial, made of epochs of {count(epochs['rows'], 'row')}"
    return [Text.assemble(("Length: ", "bold"), text)]


def _patience(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns when trials may end by themselves, where they may."""
    found = plan.get("patience")
    if found is None:
        return []
    few = found["trials"] < len(plan["trials"])
    who = f"{count(found['trials'], 'trial')} shown" if few else "a trial"
    text = (
        f"{who} may end after step {found['earliest_step']:,} of {found['most_steps']:,} at the "
        f"earliest, by {plan['objective']['metric']}; the schedule is that of all steps"
    )
    return [Text.assemble(("Patience: ", "bold"), text)]


def _racing(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns when races end trials, where the search holds some."""
    if plan["search"].get("stop") != "racing":
        return []
    racing = plan["search"]["racing"]
    text = (
        f"from evaluation {racing['grace']} on a trial ends once its loss is worse than the best "
        f"one's, with {1 - racing['alpha']:.0%} certainty for all trials together; "
        f"{racing['rows']} validation rows first, then half as many again while undecided"
    )
    return [Text.assemble(("Racing: ", "bold"), text)]


def _rates(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns which learning rate methods get, or start with, and why; a line each."""
    lines: list[RenderableType] = []
    for found in plan.get("rates", ()):
        low, high = found["low"], found["high"]
        text = f"{low:g}" if low == high else f"{low:g} to {high:g}, by its size"
        least, most = found["between"]
        text += f"; the best lies within {least:g} and {most:g} in two of three cases; "
        title = "Rate to start with" if found["is_start"] else "Rate (auto)"
        lines.append(
            Text.assemble(
                (f"{title}, {found['method']}: ", "bold"), text, f"made of {found['why']}"
            )
        )
    return lines


def _scale(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns whether several methods have one alpha / rank, where they have an alpha."""
    found, methods = plan.get("scale"), {trial["method"] for trial in plan["trials"]}
    if found is None or len(methods) < 2:
        return []
    return [Text.assemble(("Scale: ", "bold"), found["text"])]


def _budget(plan: Mapping[str, Any]) -> list[RenderableType]:
    """Returns the size of each trial, of a design of each method, and its deviation."""
    budget, trials = plan.get("budget"), plan["trials"]
    if budget is None:
        return []
    if plan.get("design") is not None:
        by_size = {(trial["method"], trial["trainable"]): trial for trial in reversed(trials)}
        trials = sorted(by_size.values(), key=lambda trial: trial["number"])
    table = row_table()
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    for name in ("budget", "deviation", "percent", "scale"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("chosen size", overflow="fold", ratio=1)
    for trial in trials:
        fit = trial["budget"]
        table.add_row(
            str(trial["number"]),
            trial["method"],
            f"{fit['parameters']:,}",
            f"{fit['miss']:+,}" if fit["miss"] else "0",
            f"{fit['miss_percent']:+.3g}" if fit["miss"] else "0",
            "" if fit["alpha_per_rank"] is None else f"{fit['alpha_per_rank']:.3g}",
            Text(params_text(fit["size"], list(fit["size"]))),
        )
    return [_pairs("Budget", {k: v for k, v in budget.items() if v is not None}), table, ""]


def _pairs(title: str, values: Mapping[str, object]) -> RenderableType:
    text = ", ".join(
        f"{name.removesuffix('_bytes').replace('_', ' ')} {value_text(value)}"
        for name, value in values.items()
    )
    return Text.assemble((f"{title}: ", "bold"), text)
