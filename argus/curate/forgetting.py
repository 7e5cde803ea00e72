"""Taking down a video everywhere on this machine: the dataset, its staged files, caches and pages.

`argus.dataset` purges what the dataset itself stores. This module adds what curation keeps beside
it: staged results, fetched files, work folders, signatures in the duplicate index, and pages with
pictures in the folders of runs.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from argus.curate.dedup import StoredDuplicateIndex
from argus.curate.download import video_file_name
from argus.dataset import Dataset, Store, Tombstone, hash_source_id

_PAGES = ("*.html", "*.json", "*.jsonl", "*.csv")
_PICTURES = (".html", ".png", ".jpg", ".jpeg", ".mp4")


def forget_video(
    dataset: Dataset, source_id: str, url: str, why: str, home: Path | str
) -> Tombstone:
    """Take a video down; see `Dataset.forget`.

    Args:
        dataset: the dataset.
        source_id: the video, known or not.
        url: its URL, if it is known.
        why: the reason, for people.
        home: ARGUS_HOME of this machine. What other machines hold is not reached.

    Returns:
        The tombstone, which names the snapshots that held its clips.
    """
    tombstone = dataset.forget(source_id, url, why)
    for name in _list_staged(dataset.store, source_id):
        dataset.store.delete_folder(name)
    dataset.store.delete(_list_fetched(dataset.store, source_id))
    shutil.rmtree(_work_folder(home, source_id), ignore_errors=True)
    for path in _iter_pages(home, source_id):
        path.unlink(missing_ok=True)
    if StoredDuplicateIndex.exists_for(dataset, home):
        StoredDuplicateIndex(dataset, home)  # removes what was taken down
    return tombstone


def find_remains(dataset: Dataset, source_id: str, home: Path | str) -> list[str]:
    """Return the places that still hold something of a video that was taken down.

    Every file of the dataset is read.
    """
    found = dataset.find_traces(source_id)
    found += [f"{name}/ holds its result" for name in _list_staged(dataset.store, source_id)]
    found += [f"{name} is its file" for name in _list_fetched(dataset.store, source_id)]
    if (work := _work_folder(home, source_id)).exists():
        found.append(f"{work} is its work folder")
    found += [f"{path} may show it" for path in _iter_pages(home, source_id)]
    if StoredDuplicateIndex.exists_for(dataset, home) and StoredDuplicateIndex(dataset, home).holds(
        source_id
    ):
        found.append("the duplicate index holds its signatures")
    return found


def _list_staged(store: Store, source_id: str) -> list[str]:
    prefix = f"staging/{hash_source_id(source_id)}-"
    return [name for name in store.list_folders("staging") if name.startswith(prefix)]


def _list_fetched(store: Store, source_id: str) -> list[str]:
    prefix = f"fetched/{video_file_name(source_id)}"
    return [name for name in store.list_names("fetched") if name.startswith(prefix)]


def _work_folder(home: Path | str, source_id: str) -> Path:
    return Path(home) / "work" / hash_source_id(source_id)


def _iter_pages(home: Path | str, source_id: str) -> Iterator[Path]:
    """Yield the pages and pictures in folders of runs that have a file which names the video."""
    for folder in (Path(home) / "runs").glob("*/*"):
        texts = (path for pattern in _PAGES for path in folder.glob(pattern))
        if any(source_id.encode() in path.read_bytes() for path in texts):
            yield from sorted(path for path in folder.iterdir() if path.suffix in _PICTURES)
