"""Links between documents lead somewhere, also where no page is built of them."""

from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, anchors, links, name_of


def test_there_are_links():
    assert sum(len(links(path)) for path in DOCUMENTS) > 30


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_within_the_project_lead_somewhere(path: Path):
    for line, target in links(path):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        goal = (path.parent / name).resolve() if name else path
        assert goal.exists(), f"{name_of(path)}:{line}: {target}"
        assert ROOT in (goal, *goal.parents), f"{name_of(path)}:{line}: {target} leads outside"
        if anchor and goal.suffix == ".md":
            assert anchor in anchors(goal), f"{name_of(path)}:{line}: no such heading, {target}"


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if (ROOT / "docs") in path.parents], ids=name_of
)
def test_pages_link_to_pages_only(path: Path):
    # What is outside of docs/ is not part of the built pages.
    for line, target in links(path):
        if "://" not in target and not target.startswith("#"):
            goal = (path.parent / target.partition("#")[0]).resolve()
            assert ROOT / "docs" in goal.parents, f"{name_of(path)}:{line}: {target}"
