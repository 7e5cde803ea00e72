"""Shards: uncompressed Arrow IPC files with one clip per record batch.

A shard's bytes are a pure function of its clips. A clip that was taken down has no bytes.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from argus.dataset.records import ShardClip
from argus.dataset.store import Store
from argus.errors import InvalidInput
from argus.files import replace_atomically, sha256_file
from schemas.arrow import SHARD_SCHEMA
from schemas.names import Split


def store_shard(store: Store, clips: Iterable[ShardClip]) -> tuple[str, list[str]]:
    """Store a shard of these clips in a dataset.

    The name is a hash of the bytes, so an earlier attempt or another writer can only have left the
    same file under it.

    Returns:
        The name, `shards/{16 hex digits of its SHA-256}.arrow`, and the clips' checksums in order.
    """
    with store.scratch() as folder:
        path = folder / "shard.arrow"
        checksums = write_shard(path, clips)
        name = f"shards/{sha256_file(path)[:16]}.arrow"
        store.put(name, path)  # even over an equal file: a new time protects it from compaction
    return name, checksums


def write_shard(path: Path, clips: Iterable[ShardClip]) -> list[str]:
    """Write a complete shard or nothing, with one clip in memory at a time.

    Returns:
        The SHA-256 of each clip's video bytes, in order.
    """
    checksums: list[str] = []
    options = pa.ipc.IpcWriteOptions(compression=None)
    with (
        replace_atomically(path) as temporary,
        pa.ipc.new_file(str(temporary), SHARD_SCHEMA, options=options) as writer,
    ):
        for clip in clips:
            writer.write_batch(_to_batch(clip))
            checksums.append(hashlib.sha256(clip.video).hexdigest())
    return checksums


def purge_shard(store: Store, name: str, source_id: str) -> None:
    """Remove the bytes of a source's clips from a shard of a dataset, in place.

    Every clip keeps its row. The name is no longer the hash of the bytes.
    """
    with ShardReader(name, store) as reader:
        if not reader.holds_bytes_of(source_id):
            return
        clips = map(reader.clip, range(len(reader)))
        with store.writing(name) as path:
            write_shard(
                path,
                (replace(one, video=b"") if one.source_id == source_id else one for one in clips),
            )


class ShardReader:
    """A shard, memory-mapped or read by ranges. A context manager.

    `reader.clip(row)` reads only that clip.
    """

    def __init__(self, path: Path | str, store: Store | None = None) -> None:
        """Open a local file, or with a store a name in it. Raises InvalidInput for other files."""
        self.path = Path(path) if store is None else store.uri_of(str(path))
        try:
            self._map = pa.memory_map(str(path)) if store is None else store.open(str(path))
            self._file = pa.ipc.open_file(self._map)
        except FileNotFoundError as error:
            raise InvalidInput(
                f"shard {self.path} does not exist, so the dataset is incomplete; restore the file"
            ) from error
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"{self.path} is not a shard (an Arrow IPC file): {error}"
            ) from error
        if not self._file.schema.equals(SHARD_SCHEMA):
            raise InvalidInput(
                f"{self.path} is an Arrow file, but not a shard: "
                f"its columns are {', '.join(self._file.schema.names)}"
            )

    def __len__(self) -> int:
        return int(self._file.num_record_batches)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._map.close()

    def holds_bytes_of(self, source_id: str) -> bool:
        """Return True if a clip of this source has video bytes."""
        batches = map(self._file.get_batch, range(len(self)))
        return any(
            batch["source_id"][0].as_py() == source_id and len(batch["video"][0].as_buffer())
            for batch in batches
        )

    def clip(self, row: int) -> ShardClip:
        """Return the clip of a row, 0 <= row < len(reader)."""
        if not 0 <= row < len(self):
            raise InvalidInput(f"shard {self.path} has rows 0 to {len(self) - 1}; got {row}")
        values = self._file.get_batch(row).to_pylist()[0]
        fps = Fraction(values.pop("fps_num"), values.pop("fps_den"))
        return ShardClip(**{**values, "split": Split(values["split"]), "fps": fps})


def _to_batch(clip: ShardClip) -> pa.RecordBatch:
    values = {
        **vars(clip),
        "split": str(clip.split),
        "fps_num": clip.fps.numerator,
        "fps_den": clip.fps.denominator,
    }
    return pa.RecordBatch.from_pylist(
        [{name: values[name] for name in SHARD_SCHEMA.names}], schema=SHARD_SCHEMA
    )
