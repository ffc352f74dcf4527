"""Where pages are served, and under which names a browser may ask for them."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from sweeper.errors import BadInputError

__all__ = ["Place"]

_LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Place:
    """An address to listen on, and the names that others know it by."""

    host: str = "127.0.0.1"
    """Address to listen on; ``0.0.0.0`` and ``::`` are all of this machine."""
    port: int = 5000
    """Port to listen on."""
    allowed: tuple[str, ...] = ()
    """Names and addresses that a browser may use for this machine; ``*`` is any. Where none is
    given these are its own."""

    def require_free(self) -> None:
        """Looks whether the port can be had.

        Raises:
            BadInputError: another program has it, or there is no such address here.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM
            )[0]
            with socket.create_server(address[:2], family=family):
                return
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BadInputError(
                    f"port: got {self.port}, which another program uses on {self.host}; a server "
                    f"needs one that is free; end that program, or give --port {self._free_one()}"
                ) from error
            if error.errno == errno.EACCES:
                raise BadInputError(
                    f"port: got {self.port}, which this user may not use; ports from 1024 on need "
                    f"no rights; give --port {self._free_one()}"
                ) from error
            raise BadInputError(
                f"host: got {self.host!r}, which is no address of this machine; give 127.0.0.1 for "
                "this machine alone, 0.0.0.0 for all that reach it"
            ) from error

    def _free_one(self) -> int:
        with socket.create_server(("", 0)) as found:
            return int(found.getsockname()[1])

    @property
    def is_local(self) -> bool:
        """Whether no other machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url(self) -> str:
        """Address of the pages on this machine."""
        all_of_it = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
        return self._url(all_of_it.get(self.host, self.host))

    @property
    def other_urls(self) -> tuple[str, ...]:
        """Addresses of the pages for other machines, as far as they have names."""
        if self.is_local:
            return ()
        names = [name for name in self._names() if "*" not in name and name not in _LOCAL]
        return tuple(url for url in map(self._url, names) if url != self.url)

    def allowed_hosts(self) -> tuple[str, ...]:
        """Returns what the header ``Host`` may be; empty leaves the server its own rule."""
        if self.is_local and not self.allowed:
            return ()
        names = [*self._names(), *_LOCAL]
        with_port = [name if ":" in name.strip("[]") else f"{name}:{self.port}" for name in names]
        return tuple(dict.fromkeys(x for pair in zip(names, with_port, strict=True) for x in pair))

    def allowed_origins(self) -> tuple[str, ...]:
        """Returns what the header ``Origin`` may be.

        A page asks its own server with it, and MLflow takes none but this machine's by itself.
        """
        hosts = self.allowed_hosts()
        if "*" in hosts:
            return ("*",)
        return tuple(f"{scheme}://{host}" for host in hosts for scheme in ("http", "https"))

    def _names(self) -> list[str]:
        if self.allowed:
            return [_bracketed(name) for name in self.allowed]
        return [_bracketed(name) for name in _own_names(self.host)]

    def _url(self, name: str) -> str:
        name = _bracketed(name)
        has_port = not name.endswith("]") and ":" in name
        return f"http://{name}" if has_port else f"http://{name}:{self.port}"


def _own_names(host: str) -> Sequence[str]:
    """Returns the names and addresses of this machine; of one address that one and the names."""
    names = [socket.gethostname(), socket.getfqdn()]
    addresses = [
        # An address of a link carries the link's name.
        address.address.partition("%")[0]
        for of_interface in psutil.net_if_addrs().values()
        for address in of_interface
        if address.family in {socket.AF_INET, socket.AF_INET6}
    ]
    chosen = addresses if host in {"0.0.0.0", "", "::"} else [host]
    own = [name for name in (*names, *chosen) if not _is_loopback(name)]
    return list(dict.fromkeys(own))


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.startswith("localhost")


def _bracketed(name: str) -> str:
    try:
        return f"[{name}]" if ipaddress.ip_address(name).version == 6 else name
    except ValueError:
        return name
