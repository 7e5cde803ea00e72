"""Taking down a video: nothing in a dataset shows it any more, and it is never fetched again.

Its tombstone has two parts. A row of the index with the reason `forgotten` blocks the video: no
refresh fetches or commits it. `forgotten/{hash}.json` names the snapshots and shards that held its
clips, so that a takedown that was killed continues, and models that were trained on it are found.

The purge then removes the video's earlier rows from the index, its clips from every snapshot, and
their bytes from every shard. The rows of a shard keep their numbers: a purged clip has no bytes. A
snapshot stays a pure function of the rows of the index, but its digest changes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.decisions import is_retryable_failure
from argus.dataset.ids import assign_split, hash_source_id
from argus.dataset.index import FOLDER as INDEX_FOLDER
from argus.dataset.index import Index, read_reasons
from argus.dataset.records import SourceRow
from argus.dataset.shard import ShardReader, purge_shard
from argus.dataset.snapshots import flatten_clips, list_snapshots, write_snapshot
from argus.dataset.store import Store
from argus.errors import ServiceError
from schemas.names import Decision, Reason, Split

FOLDER = "forgotten"
_MAX_ATTEMPTS = 100
_NAMELESS = ("fetched", "staging", "thumbs")  # folders of files that do not name their video
_COLUMNS = (
    *("source_id", "url", "split", "decision", "reason", "retryable", "recipe"),
    *("clips.decision", "clips.shard"),
)


@dataclass(frozen=True)
class Tombstone:
    """Record of a video that was taken down.

    Attributes:
        why: the reason that was given.
        forgotten_at: UTC.
        versions: first and last version of the dataset of each span in which a snapshot held its
            clips.
        digests: digests of the snapshots that held its clips, by version, before they were purged.
        shards: names of the shards that held its clips.
    """

    source_id: str
    url: str
    why: str
    forgotten_at: datetime
    versions: tuple[tuple[int, int], ...] = ()
    digests: Mapping[int, str] = field(default_factory=dict)
    shards: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the dataset."""
        return f"{FOLDER}/{hash_source_id(self.source_id)}.json"

    def held_by(self, snapshot: int) -> bool:
        """Return True if the snapshot of that version held clips of the video."""
        return any(first <= snapshot <= last for first, last in self.versions)

    def merge(self, earlier: "Tombstone | None") -> "Tombstone":
        """Return the tombstone with everything that an earlier takedown of the video recorded."""
        if earlier is None:
            return self
        return replace(
            self,
            url=self.url or earlier.url,
            versions=tuple(dict.fromkeys((*earlier.versions, *self.versions))),
            digests={**self.digests, **earlier.digests},
            shards=tuple(dict.fromkeys((*earlier.shards, *self.shards))),
        )


def read_tombstones(store: Store) -> list[Tombstone]:
    """Return the tombstones of a dataset, by the hash of their video."""
    return [_parse(store.read(name)) for name in store.list_names(FOLDER)]


def describe_source(index: Index, store: Store, source_id: str, url: str, why: str) -> Tombstone:
    """Return the tombstone of a video, without writing it.

    Args:
        index: at its newest version.
        store: of the dataset.
        source_id: the video.
        url: its URL, if it is known.
        why: the reason.
    """
    rows = _rows_of(index, source_id)
    clips, _ = flatten_clips(rows)
    shards = set(clips.field("shard").drop_null().unique().to_pylist())
    held = {
        one.version: one
        for one in list_snapshots(store)
        if pc.any(pc.equal(one.table["source_id"], source_id)).as_py()
    }
    for one in held.values():
        table = one.table.filter(pc.equal(one.table["source_id"], source_id))
        shards |= set(table["shard"].to_pylist())
    spans = [*_kept_spans(rows, index.version), *((one, one) for one in held)]
    stored = _parse(store.read(name)) if store.exists(name := _name(source_id)) else None
    return Tombstone(
        source_id,
        url,
        why,
        datetime.now(UTC),
        tuple(dict.fromkeys(spans)),
        {number: one.digest for number, one in held.items()},
        tuple(sorted(shards)),
    ).merge(stored)


def write_tombstone(store: Store, tombstone: Tombstone) -> None:
    """Write the record of a tombstone, in place of an earlier one."""
    content = {**asdict(tombstone), "forgotten_at": tombstone.forgotten_at.isoformat()}
    store.write(tombstone.name, json.dumps(content, indent=1).encode())


def block_source(index: Index, tombstone: Tombstone) -> int:
    """Commit the row of a tombstone, unless it is the latest row of its video.

    Returns:
        The sequence of the row.

    Raises:
        ServiceError: other writers committed again and again.
    """
    for _attempt in range(_MAX_ATTEMPTS):
        after = index.refresh()
        last = next(reversed(_rows_of(index, tombstone.source_id).to_pylist()), None)
        if last and last["reason"] == Reason.FORGOTTEN:
            return int(last["sequence"])
        row = _to_row(tombstone, last)
        if (sequence := index.append([row], after=after)) is not None:
            return sequence
    raise ServiceError(f"other writers committed to {index.uri} again and again; try again")


def purge(index: Index, store: Store, tombstone: Tombstone, sequence: int) -> None:
    """Remove everything about a video but its tombstone; may be repeated.

    Args:
        index: of the dataset.
        store: of the dataset.
        tombstone: the record of the video, as written.
        sequence: of its row.
    """
    for snapshot in list_snapshots(store):
        clips = snapshot.table.filter(
            pc.not_equal(snapshot.table["source_id"], tombstone.source_id)
        )
        if len(clips) < len(snapshot.table):
            write_snapshot(store, snapshot.name, clips)
    others = _unused_shards(index, store)
    for name in sorted({*tombstone.shards, *others}):
        if store.exists(name):
            purge_shard(store, name, tombstone.source_id)
    store.delete([f"thumbs/{hash_source_id(tombstone.source_id)}.jpg"])
    index.purge(tombstone.source_id, before=sequence)


def find_traces(store: Store, source_id: str) -> Iterator[str]:
    """Yield the places of a dataset that still hold something of a video, as clauses.

    Every file of the index, every snapshot and every shard is read, whether it is in use or not.
    """
    if not store.exists(_name(source_id)):
        yield f"{_name(source_id)} is missing: the video was never forgotten"
    for name in store.list_names(INDEX_FOLDER):
        reasons = read_reasons(store, name, source_id)
        if any(reason != Reason.FORGOTTEN for reason in reasons):
            yield f"{name} holds its scores and signatures"
    for snapshot in list_snapshots(store):
        if pc.any(pc.equal(snapshot.table["source_id"], source_id)).as_py():
            yield f"{snapshot.name} lists its clips"
    for name in store.list_names("shards"):
        with ShardReader(name, store) as reader:
            if reader.holds_bytes_of(source_id):
                yield f"{name} holds bytes of its clips"
    if store.exists(thumbnail := f"thumbs/{hash_source_id(source_id)}.jpg"):
        yield f"{thumbnail} shows it"
    yield from _find_leftovers(store, source_id)


def _find_leftovers(store: Store, source_id: str) -> Iterator[str]:
    """Yield the files of killed writers that hold something of a video, or that cannot be told."""
    for path in store.local.rglob("*") if store.local else ():
        parts = path.relative_to(store.uri).parts
        if not any(part.startswith(".") for part in parts) or not path.is_file():
            continue
        content = path.read_bytes()
        if source_id.encode() in content or (parts[0] in _NAMELESS and content.strip(b"+")):
            yield (
                f"{path} may hold it: a writer is running, or was killed; if none runs, run "
                f"`argus dataset compact --grace-hours 0 --dataset {store.uri}`"
            )


def _name(source_id: str) -> str:
    return f"{FOLDER}/{hash_source_id(source_id)}.json"


def _parse(content: bytes) -> Tombstone:
    values: dict[str, Any] = json.loads(content)
    return Tombstone(
        **{
            **values,
            "forgotten_at": datetime.fromisoformat(values["forgotten_at"]),
            "versions": tuple((int(first), int(last)) for first, last in values["versions"]),
            "digests": {int(number): digest for number, digest in values["digests"].items()},
            "shards": tuple(values["shards"]),
        }
    )


def _rows_of(index: Index, source_id: str) -> pa.Table:
    """Return the rows of a source in the order of their commits."""
    rows = index.rows_after(0, _COLUMNS)
    return rows.filter(pc.equal(rows["source_id"], source_id))


def _kept_spans(rows: pa.Table, newest: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last version of the dataset of each span in which clips were kept."""
    final = rows.filter(pc.invert(is_retryable_failure(rows))).sort_by("sequence")
    sequences = final["sequence"].to_pylist()
    for row, end in zip(final.to_pylist(), [*sequences, newest + 1][1:], strict=True):
        if any(clip["decision"] == Decision.KEPT for clip in row["clips"] or ()):
            yield row["sequence"], end - 1


def _to_row(tombstone: Tombstone, last: Mapping[str, Any] | None) -> SourceRow:
    """Return the row of a tombstone; `last` are the values of the latest row of its video."""
    return SourceRow(
        source_id=tombstone.source_id,
        url=tombstone.url or (last["url"] if last else ""),
        split=Split(last["split"]) if last else assign_split(tombstone.source_id),
        decision=Decision.DROPPED,
        reason=Reason.FORGOTTEN,
        detail=tombstone.why,
        recipe=last["recipe"] if last else "",
        run_id="forget",
        code_version=version("argus-360"),
        decided_at=tombstone.forgotten_at,
    )


def _unused_shards(index: Index, store: Store) -> set[str]:
    """Return the shards that no row refers to: a killed writer may have left bytes in them."""
    clips, _ = flatten_clips(index.rows_after(0, ("clips.shard",)))
    used = set(clips.field("shard").unique().to_pylist())
    return set(store.list_names("shards")) - used
