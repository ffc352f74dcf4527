"""The pages are built without a warning, and load nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT

# What a page loads by itself; links are followed by the reader only.
LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]+src=\"([^\"]+)\"|<link([^>]+)>")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    zensical = str(Path(sys.executable).with_name("zensical"))
    command = [zensical, "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "zensical.toml", folder)
    return folder


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    done = build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project / "site"


def test_every_page_is_built(project: Path, site: Path):
    pages = sorted((project / "docs").rglob("*.md"))
    assert len(pages) > 8
    for path in pages:
        assert (site / path.relative_to(project / "docs")).with_suffix(".html").is_file(), path


def test_nothing_is_loaded_from_elsewhere(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert pages
    for path in pages:
        for source, link in LOADED.findall(path.read_text(encoding="utf-8")):
            if source:
                assert "//" not in source, f"{path.name}: {source}"
            elif "canonical" not in link:
                assert "//" not in link, f"{path.name}: {link}"


def test_scripts_are_there(site: Path):
    text = (site / "index.html").read_text(encoding="utf-8")
    scripts = site / "assets" / "javascripts"
    assert "assets/javascripts/iframe-worker.js" in text
    assert (scripts / "iframe-worker.js").is_file()


def test_no_page_has_a_diagram_that_would_be_fetched(site: Path):
    assert [
        path.name for path in site.rglob("*.html") if 'class="mermaid"' in path.read_text()
    ] == []


def test_the_generator_is_no_page(site: Path):
    assert not (site / "generator").exists()


@pytest.mark.parametrize("target", ["no-such-page.md", "index.md#no-such-heading"])
def test_a_dead_link_fails_the_build(tmp_path: Path, target: str):
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n[dead]({target})\n", "utf-8")
    done = build(tmp_path)
    assert done.returncode != 0
    assert "1 issue found" in done.stdout + done.stderr
