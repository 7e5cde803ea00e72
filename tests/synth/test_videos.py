import csv
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import open_video, probe, read_spherical
from argus.sphere import cube_to_erp, fisheye_to_erp, from_euler_deg, rotate_erp, solid_angle
from argus.synth import (
    VIDEO_KINDS,
    scenes,
    write_catalogue,
    write_layouts,
    write_negatives,
    write_video_kind,
    write_world_videos,
)
from argus.synth.clip_spec import ClipSpec
from argus.synth.video_kinds import FISHEYE_FOV_DEG
from schemas.names import Layout, Reason, Split

HEIGHT, FPS, SECONDS = 64, 4, 2.5


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_world_videos(
        tmp_path_factory.mktemp("good"), seed=50, count=3, seconds=SECONDS, fps=FPS, height=HEIGHT
    )


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return {
        video.path.stem: video
        for video in write_negatives(
            tmp_path_factory.mktemp("bad"), seconds=SECONDS, fps=FPS, height=HEIGHT
        )
    }


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    return {
        video.path.stem: video
        for video in write_layouts(
            tmp_path_factory.mktemp("layouts"), seconds=0.5, fps=FPS, height=HEIGHT
        )
    }


def frames_of(video):
    with open_video(video.path) as reader:
        return reader.frames(range(len(reader)))


def test_good_videos_are_whole_spheres_some_of_them_tagged(good):
    for video in good:
        info = probe(video.path)
        assert (info.width, info.height, info.fps, info.frames) == (128, 64, Fraction(4), 10)
        assert (video.layout, video.keep, video.reasons) == (Layout.MONO_ERP, True, frozenset())
    assert [read_spherical(video.path) is not None for video in good] == [True, False, True]


def test_the_same_seed_writes_the_same_files(good, tmp_path):
    again = write_world_videos(tmp_path, seed=50, count=1, seconds=SECONDS, fps=FPS, height=HEIGHT)
    assert again[0].path.read_bytes() == good[0].path.read_bytes()


def test_every_defect_is_there_and_nothing_else_lies_about(bad):
    assert {reason for video in bad.values() for reason in video.reasons} >= {
        Reason.STEREO,
        Reason.NOT_360,
        Reason.STATIC,
        Reason.BLACK,
        Reason.LOW_VARIANCE,
        Reason.SEAM,
        Reason.TOO_SHORT,
        Reason.CORRUPT,
        Reason.TRUNCATED,
        Reason.EMPTY_FILE,
        Reason.NOT_A_VIDEO,
        Reason.NO_VIDEO_STREAM,
    }
    assert [name for name, video in bad.items() if video.keep] == ["cuts"]
    assert all(video.reasons or video.keep for video in bad.values())
    folder = bad["cuts"].path.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        video.path.name for video in bad.values()
    )


def test_stereo_videos_show_two_eyes(bad):
    top_bottom, sides, squeezed = (
        frames_of(bad[name])[0].astype(int)
        for name in ("stereo_tb", "stereo_sbs", "stereo_sbs_2to1")
    )
    assert (top_bottom.shape, sides.shape, squeezed.shape) == (
        (128, 128, 3),
        (64, 256, 3),
        (64, 128, 3),
    )
    for left, right in (
        np.split(top_bottom, 2, axis=0),
        np.split(sides, 2, axis=1),
        np.split(squeezed, 2, axis=1),
    ):
        difference = np.abs(left - right).mean()
        assert 0.2 < difference < 15
        assert np.abs(left - np.roll(right, 40, axis=1)).mean() > 2 * difference
    assert read_spherical(bad["stereo_tb"].path).stereo_mode == "top-bottom"
    assert read_spherical(bad["stereo_tb_untagged"].path) is None


def test_cuts_are_where_they_are_said_to_be(bad):
    steps = np.abs(np.diff(frames_of(bad["cuts"]).astype(int), axis=0)).mean((1, 2, 3))
    assert sorted(np.argsort(steps)[-2:] + 1) == [round(time * FPS) for time in bad["cuts"].cuts_s]


def test_contents_are_as_bad_as_they_should_be(bad):
    assert np.abs(np.diff(frames_of(bad["static"]).astype(int), axis=0)).mean() < 0.5
    assert 0.4 < (frames_of(bad["half_black"]).max(-1) <= 8).mean() < 0.5
    assert frames_of(bad["fog"]).var() < 100
    seam = frames_of(bad["broken_seam"])[0].astype(int)
    assert np.abs(seam[:, 0] - seam[:, -1]).mean() > 3 * np.abs(np.diff(seam, axis=1)).mean()
    assert probe(bad["one_frame"].path).frames == 1


@pytest.mark.parametrize(
    "name", ["corrupt", "corrupt_index", "truncated", "empty", "text", "audio_only"]
)
def test_broken_files_cannot_be_read(bad, name):
    with pytest.raises(VideoError) as caught, open_video(bad[name].path) as reader:
        reader.frames(range(len(reader)))
    assert caught.value.reason in bad[name].reasons


def test_every_layout_is_there_tagged_and_untagged(layouts):
    assert {video.layout for video in layouts.values()} >= {
        Layout.HALF_ERP,
        Layout.PARTIAL,
        Layout.CUBEMAP,
        Layout.EAC,
        Layout.DUAL_FISHEYE,
        Layout.MONO_ERP_16X9,
        Layout.STEREO_TB,
    }
    tags = {name: read_spherical(video.path) for name, video in layouts.items()}
    both = [name for name in layouts if f"{name}_untagged" in layouts]
    assert [
        name for name in both if tags[name] is None or tags[f"{name}_untagged"] is not None
    ] == []
    assert {
        name for name, tag in tags.items() if tag is None and not name.endswith("_untagged")
    } == {"cubemap_3x2", "cubemap_6x1", "dual_fisheye"}
    assert (tags["eac"].projection, tags["cubemap_v2"].projection) == ("eac", "cubemap")
    assert (tags["vr180"].is_half_sphere, tags["vr180"].stereo_mode) == (True, "left-right")
    assert (tags["vr180_mono"].is_half_sphere, tags["vr180_mono"].stereo_mode) == (True, "mono")
    assert tags["partial"].bounds == (0, 0.25, 0.125, 0.125)


def test_layouts_have_their_shapes(layouts):
    assert {
        name: (probe(layouts[name].path).height, probe(layouts[name].path).width)
        for name in layouts
        if not name.endswith("_untagged")
    } == {
        "vr180": (64, 128),
        "vr180_mono": (64, 64),
        "partial": (48, 96),
        "cubemap_3x2": (64, 96),
        "cubemap_v2": (64, 96),
        "cubemap_6x1": (32, 192),
        "eac": (64, 114),  # 16:9
        "dual_fisheye": (64, 128),
        "mono_erp_16x9": (64, 114),
        "stereo_tb_2to1": (64, 128),
    }


BACK = {
    "cubemap_3x2": lambda x: cube_to_erp(x, (128, 256), "3x2"),
    "cubemap_v2": lambda x: cube_to_erp(x, (128, 256), "cbmp"),
    "cubemap_6x1": lambda x: cube_to_erp(x, (128, 256), "6x1"),
    "eac": lambda x: cube_to_erp(x, (128, 256), "eac"),
    "dual_fisheye": lambda x: fisheye_to_erp(x, FISHEYE_FOV_DEG, (128, 256)),
}


@pytest.mark.parametrize("name", BACK)
def test_every_layout_can_be_undone(tmp_path, name):
    """To the frames of the same world as an ordinary map, and to no other direction."""
    options = {"seed": 3, "seconds": 0.5, "fps": FPS, "height": 128, "crf": 4}
    plain = frames_of(write_video_kind(tmp_path / "plain.mp4", "walk", **options)).astype(int)
    undone = BACK[name](
        frames_of(write_video_kind(tmp_path / f"{name}.mp4", name, **options))
    ).astype(int)
    right = np.abs(undone - plain).mean()
    assert right < 6
    for wrong in (plain[:, :, ::-1], np.roll(plain, 128, 2), np.roll(plain, 8, 2)):
        assert np.abs(undone - wrong).mean() > 2 * right


def test_half_a_sphere_is_the_middle_of_the_map_and_its_eyes_differ(tmp_path):
    options = {"seed": 3, "seconds": 0.5, "fps": FPS, "height": 64, "crf": 4}
    plain = frames_of(write_video_kind(tmp_path / "plain.mp4", "walk", **options)).astype(int)
    half = frames_of(write_video_kind(tmp_path / "half.mp4", "vr180_mono", **options)).astype(int)
    assert np.abs(half - plain[:, :, 32:96]).mean() < 2
    left, right = np.split(
        frames_of(write_video_kind(tmp_path / "eyes.mp4", "vr180", **options)).astype(int),
        2,
        axis=2,
    )
    assert 0.2 < np.abs(left - right).mean() < 15
    assert np.abs(left - half).mean() < 8


VIDEOS = [name for name, kind in VIDEO_KINDS.items() if kind.frames and not kind.damage]


@pytest.mark.parametrize("name", VIDEOS)
def test_every_kind_is_written_as_it_says(tmp_path, name):
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
    assert (video.layout, video.keep, video.reasons) == (
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


def test_flat_videos_are_not_spheres(tmp_path):
    """Their sides do not meet, unless they are black."""
    for name, black in {
        "perspective_stretched": 0.0,
        "perspective_pillarboxed": 1 / 3,
        "perspective_letterboxed": 0.28,
        "tiny_planet": 0.0,
    }.items():
        frames = frames_of(
            write_video_kind(tmp_path / f"{name}.mp4", name, seconds=0.5, fps=FPS, height=64)
        ).astype(int)
        assert frames.shape[2] == 2 * frames.shape[1]
        assert (frames.max(-1) <= 10).mean() == pytest.approx(black, abs=0.03)


def shown(name, count=4, height=64, fps=FPS):
    return np.stack(list(VIDEO_KINDS[name].frames(ClipSpec(7, count, Fraction(fps), height)))).astype(int)


@pytest.mark.parametrize(
    "name",
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
def test_every_kind_is_a_function_of_its_seed(tmp_path, name):
    once, again, other = (
        write_video_kind(
            tmp_path / f"{k}.mp4",
            name,
            seed=seed,
            seconds=0.75,
            fps=FPS,
            height=32,
            tagged=name == "partial_mesh",
        ).path.read_bytes()
        for k, seed in enumerate((3, 3, 4))
    )
    assert once == again != other


def test_what_is_laid_over_goes_with_the_camera():
    """The same pixels differ from the plain walk in every frame, all others in none."""
    for name in ("title", "operator"):
        changed = np.abs(shown(name) - shown("walk")).max(-1) > 24
        assert 0.005 < changed[0].mean() < 0.2, name
        assert changed.all(0).sum() > 0.5 * changed.any(0).sum(), name


def test_a_whip_pan_turns_the_same_walk():
    plain, whipped = shown("walk", 24, fps=8), shown("whip_pan", 24, fps=8)
    assert np.abs(whipped[:8] - plain[:8]).max() == 0
    back = rotate_erp(plain[-4:].astype(np.uint8), from_euler_deg(scenes.WHIP_DEG, 0, 0))
    assert np.abs(whipped[-4:] - back).mean() < 6 < np.abs(whipped[-4:] - plain[-4:]).mean() / 3


def test_a_tilted_camera_sees_the_same_drive():
    upright, tilted = shown("drive"), shown("tilted")
    back = rotate_erp(upright.astype(np.uint8), from_euler_deg(0, *scenes.TILT_DEG))
    assert np.abs(tilted - back).mean() < 6 < np.abs(tilted - upright).mean() / 2
    assert VIDEO_KINDS["tilted"].tilt_deg == pytest.approx(18.4, abs=0.1)


def test_light_is_as_rare_or_as_common_as_it_is_said_to_be():
    area = solid_angle((64, 128)) / (4 * np.pi)
    assert (area * (shown("night")[0].max(-1) < 20)).sum() == pytest.approx(0.86, abs=0.05)
    assert (area * (shown("overexposed")[0].min(-1) >= 250)).sum() == pytest.approx(0.76, abs=0.05)


def test_a_cut_in_a_pan_is_where_it_is_said_to_be(tmp_path):
    video = write_video_kind(tmp_path / "a.mp4", "cut_in_pan", seconds=3, fps=4, height=32)
    steps = np.abs(np.diff(frames_of(video).astype(int), axis=0)).mean((1, 2, 3))
    assert np.argmax(steps) + 1 == video.cuts_s[0] * 4 == 6


def test_a_mesh_says_which_part_there_is(tmp_path):
    """Three quarters of all longitudes, from the zenith to 45° below the horizon."""
    video = write_video_kind(
        tmp_path / "a.mp4", "partial_mesh", seconds=0.5, fps=FPS, height=32, tagged=True
    )
    declared = read_spherical(video.path)
    assert (declared.projection, declared.is_full_sphere) == ("mesh", False)
    assert declared.coverage == pytest.approx(0.75 * (1 + np.sin(np.pi / 4)) / 2, abs=0.02)
    assert len(frames_of(video)) == 2


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1"])
def test_any_codec_shows_the_same_video(tmp_path, codec):
    options = {
        "seed": 5,
        "seconds": 0.3,
        "fps": Fraction(30000, 1001),
        "height": 64,
        "tagged": True,
    }
    plain = write_video_kind(tmp_path / "plain.mp4", "eac", **options)
    coded = write_video_kind(tmp_path / "coded.mp4", "eac", **options, codec=codec, crf=20)
    coarse = write_video_kind(tmp_path / "coarse.mp4", "eac", **options, codec=codec, crf=50)
    info = probe(coded.path)
    assert (info.codec, info.fps, info.frames, info.spherical) == (
        codec,
        Fraction(30000, 1001),
        9,
        VIDEO_KINDS["eac"].spherical,
    )
    assert np.abs(frames_of(coded).astype(int) - frames_of(plain)).mean() < 6
    assert coarse.path.stat().st_size < 0.7 * coded.path.stat().st_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "sideways"}, "kind is 'sideways', but must be one of: walk"),
        ({"codec": "mpeg1"}, "codec is 'mpeg1'"),
        ({"height": 30}, "multiple of 4"),
        ({"kind": "dual_fisheye", "tagged": True}, "leave it untagged"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path, options, message):
    with pytest.raises(InvalidInput, match=message):
        write_video_kind(tmp_path / "never.mp4", **{"kind": "walk", **options})
    assert not (tmp_path / "never.mp4").exists()


def test_catalogue_gives_every_split_a_good_video(good, bad, tmp_path):
    root = tmp_path
    videos = []
    for video in [*bad.values(), *good]:
        (root / video.path.name).write_bytes(b"")
        videos.append(type(video)(root / video.path.name, video.layout, video.keep, video.reasons))
    write_catalogue(
        root / "catalogue.csv",
        videos,
        "http://127.0.0.1:1/",
        folder=root,
        extra_urls=["http://127.0.0.1:1/absent.mp4"],
    )
    rows = list(csv.DictReader((root / "catalogue.csv").read_text().splitlines()))
    assert len(rows) == len(videos) + 1
    splits = {row["url"].rsplit("/", 1)[1]: row["split"] for row in rows}
    assert {splits[video.path.name] for video in videos if video.keep} == set(Split)
    assert rows[-1]["url"].endswith("absent.mp4")
