"""Single videos: every kind, layout and codec, and the ground truth that comes with them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.media import probe, read_spherical
from argus.sphere import cube_to_erp, fisheye_to_erp, from_euler_deg, rotate_erp, solid_angle
from argus.synth import VIDEO_KINDS, scenes, write_video_kind
from argus.synth.clip_spec import ClipSpec
from argus.synth.transforms import FISHEYE_FOV_DEG
from tests.support.videos import read_frames

FPS = 4


def write_frames(path, kind, **options):
    """Write a video of 0.5 s and return its frames as integers."""
    return read_frames(
        write_video_kind(path, kind, **{"seconds": 0.5, "fps": FPS, **options}).path
    ).astype(int)


def render_frames(kind, count=4, fps=FPS):
    """Render frames of 64×128 without encoding them."""
    spec = ClipSpec(7, count, Fraction(fps), 64)
    return np.stack(list(VIDEO_KINDS[kind].render(spec))).astype(int)


TO_ERP = {
    "cubemap_3x2": lambda x: cube_to_erp(x, (128, 256), "3x2"),
    "cubemap_v2": lambda x: cube_to_erp(x, (128, 256), "cbmp"),
    "cubemap_6x1": lambda x: cube_to_erp(x, (128, 256), "6x1"),
    "eac": lambda x: cube_to_erp(x, (128, 256), "eac"),
    "dual_fisheye": lambda x: fisheye_to_erp(x, FISHEYE_FOV_DEG, (128, 256)),
}


@pytest.mark.parametrize("kind", TO_ERP)
def test_every_layout_converts_back_to_the_same_world(tmp_path, kind):
    """It is neither mirrored nor rotated."""
    options = {"seed": 3, "height": 128, "crf": 4}
    plain = write_frames(tmp_path / "plain.mp4", "walk", **options)
    frames = write_frames(tmp_path / f"{kind}.mp4", kind, **options)
    converted = TO_ERP[kind](frames.astype(np.uint8)).astype(int)
    error = np.abs(converted - plain).mean()
    assert error < 6
    for wrong in (plain[:, :, ::-1], np.roll(plain, 128, 2), np.roll(plain, 8, 2)):
        assert np.abs(converted - wrong).mean() > 2 * error


def test_a_half_sphere_is_the_middle_of_the_map_and_its_eyes_differ(tmp_path):
    options = {"seed": 3, "height": 64, "crf": 4}
    plain = write_frames(tmp_path / "plain.mp4", "walk", **options)
    half = write_frames(tmp_path / "half.mp4", "vr180_mono", **options)
    assert np.abs(half - plain[:, :, 32:96]).mean() < 2
    left, right = np.split(write_frames(tmp_path / "eyes.mp4", "vr180", **options), 2, axis=2)
    assert 0.2 < np.abs(left - right).mean() < 15
    assert np.abs(left - half).mean() < 8


@pytest.mark.parametrize(
    "name", [name for name, kind in VIDEO_KINDS.items() if kind.render and not kind.damage]
)
def test_every_kind_matches_its_description(tmp_path, name):
    kind = VIDEO_KINDS[name]
    video = write_video_kind(
        tmp_path / "a.mp4",
        name,
        seed=7,
        seconds=0.75,
        fps=FPS,
        height=32,
        tagged=kind.spherical is not None,
    )
    assert (video.layout, video.is_kept, video.reasons) == (
        kind.layout,
        not kind.reasons,
        kind.reasons,
    )
    info = probe(video.path)
    assert info.spherical == (
        kind.spherical and replace(kind.spherical, coverage=info.spherical.coverage)
    )
    assert info.pixel_aspect == kind.pixel_aspect
    assert info.frames == {"one_frame": 1, "too_short": 2}.get(name, 3 // kind.shots * kind.shots)


@pytest.mark.parametrize(
    ("kind", "black_share"),
    [
        ("perspective_stretched", 0.0),
        ("perspective_pillarboxed", 1 / 3),
        ("perspective_letterboxed", 0.28),
        ("tiny_planet", 0.0),
    ],
)
def test_flat_videos_of_2_to_1_have_the_intended_bars(tmp_path, kind, black_share):
    frames = write_frames(tmp_path / "a.mp4", kind, height=64)
    assert frames.shape[2] == 2 * frames.shape[1]
    assert (frames.max(-1) <= 10).mean() == pytest.approx(black_share, abs=0.03)


@pytest.mark.parametrize(
    "kind",
    [
        "cut_in_pan",
        "brick_wall",
        "title",
        "operator",
        "night",
        "overexposed",
        "cartoon",
        "slides",
        "partial_mesh",
    ],
)
def test_bytes_are_a_function_of_the_seed(tmp_path, kind):
    first, same, other = (
        write_video_kind(
            tmp_path / f"{k}.mp4",
            kind,
            seed=seed,
            seconds=0.75,
            fps=FPS,
            height=32,
            tagged=kind == "partial_mesh",
        ).path.read_bytes()
        for k, seed in enumerate((3, 3, 4))
    )
    assert first == same != other


@pytest.mark.parametrize("kind", ["title", "operator"])
def test_overlays_move_with_the_camera(kind):
    """The same pixels differ from the plain walk in every frame."""
    is_changed = np.abs(render_frames(kind) - render_frames("walk")).max(-1) > 24
    assert 0.005 < is_changed[0].mean() < 0.2
    assert is_changed.all(0).sum() > 0.5 * is_changed.any(0).sum()


def test_a_whip_pan_rotates_the_same_walk():
    plain, whipped = (render_frames(kind, 24, fps=8) for kind in ("walk", "whip_pan"))
    assert np.abs(whipped[:8] - plain[:8]).max() == 0
    rotation = from_euler_deg(scenes.WHIP_PAN_DEG, 0, 0)
    expected = rotate_erp(plain[-4:].astype(np.uint8), rotation)
    error = np.abs(whipped[-4:] - expected).mean()
    assert error < 6 < np.abs(whipped[-4:] - plain[-4:]).mean() / 3


def test_a_tilted_camera_rotates_the_same_drive():
    upright, tilted = render_frames("drive"), render_frames("tilted")
    expected = rotate_erp(upright.astype(np.uint8), from_euler_deg(0, *scenes.TILT_DEG))
    assert np.abs(tilted - expected).mean() < 6 < np.abs(tilted - upright).mean() / 2
    assert VIDEO_KINDS["tilted"].tilt_deg == pytest.approx(18.4, abs=0.1)


def test_exposure_defects_cover_the_intended_share_of_the_sphere():
    share = solid_angle((64, 128)) / (4 * np.pi)
    is_dark = render_frames("night")[0].max(-1) < 20
    assert (share * is_dark).sum() == pytest.approx(0.86, abs=0.05)
    is_white = render_frames("overexposed")[0].min(-1) >= 250
    assert (share * is_white).sum() == pytest.approx(0.76, abs=0.05)


def test_the_cut_in_a_pan_is_at_the_stated_time(tmp_path):
    video = write_video_kind(tmp_path / "a.mp4", "cut_in_pan", seconds=3, fps=4, height=32)
    steps = np.abs(np.diff(read_frames(video.path).astype(int), axis=0)).mean((1, 2, 3))
    assert np.argmax(steps) + 1 == video.cuts_s[0] * 4 == 6


def test_a_mesh_declares_the_covered_part(tmp_path):
    """Three quarters of all longitudes, from the zenith to 45° below the horizon."""
    video = write_video_kind(
        tmp_path / "a.mp4", "partial_mesh", seconds=0.5, fps=FPS, height=32, tagged=True
    )
    metadata = read_spherical(video.path)
    assert (metadata.projection, metadata.is_full_sphere) == ("mesh", False)
    assert metadata.coverage == pytest.approx(0.75 * (1 + np.sin(np.pi / 4)) / 2, abs=0.02)
    assert len(read_frames(video.path)) == 2


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1"])
def test_every_codec_shows_the_same_video(tmp_path, codec):
    options = {
        "seed": 5,
        "seconds": 0.3,
        "fps": Fraction(30000, 1001),
        "height": 64,
        "tagged": True,
    }
    plain = write_video_kind(tmp_path / "plain.mp4", "eac", **options)
    fine = write_video_kind(tmp_path / "fine.mp4", "eac", **options, codec=codec, crf=20)
    coarse = write_video_kind(tmp_path / "coarse.mp4", "eac", **options, codec=codec, crf=50)
    info = probe(fine.path)
    assert (info.codec, info.fps, info.frames, info.spherical) == (
        codec,
        Fraction(30000, 1001),
        9,
        VIDEO_KINDS["eac"].spherical,
    )
    assert np.abs(read_frames(fine.path).astype(int) - read_frames(plain.path)).mean() < 6
    assert coarse.path.stat().st_size < 0.7 * fine.path.stat().st_size


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"kind": "sideways"}, "'sideways'.*walk"),
        ({"codec": "mpeg1"}, "'mpeg1'.*h264"),
        ({"height": 30}, "height is 30"),
        ({"kind": "dual_fisheye", "tagged": True}, "dual_fisheye.*tagged"),
    ],
)
def test_invalid_input_is_named(tmp_path, options, value):
    with pytest.raises(InvalidInput, match=value):
        write_video_kind(tmp_path / "never.mp4", **{"kind": "walk", **options})
    assert not (tmp_path / "never.mp4").exists()
