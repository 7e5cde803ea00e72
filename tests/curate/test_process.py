"""Processing of videos: an example of every reason, and real media."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from argus.curate import (
    SampledFrames,
    Verdict,
    VideoSource,
    clipping,
    detect_layout,
    process,
    process_isolated,
    process_video,
)
from argus.curate.filters import BlackFilter, SeamFilter
from argus.curate.frame_sampling import NativeFrames, sample_clip_frames
from argus.dataset import CuratedVideo
from argus.media import MediaInfo, SphericalMetadata, write_video
from schemas.config import ClipSettings, CurateConfig, FilterSettings
from schemas.names import Decision, Layout, Reason
from tests.support.panoramas import (
    FPS,
    blacked,
    cut_off,
    flat,
    moving,
    panorama,
    stereo,
    still,
    turning,
)

FILTERS = FilterSettings(sharpness=0.3)  # the pictures below are smooth
CONFIG = CurateConfig(catalogue="none", clip=ClipSettings(height=64), filters=FILTERS)
SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")


@dataclass(frozen=True)
class Case:
    """What is written, and what must be decided about it."""

    name: str
    frames: Callable[[], np.ndarray]
    reason: Reason | None
    layout: Layout = Layout.MONO_ERP
    value: Callable[[dict[str, float]], bool] = lambda _: True
    spherical: SphericalMetadata | None = None
    convert: tuple[Layout, ...] = FilterSettings().convert


CASES = [
    Case("kept", lambda: turning(panorama()), None),
    Case("1.99", lambda: turning(panorama(size=(130, 258))), None),
    Case(
        "squeezed",
        lambda: turning(panorama(size=(144, 256))),
        None,
        Layout.MONO_ERP_16X9,
        spherical=SphericalMetadata(),
    ),
    Case(
        "static",
        lambda: still(panorama()),
        Reason.STATIC,
        value=lambda s: s["static.difference"] < 0.005,
    ),
    Case(
        "short",
        lambda: turning(panorama(), 1.0),
        Reason.TOO_SHORT,
        value=lambda s: s["length.seconds"] == 1.0,
    ),
    Case(
        "one frame",
        lambda: turning(panorama(), 0.1),
        Reason.TOO_SHORT,
        value=lambda s: s["length.seconds"] == pytest.approx(0.1),
    ),
    Case(
        "black",
        lambda: blacked(turning(panorama())),
        Reason.BLACK,
        value=lambda s: s["black.least_share"] == pytest.approx(0.5, abs=0.05),
    ),
    Case(
        "blank",
        lambda: turning(panorama() // 8 + 100),
        Reason.LOW_VARIANCE,
        value=lambda s: s["variance.second_largest_variance"] < 500,
    ),
    Case(
        "open",
        lambda: moving(cut_off()),
        Reason.SEAM,
        value=lambda s: s["seam.seam_ratio"] > 5 and s["seam.seam_value"] > 0.05,
    ),
    Case(
        "flat",
        lambda: moving(flat()),
        Reason.NOT_360,
        Layout.FLAT,
        value=lambda s: s["layout.seam"] < -0.4 and s["layout.poles"] < 0.4,
    ),
    Case(
        "16:9",
        lambda: moving(flat((144, 256))),
        Reason.NOT_360,
        Layout.FLAT,
        value=lambda s: s["layout.seam"] < -0.4,
    ),
    Case("vertical", lambda: moving(flat((256, 144))), Reason.NOT_360, Layout.FLAT),
    Case(
        "eyes below",
        lambda: stereo(0),
        None,
        Layout.STEREO_TB,
        value=lambda s: s["layout.top_bottom"] > 0.9,
    ),
    Case(
        "eyes beside",
        lambda: stereo(1),
        None,
        Layout.STEREO_SBS,
        value=lambda s: s["layout.left_right"] > 0.9,
    ),
    Case("eyes not wanted", lambda: stereo(1), Reason.STEREO, Layout.STEREO_SBS, convert=()),
    Case(
        "squeezed, not wanted",
        lambda: turning(panorama(size=(144, 256))),
        Reason.UNSUPPORTED_LAYOUT,
        Layout.MONO_ERP_16X9,
        convert=(),
    ),
    Case(
        "says stereo",
        lambda: turning(panorama()),
        Reason.LAYOUT_MISMATCH,
        spherical=SphericalMetadata(stereo_mode="top-bottom"),
    ),
    Case(
        "lies",
        lambda: stereo(1),
        Reason.LAYOUT_MISMATCH,
        Layout.STEREO_SBS,
        spherical=SphericalMetadata(),
    ),
    Case(
        "not so",
        lambda: moving(flat()),
        Reason.LAYOUT_MISMATCH,
        Layout.FLAT,
        spherical=SphericalMetadata(),
    ),
    Case(
        "impossible",
        lambda: turning(panorama(size=(256, 192))),
        Reason.LAYOUT_MISMATCH,
        Layout.UNKNOWN,
        spherical=SphericalMetadata(),
    ),
    Case(
        "part",
        lambda: turning(panorama()),
        Reason.NOT_FULL_SPHERE,
        Layout.PARTIAL,
        spherical=SphericalMetadata(bounds=(0.25, 0.25, 0, 0)),
    ),
    Case(
        "no cubemap",
        lambda: turning(panorama()),
        Reason.LAYOUT_MISMATCH,
        spherical=SphericalMetadata(projection="cubemap"),
    ),
]


def curated(path: Path, case: Case) -> CuratedVideo:
    write_video(path, case.frames(), FPS, spherical=case.spherical)
    return process_video(
        path,
        SOURCE,
        CONFIG.model_copy(update={"filters": FILTERS.model_copy(update={"convert": case.convert})}),
        path.parent,
    )


def numbers(video: CuratedVideo) -> dict[str, float]:
    return {f"{score.filter}.{score.name}": score.value for score in video.scores}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_reason_has_its_example(tmp_path: Path, case: Case) -> None:
    video = curated(tmp_path / "a.mp4", case)
    assert (video.reason, video.layout) == (case.reason, case.layout), video
    assert case.value(numbers(video)), numbers(video)
    assert video.decision == (Decision.DROPPED if case.reason else Decision.KEPT)
    assert bool(video.clips) == (case.reason is None)
    assert case.reason or all(score.kept for score in video.scores)
    assert video.media is not None
    picture = cv2.imread(str(tmp_path / (video.thumbnail or "")))
    assert picture.shape == (128 * (1 + len(video.clips)), 768, 3), (
        "a row for the video and one for each clip"
    )


def test_a_dropped_video_names_the_number_and_the_threshold(tmp_path: Path) -> None:
    video = curated(tmp_path / "a.mp4", next(case for case in CASES if case.name == "black"))
    score = next(score for score in video.scores if score.filter == "black")
    assert (score.threshold, score.kept) == (CONFIG.filters.black_share, False)
    assert f"least_share is {score.value:.4g}, the threshold is 0.2" in video.detail


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (SphericalMetadata(projection="mesh", stereo_mode="top-bottom"), Reason.NOT_FULL_SPHERE),
        (SphericalMetadata(projection="half_equirectangular"), Reason.NOT_FULL_SPHERE),
        (SphericalMetadata(projection="fisheye"), Reason.UNSUPPORTED_LAYOUT),
        (SphericalMetadata(projection="unknown"), Reason.UNSUPPORTED_LAYOUT),
        (SphericalMetadata(projection="rectilinear"), Reason.NOT_360),
    ],
    ids=lambda value: getattr(value, "projection", ""),
)
def test_declared_metadata_decides_if_pixels_are_inconclusive(
    metadata: SphericalMetadata, reason: Reason
) -> None:
    info = MediaInfo(1024, 512, Fraction(30), 90, 3.0, "h264", "mp4", spherical=metadata)
    blank = np.full((1, 512, 1024, 3), 90, np.uint8)
    assert (
        detect_layout(info, NativeFrames(blank, blank, np.zeros(1)), FilterSettings()).reason
        == reason
    )


def write_audio(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def write_half(path: Path) -> None:
    write_video(path, turning(panorama()), FPS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_damaged(path: Path) -> None:
    write_video(path, turning(panorama()), FPS)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 200
    data[start:-200] = bytes(len(data) - start - 200)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("write", "reason", "layout"),
    [
        (lambda path: path.write_bytes(b""), Reason.EMPTY_FILE, Layout.NONE),
        (
            lambda path: path.write_text("a text, not a video\n" * 50),
            Reason.NOT_A_VIDEO,
            Layout.NONE,
        ),
        (write_audio, Reason.NO_VIDEO_STREAM, Layout.NONE),
        (write_half, Reason.TRUNCATED, Layout.NONE),
        (write_damaged, Reason.CORRUPT, Layout.NONE),
    ],
    ids=["empty", "text", "audio", "truncated", "corrupt"],
)
def test_files_that_cannot_be_used_are_dropped_with_their_reason(
    tmp_path: Path, write: Callable[[Path], None], reason: Reason, layout: Layout
) -> None:
    path = tmp_path / "a.mp4"
    write(path)
    video = process_video(path, SOURCE, CONFIG)
    assert (video.decision, video.reason, video.layout, video.clips) == (
        Decision.DROPPED,
        reason,
        layout,
        (),
    )
    assert video.detail
    assert str(tmp_path) not in video.detail, "the index would differ from machine to machine"


class BrokenFilter:
    """A filter that raises or returns a non-finite score."""

    name = "broken"

    def __init__(self, value: float | None) -> None:
        self.value = value

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        if self.value is None:
            raise ZeroDivisionError("no frames")
        return {"number": self.value}

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        return Verdict(self.name, "number", True, None, 0.0, 0.0)


@pytest.mark.parametrize("value", [None, float("nan")], ids=["raises", "nan"])
@pytest.mark.parametrize(
    ("where", "name"),
    [
        ((process, "video_filters"), "kept"),
        ((process, "video_filters"), "black"),
        ((clipping, "clip_filters"), "kept"),
    ],
    ids=["video", "video that another filter drops", "clip"],
)
def test_a_failing_filter_decides_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[object, str],
    value: float | None,
    name: str,
) -> None:
    monkeypatch.setattr(*where, lambda *_: (BlackFilter(5), BrokenFilter(value)))
    video = curated(tmp_path / "a.mp4", next(case for case in CASES if case.name == name))
    assert (video.decision, video.reason, video.retryable, video.clips) == (
        Decision.FAILED,
        Reason.SCORER_FAILED,
        True,
        (),
    )
    assert "broken" in video.detail


def test_a_video_that_takes_too_long_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    video = process_isolated(path, SOURCE, CONFIG.model_copy(update={"video_timeout_s": 0.05}))
    assert (video.decision, video.reason, video.retryable) == (
        Decision.FAILED,
        Reason.TIMED_OUT,
        True,
    )


def test_the_seam_is_independent_of_the_yaw() -> None:
    picture = cv2.resize(panorama(), (512, 256), interpolation=cv2.INTER_AREA)
    closed = SeamFilter()
    assert all(
        closed.decide(
            closed.score(sample_clip_frames(np.roll(picture, yaw, axis=1)[None], 5.0)),
            FilterSettings(),
        ).kept
        for yaw in (0, 100, 256, 300)
    )
    halves = np.concatenate([picture[:, :256], picture[:, 100:356]], axis=1)
    verdict = closed.decide(closed.score(sample_clip_frames(halves[None], 5.0)), FilterSettings())
    assert (verdict.kept, verdict.reason) == (False, Reason.SEAM)


@pytest.mark.slow
@pytest.mark.media
def test_real_media_are_decided_as_labeled(media: Path) -> None:
    """Kept: what is labeled so. What is wanted after conversion is converted, and may still not move. Duplicates are another stage's."""
    config = CurateConfig(catalogue="none", clip=ClipSettings(height=64))
    wrong = []
    with (media / "labels.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if not row["path"].startswith("images/")]
    for row in rows:
        video = process_isolated(media / row["path"], SOURCE, config)
        print(
            f"{row['path']:50} {row['keep']:8} {row['reason']:20} → {video.layout:14} {video.decision:8} {video.reason or ''}"
        )
        kept = row["keep"] == "yes" or row["reason"] == "duplicate"
        reasons = (
            ["static", None] if row["keep"] == "convert" else row["reason"].split("_or_")
        )  # converted, then filtered like any other
        right = bool(video.clips) if kept else video.reason in reasons
        if not right or video.layout != row["layout"]:
            wrong.append((row, video.decision, video.reason, video.layout))
    assert not wrong
