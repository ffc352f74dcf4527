"""The line of the live table on what goes on besides the trials."""

from __future__ import annotations

from typing import Any

import pytest

from sweeper.errors import PoolLostError
from sweeper.execution.pool import status as status_module
from sweeper.execution.pool.status import StatusLine, describe

QUIET = {"replicas": 2, "ready": 2, "restarts": 0, "lost": 0, "errors": []}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, ""),
        ({"ready": 1}, "1 of 2 replicas ready"),
        ({"restarts": 3}, "3 replica restarts"),
        ({"ready": 1, "lost": 1, "errors": ["no room", "x"]}, "1 replica lost; no room"),
        (
            {"ready": 0, "lost": 1, "restarts": 1},
            "0 of 2 replicas ready; 1 replica restart; 1 replica lost",
        ),
    ],
)
def test_only_what_is_amiss_is_said(changes: dict[str, Any], line: str) -> None:
    assert describe({**QUIET, **changes}) == line


def test_the_line_is_the_stage_the_pools_word_and_the_last_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answer(pool: object, *, timeout_s: float) -> dict[str, Any]:
        if pool == "silent":
            raise PoolLostError
        return {**QUIET, "ready": 0}

    monkeypatch.setattr(status_module, "status_of", answer)
    line = StatusLine("Ray starts")
    pools: list[Any] = ["silent", "here"]
    said = [line.text()]
    for pool in pools:
        line.follow(pool)
        said.append(line.text())
    line.leave("replicas end")
    assert [*said, line.text()] == ["Ray starts", "", "0 of 2 replicas ready", "replicas end"]


def test_other_work_comes_before_the_pools_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "status_of", lambda *_, **__: {**QUIET, "restarts": 1})
    line = StatusLine("Ray starts")
    pool: Any = "here"
    line.follow(pool)
    line.show(lambda: "final evaluation: 1 of 2 done")
    assert line.text() == "final evaluation: 1 of 2 done; 1 replica restart"
    line.show(lambda: "")
    assert line.text() == "1 replica restart"
    line.leave("replicas end")
    assert line.text() == "replicas end"
