"""A read-only view of a dataset's decisions, for people: videos, history, search, recipes."""

import difflib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset.ids import identify
from argus.dataset.index import Index
from argus.dataset.migration import migrate_recipe
from argus.dataset.records import CuratedClip, SourceRow
from argus.dataset.rows import row_from_values
from argus.dataset.snapshots import flatten_clips
from argus.dataset.store import Store
from argus.errors import InvalidInput
from schemas.config import FilterSettings

_MAX_SUGGESTIONS = 5
_MAX_COMPARED = 20_000  # ids that are compared with one that does not exist


@dataclass(frozen=True)
class FoundItem:
    """A video, or one of its clips, that a search found."""

    video: SourceRow
    clip: CuratedClip | None = None


class DatasetView:
    """The decisions of a dataset. Raises InvalidInput if the folder does not exist."""

    def __init__(self, place: Store | Path | str) -> None:
        self.store = Store.of(place)
        if self.store.local and not self.store.local.is_dir():
            raise InvalidInput(
                f"there is no dataset at {self.store.uri}; create it with "
                f"`argus refresh CATALOGUE --dataset {self.store.uri}`"
            )
        self._index = Index(self.store)
        self._index.refresh()

    def list_videos(self) -> list[SourceRow]:
        """Return the latest decision on every video, sorted by source id."""
        return _to_rows(self._index.latest_after(0))

    def read_history(self, source_id: str) -> list[SourceRow]:
        """Return every decision on a video, oldest first."""
        parts = [
            part.filter(pc.equal(part["source_id"], source_id))
            for part in self._index.iter_parts_after(0)
        ]
        return _to_rows(pa.concat_tables(parts).sort_by("sequence")) if parts else []

    def find_duplicates(self, clip_ids: Collection[str]) -> list[str]:
        """Return the ids of the clips that are marked as duplicates of these."""
        rows = self._index.latest_after(0, ["clips.clip_id", "clips.duplicate_of"])
        clips, _ = flatten_clips(rows)
        matches = pc.is_in(clips.field("duplicate_of"), pa.array(list(clip_ids), pa.string()))
        return sorted(clips.field("clip_id").filter(matches).to_pylist())

    def find(self, text: str) -> FoundItem:
        """Find a video by its source id, URL or YouTube id, or a clip by its clip id.

        Raises:
            InvalidInput: there is none; the message lists the nearest names.
        """
        names = self._index.latest_after(0, ["source_id", "url"]).to_pydict()
        known = set(names["source_id"])
        parent, at, _ = text.strip().rpartition("@")
        if at and parent in known:
            return self._find_clip(parent, text.strip())
        by_url = (
            source_id
            for source_id, url in zip(names["source_id"], names["url"], strict=True)
            if url == text.strip()
        )
        for source_id in (text.strip(), identify(text)[0], *by_url):
            if source_id in known:
                return FoundItem(self._read_video(source_id))
        nearest = _suggest(text, [*names["source_id"], *names["url"]])
        raise InvalidInput(f"there is no video or clip {text!r} in {self.store.uri}{nearest}")

    def read_filter_settings(self) -> dict[str, FilterSettings]:
        """Return the filter settings of each stored recipe by its digest.

        Recipes with values that are out of range today are left out.

        Raises:
            InvalidInput: a recipe has a setting that is unknown.
        """
        found = {}
        for name in self.store.list_names("recipes"):
            try:
                parts = json.loads(self.store.read(name))
                values = migrate_recipe(parts, self.store.uri_of(name))["filters"]
                found[PurePosixPath(name).stem] = FilterSettings.model_validate(values)
            except InvalidInput:
                raise
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # not a recipe, or one whose values are out of range
        return found

    def _read_video(self, source_id: str) -> SourceRow:
        return self.read_history(source_id)[-1]

    def _find_clip(self, source_id: str, clip_id: str) -> FoundItem:
        video = self._read_video(source_id)
        for clip in video.clips:
            if clip.clip_id == clip_id:
                return FoundItem(video, clip)
        nearest = _suggest(clip_id, [clip.clip_id for clip in video.clips])
        raise InvalidInput(f"{source_id} has no clip {clip_id!r}{nearest}")


def _to_rows(table: pa.Table) -> list[SourceRow]:
    return [row_from_values(values) for values in table.to_pylist()]


def _suggest(text: str, names: Sequence[str]) -> str:
    """Return the end of an error message that lists the nearest names."""
    if not names:
        return "; it has none"
    near = [name for name in names if text in name][:_MAX_SUGGESTIONS] or difflib.get_close_matches(
        text, names[:_MAX_COMPARED], _MAX_SUGGESTIONS, cutoff=0.3
    )
    if near:
        return f"; the nearest: {', '.join(near)}"
    more = " …" if len(names) > _MAX_SUGGESTIONS else ""
    return f"; it has {', '.join(names[:_MAX_SUGGESTIONS])}{more}"
