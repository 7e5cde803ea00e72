"""What `calibrate.py` measures: which videos are generated, how one is judged, and whether the judgement is right.

Every case is a function of its half and number. The scored half's worlds, sizes, rates, encoders and their settings occur nowhere in the tuning half.
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
from argus.curate.dedup.fingerprint import Signature
from argus.curate.dedup.index import DuplicateIndex, SignedClip
from argus.dataset import CuratedVideo, Score
from argus.media import write_video
from argus.synth import VIDEO_KINDS, Codec, SynthVideo, write_video_kind
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Layout, Reason

SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
OFTEN = {"walk": 3, "drive": 3, "title": 2, "watermark": 2}
"""How many times as many videos there are of these kinds as of any other."""
TILT_WITHIN_DEG, NADIR_WITHIN = 4.0, 0.15
CUT_WITHIN_FRAMES = 1
_LONG_S, _SHOT_S = (
    3.0,
    2.25,
)  # a video of one shot; each shot of one with more, so that it is long enough for a clip
_FINE = frozenset({"title", "watermark", "tilted"})  # what can only be seen in a map of some size
_FINE_ROWS = 256


@dataclass(frozen=True, eq=False)
class Half:
    """What the videos of a half may be made with; the first worlds' seeds follow one another from `seed` on."""

    name: str
    seed: int
    heights: tuple[int, ...]
    codecs: Mapping[Codec, tuple[int, ...]]  # and their crf, each on its own scale
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
        """Kind, and whether metadata says so."""
        return f"{self.kind}{', tagged' if self.tagged else ''}"

    def write(self, folder: Path) -> SynthVideo:
        """The file and its truth."""
        shots = VIDEO_KINDS[self.kind].shots
        seconds = _LONG_S if shots == 1 else shots * _SHOT_S
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
    """A judgement beside the truth. `faults` is empty where all of it is right."""

    name: str  # what was judged, for a person
    about: str  # how it was made
    truth: Layout
    layout: Layout
    decision: Decision
    reason: Reason | None
    expected: str  # what is right
    detail: str
    faults: tuple[str, ...]  # of "layout", "decision", "cuts", "tilt", "nadir"
    scores: tuple[Score, ...]
    seconds: float  # of processor time for judging
    signatures: tuple[SignedClip, ...] = field(default=(), repr=False)

    @property
    def stages(self) -> list[tuple[str, bool]]:
        """Each filter that judged the video or its first clip, in order, and whether it kept it."""
        found: dict[str, bool] = {}
        for score in self.scores:
            found[score.filter] = found.get(score.filter, True) and score.kept
        return list(found.items())


def cases(half: Half, count: int) -> list[Case]:
    """The first `count` videos of a half: every kind comes up before any comes again."""
    entries = _entries()
    chosen = []
    for number in range(count):
        kind, tagged = entries[number % len(entries)]
        chance = np.random.default_rng((half.seed, number))
        codec = list(half.codecs)[(number + number // len(entries)) % len(half.codecs)]
        heights = [height for height in half.heights if kind not in _FINE or height >= _FINE_ROWS]
        height, crf, gop, fps = (
            int(chance.choice(values))
            for values in (heights, half.codecs[codec], half.gops, half.rates)
        )
        may_tag = VIDEO_KINDS[kind].spherical is not None
        tagged = bool(chance.integers(2)) and may_tag if tagged is None else tagged
        chosen.append(
            Case(half.name, kind, tagged, half.seed + 10 * number, height, codec, crf, gop, fps)
        )
    return chosen


def _entries() -> list[tuple[str, bool | None]]:
    """Kinds, tagged or not; None where that is left to chance, as it tells nothing."""
    found: list[tuple[str, bool | None]] = []
    for name, kind in VIDEO_KINDS.items():
        if kind.spherical is None or kind.layout is Layout.NONE:
            found.append((name, False))
        elif (
            name.endswith("_mistagged") or kind.layout is Layout.PARTIAL
        ):  # without its metadata it would be another kind
            found.append((name, True))
        elif kind.layout is Layout.MONO_ERP:
            found += [(name, None)] * OFTEN.get(name, 1)
        else:
            found += [(name, True), (name, False)]
    order = np.random.default_rng(5).permutation(len(found))
    return [found[k] for k in order]


def settings(policy: FilterSettings) -> CurateConfig:
    """As a refresh judges, but with small clips."""
    return CurateConfig(catalogue="none", clip=ClipSettings(height=64), filters=policy)


def prepare() -> None:
    """What each process that judges does first: as many of them as processors share the work, so none may take more than one."""
    cv2.setNumThreads(1)
    os.environ.setdefault("SVT_LOG", "1")


def judge_case(case: Case, policy: FilterSettings) -> Outcome:
    """Writes one video, judges it and deletes it."""
    with tempfile.TemporaryDirectory() as folder:
        truth = case.write(Path(folder))
        judge = (
            process_isolated if VIDEO_KINDS[case.kind].damage else process_video
        )  # damaged files may crash a decoder
        start = time.process_time()
        video = judge(truth.path, SOURCE, settings(policy))
        spent = time.process_time() - start
    about = f"{case.codec} crf {case.crf} gop {case.gop}, {case.height} rows, {case.fps} fps, seed {case.seed}"
    keep = truth.keep or (
        truth.layout in policy.convert and Reason.LAYOUT_MISMATCH not in truth.reasons
    )
    expected = "kept" if keep else " or ".join(sorted(truth.reasons))
    faults = tuple(
        name
        for name, right in (
            ("layout", video.layout in {truth.layout, *truth.also}),
            (
                "decision",
                video.decision is (Decision.KEPT if keep else Decision.DROPPED)
                and (keep or video.reason in truth.reasons),
            ),
            ("cuts", not keep or not video.clips or _has_cuts(video, truth.cuts_s)),
            ("tilt", _is_near(video, "upright", "tilt_deg", truth.tilt_deg, TILT_WITHIN_DEG)),
            ("nadir", _is_near(video, "nadir", "share", truth.nadir_share, NADIR_WITHIN)),
        )
        if not right
    )
    return _outcome(case.name, about, video, truth.layout, expected, faults, spent)


def _outcome(
    name: str,
    about: str,
    video: CuratedVideo,
    truth: Layout,
    expected: str,
    faults: tuple[str, ...],
    spent: float,
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
        spent,
    )


def _has_cuts(video: CuratedVideo, cuts_s: Sequence[float]) -> bool:
    """Whether clips end where shots do, and nowhere else but at the video's end."""
    assert video.media is not None
    near = (CUT_WITHIN_FRAMES + 0.01) / min(float(clip.fps) for clip in video.clips)
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
    """Whether a number that is only recorded is right, where it is known and was measured."""
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
    """A line of `labels.csv`."""

    path: Path
    layout: Layout
    keep: str  # yes, no, convert
    reason: str  # several right ones joined by _or_


def labels(media: Path) -> list[Label]:
    """The labelled real files of a folder, videos and stills."""
    with (media / "labels.csv").open(newline="", encoding="utf-8") as file:
        return [
            Label(media / row["path"], Layout(row["layout"]), row["keep"], row["reason"])
            for row in csv.DictReader(file)
        ]


def judge_label(label: Label, policy: FilterSettings) -> Outcome:
    """Judges a real file; a still is shown for three seconds. Whether it is a duplicate is not known yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = label.path
        if path.suffix.lower() in (".png", ".jpg"):
            path = _as_video(path, Path(folder) / "still.mp4")
        start = time.process_time()
        video = process_video(
            path, replace(SOURCE, source_id=f"url:{label.path.name}"), settings(policy)
        )
        spent = time.process_time() - start
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
    outcome = _outcome(label.path.name, label.keep, video, label.layout, expected, faults, spent)
    signed = [
        (clip, Signature.from_bytes(clip.signature)) for clip in video.clips if clip.signature
    ]
    name = video.source.source_id
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


def with_duplicates(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of real files, those that show what an earlier one shows called so."""
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
                detail=f"shows what {found.earlier} shows",
            )
        if bool(found) != (outcome.expected == Reason.DUPLICATE):
            outcome = replace(outcome, faults=tuple(dict.fromkeys((*outcome.faults, "decision"))))
        compared.append(outcome)
    return compared
