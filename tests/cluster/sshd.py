"""The files of a machine: who the user is, who may log in, and what sshd and the others read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.machine import HOME, USER
from tests.cluster.needs import SEARCHED

__all__ = ["FIRST", "accounts", "host_table", "make_key", "server_settings", "write_files"]

_RUN = Path("/run/sshd")
FIRST = (str(shutil.which("sshd", path=SEARCHED)), "-D", "-e", "-f", f"{_RUN}/config")
"""The command of sshd, as a machine's first process."""


def accounts(passwd: str, shadow: str) -> tuple[str, str]:
    """Returns ``/etc/passwd`` and ``/etc/shadow`` in which root has another name and home.

    Args:
        passwd: this machine's: other users, as the one that sshd runs as, stay.
        shadow: this machine's.
    """
    return (
        _without_root(passwd, f"{USER}:x:0:0::{HOME}:/bin/bash"),
        # No password fits, and the account is not locked: sshd lets nobody into a locked one.
        _without_root(shadow, f"{USER}:*:19000:0:99999:7:::"),
    )


def _without_root(text: str, own: str) -> str:
    others = [line for line in text.splitlines() if not line.startswith("root:")]
    return "\n".join([own, *others]) + "\n"


def host_table(addresses: Mapping[str, str]) -> str:
    """Returns ``/etc/hosts``: names by address."""
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
    return "\n".join(lines) + "\n"


def server_settings(address: str, *, environment: Mapping[str, str]) -> str:
    """Returns the configuration of sshd: one key, one address, and what a session finds set.

    Args:
        address: that it listens on.
        environment: of each session.
    """
    variables = " ".join(f'"{name}={value}"' for name, value in environment.items())
    lines = [
        f"ListenAddress {address}",
        f"HostKey {_RUN}/host_key",
        "PidFile none",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "AuthorizedKeysFile .ssh/authorized_keys",
        "PrintMotd no",
        "PrintLastLog no",
        *([f"SetEnv {variables}"] if variables else []),
    ]
    return "\n".join(lines) + "\n"


def make_key(path: Path) -> str:
    """Makes a key without a passphrase; returns its public part."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cluster", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": SEARCHED})
    return path.with_suffix(".pub").read_text(encoding="utf-8")


def write_files(folder: Path, *, table: str, key: str = "", settings: str = "") -> None:
    """Writes what a machine starts with.

    Args:
        folder: new; gets ``home``, ``etc`` and ``run``.
        table: text of ``/etc/hosts``.
        key: public key that may log in.
        settings: of sshd; without them no sshd is there.
    """
    home, etc, run = (folder / name for name in ("home", "etc", "run"))
    for path in (home / ".ssh", etc, run / "sshd"):
        path.mkdir(parents=True)
    for path in (home, home / ".ssh"):
        path.chmod(0o700)
    (home / ".bashrc").touch()
    (etc / "hosts").write_text(table, encoding="utf-8")
    names = ("passwd", "shadow")
    passwd, shadow = (Path("/etc", name).read_text(encoding="utf-8") for name in names)
    for name, text in zip(names, accounts(passwd, shadow), strict=True):
        (etc / name).write_text(text, encoding="utf-8")
    (etc / "shadow").chmod(0o600)
    if settings:
        (home / ".ssh" / "authorized_keys").write_text(key, encoding="utf-8")
        (run / "sshd").chmod(0o755)
        make_key(run / "sshd" / "host_key")
        (run / "sshd" / "config").write_text(settings, encoding="utf-8")
