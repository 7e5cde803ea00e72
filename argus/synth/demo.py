"""What the demonstration serves: a small world of good videos and one of every defect, and an ordinary video to turn into 360°."""

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from argus.files import replace_atomically
from argus.media import write_video
from argus.sphere import Camera, erp_to_view
from argus.synth.catalogue import write_catalogue
from argus.synth.paths import Motion, render_clip
from argus.synth.videos import SynthVideo, write_negatives, write_world_videos

GOOD = 12
FPS = 5
SECONDS = 6
HEIGHT = 128
INPUT_SEED = 772
FOV_DEG = 75  # what `generate` assumes
_LIST = "videos.csv"
_INPUT = "input/ordinary.mp4"


@dataclass(frozen=True)
class DemoWorld:
    """The written files: `videos` are (path below the folder, split)."""

    folder: Path
    videos: tuple[tuple[str, str], ...]

    @property
    def input(self) -> Path:
        """The ordinary video."""
        return self.folder / _INPUT


def write_demo(folder: Path, *, threads: int = 2) -> DemoWorld:
    """Writes the world, or finds it written: the folder appears whole. The same files every time."""
    if not folder.exists():
        with replace_atomically(folder) as beside, ThreadPoolExecutor(threads) as pool:
            beside.mkdir()
            good = [pool.submit(_write_good, beside, seed) for seed in range(GOOD)]
            rest = pool.submit(write_negatives, beside, height=HEIGHT, fps=FPS)
            _write_input(beside / _INPUT)
            videos = [video for future in good for video in future.result()] + rest.result()
            write_catalogue(beside / _LIST, videos, "", folder=beside)
    with (folder / _LIST).open(newline="", encoding="utf-8") as file:
        return DemoWorld(
            folder, tuple((row["url"].lstrip("/"), row["split"]) for row in csv.DictReader(file))
        )


def _write_good(folder: Path, seed: int) -> list[SynthVideo]:
    return write_world_videos(folder, seed=seed, count=1, seconds=SECONDS, fps=FPS, height=HEIGHT)


def _write_input(path: Path) -> None:
    """What somebody who walks through another world films."""
    clip = render_clip(INPUT_SEED, 2 * FPS, (4 * HEIGHT, 8 * HEIGHT), FPS, Motion.WALK)
    write_video(path, erp_to_view(clip.frames, np.eye(3), Camera(FOV_DEG, 320, 240)), clip.fps)
