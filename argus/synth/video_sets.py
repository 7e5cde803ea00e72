"""Sets of synthetic videos: good ones, one per defect, one per layout, and the demo's world."""

import csv
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from argus.files import replace_atomically, write_text
from argus.media import write_video
from argus.sphere import Camera, erp_to_view
from argus.synth.paths import Motion, render_clip
from argus.synth.video_kinds import VIDEO_KINDS
from argus.synth.videos import SynthVideo, write_video_kind
from schemas.names import Split


class _SetEntry(NamedTuple):
    kind: str
    tagged: bool
    seed_offset: int


_NEGATIVES = (
    _SetEntry("stereo_tb", True, 0),
    _SetEntry("stereo_tb", False, 1),
    _SetEntry("stereo_sbs", True, 2),
    _SetEntry("stereo_sbs_2to1", False, 3),
    _SetEntry("perspective_16x9", False, 4),
    _SetEntry("perspective_2to1", False, 5),
    _SetEntry("cuts", False, 6),
    _SetEntry("static", False, 9),
    _SetEntry("half_black", True, 10),
    _SetEntry("black", False, 9),
    _SetEntry("fog", False, 11),
    _SetEntry("broken_seam", False, 12),
    _SetEntry("too_short", False, 13),
    _SetEntry("one_frame", False, 9),
    _SetEntry("corrupt", True, 14),
    _SetEntry("corrupt_index", True, 14),
    _SetEntry("truncated", True, 14),
    _SetEntry("empty", False, 0),
    _SetEntry("text", False, 0),
    _SetEntry("audio_only", False, 0),
)

_LAYOUT_KINDS = (
    "vr180",
    "vr180_mono",
    "partial",
    "cubemap_3x2",
    "cubemap_v2",
    "cubemap_6x1",
    "eac",
    "dual_fisheye",
    "mono_erp_16x9",
    "stereo_tb_2to1",
)
_LAYOUTS = tuple(
    _SetEntry(kind, tagged, seed_offset)
    for seed_offset, kind in enumerate(_LAYOUT_KINDS)
    for tagged in (True, False)
    if VIDEO_KINDS[kind].spherical or not tagged
)

_SPLITS = (
    Split.TRAIN,
    Split.VAL,
    Split.TEST,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
    Split.TRAIN,
)
"""Splits of consecutive good videos; three videos are enough for all splits."""

_DEMO_VIDEOS, _DEMO_SECONDS, _DEMO_FPS, _DEMO_HEIGHT = 12, 6, 5, 128
_DEMO_INPUT_SEED = 772
_DEMO_INPUT_FOV_DEG = 75  # the default of `argus generate`
_DEMO_LIST = "videos.csv"
_DEMO_INPUT = "input/ordinary.mp4"


def write_world_videos(
    folder: Path | str,
    *,
    seed: int = 0,
    count: int = 8,
    seconds: float = 4,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """Write good mono ERP videos, each of another world.

    They alternate between walks and drives; every second one is tagged.

    Args:
        folder: Folder to write to.
        seed: Seed of the first video; the others count up from it.
        count: Number of videos.
        seconds: Duration.
        fps: Frames per second.
        height: Rows of the frames, which have twice as many columns; a multiple of 4.
        threads: Number of rendering threads.
    """
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "height": height, "threads": threads}
    return [
        write_video_kind(
            Path(folder) / f"world_{seed + k:04d}.mp4",
            "drive" if k % 2 else "walk",
            seed=seed + k,
            tagged=not k % 2,
            **options,
        )
        for k in range(count)
    ]


def write_negatives(
    folder: Path | str,
    *,
    seed: int = 1000,
    seconds: float = 3,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """Write one file per defect, named after it, and one good video with cuts.

    See `write_world_videos` for the arguments.
    """
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "height": height, "threads": threads}
    return _write_set(Path(folder), _NEGATIVES, seed, options)


def write_layouts(
    folder: Path | str,
    *,
    seed: int = 2000,
    seconds: float = 3,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """Write one file per layout of a sphere or a part of it.

    Layouts that metadata can declare are written with and without it. See `write_world_videos` for
    the arguments.
    """
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "height": height, "threads": threads}
    return _write_set(Path(folder), _LAYOUTS, seed, options)


def _write_set(
    folder: Path, entries: Sequence[_SetEntry], seed: int, options: dict[str, Any]
) -> list[SynthVideo]:
    """Write a file per entry; if a kind is written both ways, the untagged one is named so."""
    tagged, untagged = (
        {entry.kind for entry in entries if entry.tagged == t} for t in (True, False)
    )
    has_both = tagged & untagged
    videos = []
    for entry in entries:
        suffix = "_untagged" if entry.kind in has_both and not entry.tagged else ""
        path = folder / f"{entry.kind}{suffix}.mp4"
        videos.append(
            write_video_kind(
                path, entry.kind, seed=seed + entry.seed_offset, tagged=entry.tagged, **options
            )
        )
    return videos


def write_catalogue(
    path: Path | str,
    videos: Sequence[SynthVideo],
    base_url: str,
    *,
    folder: Path | str,
    extra_urls: Iterable[str] = (),
) -> None:
    """Write a CSV catalogue of videos with the columns url and split.

    Of eight consecutive good videos, six are for training, the second for validation and the third
    for testing.

    Args:
        path: CSV file to write.
        videos: Videos below `folder`.
        base_url: URL at which `folder` is served.
        folder: Folder of the videos.
        extra_urls: Further URLs, for training.
    """
    root = Path(folder).absolute()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["url", "split"])
    good = 0
    for video in videos:
        split = _SPLITS[good % len(_SPLITS)] if video.is_kept else Split.TRAIN
        good += video.is_kept
        location = video.path.absolute().relative_to(root).as_posix()
        writer.writerow([f"{base_url.rstrip('/')}/{location}", split])
    writer.writerows([url, Split.TRAIN] for url in extra_urls)
    write_text(Path(path), text.getvalue())


@dataclass(frozen=True)
class DemoWorld:
    """Files of the demo.

    Attributes:
        folder: The folder.
        videos: (path below the folder, split) of each 360° video.
    """

    folder: Path
    videos: tuple[tuple[str, str], ...]

    @property
    def input(self) -> Path:
        """The ordinary video that the demo turns into a 360° video."""
        return self.folder / _DEMO_INPUT


def write_demo(folder: Path, *, threads: int = 2) -> DemoWorld:
    """Write the files of the demo, the same every time.

    They are good videos, one per defect, and an ordinary video. A folder that exists is complete
    and is reused.

    Args:
        folder: Folder to create.
        threads: Number of videos that are rendered at the same time.
    """
    if not folder.exists():
        with replace_atomically(folder) as partial, ThreadPoolExecutor(threads) as pool:
            partial.mkdir()
            good = [pool.submit(_write_demo_video, partial, seed) for seed in range(_DEMO_VIDEOS)]
            negatives = pool.submit(write_negatives, partial, height=_DEMO_HEIGHT, fps=_DEMO_FPS)
            _write_demo_input(partial / _DEMO_INPUT)
            videos = [video for future in good for video in future.result()] + negatives.result()
            write_catalogue(partial / _DEMO_LIST, videos, "", folder=partial)
    with (folder / _DEMO_LIST).open(newline="", encoding="utf-8") as file:
        rows = [(row["url"].lstrip("/"), row["split"]) for row in csv.DictReader(file)]
    return DemoWorld(folder, tuple(rows))


def _write_demo_video(folder: Path, seed: int) -> list[SynthVideo]:
    return write_world_videos(
        folder, seed=seed, count=1, seconds=_DEMO_SECONDS, fps=_DEMO_FPS, height=_DEMO_HEIGHT
    )


def _write_demo_input(path: Path) -> None:
    """Write an ordinary video of a walk through another world."""
    erp_size = (4 * _DEMO_HEIGHT, 8 * _DEMO_HEIGHT)
    clip = render_clip(_DEMO_INPUT_SEED, 2 * _DEMO_FPS, erp_size, _DEMO_FPS, Motion.WALK)
    camera = Camera(_DEMO_INPUT_FOV_DEG, 320, 240)
    write_video(path, erp_to_view(clip.frames, np.eye(3), camera), clip.fps)
