"""The page as one file that loads nothing from elsewhere, and its figures as files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper._environment import cache_root
from sweeper._files import write_text
from sweeper.report.leaderboard import leaderboard_document, summary_of
from sweeper.report.page.charts import Chart, columns_of
from sweeper.report.page.contents import Contents, contents_of
from sweeper.report.page.subject import Subject
from sweeper.tracking.stored import FIGURES, LEADERBOARD_FILE, PAGE_FILE, SAID_FILE

__all__ = ["page_text", "warm_up", "write_page", "write_sweep_page"]

# Of the figures, which have no page around them: its light colours, and a width.
_WIDTH = 720
_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1d2129",
    "pale": "#5f6773",
    "line": "#dfe3e8",
    "band": "#e3e6ea",
    "accent": "#1f6feb",
    "c0": "#1f77b4",
    "c1": "#d9622b",
    "c2": "#2a9d5c",
    "c3": "#b8308a",
    "c4": "#7a5cc7",
    "c5": "#a3741a",
    "c6": "#0f9bb0",
    "c7": "#d13c4b",
    "c8": "#6b7480",
    "c9": "#7f9a1f",
}


def page_text(subjects: Sequence[Subject], *, refresh_s: int = 0) -> str:
    """Returns the page of one sweep, or of several one after another.

    Args:
        subjects: at least one.
        refresh_s: after how many seconds a browser is to read it again; 0 for never.
    """
    return _rendered([contents_of(subject) for subject in subjects], refresh_s=refresh_s)


def write_page(subjects: Sequence[Subject], path: Path, *, refresh_s: int = 0) -> None:
    """Writes the page of one sweep or several.

    Args:
        subjects: at least one.
        path: of the file, which is replaced.
        refresh_s: after how many seconds a browser is to read it again; 0 for never.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page_text(subjects, refresh_s=refresh_s))


def warm_up() -> None:
    """Starts what draws figures, which takes half a second, so that a page is written sooner."""
    vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, allowed_base_urls=[])
    _bundle()


def write_sweep_page(subject: Subject) -> Path:
    """Writes the page of a sweep into its folder; for MLflow its figures, sentences and trials.

    Args:
        subject: the sweep.

    Returns:
        The page.

    Raises:
        OSError: it cannot be written.
    """
    folder, contents = subject.folder.path, contents_of(subject)
    shutil.rmtree(folder / FIGURES, ignore_errors=True)
    (folder / FIGURES).mkdir()
    for chart in contents.all_charts:
        write_text(folder / FIGURES / f"{chart.name}.svg", _figure(chart))
    said = {
        "parity": [line.text for line in contents.parity],
        "verdicts": [each.sentence for each in subject.conclusions.verdicts],
        "remarks": list(contents.remarks),
        "summary": summary_of(subject.ranking).model_dump(mode="json"),
    }
    write_text(folder / SAID_FILE, json.dumps(said, indent=2) + "\n")
    leaderboard = leaderboard_document(subject.ranking)
    write_text(folder / LEADERBOARD_FILE, json.dumps(leaderboard, allow_nan=False) + "\n")
    # Last: MLflow gets the others when this one is new.
    write_text(folder / PAGE_FILE, _rendered([contents]))
    return folder / PAGE_FILE


def _rendered(sweeps: Sequence[Contents], *, refresh_s: int = 0) -> str:
    environment = Environment(
        loader=PackageLoader("sweeper.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=False,
    )
    title = f"Report of {', '.join(sweep.name for sweep in sweeps)}"
    template = environment.get_template("page.html.j2")
    return template.render(title=title, sweeps=sweeps, bundle=_bundle(), refresh_s=refresh_s)


@cache
def _bundle() -> str:
    """Returns Vega, Vega-Lite and vega-embed as a script that a page can hold.

    What would end a script, or begin another kind of one, is only in its strings and expressions,
    where a backslash before a sign that needs none changes nothing.
    """
    kept = cache_root() / f"vega-{version('vl-convert-python')}.js"
    # To put it together takes longer than all the rest of a page.
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    # Without a snippet it is the whole bundle; the annotation forgets that.
    text: str = vl_convert.javascript_bundle(snippet=None)  # type: ignore[arg-type]
    text = text.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    with suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, text)
    return text


def _figure(chart: Chart) -> str:
    """Returns a chart as SVG, in the page's light colours."""
    config = {
        "background": _LIGHT["paper"],
        "view": {"stroke": None},
        "axis": {"gridColor": _LIGHT["line"], "labelLimit": 260},
        "legend": {"columns": columns_of(chart.spec, _WIDTH)},
    }
    text = json.dumps({**chart.spec, "width": _WIDTH, "title": chart.title})
    svg: str = vl_convert.vegalite_to_svg(
        _with_colours(text, _LIGHT), config=config, allowed_base_urls=[]
    )
    return svg


def _with_colours(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f'"var(--{name})"', f'"{value}"')
    return text
