"""An S3 server of this machine, and stores that are broken on purpose."""

import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sweeper.tracking.mirror.stores import Stat, StoreError

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    # No metadata service of Amazon's machines is asked.
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Starts moto's server with the bucket ``bucket``, and yields its address."""
    server_module = pytest.importorskip("moto.server", reason="needs moto, of the extra dev")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    before = {name: os.environ.get(name) for name in (*SETTINGS, "AWS_ENDPOINT_URL")}
    os.environ.update(SETTINGS, AWS_ENDPOINT_URL=address)
    try:
        make_bucket(address, "bucket")
        yield address
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        server.stop()


def make_bucket(address: str, name: str) -> None:
    request = urllib.request.Request(f"{address}/{name}", method="PUT")
    with urllib.request.urlopen(request):
        pass


class DictStore:
    """A store in memory, which may be away, and may do something between two requests."""

    def __init__(self, url: str = "memory://store") -> None:
        self.url = url
        self.objects: dict[str, bytes] = {}
        self.is_away = False
        self.puts: list[str] = []
        self.before_put: Callable[[str], None] = lambda key: None
        self.after_put: Callable[[str], None] = lambda key: None

    def _ask(self) -> None:
        if self.is_away:
            raise StoreError(f"{self.url}: away")

    def put(self, key: str, content: bytes) -> None:
        self._ask()
        self.before_put(key)
        self.objects[key] = content
        self.puts.append(key)
        self.after_put(key)

    def get(self, key: str) -> bytes | None:
        self._ask()
        return self.objects.get(key)

    def has(self, key: str) -> bool:
        self._ask()
        return key in self.objects

    def listing(self, prefix: str) -> dict[str, Stat]:
        self._ask()
        start = f"{prefix}/" if prefix else ""
        return {
            key: Stat(len(content), 0)
            for key, content in sorted(self.objects.items())
            if key.startswith(start)
        }

    def folders(self) -> list[str]:
        self._ask()
        return sorted({key.partition("/")[0] for key in self.objects})

    def delete(self, key: str) -> None:
        self._ask()
        self.objects.pop(key, None)

    def delete_below(self, prefix: str) -> None:
        for key in self.listing(prefix):
            self.delete(key)
