"""Storage that sweeps are kept on: small whole objects by key, on S3, GCS, a folder or any fsspec.

No store appends or renames: an object is put whole. On an object store nobody sees half of one; in
a folder it is written beside its place and renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from sweeper._environment import s3_endpoint
from sweeper._files import write_bytes
from sweeper.errors import BadInputError, SweeperError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ["FolderStore", "ObjectStore", "Stat", "Store", "StoreError", "open_store"]

# Seconds until a connection to a store counts as refused.
_CONNECT_S = 5.0
# Seconds that Google's client goes on trying one request; its own default is 15 minutes.
_GCS_RETRY_S = 20
# Settings of an S3 server that a URL may name, as in pyarrow's own URLs.
_S3_OPTIONS = frozenset({"endpoint_override", "region", "scheme"})


class StoreError(SweeperError):
    """The store did not answer, or refused; trying again later may help."""


class Stat(NamedTuple):
    """What a listing says of an object."""

    size: int
    """Bytes."""
    modified_ns: int
    """Unix time of the last put by the store's clock; 0 where the store does not say."""


class Store(Protocol):
    """Objects by key, which is a relative path. All methods may raise :class:`StoreError`."""

    url: str
    """Where it is, for messages."""

    def put(self, key: str, content: bytes) -> None:
        """Puts a whole object, in the place of another if there is one."""

    def get(self, key: str) -> bytes | None:
        """Returns an object, None where there is none."""

    def has(self, key: str) -> bool:
        """Whether there is an object, as the store knows it now."""

    def listing(self, prefix: str) -> dict[str, Stat]:
        """Returns the objects below a prefix by their keys."""

    def folders(self) -> list[str]:
        """Returns the names of the folders at the top, hidden ones left out."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is fine."""

    def delete_below(self, prefix: str) -> None:
        """Removes all objects below a prefix."""


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Turns what the client of a store raises into :class:`StoreError`."""
    try:
        yield
    except (FileNotFoundError, StoreError):
        raise
    except Exception as error:
        # Clients raise what their libraries do: OSError, ArrowException, those of fsspec's kinds.
        text = " ".join(str(error).split())[:300]
        raise StoreError(f"{url}: {text or type(error).__name__}") from error


class FolderStore:
    """A folder, on this machine or on NFS. It must be there: a disk that is not mounted is not."""

    def __init__(self, root: Path) -> None:
        """Names the folder."""
        self._root = root
        self.url = root.as_uri()

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise StoreError(f"{self.url}: there is no such folder")

    def put(self, key: str, content: bytes) -> None:
        """See :class:`Store`."""
        self._require_root()
        path = self._root / key
        with _asking(self.url):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)

    def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        try:
            with _asking(self.url):
                return (self._root / key).read_bytes()
        except FileNotFoundError:
            self._require_root()
            return None

    def has(self, key: str) -> bool:
        """See :class:`Store`."""
        # NFS may answer from what it remembers of a file, but asks its server at an opening.
        return self.get(key) is not None

    def listing(self, prefix: str) -> dict[str, Stat]:
        """See :class:`Store`."""
        self._require_root()
        found = {}
        with _asking(self.url):
            for folder, _, names in os.walk(self._root / prefix, onerror=_raise_unless_missing):
                for name in names:
                    path = Path(folder) / name
                    try:
                        status = path.lstat()
                    except FileNotFoundError:
                        continue
                    key = path.relative_to(self._root).as_posix()
                    found[key] = Stat(status.st_size, status.st_mtime_ns)
        return found

    def folders(self) -> list[str]:
        """See :class:`Store`."""
        self._require_root()
        with _asking(self.url):
            names = [path.name for path in self._root.iterdir() if path.is_dir()]
        return sorted(name for name in names if not name.startswith("."))

    def delete(self, key: str) -> None:
        """See :class:`Store`."""
        self._require_root()
        with _asking(self.url):
            (self._root / key).unlink(missing_ok=True)

    def delete_below(self, prefix: str) -> None:
        """See :class:`Store`."""
        for key in self.listing(prefix):
            self.delete(key)
        with _asking(self.url):
            for folder, _, _ in os.walk(self._root / prefix, topdown=False):
                Path(folder).rmdir()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class ObjectStore:
    """A file system of pyarrow, and through it any of fsspec."""

    def __init__(self, files: FileSystem, root: str, *, url: str, bucket: str = "") -> None:
        """Names the place.

        Args:
            files: a ``pyarrow.fs.FileSystem``.
            root: path in it.
            url: for messages.
            bucket: path of the bucket, where whoever may list it may ask whether it is there.
        """
        self._bucket = bucket
        self._files = files
        self._root = root.rstrip("/")
        self.url = url

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def put(self, key: str, content: bytes) -> None:
        """See :class:`Store`."""
        with self._asking(), self._files.open_output_stream(self._path(key)) as stream:
            # In one write: a stream that is closed after half of its content puts the half.
            stream.write(content)

    def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        try:
            with self._asking(), self._files.open_input_stream(self._path(key)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def has(self, key: str) -> bool:
        """See :class:`Store`."""
        with self._asking():
            return bool(self._files.get_file_info(self._path(key)).is_file)

    def listing(self, prefix: str) -> dict[str, Stat]:
        """See :class:`Store`."""
        infos = [info for info in self._found(prefix, is_deep=True) if info.is_file]
        start = len(self._root.lstrip("/")) + 1
        return {
            info.path.lstrip("/")[start:]: Stat(info.size or 0, info.mtime_ns or 0)
            for info in infos
        }

    def folders(self) -> list[str]:
        """See :class:`Store`."""
        infos = self._found("", is_deep=False)
        names = [info.base_name for info in infos if not info.is_file]
        return sorted(name for name in names if not name.startswith("."))

    def _found(self, prefix: str, *, is_deep: bool) -> list[Any]:
        from pyarrow.fs import FileSelector, FileType

        where = FileSelector(self._path(prefix), allow_not_found=True, recursive=is_deep)
        with self._asking():
            infos: list[Any] = self._files.get_file_info(where)
            # Of a bucket that is not there the listing is empty, too.
            is_asked = not infos and self._bucket
            bucket = self._files.get_file_info(self._bucket) if is_asked else None
        if bucket is not None and bucket.type == FileType.NotFound:
            raise StoreError(f"{self.url}: there is no bucket {self._bucket!r}")
        return infos

    def delete(self, key: str) -> None:
        """See :class:`Store`."""
        try:
            with self._asking():
                self._files.delete_file(self._path(key))
        except FileNotFoundError:
            return

    def delete_below(self, prefix: str) -> None:
        """See :class:`Store`."""
        with self._asking():
            self._files.delete_dir_contents(self._path(prefix), missing_dir_ok=True)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        with _asking(self.url):
            yield


def open_store(url: str) -> Store:
    """Returns the store at a URL; nothing is asked of it yet.

    Args:
        url: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``file:///folder``, or what another
            file system of pyarrow or fsspec takes.

    Raises:
        BadInputError: the URL names no store.
    """
    parts = urlsplit(url)
    if parts.password or (parts.scheme in {"s3", "gs"} and parts.username):
        raise _refused(f"{parts.scheme}://…", "it holds a password, and would be printed with it")
    try:
        if parts.scheme == "file":
            return FolderStore(Path(unquote(parts.path)))
        if parts.scheme == "s3":
            return _s3(url)
        if parts.scheme == "gs":
            return _gcs(url)
        return _other(url)
    except BadInputError:
        raise
    except Exception as error:
        # Which of its packages is missing, or which part of a URL is wrong, its library says.
        raise _refused(url, " ".join(str(error).split())[:200]) from error


def _refused(url: str, why: str) -> BadInputError:
    return BadInputError(
        f"sweeps' folder: {url} cannot be used ({why}); it takes a folder, s3://bucket/prefix, "
        "gs://bucket/prefix, file:///folder, or the URL of another file system of fsspec whose "
        "package is installed; credentials come from the environment; correct --home or "
        "SWEEPER_HOME"
    )


def _s3(url: str) -> ObjectStore:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(options) - _S3_OPTIONS)
    if unknown or not parts.netloc:
        known = ", ".join(sorted(_S3_OPTIONS))
        raise ValueError(f"unknown option {unknown[0]}; known: {known}" if unknown else "no bucket")
    endpoint = s3_endpoint()
    if endpoint and "endpoint_override" not in options:
        options |= {"scheme": urlsplit(endpoint).scheme, "endpoint_override": _host(endpoint)}
    files = S3FileSystem(
        **options,
        connect_timeout=_CONNECT_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=2),
        # A small object is put with one request.
        allow_delayed_open=True,
    )
    root = f"{parts.netloc}{unquote(parts.path)}"
    return ObjectStore(files, root, url=url, bucket=parts.netloc)


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc or endpoint


def _gcs(url: str) -> ObjectStore:
    from pyarrow.fs import GcsFileSystem

    parts = urlsplit(url)
    files = GcsFileSystem(retry_time_limit=timedelta(seconds=_GCS_RETRY_S))
    return ObjectStore(files, f"{parts.netloc}{unquote(parts.path)}", url=url)


def _other(url: str) -> ObjectStore:
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    files, root = url_to_fs(url)
    return ObjectStore(PyFileSystem(FSSpecHandler(files)), root, url=url)
