"""Learned scorers on their real weights beside the weight-free ones: right and wrong against the truth, agreement, and cost.

The weights must be there: `argus weights fetch transnetv2`. All networks run on one thread.

    python benchmarks/learned.py [--weights DIR] [--media DIR] [--seeds N]
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from shot_set import CLIP_FPS, SIZE, Frames, ShotCase, make_shot_cases

from argus.curate import detect_shots
from argus.curate.scorers import load_scorers, make_strip
from argus.media import open_video
from argus.runs import argus_home
from schemas.config import FilterSettings

PROBABILITY = 0.5
"""Probability of TransNet V2 from which a frame ends a shot, as published."""

REAL_FILES = {
    "overpass.mp4": 1,
    "prison_handheld.mp4": 1,
    "tunnel_16x9.webm": 1,
    "car_halfblack_text.mp4": 1,
    "city_cg.ts": 1,
    "lobby_4k_1s_static.mp4": 1,
    "jungle_stereo_tb_v1meta.mp4": 2,
    "geyser_stereo_tb.ts": 2,
}
"""Real panoramas by the number of eyes, of which the upper one is taken."""


@dataclass
class Tally:
    """Counts of one kind of clip."""

    cases: int = 0
    right: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    agreed: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=argus_home() / "weights")
    parser.add_argument("--media", type=Path, help="folder with real files in 360/")
    parser.add_argument("--seeds", type=int, default=4, help="clips of each kind")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detectors = ShotDetectors(arguments.weights)
    console = Console(width=160)
    print_generated(console, detectors, range(100, 100 + arguments.seeds))
    if arguments.media:
        print_real(console, detectors, arguments.media / "360")
    print_cost(console, detectors)


class ShotDetectors:
    """Both detectors of shot boundaries, with the time that each took."""

    def __init__(self, weights: Path) -> None:
        (self.network,) = cast("tuple[Any]", load_scorers(["transnetv2"], weights, "cpu"))
        self.threshold = FilterSettings().shot_boundary
        self.times_s: dict[str, list[float]] = defaultdict(list)

    def by_network(self, frames: Frames) -> list[tuple[int, int]]:
        """Return (last frame of a shot, first frame of the next) by TransNet V2."""
        began = time.process_time()
        is_end = self.network.find_ends(make_strip(frames)) > PROBABILITY
        self.times_s["transnetv2"].append(time.process_time() - began)
        runs = np.flatnonzero(np.diff(np.concatenate([[0], is_end, [0]])))
        return [(int(start), int(stop)) for start, stop in runs.reshape(-1, 2)]

    def by_rotation(self, frames: Frames) -> list[tuple[int, int]]:
        """Return the same by the weight-free detector, which expects the rate of clips."""
        began = time.process_time()
        shots = detect_shots(frames, self.threshold)
        self.times_s["weight-free"].append(time.process_time() - began)
        return [(one.stop - 1, other.start) for one, other in pairwise(shots)]


def is_right(found: Sequence[tuple[int, int]], truth: tuple[int, int] | None) -> bool:
    """Return True if nothing was found where nothing is, or everything within the transition.

    A cut must be found at its exact frame. A dissolve has no exact ends: one frame is allowed.
    """
    if truth is None or not found:
        return truth is None and not found
    slack = 0 if truth[1] == truth[0] + 1 else 1
    return all(truth[0] - slack <= last and first <= truth[1] + slack for last, first in found)


def print_generated(console: Console, detectors: ShotDetectors, seeds: range) -> None:
    """Print the table of generated clips."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case in make_shot_cases(seeds):
        slow = case.at_clip_rate()
        network, rotation = detectors.by_network(slow.frames), detectors.by_rotation(slow.frames)
        tally = tallies[case.kind]
        tally.cases += 1
        tally.right["network"] += is_right(network, slow.boundary)
        tally.right["native"] += is_right(detectors.by_network(case.frames), case.boundary)
        tally.right["rotation"] += is_right(rotation, slow.boundary)
        tally.agreed += bool(network) == bool(rotation)
    table = Table(
        "kind",
        "clips",
        "TransNet V2 at 5 fps",
        "at 25 fps",
        "weight-free at 5 fps",
        "agree",
        title="Right of generated clips: exact frame of a cut, within a dissolve, nothing elsewhere",
    )
    for kind, tally in [*tallies.items(), ("all", _add(tallies.values()))]:
        table.add_row(
            kind,
            str(tally.cases),
            *(str(tally.right[name]) for name in ("network", "native", "rotation")),
            str(tally.agreed),
        )
    console.print(table)


def print_real(console: Console, detectors: ShotDetectors, folder: Path) -> None:
    """Print the boundaries of real files, and of real files that were spliced."""
    clips = {name: read_clip(folder / name, eyes) for name, eyes in REAL_FILES.items()}
    cases = {name: ShotCase(name, frames) for name, frames in clips.items()}
    for (one, first), (other, second) in pairwise([*clips.items(), next(iter(clips.items()))]):
        frames = np.concatenate([first[:20], second[-20:]])
        last = min(20, len(first)) - 1
        name = f"{one} + {other}"
        cases[name] = ShotCase(name, frames, (last, last + 1))
    table = Table(
        "real file, or splice of two", "truth", "TransNet V2", "weight-free", "probability"
    )
    for name, case in cases.items():
        network, rotation = (detectors.by_network(case.frames), detectors.by_rotation(case.frames))
        peak = detectors.network.find_ends(make_strip(case.frames)).max()
        table.add_row(
            name, str(case.boundary or "none"), str(network), str(rotation), f"{peak:.3f}"
        )
    console.print(table)


def read_clip(path: Path, eyes: int) -> Frames:
    """Return up to ten seconds of a panorama at the rate of clips; of its upper eye."""
    with open_video(path) as reader:
        step = max(1, round(reader.fps / Fraction(CLIP_FPS)))
        indices = np.arange(0, len(reader), step)[: 10 * CLIP_FPS]
        return reader.frames(indices, size=(SIZE[0] * eyes, SIZE[1]))[:, : SIZE[0]]


def print_cost(console: Console, detectors: ShotDetectors) -> None:
    """Print the CPU time of a clip of ten seconds at the rate of clips, on one thread."""
    frames = np.random.default_rng(0).integers(0, 256, (10 * CLIP_FPS, *SIZE, 3), np.uint8)
    detectors.times_s.clear()
    for _ in range(5):
        detectors.by_network(frames)
        detectors.by_rotation(frames)
    for name, times_s in detectors.times_s.items():
        console.print(f"{name}: {np.median(times_s):.2f} s of one thread for a clip of 50 frames")


def _add(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.cases += tally.cases
        total.agreed += tally.agreed
        for name, number in tally.right.items():
            total.right[name] += number
    return total


if __name__ == "__main__":
    main()
