"""Videos of the calibration: which are generated, and the comparison of each result with the truth.

Each case is a function of its half and number. Worlds, sizes, rates, encoders and their settings of the scored half occur nowhere in the tuning half.
"""

import csv
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from argus.curate import VideoSource, process_isolated, process_video
from argus.curate.dedup import DuplicateIndex, Signature, SignedClip
from argus.dataset import CuratedVideo, Score
from argus.media import frame_stride, write_video
from argus.synth import VIDEO_KINDS, Codec, SynthVideo, write_video_kind
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Layout, Reason

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
KIND_WEIGHTS = {"walk": 3, "drive": 3, "title": 2, "watermark": 2}
"""Weight of these kinds; all others have weight 1."""
TILT_TOLERANCE_DEG, NADIR_TOLERANCE = 4.0, 0.15
CUT_TOLERANCE_FRAMES = 1
_SINGLE_SHOT_S = 3.0  # duration of a video of one shot
_SHOT_S = 2.25  # duration of each of several shots; long enough for a clip
_FINE_KINDS = frozenset(
    {"title", "watermark", "tilted"}
)  # visible only in maps of `_MIN_FINE_ROWS`
_MIN_FINE_ROWS = 256


@dataclass(frozen=True, eq=False)
class Half:
    """Parameters from which the videos of a half are drawn; seeds of worlds count from `seed`."""

    name: str
    seed: int
    heights: tuple[int, ...]
    codecs: Mapping[Codec, tuple[int, ...]]  # codec -> values of crf on the codec's scale
    gops: tuple[int, ...]
    rates: tuple[int, ...]


TUNING = Half(
    "tuning",
    40_000,
    (96, 128, 128, 160, 256, 512),
    {"h264": (18, 23, 30), "vp9": (20, 36)},
    (8, 25),
    (5, 10),
)
SCORED = Half(
    "scored",
    70_000,
    (104, 144, 144, 192, 288, 480),
    {"hevc": (20, 26, 31), "av1": (22, 35, 42)},
    (12, 40),
    (6, 12),
)


@dataclass(frozen=True)
class Case:
    """One generated video."""

    half: str
    kind: str
    tagged: bool
    seed: int
    height: int
    codec: Codec
    crf: int
    gop: int
    fps: int

    @property
    def name(self) -> str:
        """Kind, and whether the file declares its layout."""
        return f"{self.kind}{', tagged' if self.tagged else ''}"

    def write(self, folder: Path) -> SynthVideo:
        """Write the file and return the truth about it."""
        shots = VIDEO_KINDS[self.kind].shots
        seconds = _SINGLE_SHOT_S if shots == 1 else shots * _SHOT_S
        return write_video_kind(
            folder / "video.mp4",
            self.kind,
            seconds=seconds,
            **{
                name: getattr(self, name)
                for name in ("seed", "height", "tagged", "codec", "crf", "gop", "fps")
            },
        )


@dataclass(frozen=True)
class Outcome:
    """Result of a video beside the truth; `faults` is empty if all of it is correct."""

    name: str  # kind or file name
    about: str  # parameters of the video
    truth: Layout
    layout: Layout
    decision: Decision
    reason: Reason | None
    expected: str  # the correct decision or reasons
    detail: str
    faults: tuple[str, ...]  # of "layout", "decision", "cuts", "tilt", "nadir"
    scores: tuple[Score, ...]
    seconds: float  # of processor time
    signatures: tuple[SignedClip, ...] = field(default=(), repr=False)

    @property
    def stages(self) -> list[tuple[str, bool]]:
        """Filters that ran on the video or its first clip, in order, and whether each kept it."""
        stages: dict[str, bool] = {}
        for score in self.scores:
            stages[score.filter] = stages.get(score.filter, True) and score.kept
        return list(stages.items())


def make_cases(half: Half, count: int) -> list[Case]:
    """Return the first `count` videos of a half; every kind occurs once before any is repeated."""
    kinds = _list_kinds()
    chosen = []
    for number in range(count):
        kind, tagged = kinds[number % len(kinds)]
        rng = np.random.default_rng((half.seed, number))
        codec = list(half.codecs)[(number + number // len(kinds)) % len(half.codecs)]
        heights = [
            height for height in half.heights if kind not in _FINE_KINDS or height >= _MIN_FINE_ROWS
        ]
        height, crf, gop, fps = (
            int(rng.choice(values))
            for values in (heights, half.codecs[codec], half.gops, half.rates)
        )
        can_be_tagged = VIDEO_KINDS[kind].spherical is not None
        tagged = bool(rng.integers(2)) and can_be_tagged if tagged is None else tagged
        chosen.append(
            Case(half.name, kind, tagged, half.seed + 10 * number, height, codec, crf, gop, fps)
        )
    return chosen


def _list_kinds() -> list[tuple[str, bool | None]]:
    """Return kinds, tagged or not; None if that is drawn, because it does not change the truth."""
    found: list[tuple[str, bool | None]] = []
    for name, kind in VIDEO_KINDS.items():
        if kind.spherical is None or kind.layout is Layout.NONE:
            found.append((name, False))
        elif (
            name.endswith("_mistagged") or kind.layout is Layout.PARTIAL
        ):  # without its metadata the layout would be another
            found.append((name, True))
        elif kind.layout is Layout.MONO_ERP:
            found += [(name, None)] * KIND_WEIGHTS.get(name, 1)
        else:
            found += [(name, True), (name, False)]
    order = np.random.default_rng(5).permutation(len(found))
    return [found[k] for k in order]


def curate_config(settings: FilterSettings) -> CurateConfig:
    """Return the configuration of a refresh with small clips."""
    return CurateConfig(catalogue="none", clip=ClipSettings(height=64), filters=settings)


def init_worker() -> None:
    """Initialize a worker process: there is one per processor, so each uses one thread."""
    cv2.setNumThreads(1)
    os.environ.setdefault("SVT_LOG", "1")


def evaluate_case(case: Case, settings: FilterSettings) -> Outcome:
    """Write a video, process it, delete it and compare the result with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        truth = case.write(Path(folder))
        process = (
            process_isolated if VIDEO_KINDS[case.kind].damage else process_video
        )  # damaged files may crash a decoder
        start = time.process_time()
        video = process(truth.path, SOURCE, curate_config(settings))
        seconds = time.process_time() - start
    about = f"{case.codec} crf {case.crf} gop {case.gop}, {case.height} rows, {case.fps} fps, seed {case.seed}"
    keep = truth.is_kept or (
        truth.layout in settings.convert and Reason.LAYOUT_MISMATCH not in truth.reasons
    )
    expected = "kept" if keep else " or ".join(sorted(truth.reasons))
    faults = tuple(
        name
        for name, right in (
            ("layout", video.layout in {truth.layout, *truth.other_layouts}),
            (
                "decision",
                video.decision is (Decision.KEPT if keep else Decision.DROPPED)
                and (keep or video.reason in truth.reasons),
            ),
            ("cuts", not keep or not video.clips or _has_cuts(video, truth.cuts_s)),
            ("tilt", _is_near(video, "upright", "tilt_deg", truth.tilt_deg, TILT_TOLERANCE_DEG)),
            ("nadir", _is_near(video, "nadir", "share", truth.nadir_share, NADIR_TOLERANCE)),
        )
        if not right
    )
    return _outcome(case.name, about, video, truth.layout, expected, faults, seconds)


def _outcome(
    name: str,
    about: str,
    video: CuratedVideo,
    truth: Layout,
    expected: str,
    faults: tuple[str, ...],
    seconds: float,
) -> Outcome:
    first = video.clips[0].scores if video.clips else ()
    return Outcome(
        name,
        about,
        truth,
        video.layout,
        video.decision,
        video.reason,
        expected,
        video.detail,
        faults,
        (*video.scores, *first),
        seconds,
    )


def _has_cuts(video: CuratedVideo, cuts_s: Sequence[float]) -> bool:
    """Return True if clips end with shots, and nowhere else but at the end of the video."""
    assert video.media is not None
    clip_fps = video.media.fps / frame_stride(video.media.fps, ClipSettings().fps)
    near = (CUT_TOLERANCE_FRAMES + 0.01) / float(clip_fps)
    ends = sorted(
        {clip.start_ms / 1000 for clip in video.clips}
        | {clip.end_ms / 1000 for clip in video.clips}
    )
    found = [end for end in ends if near < end < video.media.duration_s - near]
    right = all(any(abs(cut - end) <= near for end in found) for cut in cuts_s)
    return right and all(any(abs(cut - end) <= near for cut in cuts_s) for end in found)


def _is_near(
    video: CuratedVideo, name: str, score: str, truth: float | None, within: float
) -> bool:
    """Return True if a recorded score is correct; also if the truth or the score is missing."""
    values = [
        one.value
        for clip in video.clips
        for one in clip.scores
        if (one.filter, one.name) == (name, score)
    ]
    return (
        truth is None
        or not values
        or all(value is not None and abs(value - truth) <= within for value in values)
    )


@dataclass(frozen=True)
class Label:
    """Row of `labels.csv`."""

    path: Path
    layout: Layout
    keep: str  # yes, no, convert
    reason: str  # several correct ones are joined by _or_


def read_labels(media: Path) -> list[Label]:
    """Read the labeled real files of a folder, videos and stills."""
    with (media / "labels.csv").open(newline="", encoding="utf-8") as file:
        return [
            Label(media / row["path"], Layout(row["layout"]), row["keep"], row["reason"])
            for row in csv.DictReader(file)
        ]


def evaluate_label(label: Label, settings: FilterSettings) -> Outcome:
    """Process a real file; a still becomes a video of three seconds. Duplicates are marked later."""
    with tempfile.TemporaryDirectory() as folder:
        path = label.path
        if path.suffix.lower() in (".png", ".jpg"):
            path = _as_video(path, Path(folder) / "still.mp4")
        start = time.process_time()
        video = process_video(
            path, replace(SOURCE, source_id=f"url:{label.path.name}"), curate_config(settings)
        )
        seconds = time.process_time() - start
    wanted = label.keep != "no" or label.reason == "duplicate"
    right = (
        bool(video.clips) and video.decision is Decision.KEPT
        if wanted
        else video.reason in label.reason.split("_or_")
    )
    faults = tuple(
        name
        for name, fine in (("layout", video.layout is label.layout), ("decision", right))
        if not fine
    )
    expected = (
        "duplicate"
        if label.reason == "duplicate"
        else "kept"
        if wanted
        else label.reason.replace("_or_", " or ")
    )
    outcome = _outcome(label.path.name, label.keep, video, label.layout, expected, faults, seconds)
    signed = [
        (clip, Signature.from_bytes(clip.signature)) for clip in video.clips if clip.signature
    ]
    name = video.source_id
    return replace(
        outcome,
        signatures=tuple(
            SignedClip(clip.clip_id, name, clip.start_ms, signature) for clip, signature in signed
        ),
    )


def _as_video(still: Path, path: Path) -> Path:
    picture = cv2.cvtColor(cv2.imread(str(still)), cv2.COLOR_BGR2RGB)
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    write_video(path, [picture[:height, :width]] * 15, 5)
    return path


def mark_duplicates(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Mark the outcomes of real files that duplicate an earlier one."""
    index = DuplicateIndex()
    compared = []
    for outcome in outcomes:
        found = next((match for clip in outcome.signatures if (match := index.find(clip))), None)
        index.add(outcome.signatures)
        if found:
            outcome = replace(
                outcome,
                decision=Decision.DROPPED,
                reason=Reason.DUPLICATE,
                detail=f"duplicates {found.earlier}",
            )
        if bool(found) != (outcome.expected == Reason.DUPLICATE):
            outcome = replace(outcome, faults=tuple(dict.fromkeys((*outcome.faults, "decision"))))
        compared.append(outcome)
    return compared
