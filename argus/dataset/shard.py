"""Arrow IPC files of clips, uncompressed, one clip per record batch; the file's bytes are a pure function of the clips."""

import hashlib
from collections.abc import Iterable
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


def place_shard(store: Store, clips: Iterable[ShardClip]) -> tuple[str, list[str]]:
    """Puts a shard of these clips into a dataset; returns its name, `shards/{16 hex of its SHA-256}.arrow`, and the clips' checksums.

    The name being that of the bytes, what an earlier attempt or another writer left under it is the same.
    """
    with store.scratch() as folder:
        path = folder / "shard.arrow"
        checksums = write_shard(path, clips)
        name = f"shards/{sha256_file(path)[:16]}.arrow"
        store.put(
            name, path
        )  # also over an equal one: it is young again, and so not taken for a left-over
    return name, checksums


def write_shard(path: Path, clips: Iterable[ShardClip]) -> list[str]:
    """Writes a whole shard or nothing; holds one clip in memory at a time.

    Returns the SHA-256 of each clip's video bytes, in order.
    """
    checksums: list[str] = []
    options = pa.ipc.IpcWriteOptions(compression=None)
    with (
        replace_atomically(path) as beside,
        pa.ipc.new_file(str(beside), SHARD_SCHEMA, options=options) as writer,
    ):
        for clip in clips:
            writer.write_batch(_batch(clip))
            checksums.append(hashlib.sha256(clip.video).hexdigest())
    return checksums


class ShardReader:
    """A shard, memory-mapped or read by ranges; `reader.clip(row)` reads one clip and nothing else. A context manager."""

    def __init__(self, path: Path | str, store: Store | None = None) -> None:
        """`path` is a local file, or, with a store, a name in it."""
        self.path = Path(path) if store is None else store.uri_of(str(path))
        try:
            self._map = pa.memory_map(str(path)) if store is None else store.open(str(path))
            self._file = pa.ipc.open_file(self._map)
        except FileNotFoundError as error:
            raise InvalidInput(
                f"shard {self.path} does not exist; the dataset is incomplete"
            ) from error
        except pa.ArrowInvalid as error:
            raise InvalidInput(
                f"{self.path} is not a shard (an Arrow IPC file): {error}"
            ) from error
        if not self._file.schema.equals(SHARD_SCHEMA):
            raise InvalidInput(
                f"{self.path} is an Arrow file, but not a shard: its columns are {', '.join(self._file.schema.names)}"
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

    def clip(self, row: int) -> ShardClip:
        """The clip of a row, 0 <= row < len(reader)."""
        if not 0 <= row < len(self):
            raise InvalidInput(f"shard {self.path} has rows 0 to {len(self) - 1}; got {row}")
        values = self._file.get_batch(row).to_pylist()[0]
        fps = Fraction(values.pop("fps_num"), values.pop("fps_den"))
        return ShardClip(**{**values, "split": Split(values["split"]), "fps": fps})


def _batch(clip: ShardClip) -> pa.RecordBatch:
    values = {
        **vars(clip),
        "split": str(clip.split),
        "fps_num": clip.fps.numerator,
        "fps_den": clip.fps.denominator,
    }
    return pa.RecordBatch.from_pylist(
        [{name: values[name] for name in SHARD_SCHEMA.names}], schema=SHARD_SCHEMA
    )
