"""Where a dataset lies: a folder, or a prefix of an object store (`s3://bucket/prefix`, `gs://bucket/prefix`).

Everything that a dataset holds goes through here, under relative names with `/`. A name is whole or not there: written beside and renamed in a
folder, uploaded in one piece to an object store. Credentials, region and endpoint come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …, or Google's application default credentials) and are kept nowhere.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Union

import pyarrow as pa
import pyarrow.fs as pafs

from argus.errors import InvalidInput, ServiceError
from argus.files import replace_atomically

SCHEMES = ("s3", "gs")
_REGION = "us-east-1"  # where the environment names none


def is_remote(place: str) -> bool:
    """Whether a place is named by the uri of an object store, rather than by a path."""
    return place.partition("://")[0] in SCHEMES and "://" in place


@dataclass(frozen=True)
class StoredFile:
    """A file of a store."""

    name: str
    bytes: int
    modified: datetime  # UTC


@dataclass(frozen=True)
class Store:
    """Files under relative names. Small and picklable: the connection is made where it is used."""

    uri: str  # an absolute path, or scheme://bucket/prefix

    @classmethod
    def of(cls, place: Union["Store", Path, str]) -> "Store":
        """A folder's path, a `file://` uri, or the uri of an object store. Raises InvalidInput for any other uri."""
        if isinstance(place, Store):
            return place
        text = str(place).removeprefix("file://")
        if is_remote(text):
            if not text.partition("://")[2].partition("/")[0]:
                raise InvalidInput(f"{text} names no bucket; write scheme://bucket/prefix")
            return cls(text.rstrip("/"))
        if "://" in text:
            raise InvalidInput(
                f"{text} is no place for a dataset; give a folder, s3://bucket/prefix or gs://bucket/prefix"
            )
        return cls(str(Path(text).absolute()))

    @property
    def local(self) -> Path | None:
        """The folder; None in an object store."""
        return None if is_remote(self.uri) else Path(self.uri)

    @property
    def name(self) -> str:
        """The last part of the place."""
        return self.uri.rpartition("/")[2]

    def uri_of(self, name: str) -> str:
        """The path or uri of a name, for other programs."""
        return f"{self.uri}/{_checked(name)}"

    def options(self) -> dict[str, str]:
        """What object stores of other libraries (`storage_options`) must be told besides the environment. Holds no secret."""
        if not self.uri.startswith("s3://"):
            return {}
        region = {} if _region() else {"AWS_REGION": _REGION}
        plain = (
            {"AWS_ALLOW_HTTP": "true"}
            if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
            else {}
        )
        return {"AWS_CONDITIONAL_PUT": "etag", **region, **plain}

    def read(self, name: str) -> bytes:
        """The whole of a file. Raises FileNotFoundError."""
        with self.open(name) as file, self.answers():
            return bytes(file.read())

    def open(self, name: str) -> pa.NativeFile:
        """A file to read in any order: memory-mapped, or by ranges. Raises FileNotFoundError."""
        with self.answers():
            return self._files.open_input_file(self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        if self.local:
            with self.writing(name) as path:
                path.write_bytes(content)
        else:
            self._upload(name, content)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Gives a local path to write a file to, which becomes `name` on success and is removed on an error."""
        if self.local:
            with replace_atomically(self.local / _checked(name)) as path:
                yield path
        else:
            _checked(name)
            with self.scratch() as folder:
                path = folder / PurePosixPath(name).name
                yield path
                self.put(name, path)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty local folder, gone at the end; on the store's own disk where that is one, so that `put` only renames."""
        if self.local:
            self.local.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=self.local, prefix=".scratch-", ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)

    def put(self, name: str, path: Path) -> None:
        """Moves a local file here, in place of what was there."""
        if self.local:
            with replace_atomically(self.local / _checked(name)) as beside:
                shutil.move(path, beside)
            return
        with pa.memory_map(
            str(path)
        ) as file:  # one buffer: nothing but the upload itself can fail half-way
            self._upload(name, file.read_buffer())
        path.unlink()

    def put_folder(self, name: str, folder: Path, *, marker: str) -> None:
        """Moves a local folder here, in place of what was there; its file `marker` comes last, so that where that is, all is."""
        self.delete_folder(name)
        if self.local:
            with replace_atomically(self.local / _checked(name)) as beside:
                shutil.move(folder, beside)
            return
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in sorted(paths, key=lambda path: path == folder / marker):
            self.put(f"{name}/{path.relative_to(folder).as_posix()}", path)
        shutil.rmtree(folder)

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name, or files below it."""
        with self.answers():
            return bool(self._files.get_file_info(self._path(name)).type != pafs.FileType.NotFound)

    def files(self, below: str = "") -> list[StoredFile]:
        """The files below a name, sorted by name; those that are being written (their names begin with a dot) are left out."""
        found = self._found(self._path(below) if below else self._root, recursive=True)
        names = (
            (info.path.removeprefix(self._root).lstrip("/"), info)
            for info in found
            if info.type == pafs.FileType.File
        )
        whole = (
            StoredFile(name, info.size, info.mtime)
            for name, info in names
            if not any(part.startswith(".") for part in name.split("/"))
        )
        return sorted(whole, key=lambda file: file.name)

    def names(self, below: str = "") -> list[str]:
        """The names of the files below a name, sorted."""
        return [file.name for file in self.files(below)]

    def folders(self, below: str) -> list[str]:
        """The names of the folders directly below a name, sorted."""
        found = self._found(self._path(below), recursive=False)
        names = (
            f"{below}/{info.base_name}" for info in found if info.type == pafs.FileType.Directory
        )
        return sorted(name for name in names if not PurePosixPath(name).name.startswith("."))

    def delete(self, names: Iterable[str]) -> None:
        """Removes files; those that are gone already are no error."""
        for name in names:
            with contextlib.suppress(FileNotFoundError), self.answers():
                self._files.delete_file(self._path(name))

    def delete_folder(self, name: str) -> None:
        """Removes a folder and all below it; one that is gone already is no error."""
        if self.local:
            shutil.rmtree(self.local / _checked(name), ignore_errors=True)
            return
        with contextlib.suppress(FileNotFoundError), self.answers():
            self._files.delete_dir(self._path(name))

    @contextlib.contextmanager
    def answers(self) -> Iterator[None]:
        """Within it, an object store that is away or refuses is a ServiceError; the errors of a folder are left as they are."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.local:
                raise
            raise ServiceError(
                f"{self.uri} does not answer as it should; are the bucket, the credentials and AWS_ENDPOINT_URL right? {error}"
            ) from error

    def _found(self, path: str, *, recursive: bool) -> list[pafs.FileInfo]:
        with self.answers():
            return list(
                self._files.get_file_info(
                    pafs.FileSelector(path, recursive=recursive, allow_not_found=True)
                )
            )

    @property
    def _root(self) -> str:
        return self.uri.partition("://")[2] if self.local is None else self.uri

    @property
    def _files(self) -> pafs.FileSystem:
        return _filesystem(
            self.uri.partition("://")[0] if self.local is None else "",
            os.environ.get("AWS_ENDPOINT_URL") or None,
            _region(),
        )

    def _path(self, name: str) -> str:
        return f"{self._root}/{_checked(name)}"

    def _upload(self, name: str, content: bytes | pa.Buffer) -> None:
        with self.answers(), self._files.open_output_stream(self._path(name)) as stream:
            stream.write(content)


def _checked(name: str) -> str:
    """Names come out of files that others may have written: none leads out of the store."""
    if (
        not name
        or any(part in {"", ".", ".."} for part in name.split("/"))
        or "\\" in name
        or "\0" in name
    ):
        raise InvalidInput(
            f"{name!r} is no name within a dataset; it must be relative, of parts between single slashes, without '.' and '..'"
        )
    return name


@lru_cache(maxsize=8)
def _filesystem(scheme: str, endpoint: str | None, region: str | None) -> pafs.FileSystem:
    if scheme == "s3":
        retries = pafs.AwsStandardS3RetryStrategy(max_attempts=5)
        return pafs.S3FileSystem(
            region=region or _REGION,
            endpoint_override=endpoint,
            retry_strategy=retries,
            allow_delayed_open=True,
        )  # small: one request
    return pafs.GcsFileSystem() if scheme == "gs" else pafs.LocalFileSystem(use_mmap=True)


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None
