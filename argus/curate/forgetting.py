"""Taking down a video everywhere on this machine: the dataset, its staged files, caches and pages.

`argus.dataset` purges what the dataset itself stores. This module adds what curation keeps beside
it: staged results, fetched files, work folders, signatures in duplicate indexes, and pages with
pictures in ARGUS_HOME.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from argus.curate.dedup import StoredDuplicateIndex
from argus.curate.download import video_file_name
from argus.dataset import Dataset, Store, Tombstone, hash_source_id

_PAGES = ("*.html", "*.json", "*.jsonl", "*.csv")
_PICTURES = (".html", ".png", ".jpg", ".jpeg", ".mp4")
_OTHER_FOLDERS = ("dataset", "duplicates", "mlflow", "models", "weights", "work")  # of ARGUS_HOME


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
    for folder in StoredDuplicateIndex.list_others(dataset, home):
        shutil.rmtree(folder, ignore_errors=True)
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
    others = StoredDuplicateIndex.list_others(dataset, home)
    found += [f"{folder} may hold its signatures" for folder in others]
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
    """Yield the pages and pictures below ARGUS_HOME that may show the video.

    They are galleries and other pages that name it, its pictures beside galleries, and all pages
    and pictures of a run with a file that names it.
    """
    picture = f"{hash_source_id(source_id)}.jpg"
    for folder in _iter_folders(Path(home)):
        names = sorted(path for path in folder.iterdir() if path.is_file())
        if folder.parent.parent == Path(home) / "runs" and _is_named(folder, source_id):
            yield from (path for path in names if path.suffix in _PICTURES)
            continue
        for path in names:
            is_page = path.suffix == ".html" and source_id.encode() in path.read_bytes()
            if is_page or (folder.name.endswith("_pictures") and path.name == picture):
                yield path


def _iter_folders(top: Path) -> Iterator[Path]:
    """Yield the folders below ARGUS_HOME in which people and runs write pages."""
    for place, folders, _ in os.walk(top):
        folder = Path(place)
        others = _OTHER_FOLDERS if folder == top else ()
        folders[:] = sorted(
            name
            for name in folders
            if name not in others and not (folder / name / "index" / "_delta_log").is_dir()
        )
        yield folder


def _is_named(run: Path, source_id: str) -> bool:
    texts = (path for pattern in _PAGES for path in run.glob(pattern))
    return any(source_id.encode() in path.read_bytes() for path in texts)
