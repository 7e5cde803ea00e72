"""What a dataset remembers, for looking only: the latest decision on each video, earlier ones, and the settings of its recipes. Writes nothing."""

import difflib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset import ClipRow, SourceRow, Store
from argus.dataset.ids import identify
from argus.dataset.index import Index
from argus.dataset.snapshots import flat_clips
from argus.errors import InvalidInput
from schemas.config import FilterPolicy

_NEAREST = 5
_COMPARED = 20_000  # at most so many ids are compared with one that is not there


@dataclass(frozen=True)
class Found:
    """What a person meant: a video, or one of its clips."""

    video: SourceRow
    clip: ClipRow | None = None


class DatasetView:
    """The decisions of a dataset. Raises InvalidInput where there is no such folder."""

    def __init__(self, place: Store | Path | str) -> None:
        self.store = Store.of(place)
        if self.store.local and not self.store.local.is_dir():
            raise InvalidInput(
                f"there is no dataset at {self.store.uri}; `argus refresh CATALOGUE --dataset {self.store.uri}` makes one"
            )
        self._index = Index(self.store)
        self._index.refresh()

    def videos(self) -> list[SourceRow]:
        """The latest decision on every video, sorted by source_id; empty where nothing was decided yet."""
        return _rows(self._index.latest_after(0))

    def history(self, source_id: str) -> list[SourceRow]:
        """Every decision on a video, oldest first."""
        parts = [_of(part, source_id) for part in self._index.parts_after(0)]
        return _rows(pa.concat_tables(parts).sort_by("sequence")) if parts else []

    def duplicates(self, clip_ids: Collection[str]) -> list[str]:
        """The clips that were found to show what one of these shows."""
        clips, _ = flat_clips(self._index.latest_after(0, ["clips.clip_id", "clips.duplicate_of"]))
        same = pc.is_in(clips.field("duplicate_of"), pa.array(list(clip_ids), pa.string()))
        return sorted(clips.field("clip_id").filter(same).to_pylist())

    def find(self, text: str) -> Found:
        """A video by its source_id, url or YouTube id, or a clip by its clip_id. Raises InvalidInput, naming the nearest that there are."""
        names = self._index.latest_after(0, ["source_id", "url"]).to_pydict()
        known = set(names["source_id"])
        parent, at, _ = text.strip().rpartition("@")
        if at and parent in known:
            return self._clip(parent, text.strip())
        written = (
            source_id
            for source_id, url in zip(names["source_id"], names["url"], strict=True)
            if url == text.strip()
        )
        for source_id in (text.strip(), identify(text)[0], *written):
            if source_id in known:
                return Found(self._video(source_id))
        raise InvalidInput(
            f"there is no video or clip {text!r} in {self.store.uri}{_nearest(text, [*names['source_id'], *names['url']])}"
        )

    def _video(self, source_id: str) -> SourceRow:
        return self.history(source_id)[-1]

    def _clip(self, source_id: str, clip_id: str) -> Found:
        video = self._video(source_id)
        for clip in video.clips:
            if clip.clip_id == clip_id:
                return Found(video, clip)
        raise InvalidInput(
            f"{source_id} has no clip {clip_id!r}{_nearest(clip_id, [clip.clip_id for clip in video.clips])}"
        )

    def policies(self) -> dict[str, FilterPolicy]:
        """The thresholds of each recipe that is stored and that this version can read, by its digest."""
        found = {}
        for name in self.store.names("recipes"):
            try:
                policy = json.loads(self.store.read(name))["policy"]
                found[PurePosixPath(name).stem] = FilterPolicy.model_validate(
                    {name: policy[name] for name in FilterPolicy.model_fields if name in policy}
                )
            except (ValueError, KeyError, TypeError):
                continue  # written by hand, or by a version whose thresholds mean something else
        return found


def _of(rows: pa.Table, source_id: str) -> pa.Table:
    return rows.filter(pc.equal(rows["source_id"], source_id))


def _rows(table: pa.Table) -> list[SourceRow]:
    return [SourceRow.of(values) for values in table.to_pylist()]


def _nearest(text: str, names: Sequence[str]) -> str:
    """The end of an error's sentence: what is there instead."""
    if not names:
        return "; it has none"
    near = [name for name in names if text in name][:_NEAREST] or difflib.get_close_matches(
        text, names[:_COMPARED], _NEAREST, cutoff=0.3
    )
    return (
        f"; the nearest: {', '.join(near)}"
        if near
        else f"; it has {', '.join(names[:_NEAREST])}" + " …" * (len(names) > _NEAREST)
    )
