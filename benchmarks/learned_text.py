"""The text scorer on its real weights beside the weight-free text filter, on generated clips and real files.

The weights must be there: `argus weights fetch text_ocr`. Networks run on one thread. A clip has eight sampled frames in ten seconds. Overlaid text is to be found, signs and scenes without text are not; real files are cut as curation does, without dropping any.

    python benchmarks/learned_text.py [--weights DIR] [--media DIR] [--seeds N]
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from argus.curate import ERP_SIZE, SampledFrames, VideoSource, process_video, resize_frames
from argus.curate.filters import TextFilter
from argus.curate.scorers import ClipSamples, load_scorers, score_clip
from argus.runs import argus_home
from argus.synth import Board, CameraPath, Caption, Motion, World, make_path
from schemas.config import CurateConfig, FilterSettings

FRAMES, STEP = 8, 6  # sampled frames, and frames from one to the next at five per second
OVERLAY_LIMIT = 0.001
"""Share of the sphere of overlaid lines from which a clip counts as having overlaid text."""

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
KEEP_ALL = FilterSettings(
    text_share=1,
    moving_share=0,
    static_difference=0,
    variance=0,
    sharpness=0,
    bright_share=1,
    dark_share=1,
    black_share=1,
    cap_share=1,
    nadir_share=1,
    seam_ratio=1000,
)
CAPTIONS = {
    "title": Caption("City Walk 2019", pitch_deg=25, letter_deg=8),
    "lower third": Caption("and then we went home", pitch_deg=-35, letter_deg=5),
    "watermark": Caption("@cityrides", pitch_deg=-15, letter_deg=5, opacity=0.7),
    "small watermark": Caption("stock-video.com", pitch_deg=-25, letter_deg=3.5, opacity=0.7),
    "clock": Caption("10:24:30", pitch_deg=-30, letter_deg=5),
    "logo at the nadir": Caption("FILMS 360", pitch_deg=-88, letter_deg=7),
    "title in the map": Caption("Stock Video", pitch_deg=40, letter_deg=7, is_flat=True),
}
REAL_TRUTH = {
    "car_halfblack_text.mp4": "overlay, upside down; still scene",
    "room_stereo_sbs_2to1.mp4": "poster on a wall; still scene",
}
"""What real files show, by eye; the others have no legible text."""


@dataclass(frozen=True, eq=False)
class TextCase:
    """Sampled frames, uint8 [n, 512, 1024, 3], and whether overlaid text is to be found."""

    kind: str
    frames: np.ndarray
    is_overlaid: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=argus_home() / "weights")
    parser.add_argument("--media", type=Path, help="folder with real files in 360/")
    parser.add_argument("--seeds", type=int, default=2, help="worlds of each kind")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    measures = TextMeasures(arguments.weights)
    console = Console(width=160)
    print_generated(console, measures, range(200, 200 + arguments.seeds))
    if arguments.media:
        print_real(console, measures, arguments.media / "360")
    for name, seconds in measures.times_s.items():
        console.print(f"{name}: {np.median(seconds):.2f} s of one thread for a clip")


class TextMeasures:
    """Both measures of text, with the time that each took."""

    def __init__(self, weights: Path) -> None:
        self.scorers = load_scorers(["text_ocr"], weights, "cpu")
        self.times_s: dict[str, list[float]] = {"text_ocr": [], "weight-free": []}

    def measure(self, sampled: SampledFrames) -> tuple[dict[str, float], float]:
        """Return the scores of the networks, and the share of the weight-free filter."""
        clip = ClipSamples(sampled, np.zeros((len(sampled.frames), 27, 48, 3), np.uint8), 5.0)
        began = time.process_time()
        scores = score_clip(clip, self.scorers)["text_ocr"]
        middle = time.process_time()
        share = TextFilter().score(replace(sampled))["share"]  # without cached pictures
        self.times_s["text_ocr"].append(middle - began)
        self.times_s["weight-free"].append(time.process_time() - middle)
        return scores, share


def make_cases(seeds: range) -> Iterator[TextCase]:
    """Yield captions at changing yaws, signs, and scenes without text, in three motions."""
    for number, seed in enumerate(seeds):
        for place, (kind, caption) in enumerate(CAPTIONS.items()):
            motion = (Motion.WALK, Motion.DRIVE, Motion.SPIN)[(number + place) % 3]
            turned = replace(caption, yaw_deg=(47 * place + 173 * number) % 360)
            yield TextCase(kind, write_over(turned, render(seed, motion)), is_overlaid=True)
        for motion in (Motion.WALK, Motion.SPIN):
            path = camera_path(seed, motion)
            frames = render(seed, motion)
            for board in place_boards(path):
                yield TextCase("sign in the scene", board.stand_in(frames, path), is_overlaid=False)
        for motion in (Motion.WALK, Motion.DRIVE, Motion.SPIN):
            yield TextCase("no text", render(seed, motion), is_overlaid=False)


def write_over(caption: Caption, frames: np.ndarray) -> np.ndarray:
    """Write a caption over frames; a clock runs."""
    texts = [
        f"10:24:{30 + k}" if caption.text[:1].isdigit() else caption.text
        for k in range(len(frames))
    ]
    return np.stack(
        [
            replace(caption, text=text).write_over(frame)
            for text, frame in zip(texts, frames, strict=True)
        ]
    )


def place_boards(path: CameraPath) -> list[Board]:
    """Place a board beside the path, and one ahead of its end."""
    heading = path.rotations[0, :, 2]
    heading_deg = math.degrees(math.atan2(heading[0], heading[2]))
    beside, ahead = (
        np.array([math.sin(math.radians(yaw)), 0, math.cos(math.radians(yaw))])
        for yaw in (heading_deg + 90, heading_deg)
    )
    up = np.array([0, -0.5, 0])
    places = (
        ("COFFEE BAR", path.positions[len(path.times) // 2] + 3 * beside + up, heading_deg + 90),
        ("EXIT 25", path.positions[-1] + 5 * ahead - 1.5 * beside + up, heading_deg),
    )
    return [Board(text, (x, y, z), yaw) for text, (x, y, z), yaw in places]


def camera_path(seed: int, motion: Motion) -> CameraPath:
    path = make_path(seed, FRAMES * STEP, 5, motion)
    return CameraPath(path.rotations[::STEP], path.positions[::STEP], path.times[::STEP])


@cache
def render(seed: int, motion: Motion) -> np.ndarray:
    path = camera_path(seed, motion)
    frames = World(seed).render(path.rotations, path.positions, path.times, (256, 512))
    return resize_frames(frames, ERP_SIZE)


def print_generated(console: Console, measures: TextMeasures, seeds: range) -> None:
    """Print the table of generated clips."""
    rows: dict[str, list[tuple[bool, bool, bool]]] = {}
    limit = FilterSettings().text_share
    for case in make_cases(seeds):
        frames = case.frames
        scores, share = measures.measure(SampledFrames(frames, frames, np.zeros(len(frames))))
        found, filtered = scores["overlay_share"] > OVERLAY_LIMIT, share > limit
        rows.setdefault(case.kind, []).append(
            (found == case.is_overlaid, filtered == case.is_overlaid, found == filtered)
        )
    rows["all"] = [one for found in rows.values() for one in found]
    table = Table("kind", "clips", "text_ocr right", "weight-free right", "agree")
    for kind, found in rows.items():
        table.add_row(kind, str(len(found)), *(str(sum(part)) for part in zip(*found, strict=True)))
    console.print(table)


def print_real(console: Console, measures: TextMeasures, folder: Path) -> None:
    """Print the scores of the clips of real files."""
    names = ("overlay_share", "scene_share", "ambiguous_share")
    table = Table("real clip", "shows", *names, "weight-free share")
    for path in sorted(folder.iterdir()):
        for name, clip in read_clips(path):
            scores, share = measures.measure(clip.sampled)
            shows = REAL_TRUTH.get(path.name, "no legible text")
            values = (*(scores[one] for one in names), share)
            table.add_row(f"{path.name} {name}", shows, *(f"{value:.5f}" for value in values))
    console.print(table)


def read_clips(path: Path) -> Iterator[tuple[str, ClipSamples]]:
    """Yield the name and the samples of each clip of a file."""
    with tempfile.TemporaryDirectory() as folder:
        samples, clips = Path(folder) / "samples", Path(folder) / "clips"
        clips.mkdir()
        process_video(
            path, SOURCE, CurateConfig(catalogue="none", filters=KEEP_ALL), clips, samples
        )
        for file in sorted(samples.glob("*.npz")):
            yield file.stem, ClipSamples.load(file)


if __name__ == "__main__":
    main()
