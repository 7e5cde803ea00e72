"""Processing of videos: an example of every reason, real media, and reproducible clips."""

import csv
import pickle
import tracemalloc
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
    clip_spans,
    clipping,
    detect_layout,
    process,
    process_isolated,
    process_video,
    recipe_digest,
)
from argus.curate.filters import BlackFilter, SeamFilter
from argus.curate.frame_sampling import NativeFrames, sample_clip_frames
from argus.dataset import CuratedVideo
from argus.media import MediaInfo, SphericalMetadata, decode_clip, frame_stride, write_video
from schemas.config import ClipSettings, CurateConfig, FetchSettings, FilterSettings
from schemas.names import Decision, Layout, Reason

FILTERS = FilterSettings(sharpness=0.3)  # the pictures below are smooth
CONFIG = CurateConfig(catalogue="none", clip=ClipSettings(height=64), filters=FILTERS)
SOURCE = VideoSource("url:0123456789abcdef", "https://example.com/a.mp4")
FPS = 10


def panorama(seed: int = 0, size: tuple[int, int] = (128, 256)) -> np.ndarray:
    """A textured map that closes at ±180° and at the poles: plane waves through the sphere, uint8 [H, W, 3]."""
    height, width = size
    rng = np.random.default_rng(seed)
    lon = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(height)[:, None] + 0.5) / height) * np.pi
    rays = np.stack(
        np.broadcast_arrays(np.cos(lat) * np.sin(lon), -np.sin(lat), np.cos(lat) * np.cos(lon)), -1
    )
    waves = rng.normal(size=(60, 3)) * rng.uniform(1, 16, (60, 1))
    picture = sum(
        np.cos((rays @ wave)[..., None] + rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.6, 3))
        for wave in waves
    )
    low, high = np.percentile(picture, (1, 99))
    return (np.clip((picture - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def turning(picture: np.ndarray, seconds: float = 3.0) -> np.ndarray:
    """A video of the map that turns 3% of a round per frame at the top and twice that at the bottom, more than a camera can, uint8 [T, H, W, 3]."""
    height, width = picture.shape[:2]
    rows = np.arange(height)[:, None]
    speed = max(1, width * 3 // 100) * (1 + rows / height)
    return np.stack(
        [
            picture[rows, (np.arange(width) - np.rint(speed * k).astype(int)) % width]
            for k in range(round(seconds * FPS))
        ]
    )


def still(picture: np.ndarray, seconds: float = 3.0) -> np.ndarray:
    return np.stack([picture] * round(seconds * FPS))


def blacked(frames: np.ndarray) -> np.ndarray:
    """The lower half was never filmed."""
    frames[:, frames.shape[1] // 2 :] = 0
    return frames


def stereo(axis: int) -> np.ndarray:
    """Two eyes, the second a few pixels aside, one below (0) or beside (1) the other in one 2:1 frame, uint8 [T, 128, 256, 3]."""
    eyes = [turning(np.roll(panorama(), shift, axis=1)) for shift in (0, 4)]
    halves = [
        np.stack(
            [
                cv2.resize(
                    frame, (256, 64) if axis == 0 else (128, 128), interpolation=cv2.INTER_AREA
                )
                for frame in eye
            ]
        )
        for eye in eyes
    ]
    return np.concatenate(halves, axis=axis + 1)


def moving(picture: np.ndarray) -> np.ndarray:
    """A video whose picture slides sideways but does not wrap, uint8 [T, H, W, 3]."""
    wide = cv2.resize(picture, None, fx=2, fy=1, interpolation=cv2.INTER_LINEAR)
    width = picture.shape[1]
    return np.stack([wide[:, 3 * k : 3 * k + width] for k in range(3 * FPS)])


def flat(size: tuple[int, int] = (128, 256)) -> np.ndarray:
    """A picture that does not close, and has no poles: a part of a map, stretched."""
    return np.asarray(
        cv2.resize(
            panorama(seed=3)[40:88, 20:100], (size[1], size[0]), interpolation=cv2.INTER_LINEAR
        )
    )


def cut_off() -> np.ndarray:
    """A map whose last quarter was cut off, and the rest stretched: it has poles, but its ends do not meet."""
    return np.asarray(
        cv2.resize(panorama(seed=3)[:, :192], (256, 128), interpolation=cv2.INTER_LINEAR)
    )


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
        value=lambda s: s["variance.least_variance"] < 500,
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


def written(folder: Path) -> dict[str, bytes]:
    """Return the written files by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in [*folder.glob("clips/*"), *folder.glob("*.jpg")]
    }


def test_a_child_process_gives_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    video = process_isolated(path, SOURCE, CONFIG, tmp_path)
    files = written(tmp_path)
    assert (process_video(path, SOURCE, CONFIG, tmp_path), written(tmp_path)) == (video, files)
    assert sorted(files) == ["clips/0-3000.mp4", "thumb.jpg"]
    seconds = video.stage_seconds
    assert seconds is not None
    assert seconds.decode and seconds.filters and seconds.encode


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_clips(tmp_path: Path) -> None:
    peaks = []
    config = CONFIG.model_copy(update={"clip": ClipSettings(height=512, clip_s=2.0)})
    for seconds in (4.0, 16.0):
        path = tmp_path / f"{seconds}.mp4"
        write_video(path, turning(panorama(), seconds), FPS)
        tracemalloc.start()
        video = process_video(path, SOURCE, config, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(video.clips) == seconds / 2
        assert len(pickle.dumps(video)) < 10_000 * len(video.clips), (
            "a child hands over no pictures"
        )
    assert peaks[1] < 1.1 * peaks[0], "the contact sheet alone grows, to at most 19 MB"


def test_a_video_that_takes_too_long_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    video = process_isolated(path, SOURCE, CONFIG.model_copy(update={"video_timeout_s": 0.05}))
    assert (video.decision, video.reason, video.retryable) == (
        Decision.FAILED,
        Reason.TIMED_OUT,
        True,
    )


def test_clips_hold_every_nth_frame_at_the_true_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = turning(panorama(), 7.0)
    write_video(path, frames, FPS)
    video = process_video(
        path,
        SOURCE,
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, clip_s=3.0, min_clip_s=1.0)}),
        tmp_path,
    )
    assert [clip.clip_id for clip in video.clips] == [
        f"{SOURCE.source_id}@{a}-{b}" for a, b in ((0, 3000), (3000, 6000), (6000, 7000))
    ]
    for clip in video.clips:
        assert clip.decision is Decision.KEPT
        assert clip.file is not None
        assert (clip.file.fps, clip.file.height, clip.file.width) == (Fraction(5), 64, 128)
        stored = decode_clip((tmp_path / clip.file.name).read_bytes())
        assert len(stored) == clip.frames
        for number, picture in enumerate(stored):
            source = cv2.resize(
                frames[clip.start_ms * FPS // 1000 + 2 * number],
                (128, 64),
                interpolation=cv2.INTER_AREA,
            )
            assert np.abs(picture.astype(int) - source).mean() < 12, "its neighbors differ by 30"


def test_only_a_static_clip_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, np.concatenate([turning(panorama(), 3.0), still(panorama(1), 3.0)]), FPS)
    video = process_video(
        path,
        SOURCE,
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, clip_s=3.0)}),
        tmp_path,
    )
    assert [(clip.decision, clip.reason, clip.file is None) for clip in video.clips] == [
        (Decision.KEPT, None, False),
        (Decision.DROPPED, Reason.STATIC, True),
    ]
    assert video.detail == "1 of 2 clips kept"


def test_the_same_video_gives_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, turning(panorama()), FPS)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    assert process_video(path, SOURCE, CONFIG, first) == process_video(path, SOURCE, CONFIG, second)
    assert written(first) == written(second)


@pytest.mark.parametrize(
    ("fps", "n"),
    [
        (Fraction(30000, 1001), 6),
        (Fraction(24), 5),
        (Fraction(5), 1),
        (Fraction(1), 1),
        (Fraction(60), 12),
    ],
)
def test_the_stride_comes_nearest_to_the_target_rate(fps: Fraction, n: int) -> None:
    assert frame_stride(fps, 5.0) == n


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [
        (25.0, [10_000, 20_000, 25_000]),
        (11.9, [10_000]),
        (12.0, [10_000, 12_000]),
        (2.0, [2000]),
        (1.9, []),
    ],
)
def test_a_tail_of_the_least_length_is_kept(seconds: float, ends: list[int]) -> None:
    times = np.arange(round(seconds * FPS)) / FPS
    assert [span.end_ms for span in clip_spans(times, Fraction(FPS), ClipSettings())] == ends


def test_the_recipe_digest_depends_on_what_shapes_clips_only() -> None:
    same = [
        CONFIG,
        CONFIG.model_copy(
            update={
                "run_id": "x",
                "home": "y",
                "dataset": "z",
                "fetch": FetchSettings(attempts=9),
                "chunk_size": 5,
            }
        ),
    ]
    other = [
        CONFIG.model_copy(update={"clip": ClipSettings(height=64, crf=20)}),
        CONFIG.model_copy(update={"filters": FilterSettings(variance=400.0)}),
    ]
    assert len({recipe_digest(config) for config in same}) == 1
    assert len({recipe_digest(config) for config in [CONFIG, *other]}) == 3


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
    """Kept: what is labelled so. What is wanted after conversion is converted, and may still not move. Duplicates are another stage's."""
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
        )  # converted, then judged like any other
        right = bool(video.clips) if kept else video.reason in reasons
        if not right or video.layout != row["layout"]:
            wrong.append((row, video.decision, video.reason, video.layout))
    assert not wrong
