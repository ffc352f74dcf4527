"""The doctor's findings in the terminal."""

from __future__ import annotations

import re

from sweeper.report.terminal import doctor_view
from tests.sweeper.report.terminal.sweep.test_leaderboard import printed


def test_findings():
    findings = [
        {"name": "torch", "status": "ok", "detail": "2.13", "fix": ""},
        {"name": "GPU", "status": "optional", "detail": "none", "fix": ""},
        {"name": "gguf", "status": "missing", "detail": "not installed", "fix": "pip install gguf"},
    ]
    text = printed(doctor_view(findings), width=80)
    assert re.search(r"ok\s+torch\s+2.13", text)
    assert re.search(r"MISSING\s+gguf\s+not installed", text)
    assert "fix: pip install gguf" in text
