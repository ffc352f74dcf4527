"""The page is one file that loads nothing, says what the terminal says, and holds any name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import vl_convert
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.report.configurations import configuration_rows
from sweeper.report.page import page_text, subject_of, write_sweep_page, writing
from sweeper.tracking.stored import Said
from tests.sweeper.report import made


class Page(HTMLParser):
    """The elements of a page, its text outside of scripts, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._inside = tag
            if tag == "script":
                self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def documents(self) -> list:
        return [json.loads(text) for own, text in self.scripts if own.get("class") == "document"]

    @property
    def specs(self) -> list:
        return [
            json.loads(text)
            for own, text in self.scripts
            if own.get("type") == "application/json" and "class" not in own
        ]


@pytest.fixture(scope="module")
def page(groups):
    return Page(page_text([groups]))


def test_page_terminal_and_json_say_the_same(page, groups, home):
    arguments = ["report", groups.folder.name, "--home", str(home)]
    # By itself: what it prints as JSON goes past Python's own standard output.
    command = [sys.executable, "-m", "sweeper", *arguments, "--json"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    document = json.loads(printed.stdout)
    shown = " ".join(CliRunner().invoke(app, arguments, env={"COLUMNS": "400"}).stdout.split())
    (embedded,) = page.documents
    assert {**embedded, "tracking_uri": ""} == {**document, "tracking_uri": ""}
    said = document["conclusions"]
    assert len(said["sentences"]) > 5
    for sentence in (*said["sentences"], *(f"{line['text']}." for line in said["parity"])):
        assert sentence in page.text
        assert sentence in shown
    rows = configuration_rows(groups.conclusions, groups.ranking)
    assert rows is not None
    assert len(rows[1]) == 4
    for row in rows[1]:
        assert " ".join(filter(None, row)) in shown
        assert all(cell in page.text for cell in row)
    for trial in document["trials"]:
        record = groups.folder.trial(trial["id"]).read()
        assert str(groups.ranking.score(record)) in page.text
        assert groups.ranking.score(record).value == trial["metrics"]["accuracy"]


def test_the_comparison_plot_has_the_numbers_of_the_document(page):
    (document,) = page.documents
    found = document["conclusions"]["differences"]
    assert (found["reference"], found["against"]) == ("group_size=2", "control")
    values = [row for layer in page.specs[0]["layer"] for row in layer["data"]["values"]]
    means = {row["name"]: row for row in values if "member" in row}
    by_pair = {
        tuple(each["names"]): each
        for each in document["conclusions"]["statements"]
        if each.get("family") == "against_control"
    }
    assert len(means) == 4
    for row in found["rows"]:
        shown = means[row["name"]]
        assert shown["member"] == row["in_best_set"]
        assert shown["x"] == 100 * row["estimate"]
        if row["name"] == found["reference"]:
            assert row["interval"] is None
            continue
        statement = by_pair[row["name"], found["reference"]]
        assert row["estimate"] == statement["estimate"]
        assert [shown["low"], shown["high"]] == [100 * end for end in statement["interval"]]
    seeds = [row for row in values if set(row) == {"name", "x"}]
    assert len(seeds) == 20


def test_verdicts_come_before_all_charts_and_parity_before_them(page):
    order = [
        page.text.index(word) for word in ("Parity", "Verdicts", "Difference to", "Learning curves")
    ]
    assert order == sorted(order)
    for title in ("Cost", "Repeat", "What this rests on", "By task", "git commit", "versions"):
        assert title in page.text
    assert "0123abcd" * 5 in page.text
    assert "each by itself" in page.text


def test_no_word_says_more_than_the_verdicts(page, hunt):
    both = f"{page.text} {Page(page_text([hunt])).text}".lower()
    for word in ("significant", "trend towards", "weak evidence", "rank 1", "#1", "place"):
        assert word not in both.replace("in the place of", "")


def test_the_page_loads_nothing(page):
    loading = {"src", "srcset", "poster", "data", "action"}
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed"}
        assert not loading & attributes.keys()
        assert not str(attributes.get("href", "#")).partition("#")[0]
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none';")
    assert all(part in policy for part in ("script-src 'unsafe-inline'", "style-src"))


def test_names_and_messages_cannot_break_the_page(tmp_path):
    evil = "</script><script>alert(1)</script><!--<b>"
    sweep = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    folder = made.designed(tmp_path, "evil-1", sweep, lambda name, _: 0.6)
    trial = folder.trial(f"{7:012x}")
    record = json.loads((trial.path / "record.json").read_text())
    record |= {"status": "failed", "error": {"type": evil, "message": evil}}
    record["params"]["note"] = evil
    (trial.path / "record.json").write_text(json.dumps(record))
    folder.mark("complete", note=evil)
    subject = subject_of(folder, tracking_uri="")
    found = Page(page_text([subject]))
    assert evil in found.text
    assert found.text.index(evil) < found.text.index("Verdicts")
    assert "b" not in [tag for tag, _ in found.tags if tag == "b"][8:]
    charts = len(found.specs)
    # Charts, the document, the library and what draws them: none more.
    assert len(found.scripts) == charts + 3
    (document,) = found.documents
    assert document["note"] == evil
    assert document["trials"][7]["error"] == f"{evil}: {evil}"


def test_several_sweeps_stand_on_one_page(groups, hunt, home, tmp_path):
    path = tmp_path / "both.html"
    names = [groups.folder.name, hunt.folder.name]
    arguments = ["report", *names, str(path), "--html", "--home", str(home)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(path)
    found = Page(path.read_text())
    assert [document["sweep"] for document in found.documents] == names
    assert "Nothing is said of importances: 6 trials have a value" in found.text
    assert "what is compared are the adapters" in found.text


def test_the_page_of_a_sweep_is_in_its_folder_with_its_figures(groups):
    path = write_sweep_page(groups)
    assert path == groups.folder.path / "report.html"
    figures = {figure.stem: figure.read_text() for figure in (path.parent / "figures").iterdir()}
    assert {"comparison", "contrasts", "learning"} <= figures.keys()
    for text in figures.values():
        assert ET.fromstring(text).tag.endswith("svg")
        assert "var(--" not in text
    said = Said.model_validate_json((path.parent / "verdicts.json").read_text())
    assert said.verdicts == tuple(x.sentence for x in groups.conclusions.verdicts)


def test_a_page_that_cannot_be_written_is_refused_in_words(groups, home, tmp_path):
    taken = tmp_path / "taken.html"
    (taken / "full").mkdir(parents=True)
    arguments = ["report", groups.folder.name, str(taken), "--html", "--home", str(home)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert re.search(r"taken\.html cannot be written \(.*\); the page is a file", result.stderr)


@pytest.mark.slow
def test_two_hundred_trials_take_less_than_three_megabytes(tmp_path):
    sweep = made.sweep_of(tmp_path, made.PAIRED, "design.seeds=8")
    levels = {"lora": 0.6, "mosa": 0.7, "dora": 0.55}
    folder = made.designed(tmp_path, "big", sweep, lambda name, _: levels[name.partition(",")[0]])
    assert len(folder.trials()) == 192
    path = write_sweep_page(subject_of(folder, tracking_uri=""))
    assert path.stat().st_size * 200 / 192 < 3_000_000


def test_the_bundle_is_put_together_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    first = writing._bundle.__wrapped__()
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.read_text() == first
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda **_: "never")
    assert writing._bundle.__wrapped__() == first


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda **_: "x</script>y")
    assert writing._bundle.__wrapped__() == r"x<\/script>y"


def test_what_draws_figures_starts_without_a_chart(monkeypatch):
    seen = []

    def drawn(spec, **named):
        seen.append(to_svg(spec, **named))
        return seen[-1]

    to_svg = vl_convert.vegalite_to_svg
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", drawn)
    writing.warm_up()
    assert [text.startswith("<svg") for text in seen] == [True]
