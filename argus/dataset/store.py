"""The place of a dataset: a folder, or a prefix of an object store (`s3://`, `gs://`).

A dataset reads and writes all files through `Store`, under relative names with `/`. A file is whole
or absent: it is renamed into place in a folder, and uploaded in one piece to an object store.
Credentials, region and endpoint come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, or Google's application default
credentials) and are never stored.
"""

import contextlib
import os
import re
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
from schemas.credentials import has_credential

SCHEMES = ("s3", "gs")
_DEFAULT_REGION = "us-east-1"
_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;]*m")  # colors in the messages of the Delta library


def is_remote(place: str) -> bool:
    """Return True if `place` is the URI of an object store, False if it is a path."""
    return place.partition("://")[0] in SCHEMES and "://" in place


@dataclass(frozen=True)
class StoredFile:
    """The name, size and time of a file in a store."""

    name: str
    bytes: int
    modified: datetime  # UTC


@dataclass(frozen=True)
class Store:
    """Files under relative names. Picklable: the connection is made on use."""

    uri: str  # an absolute path, or scheme://bucket/prefix

    @classmethod
    def of(cls, place: Union["Store", Path, str]) -> "Store":
        """Return the store at a place.

        Args:
            place: a store, the path or `file://` URI of a folder, or the URI of an object store.

        Raises:
            InvalidInput: a file, any other URI, or one without a bucket or with a credential.
        """
        if isinstance(place, Store):
            return place
        text = str(place).removeprefix("file://")
        if has_credential(text):
            raise InvalidInput(
                f"{text} holds a credential, which would be stored; "
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
            )
        if is_remote(text):
            if not text.partition("://")[2].partition("/")[0]:
                raise InvalidInput(f"{text} has no bucket; write scheme://bucket/prefix")
            return cls(text.rstrip("/"))
        if "://" in text:
            raise InvalidInput(
                f"{text} cannot hold a dataset; "
                "give a folder, s3://bucket/prefix or gs://bucket/prefix"
            )
        if Path(text).is_file():
            raise InvalidInput(f"{text} is a file and cannot hold a dataset; give a folder")
        return cls(str(Path(text).absolute()))

    @property
    def local(self) -> Path | None:
        """The folder; None for an object store."""
        return None if is_remote(self.uri) else Path(self.uri)

    @property
    def name(self) -> str:
        """The last component of the path or URI."""
        return self.uri.rpartition("/")[2]

    def uri_of(self, name: str) -> str:
        """Return the path or URI of a name, for other programs."""
        return f"{self.uri}/{_check_name(name)}"

    def options(self) -> dict[str, str]:
        """Return `storage_options` for other libraries, beyond the environment; no secrets."""
        if not self.uri.startswith("s3://"):
            return {}
        region = {} if _find_region() else {"AWS_REGION": _DEFAULT_REGION}
        plain = (
            {"AWS_ALLOW_HTTP": "true"}
            if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
            else {}
        )
        return {"AWS_CONDITIONAL_PUT": "etag", **region, **plain}

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises FileNotFoundError."""
        with self.open(name) as file, self.map_errors():
            return bytes(file.read())

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for random access: memory-mapped, or by ranges. Raises FileNotFoundError."""
        with self.map_errors():
            return self._files.open_input_file(self._path(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        if self.local:
            with self.writing(name) as path:
                path.write_bytes(content)
        else:
            self._upload(name, content)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Yield a local path to write to; it becomes `name` on success, else it is removed."""
        if self.local:
            with replace_atomically(self.local / _check_name(name)) as path:
                yield path
        else:
            _check_name(name)
            with self.scratch() as folder:
                path = folder / PurePosixPath(name).name
                yield path
                self.put(name, path)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty local folder and remove it at the end.

        It lies in the store if that is a folder, so that `put` only renames.
        """
        if self.local:
            self.local.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=self.local, prefix=".scratch-", ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)

    def put(self, name: str, path: Path) -> None:
        """Move a local file into the store, replacing a file of that name."""
        if self.local:
            with replace_atomically(self.local / _check_name(name)) as temporary:
                shutil.move(path, temporary)
            return
        with pa.memory_map(str(path)) as file:  # one buffer: only the upload itself can fail
            self._upload(name, file.read_buffer())
        path.unlink()

    def put_folder(self, name: str, folder: Path, *, marker: str) -> None:
        """Move a local folder into the store, replacing a folder of that name.

        The file `marker` is moved last, so its presence shows that the folder is complete.
        """
        self.delete_folder(name)
        if self.local:
            with replace_atomically(self.local / _check_name(name)) as temporary:
                shutil.move(folder, temporary)
            return
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in sorted(paths, key=lambda path: path == folder / marker):
            self.put(f"{name}/{path.relative_to(folder).as_posix()}", path)
        shutil.rmtree(folder)

    def exists(self, name: str) -> bool:
        """Return True if there is a file of this name, or files below it."""
        with self.map_errors():
            return bool(self._files.get_file_info(self._path(name)).type != pafs.FileType.NotFound)

    def list_files(self, below: str = "") -> list[StoredFile]:
        """Return the files below a name, sorted by name.

        Files that are being written are left out: a part of their name begins with a dot.
        """
        found = self._list_infos(self._path(below) if below else self._root, recursive=True)
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

    def list_names(self, below: str = "") -> list[str]:
        """Return the names of the files below a name, sorted."""
        return [file.name for file in self.list_files(below)]

    def list_folders(self, below: str) -> list[str]:
        """Return the names of the folders directly below a name, sorted."""
        found = self._list_infos(self._path(below), recursive=False)
        names = (
            f"{below}/{info.base_name}" for info in found if info.type == pafs.FileType.Directory
        )
        return sorted(name for name in names if not PurePosixPath(name).name.startswith("."))

    def delete(self, names: Iterable[str]) -> None:
        """Remove files; missing ones are ignored."""
        for name in names:
            with contextlib.suppress(FileNotFoundError), self.map_errors():
                self._files.delete_file(self._path(name))

    def delete_folder(self, name: str) -> None:
        """Remove a folder and its content; a missing one is ignored."""
        if self.local:
            shutil.rmtree(self.local / _check_name(name), ignore_errors=True)
            return
        with contextlib.suppress(FileNotFoundError), self.map_errors():
            self._files.delete_dir(self._path(name))

    @contextlib.contextmanager
    def map_errors(self) -> Iterator[None]:
        """Raise ServiceError for errors of an object store; those of a folder pass unchanged."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.local:
                raise
            reason = " ".join(_ESCAPE_CODE.sub("", str(error)).split())
            raise ServiceError(
                f"{self.uri} cannot be reached or used; check the bucket, the credentials and "
                f"AWS_ENDPOINT_URL: {reason}"
            ) from error

    def _list_infos(self, path: str, *, recursive: bool) -> list[pafs.FileInfo]:
        with self.map_errors():
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
        return _open_filesystem(
            self.uri.partition("://")[0] if self.local is None else "",
            os.environ.get("AWS_ENDPOINT_URL") or None,
            _find_region(),
        )

    def _path(self, name: str) -> str:
        return f"{self._root}/{_check_name(name)}"

    def _upload(self, name: str, content: bytes | pa.Buffer) -> None:
        with self.map_errors(), self._files.open_output_stream(self._path(name)) as stream:
            stream.write(content)


def _check_name(name: str) -> str:
    """Return the name, or raise InvalidInput if it leads out of the store.

    Names are read from files that others may have written.
    """
    if (
        not name
        or any(part in {"", ".", ".."} for part in name.split("/"))
        or "\\" in name
        or "\0" in name
    ):
        raise InvalidInput(
            f"{name!r} is not a valid name in a dataset; give a relative path with single slashes, "
            "without '.' and '..'"
        )
    return name


@lru_cache(maxsize=8)
def _open_filesystem(scheme: str, endpoint: str | None, region: str | None) -> pafs.FileSystem:
    if scheme == "s3":
        retries = pafs.AwsStandardS3RetryStrategy(max_attempts=5)
        return pafs.S3FileSystem(
            region=region or _DEFAULT_REGION,
            endpoint_override=endpoint,
            retry_strategy=retries,
            allow_delayed_open=True,  # a small file takes one request
        )
    return pafs.GcsFileSystem() if scheme == "gs" else pafs.LocalFileSystem(use_mmap=True)


def _find_region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None
