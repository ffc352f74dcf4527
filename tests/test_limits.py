"""Simulated sweeps with faults keep their limits: some of those of `make bench-limits`."""

from benchmarks.limits.simulating import Setting, simulate


def test_no_sweep_takes_more_than_it_may(tmp_path):
    found = []
    for seed in range(8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found.append(simulate(seed, folder, Setting()))
    assert [one for one in found if one.used_s > one.limit_s] == []
    # What is charged is at least what was used: a killed driver's last seconds are in it.
    assert all(one.charged_s >= one.used_s - 1 for one in found)
    assert sum(one.runs for one in found) > len(found)
    assert sum(one.ended for one in found) > 50


def test_a_limit_that_nobody_looks_at_would_be_overstepped(tmp_path, monkeypatch):
    monkeypatch.setattr("sweeper.search.limits.TimeKeeper.admits", lambda *_, **__: True)
    monkeypatch.setattr("sweeper.search.limits.TimeKeeper.is_over", False)
    found = []
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found.append(simulate(seed, folder, Setting()))
    assert any(one.used_s > one.limit_s for one in found)
