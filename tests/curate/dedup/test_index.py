"""Search for duplicates: what matches, what does not, and how little is compared."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from argus.curate.clipping import clip_spans
from argus.curate.dedup import index as index_module
from argus.curate.dedup.fingerprint import (
    BANDS,
    HARMONICS,
    Signature,
    compute_signature,
    compute_spectra,
)
from argus.curate.dedup.index import DuplicateIndex, find_duplicates
from argus.curate.dedup.matching import SignedClip, compare_clips
from argus.curate.frame_sampling import resize_frames
from argus.media import decode_clip, encode_clip, open_video
from argus.sphere import from_euler_deg, rotate_erp
from schemas.config import ClipSettings

FPS, HEIGHT = 10, 64


def scene(seed: int, seconds: float, *, background: int | None = None) -> np.ndarray:
    """Return objects that move at their own speeds before a static background, uint8 [T, 64, 128, 3] at FPS."""

    def texture(seed: int) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (8, 16, 3)).astype(np.float32)
        return cv2.resize(np.tile(coarse, (1, 3, 1)), (384, HEIGHT), interpolation=cv2.INTER_CUBIC)[
            :, 128:256
        ].clip(0, 255)

    rng = np.random.default_rng([seed, 1])
    frames = np.repeat(
        texture(seed if background is None else background)[None], round(seconds * FPS), axis=0
    )
    for number in range(6):
        thing = texture(seed * 100 + number)[:16, :20]
        top, left, speed = rng.integers(8, 40), rng.integers(128), rng.uniform(-3, 3)
        for k in range(len(frames)):
            at = (np.arange(20) + left + round(speed * k)) % 128
            frames[k, top : top + 16, at] = thing.swapaxes(0, 1)
    return frames.astype(np.uint8)


def clips(source_id: str, frames: np.ndarray, fps: float = FPS) -> list[SignedClip]:
    """Ten seconds each at 5 fps."""
    kept = frames[:: round(fps / 5)]
    parts = [(first, kept[first : first + 50]) for first in range(0, len(kept), 50)]
    return [
        SignedClip(
            f"{source_id}@{first * 200}-{(first + len(part)) * 200}",
            source_id,
            first * 200,
            compute_signature(part, 5.0, 10.0),
        )
        for first, part in parts
        if len(part) >= 10
    ]


def index_of(*sources: list[SignedClip]) -> DuplicateIndex:
    index = DuplicateIndex()
    for source in sources:
        index.add(source)
    return index


@pytest.fixture(scope="module")
def world() -> np.ndarray:
    return scene(1, 24)


@pytest.fixture(scope="module")
def index(world: np.ndarray) -> DuplicateIndex:
    return index_of(
        clips("url:a", world), *(clips(f"url:{seed}", scene(seed, 10)) for seed in range(2, 8))
    )


@pytest.mark.parametrize("yaw_deg", [0, 33.3, 170, -101.7])
@pytest.mark.parametrize("crf", [18, 35])
def test_a_copy_is_found_whatever_its_yaw_and_encoding(
    world: np.ndarray, index: DuplicateIndex, yaw_deg: float, crf: int
) -> None:
    turned = rotate_erp(
        world[:100], from_euler_deg(yaw_deg, 0, 0)
    )  # the camera turns right: the picture goes left
    copy = decode_clip(
        encode_clip(resize_frames(turned, (96, 192)), Fraction(FPS), crf=crf, gop=30)
    )
    (clip,) = clips("url:copy", copy)
    match = index.find(clip)
    assert match is not None
    assert (match.earlier, match.source_id) == ("url:a@0-10000", "url:a")
    assert abs((match.yaw_deg + yaw_deg + 180) % 360 - 180) < 3
    assert match.similarity > 0.95


def test_a_copy_with_slightly_changed_colors_is_found(
    world: np.ndarray, index: DuplicateIndex
) -> None:
    graded = (
        (255 * (world[:100] / 255) ** 0.85 * [0.95, 1.0, 0.9] + 8).clip(0, 255).astype(np.uint8)
    )
    match = index.find(clips("url:copy", graded)[0])
    assert match is not None
    assert match.earlier == "url:a@0-10000"


@pytest.mark.parametrize("trimmed_s", [0.1, 0.5, 0.9, 1.3, 4.8, 7.0])
def test_a_copy_that_begins_later_is_found_clip_by_clip(
    world: np.ndarray, index: DuplicateIndex, trimmed_s: float
) -> None:
    copy = clips("url:copy", world[round(trimmed_s * FPS) :])
    matches = [index.find(clip) for clip in copy]
    assert [match.source_id for match in matches if match] == ["url:a"] * len(copy)
    assert matches[0].earlier == ("url:a@0-10000" if trimmed_s < 5 else "url:a@10000-20000")
    assert -matches[0].offset_s == pytest.approx(trimmed_s, abs=0.51)


def test_other_scenes_and_other_parts_of_a_scene_are_no_duplicates(world: np.ndarray) -> None:
    sources = [clips(f"url:{seed}", scene(seed, 10)) for seed in range(10, 20)]
    parts = [
        [SignedClip(f"part{number}", f"url:part{number}", 0, clip.signature)]
        for number, clip in enumerate(clips("url:a", world))
    ]
    assert find_duplicates([clip for source in [*sources, *parts] for clip in source]) == []


def test_other_events_before_the_same_background_are_no_duplicate() -> None:
    one, other = scene(1, 10, background=5), scene(2, 10, background=5)
    assert index_of(clips("url:one", one)).find(clips("url:other", other)[0]) is None


def test_a_copy_with_new_footage_is_a_duplicate_while_half_of_it_is_there() -> None:
    index = index_of(clips("url:a", scene(1, 10)))
    mostly, hardly = (
        np.concatenate([scene(1, seconds), scene(2, 10 - seconds)]) for seconds in (7, 3)
    )
    assert index.find(clips("url:mostly", mostly)[0]) is not None
    assert index.find(clips("url:hardly", hardly)[0]) is None


@pytest.mark.parametrize("level", [0, 16, 128])
def test_blank_clips_are_no_duplicates_of_each_other(level: int) -> None:
    blank = np.full((100, HEIGHT, 2 * HEIGHT, 3), level, np.uint8)
    index = index_of(clips("url:blank", blank), clips("url:a", scene(1, 10)))
    assert index.find(clips("url:other", blank)[0]) is None


def test_a_source_is_not_compared_with_itself(world: np.ndarray) -> None:
    own = clips("url:a", world)
    assert index_of(own).find(own[0]) is None
    assert find_duplicates(own + own) == []


def test_all_copies_name_the_first_one(world: np.ndarray) -> None:
    sources = [clips(name, world[:100]) for name in ("url:c", "url:a", "url:b")]
    found = find_duplicates([clip for source in sources for clip in source])
    assert [(match.clip_id, match.earlier) for match in found] == [
        ("url:a@0-10000", "url:c@0-10000"),
        ("url:b@0-10000", "url:c@0-10000"),
    ]


def test_discarded_and_replaced_clips_are_not_found(world: np.ndarray) -> None:
    own, copy = clips("url:a", world[:100]), clips("url:copy", world[:100])[0]
    index = index_of(own)
    index.discard("url:a")
    index.discard("url:never")
    assert index.find(copy) is None
    index.add(own)
    assert index.find(copy) is not None
    index.add(clips("url:a", scene(2, 10)))
    assert index.find(copy) is None


def test_an_index_built_in_steps_finds_the_same_as_one_built_at_once(world: np.ndarray) -> None:
    sources = [clips(f"url:{seed}", scene(seed, 10)) for seed in range(2, 12)]
    grown, max_concurrent_downloads = (
        index_of(*sources),
        index_of([clip for source in sources[::-1] for clip in source]),
    )
    for seed in range(2, 14):
        copy = clips("url:copy", np.roll(scene(seed, 10)[4:], 40, axis=2))[0]
        assert grown.find(copy) == max_concurrent_downloads.find(copy)
        assert (grown.find(copy) is not None) == (seed < 12)


def random_clip(name: str, rng: np.random.Generator) -> SignedClip:
    return SignedClip(
        name,
        name,
        0,
        Signature(1000, rng.integers(-127, 128, (10, BANDS, HARMONICS, 2), dtype=np.int8)),
    )


def test_a_search_compares_hardly_any_of_the_known_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    stored = [random_clip(f"url:{number}", rng) for number in range(2000)]
    index = DuplicateIndex()
    index.add(stored)
    compared = 0

    def count_moments(moments: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(moments)
        return compute_spectra(moments)

    monkeypatch.setattr(index_module, "compute_spectra", count_moments)
    for number in (0, 777, 1999):
        found = index.find(SignedClip("copy", "url:copy", 0, stored[number].signature))
        assert found is not None
        assert found.source_id == f"url:{number}"
    assert index.find(random_clip("url:new", rng)) is None
    assert compared < 300, "of 20,000 moments"


def compare_with_all(clip: SignedClip, stored: list[SignedClip]) -> set[str]:
    """Return the sources that match a clip at any offset, in steps of half a moment."""
    return {
        other.source_id
        for other in stored
        for shift_ms in range(-9500, 9501, 500)
        if compare_clips(clip, replace(other, start_ms=clip.start_ms + shift_ms))
    }


@pytest.mark.slow
def test_a_search_finds_what_comparing_with_all_clips_finds() -> None:
    rng = np.random.default_rng(0)
    frames = {f"url:{seed}": scene(seed, 10) for seed in range(100, 140)}
    stored = [clip for name, one in frames.items() for clip in clips(name, one)]
    index = index_of(stored)
    expected, found = 0, 0
    for one in frames.values():
        for crf, height, late in ((28, 64, 0), (35, 48, 0), (28, 48, 13)):
            turned = np.roll(one[late:], int(rng.integers(one.shape[2])), axis=2)
            resized = resize_frames(turned, (height, 2 * height))
            copy = decode_clip(encode_clip(resized, Fraction(FPS), crf=crf, gop=30))
            (clip,) = clips("url:copy", copy)
            wanted = compare_with_all(clip, stored)
            expected += bool(wanted)
            match = index.find(clip)
            found += match is not None and match.source_id in wanted
    assert expected >= 110, "of 120 copies"
    assert found >= 0.995 * expected


def write(path: Path, frames: np.ndarray, fps: Fraction, codec: str, crf: int) -> None:
    options = {
        "libx264": {"preset": "ultrafast"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
        "libvpx-vp9": {"b": "0", "cpu-used": "8", "deadline": "realtime"},
    }[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": f"{crf}", **options})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                )
            )
        container.mux(stream.encode(None))


def signed(path: Path, source_id: str, eye: str = "") -> list[SignedClip]:
    """Return the clips of a file, of one eye of a stereo video."""
    settings = ClipSettings()
    found = []
    with open_video(path) as reader:
        sampling = reader.resample(settings.fps)
        rate = float(sampling.fps)
        for span in clip_spans(sampling, reader.info.duration_s, settings):
            frames = one_eye(reader.frames(span.indices, (256, 512)), eye)
            found.append(
                SignedClip(
                    f"{source_id}@{span.start_ms}-{span.end_ms}",
                    source_id,
                    span.start_ms,
                    compute_signature(frames, rate, 10.0),
                )
            )
    return found


def one_eye(frames: np.ndarray, eye: str) -> np.ndarray:
    return (
        frames[:, : frames.shape[1] // 2]
        if eye == "top"
        else frames[:, :, : frames.shape[2] // 2]
        if eye == "left"
        else frames
    )


REAL = {
    "overpass.mp4": "",
    "prison_handheld.mp4": "",
    "tunnel_16x9.webm": "",
    "car_halfblack_text.mp4": "",
    "city_cg.ts": "",
    "jungle_stereo_tb_v1meta.mp4": "top",
    "geyser_stereo_tb.ts": "top",
    "room_stereo_sbs_2to1.mp4": "left",
}


@pytest.mark.slow
@pytest.mark.media
def test_real_clips_have_no_false_pair_and_their_reuploads_are_found(
    media: Path, tmp_path: Path
) -> None:
    sources = {name: signed(media / "360" / name, name, eye) for name, eye in REAL.items()}
    every = [clip for source in sources.values() for clip in source]
    assert find_duplicates(every) == []
    alone = [
        SignedClip(f"{number}", f"url:{number}", clip.start_ms, clip.signature)
        for number, clip in enumerate(every)
    ]
    assert find_duplicates(alone) == [], "clips of one video count as other videos here"
    index = index_of(*sources.values())
    assert (
        index.find(signed(media / "360" / "tunnel_16x9_reupload.mp4", "reupload")[0]).earlier
        == "tunnel_16x9.webm@0-7560"
    )
    rng = np.random.default_rng(7)
    encodings = [("libx264", 35, 320), ("libx265", 30, 640), ("libvpx-vp9", 35, 400)]
    for number, (name, eye) in enumerate(REAL.items()):
        with open_video(media / "360" / name) as reader:
            frames = one_eye(reader.frames(np.arange(min(len(reader), 150)), (256, 512)), eye)
            fps = reader.fps
        for codec, crf, width, late in ((*encodings[number % 3], 0), ("libx264", 24, 512, 0.6)):
            turned = np.roll(
                frames[round(late * fps) :], int(rng.integers(frames.shape[2])), axis=2
            )
            write(
                tmp_path / "copy.mp4", resize_frames(turned, (width // 2, width)), fps, codec, crf
            )
            found = [index.find(clip) for clip in signed(tmp_path / "copy.mp4", "copy")]
            assert found, (name, codec)
            assert all(match is not None and match.source_id == name for match in found), (
                name,
                codec,
                crf,
                late,
                found,
            )
