"""What the page says repeats a configuration makes the very same trial."""

from __future__ import annotations

import shlex
from pathlib import Path

from sweeper.experiment.loading import load_sweep
from sweeper.report.page.repeating import FILE, PROFILE_FILE, repeats_of


def test_each_command_trains_its_configuration(groups, hunt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for subject in (groups, hunt):
        found = repeats_of(subject)
        assert found is not None
        (tmp_path / FILE).write_text(found.text)
        (tmp_path / PROFILE_FILE).write_text(found.profile)
        assert set(found.commands) == {group.name for group in subject.groups}
        for group in subject.groups:
            command = shlex.split(found.commands[group.name])
            assert command[:4] == ["python", "-m", "sweeper", "run"]
            file, option, profile, fresh, setting, override = command[4:]
            assert (option, fresh, setting) == ("--profile", "--fresh", "--set")
            sweep = load_sweep(Path(file), profile=profile, overrides=[override])
            (space,) = sweep.space.methods
            wanted = subject.folder.trial(group.trials[0].id).trial_spec()
            assert sweep.space.trial({"method": space.name}).identity() == wanted.identity()
            assert sweep.spec.objective == subject.ranking.objective
