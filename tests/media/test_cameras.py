"""Recordings of two-lens cameras: found by their content, and read as the map they show."""

import hashlib
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import SphericalMetadata, open_video, probe, read_spherical, write_video
from schemas.names import Reason
from tests.support.camera_files import (
    FPS,
    LENS_SIZE,
    LENSES,
    PHASES,
    append_trailer,
    show_gopro,
    show_lenses,
    write_lens_file,
    write_tracks,
)
from tests.support.two_lenses import (
    GOPRO_SIZES,
    mask_seam_of_lenses,
    measure_psnr,
    show_map,
    show_through_lens,
)

FRONT_NAME, BACK_NAME = "VID_20250101_120000_10_007.insv", "VID_20250101_120000_00_007.insv"
"""The second picture is that of the front lens."""


@pytest.fixture(scope="module")
def gopro(tmp_path_factory) -> Path:
    return write_tracks(tmp_path_factory.mktemp("gopro") / "GS010001.360", show_gopro())


@pytest.fixture(scope="module")
def insta360(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("insta360") / "VID_20250101_120000_00_007.insv"
    return append_trailer(write_tracks(path, show_lenses()))


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """Return the files of the lenses that look backward and forward."""
    folder = tmp_path_factory.mktemp("pair")
    return tuple(
        append_trailer(write_tracks(folder / name, [frames]))
        for name, frames in zip((BACK_NAME, FRONT_NAME), show_lenses(), strict=True)
    )


@pytest.fixture
def lens(tmp_path) -> Path:
    return write_lens_file(tmp_path / "lens.json")


def assert_shows_scene(frames, phases, minimum=35.0):
    """Check each frame against the scene at its phase, and that no other phase is shown."""
    size = frames.shape[1:3]
    outside = mask_seam_of_lenses(size, np.array([0, 0, 1]))
    for frame, phase in zip(frames, phases, strict=True):
        assert measure_psnr(frame, show_map(size, phase), outside) > minimum


def read_all(path, **options):
    with open_video(path, **options) as reader:
        return reader.frames(range(len(reader)))


def show_side_by_side():
    return [np.concatenate(both, 1) for both in zip(*show_lenses(), strict=True)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestGopro:
    def test_it_is_read_as_a_map(self, gopro):
        with open_video(gopro) as reader:
            info = reader.info
            assert (info.camera, info.width, info.height) == ("GoPro MAX", 4 * 184, 2 * 184)
            assert info.spherical.is_full_sphere
            assert (info.frames, info.fps, len(info.tracks)) == (4, FPS, 3)
            assert_shows_scene(reader.frames([0, 1, 2, 3]), PHASES)
            assert_shows_scene(reader.frames([3, 0]), (PHASES[3], PHASES[0]))
            assert_shows_scene(reader.frames_at([0.25]), [PHASES[2]])
        assert probe(gopro) == info

    @pytest.mark.parametrize("size", [(96, 192), (64, 192), (400, 800)])
    def test_other_sizes_are_projected(self, gopro, size):
        with open_video(gopro, threads=2) as reader:
            assert_shows_scene(reader.frames([1, 2], size), PHASES[1:3], 33)

    @pytest.mark.parametrize("suffix", [".mp4", ".360", ".mov"])
    def test_its_name_does_not_matter(self, gopro, suffix, tmp_path):
        copy = shutil.copy(gopro, tmp_path / f"holiday{suffix}")
        assert probe(copy).camera == "GoPro MAX"

    def test_it_declares_no_projection(self, gopro):
        assert read_spherical(gopro) is None

    @pytest.mark.parametrize("place", ["first", "last"])
    def test_a_preview_is_no_half(self, gopro, place, tmp_path):
        path = tmp_path / "with_preview.mp4"
        with av.open(str(gopro)) as old, av.open(str(path), "w") as new:
            videos = {}
            if place == "last":
                videos = {s.index: new.add_stream_from_template(s) for s in old.streams.video}
            preview = new.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
            preview.width, preview.height = 96, 48
            if place == "first":
                videos = {s.index: new.add_stream_from_template(s) for s in old.streams.video}
            for number in range(4):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 96, 3), np.uint8), format="rgb24")
                frame.pts = number
                new.mux(preview.encode(frame))
            new.mux(preview.encode(None))
            for packet in old.demux(old.streams.video):
                if packet.size:
                    packet.stream = videos[packet.stream_index]
                    new.mux(packet)
        assert_shows_scene(read_all(path), PHASES)

    def test_swapped_tracks_are_read_in_the_order_of_the_file(self, tmp_path):
        upper, lower = show_gopro()
        frames = read_all(write_tracks(tmp_path / "swapped.360", [lower, upper]))
        outside = np.ones(frames.shape[1:3], bool)
        assert measure_psnr(frames[0], show_map(frames.shape[1:3]), outside) < 20

    @pytest.mark.parametrize("shorter", [0, 1])
    def test_frames_of_one_track_alone_are_left_out(self, shorter, tmp_path):
        tracks = list(show_gopro())
        tracks[shorter] = tracks[shorter][:3]
        path = write_tracks(tmp_path / "short.360", tracks)
        with open_video(path) as reader:
            assert (len(reader), reader.info.duration_s) == (3, pytest.approx(0.3))
            assert_shows_scene(reader.frames(range(3)), PHASES[:3])

    @pytest.mark.parametrize("late", [0, 1])
    def test_frames_are_paired_by_their_time(self, late, tmp_path):
        tracks = list(show_gopro())
        tracks[late] = tracks[late][1:]
        path = write_tracks(tmp_path / "late.360", tracks, starts=[int(late == 0), int(late == 1)])
        with open_video(path) as reader:
            assert (len(reader), reader.timestamps[0]) == (3, 0)
            assert_shows_scene(reader.frames(range(3)), PHASES[1:])

    def test_a_track_that_ends_long_before_is_truncated(self, tmp_path):
        upper, lower = show_gopro((0.0,) * 12)
        path = write_tracks(tmp_path / "cut.360", [upper, lower[:1]])
        with pytest.raises(VideoError) as caught:
            open_video(path)
        assert caught.value.reason is Reason.TRUNCATED

    def test_tracks_of_different_rates_are_refused(self, tmp_path):
        upper, lower = show_gopro((0.0,) * 8)
        path = write_tracks(tmp_path / "rates.360", [upper, lower[:4]], steps=[1, 2])
        with pytest.raises(VideoError) as caught:
            open_video(path)
        assert caught.value.reason is Reason.CORRUPT

    @pytest.mark.parametrize(
        ("codec", "tracks"),
        [
            ("libx264", show_gopro(PHASES[:1])),
            ("libx265", [show_gopro(PHASES[:1])[0]]),
            ("libx265", [[np.zeros((180, 568, 3), np.uint8)]] * 2),
            ("libx265", [[np.zeros((90, 160, 3), np.uint8)]] * 2),
        ],
        ids=["H.264", "one track", "other proportions", "two ordinary tracks"],
    )
    def test_other_files_are_ordinary_videos(self, codec, tracks, tmp_path):
        path = write_tracks(tmp_path / "other.360", tracks, codec=codec)
        with open_video(path) as reader:
            assert reader.info.camera is None
            assert reader.size == tracks[0][0].shape[:2]
        assert probe(path) == reader.info

    def test_an_unknown_layout_is_named(self, tmp_path):
        black = [np.zeros((160, 496, 3), np.uint8)]
        path = write_tracks(tmp_path / "new.360", [black, black], handler="GoPro H.265")
        assert probe(path).camera == "GoPro"
        with pytest.raises(VideoError, match="GoPro") as caught:
            open_video(path)
        assert caught.value.reason is Reason.UNSUPPORTED_LAYOUT
        one = write_tracks(tmp_path / "one.mp4", [black * 4], handler="GoPro H.265")
        assert probe(one).camera is None

    def test_lenses_and_a_second_file_are_refused(self, gopro, lens):
        for options in ({"lens": lens}, {"second": gopro}):
            with pytest.raises(InvalidInput, match="GoPro"):
                open_video(gopro, **options)

    def test_decord_is_refused(self, gopro):
        with pytest.raises(ValueError, match="decord"):
            open_video(gopro, "decord")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", GOPRO_SIZES)
    def test_full_size(self, name, tmp_path):
        size = GOPRO_SIZES[name]
        path = write_tracks(tmp_path / "full.360", show_gopro(PHASES[:1], size))
        with open_video(path, threads=2) as reader:
            assert reader.size == (2 * size[0], 4 * size[0])
            assert_shows_scene(reader.frames([0]), PHASES[:1])


class TestInsta360:
    def test_two_tracks(self, insta360, lens):
        with open_video(insta360, lens=lens) as reader:
            info = reader.info
            assert (info.camera, reader.size) == ("Insta360", (LENS_SIZE, 2 * LENS_SIZE))
            assert info.spherical.is_full_sphere
            assert_shows_scene(reader.frames(range(4)), PHASES)
            assert_shows_scene(reader.frames([2], (96, 192)), PHASES[2:3])

    @pytest.mark.parametrize("name", [BACK_NAME, FRONT_NAME])
    def test_the_other_file_of_a_pair_is_found(self, pair, name, lens):
        path = pair[0].with_name(name)
        assert_shows_scene(read_all(path, lens=lens), PHASES)

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_two_files_are_ordered_by_name(self, pair, order, lens):
        first, second = (pair[number] for number in order)
        assert_shows_scene(read_all(first, lens=lens, second=second), PHASES)

    def test_two_files_of_other_names_are_read_as_given(self, pair, lens, tmp_path):
        back, front = (
            Path(shutil.copy(path, tmp_path / name))
            for path, name in zip(pair, ("z.mp4", "a.mp4"), strict=True)
        )
        assert_shows_scene(read_all(back, lens=lens, second=front), PHASES)

    @pytest.mark.parametrize("suffix", [".insv", ".lrv", ".mp4"])
    def test_side_by_side(self, suffix, lens, tmp_path):
        path = append_trailer(write_tracks(tmp_path / f"both{suffix}", [show_side_by_side()]))
        assert probe(path).camera == "Insta360"
        assert_shows_scene(read_all(path, lens=lens), PHASES)

    def test_any_camera_is_read_with_its_lenses(self, lens, tmp_path):
        path = write_tracks(tmp_path / "other.mp4", show_lenses(), codec="libx264")
        assert probe(path).camera is None
        with open_video(path, lens=lens) as reader:
            assert reader.info.camera == "two lenses"
            assert_shows_scene(reader.frames(range(4)), PHASES)

    @pytest.mark.parametrize("which", ["two tracks", "pair", "side by side", "renamed"])
    def test_without_lenses_it_is_named_and_refused(self, which, insta360, pair, tmp_path):
        path = {"two tracks": insta360, "pair": pair[0]}.get(which)
        if which == "renamed":
            path = shutil.copy(insta360, tmp_path / "renamed.mp4")
        if which == "side by side":
            path = write_tracks(tmp_path / "both.insv", [show_side_by_side()])
        assert probe(path).camera == "Insta360"
        with pytest.raises(VideoError, match="Insta360") as caught:
            open_video(path)
        assert caught.value.reason is Reason.UNSUPPORTED_LAYOUT

    def test_a_missing_partner_is_named(self, pair, lens, tmp_path):
        for name, missing in ((BACK_NAME, FRONT_NAME), ("one.insv", "second file")):
            alone = shutil.copy(pair[0], tmp_path / name)
            with pytest.raises(VideoError, match=missing) as caught:
                open_video(alone, lens=lens)
            assert caught.value.reason is Reason.UNSUPPORTED_LAYOUT

    def test_a_second_file_too_many_is_refused(self, insta360, pair, lens):
        with pytest.raises(InvalidInput, match="both lenses"):
            open_video(insta360, lens=lens, second=pair[1])

    def test_files_of_different_recordings_are_refused(self, pair, lens, tmp_path):
        back = show_lenses((0.0,) * 16)[0]
        long = write_tracks(tmp_path / "long.insv", [back])
        small = write_tracks(tmp_path / "small.insv", [show_lenses(PHASES, 120)[1]])
        for second, reason in ((long, Reason.TRUNCATED), (small, Reason.UNSUPPORTED_LAYOUT)):
            with pytest.raises(VideoError) as caught:
                open_video(pair[0], lens=lens, second=second)
            assert caught.value.reason is reason

    def test_ideal_lenses_are_accepted_by_name(self, tmp_path):
        ideal = [
            {**lens, "fov_deg": 190, "center": [1440, 1440], "radius": 1440, "k": [0] * 4,
             "yaw_deg": yaw, "pitch_deg": 0, "roll_deg": 0}
            for lens, yaw in zip(LENSES, (180, 0), strict=True)
        ]  # fmt: skip
        tracks = [[show_through_lens(one, (240, 240))] for one in ideal]
        path = append_trailer(write_tracks(tmp_path / "ideal.insv", tracks))
        assert_shows_scene(read_all(path, lens="nominal:190"), PHASES[:1])

    def test_ordinary_videos_of_the_camera_are_ordinary(self, tmp_path):
        flat = append_trailer(
            write_tracks(tmp_path / "flat.insv", [[np.zeros((90, 160, 3), np.uint8)]])
        )
        square = append_trailer(
            write_tracks(tmp_path / "square.mp4", [[np.zeros((96, 96, 3), np.uint8)]])
        )
        stitched = tmp_path / "stitched.mp4"
        write_video(stitched, np.zeros((2, 64, 128, 3), np.uint8), 5, spherical=SphericalMetadata())
        for path in (flat, square, append_trailer(stitched)):
            assert probe(path).camera is None
            with open_video(path) as reader:
                assert reader.info == probe(path)

    def test_reading_keeps_every_byte(self, insta360, lens):
        before = digest(insta360)
        read_all(insta360, lens=lens)
        assert digest(insta360) == before


GOOD = {"fov_deg": 200, "yaw_deg": 0}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("{", "JSON"),
        ("[]", "lens"),
        ({"lenses": [GOOD]}, "lenses"),
        ({"lenses": [GOOD] * 3}, "lenses"),
        ({"lenses": [GOOD, {"yaw_deg": 180}]}, "lenses.1.fov_deg"),
        ({"lenses": [GOOD, {**GOOD, "fov_deg": "wide"}]}, "lenses.1.fov_deg"),
        ({"lenses": [GOOD, {**GOOD, "focal": 3}]}, "lenses.1.focal"),
        ({"lenses": [GOOD, {**GOOD, "k": [1, 2]}]}, "lenses.1.k"),
        ({"lenses": [GOOD, {**GOOD, "radius": -1}]}, "radius"),
        ({"lenses": [GOOD, {**GOOD, "center": [700, 700]}]}, "center"),
        ({"lenses": [GOOD, {**GOOD, "k": [-3, 0, 0, 0]}]}, "k is"),
        ({"lenses": [GOOD, GOOD]}, "yaw_deg"),
        ({"lenses": [{**GOOD, "fov_deg": 150}, {"fov_deg": 150, "yaw_deg": 180}]}, "fov_deg"),
        ({"lens": []}, "lenses"),
    ],
)  # fmt: skip
def test_a_wrong_lens_file_is_named(content, name, insta360, tmp_path):
    path = tmp_path / "wrong.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InvalidInput, match=str(path)) as caught:
        open_video(insta360, lens=path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "lens", ["nominal:", "nominal:wide", "nominal:0", "nominal:400", "nominal:150", "nowhere.json"]
)
def test_a_wrong_lens_is_named(lens, insta360):
    with pytest.raises(InvalidInput, match=lens.replace("nominal:150", "unseen")):
        open_video(insta360, lens=lens)
