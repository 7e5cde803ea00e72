"""The filters: rotation and motion, text, black caps, exposure, blur, nadir, tilt; and quality from scores."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate import (
    Filter,
    SampledFrames,
    clip_filters,
    compute_quality,
    recipe_digest,
    video_filters,
)
from argus.curate.filters import (
    BlurFilter,
    CapsFilter,
    ExposureFilter,
    MotionFilter,
    NadirFilter,
    SeamFilter,
    TextFilter,
    UprightFilter,
)
from argus.curate.frame_sampling import ERP_SIZE, evenly_spaced, resize_frames
from argus.curate.quality import is_high_quality, score_values
from argus.dataset import Score
from argus.media import decode_clip, encode_clip, open_video
from argus.sphere import from_euler_deg, rotate_erp
from argus.synth import Motion, World, make_path
from schemas.config import CurateConfig, FilterSettings, HighQuality
from schemas.names import Reason

FPS = 5
SECONDS = 8
SETTINGS = FilterSettings()


@cache
def world(motion: Motion, seed: int = 61, height: int = 96) -> SampledFrames:
    """Eight frames over eight seconds and their next frames, encoded and decoded as in a video."""
    first = evenly_spaced(SECONDS * FPS - 1)
    path = make_path(seed, SECONDS * FPS, FPS, motion)
    chosen = np.stack([first, first + 1], axis=1).ravel()
    pictures = World(seed).render(
        path.rotations[chosen], path.positions[chosen], path.times[chosen], (height, 2 * height)
    )
    frames = resize_frames(decode_clip(encode_clip(pictures, Fraction(FPS))), ERP_SIZE)
    return SampledFrames(frames[::2], frames[1::2], np.full(len(first), 1 / FPS))


def changed(samples: SampledFrames, change: Callable[[np.ndarray], np.ndarray]) -> SampledFrames:
    """Return samples in which `change` was applied to each frame [512, 1024, 3]."""
    frames, next_frames = (
        np.stack([change(frame) for frame in part])
        for part in (samples.frames, samples.next_frames)
    )
    return SampledFrames(frames, next_frames, samples.intervals_s)


def stills(frame: np.ndarray, count: int = 5) -> SampledFrames:
    frames = resize_frames(np.stack([frame] * count), ERP_SIZE)
    return SampledFrames(frames, frames, np.full(count, 1 / FPS))


def lettered(
    words: str, place: tuple[int, int], size: float = 1.0
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that writes white words with a dark outline into a map of 1024 columns."""

    def change(frame: np.ndarray) -> np.ndarray:
        frame = frame.copy()
        for color, width in (((20, 20, 20), 6), ((255, 255, 255), 3)):
            cv2.putText(
                frame, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, color, width, cv2.LINE_AA
            )
        return frame

    return change


def disc(radius_deg: float, seed: int = 5) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that covers the nadir with a fixed pattern."""
    pattern = cv2.resize(
        np.random.default_rng(seed).integers(0, 255, (64, 128, 3), np.uint8),
        ERP_SIZE[::-1],
        interpolation=cv2.INTER_LINEAR,
    )
    rows = round(radius_deg / 180 * ERP_SIZE[0])
    return lambda frame: np.concatenate([frame[:-rows], pattern[-rows:]])


def black_from(zenith_deg: float, nadir_deg: float) -> Callable[[np.ndarray], np.ndarray]:
    top, bottom = (round(angle / 180 * ERP_SIZE[0]) for angle in (zenith_deg, nadir_deg))
    return lambda frame: np.concatenate(
        [frame[:top] * 0, frame[top : ERP_SIZE[0] - bottom], frame[ERP_SIZE[0] - bottom :] * 0]
    )


def alley(position: float) -> np.ndarray:
    """Render a lane between two brick walls under the sky, uint8 [512, 1024, 3]."""
    lon = ((np.arange(1024) + 0.5) / 1024 - 0.5) * 2 * np.pi
    lat = (0.5 - (np.arange(512)[:, None] + 0.5) / 512) * np.pi
    x, y, z = np.cos(lat) * np.sin(lon), -np.sin(lat) + 0 * lon, np.cos(lat) * np.cos(lon)
    far = 2.5 / np.maximum(np.abs(x), 1e-6)  # to the walls
    along, high = z * far + position, 1.6 - y * far
    course = np.floor(high / 0.3)
    mortar = ((high / 0.3) % 1 < 0.18) | ((along / 0.8 + 0.5 * (course % 2)) % 1 < 0.08)
    shade = np.sin(course * 12.9 + np.floor(along / 0.8 + 0.5 * (course % 2)) * 78.2) * 20
    brick = np.where(mortar, 200, 120 + shade)[..., None] * np.array([1.0, 0.7, 0.6])
    ground = 1.6 / np.maximum(y, 1e-6)
    stones = 90 + 40 * np.sin(3 * ground * x) * np.sin(3 * (ground * z + position))
    picture = np.where((high < 0)[..., None], stones[..., None] * np.ones(3), brick)
    return np.clip(
        np.where((high > 5)[..., None], np.array([150, 190, 240]), picture), 0, 255
    ).astype(np.uint8)


@cache
def bricks(shake_deg: float) -> SampledFrames:
    """Sample a walk along brick walls, on rails or hand-held."""
    places = np.arange(8) * 1.3
    shake = from_euler_deg(*np.random.default_rng(3).normal(0, shake_deg, (3, 8)))
    frames, next_frames = (
        rotate_erp(np.stack([alley(z + ahead) for z in places]), shake) for ahead in (0, 0.26)
    )
    return SampledFrames(frames, next_frames, np.full(8, 1 / FPS))


# motion


@pytest.mark.parametrize("seed", [61, 62, 63])
@pytest.mark.parametrize("motion", Motion)
def test_a_spinning_tripod_is_static_and_a_walk_is_not(motion: Motion, seed: int) -> None:
    scores = MotionFilter().score(world(motion, seed))
    verdict = MotionFilter().decide(scores, SETTINGS)
    moves = motion in (Motion.WALK, Motion.DRIVE)
    assert (verdict.kept, verdict.reason, verdict.value) == (
        moves,
        None if moves else Reason.STATIC,
        scores["share"],
    )
    assert scores["share"] > 0.55 if moves else scores["share"] < 0.22
    if motion is Motion.SPIN:
        assert scores["turn_deg_s"] == pytest.approx(40, abs=1.5)


def test_rotation_about_any_axis_is_measured_and_is_no_motion() -> None:
    still = world(Motion.WALK).frames[:3]
    turns = from_euler_deg([20, -30, 3], [5, -4, 0], [3, 2, -8])
    angles = np.degrees(np.arccos((np.trace(turns, axis1=1, axis2=2) - 1) / 2))
    scores = MotionFilter().score(SampledFrames(still, rotate_erp(still, turns), np.full(3, 1.0)))
    assert scores["share"] < 0.1
    assert scores["turn_deg_s"] == pytest.approx(np.median(angles), abs=0.5)


def test_a_slow_walk_is_motion() -> None:
    walk = make_path(64, 40, FPS, Motion.WALK)
    slow = (
        walk.positions[:1] + (walk.positions - walk.positions[:1]) * 0.4
    )  # half a meter per second
    chosen = [3, 4, 20, 21, 35, 36]
    frames = resize_frames(
        World(64).render(walk.rotations[chosen], slow[chosen], walk.times[chosen], (128, 256)),
        ERP_SIZE,
    )
    assert (
        MotionFilter().score(SampledFrames(frames[::2], frames[1::2], np.full(3, 1 / FPS)))["share"]
        > 1.5 * SETTINGS.moving_share
    )


def test_without_next_frames_or_texture_the_motion_is_zero() -> None:
    walk = world(Motion.WALK)
    blank = np.full((2, *ERP_SIZE, 3), 90, np.uint8)
    for samples in (
        SampledFrames(walk.frames[:1], walk.frames[:1], np.zeros(1)),
        SampledFrames(blank, blank, np.full(2, 0.2)),
    ):
        assert set(MotionFilter().score(samples).values()) == {0.0}


def test_a_whole_video_is_decided_by_its_second_liveliest_pair() -> None:
    walk, spin = world(Motion.WALK), world(Motion.STILL)
    mixed = SampledFrames(
        *(
            np.concatenate([a[:3], b[:5]])
            for a, b in ((walk.frames, spin.frames), (walk.next_frames, spin.next_frames))
        ),
        walk.intervals_s,
    )
    scores = MotionFilter().score(mixed)
    assert not MotionFilter().decide(scores, SETTINGS).kept
    assert MotionFilter(decide_by="second_largest_share").decide(scores, SETTINGS).kept


# text


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.DRIVE, Motion.SPIN])
@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("My Holiday 2019", (300, 130)),
        ("Stock Video", (420, 270)),
        ("and then we went home", (250, 340)),
    ],
)
def test_text_over_sky_and_scene_is_found(
    motion: Motion, words: str, place: tuple[int, int]
) -> None:
    found = TextFilter()
    scores = found.score(changed(world(motion), lettered(words, place)))
    verdict = found.decide(scores, SETTINGS)
    assert (verdict.kept, verdict.reason, verdict.threshold) == (
        False,
        Reason.TEXT,
        SETTINGS.text_share,
    )
    assert 1.2 * SETTINGS.text_share < verdict.value < 0.03


def test_a_title_over_half_of_the_clip_is_found() -> None:
    walk = world(Motion.WALK)
    titled = changed(walk, lettered("Chapter One", (430, 200), 1.5))
    half = SampledFrames(
        np.concatenate([titled.frames[:4], walk.frames[4:]]), walk.next_frames, walk.intervals_s
    )
    assert TextFilter().score(half)["share"] > SETTINGS.text_share


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.DRIVE, Motion.SPIN])
def test_a_city_is_not_text(motion: Motion) -> None:
    assert TextFilter().score(world(motion))["share"] < SETTINGS.text_share / 2


def test_a_brick_wall_is_not_text() -> None:
    for samples in (bricks(0.0), bricks(1.0), stills(alley(0.0))):
        assert TextFilter().score(samples)["share"] < SETTINGS.text_share / 4
    assert (
        TextFilter().score(changed(bricks(1.0), lettered("My Holiday 2019", (390, 120))))["share"]
        > SETTINGS.text_share
    )


def test_in_a_still_scene_no_text_is_reported() -> None:
    scores = TextFilter().score(
        stills(lettered("My Holiday 2019", (300, 130))(world(Motion.STILL).frames[0]))
    )
    assert scores == {"share": 0.0, "static_share": 1.0}


# the rest, one example per reason


@dataclass(frozen=True)
class Case:
    name: str
    filter: Filter
    change: Callable[[np.ndarray], np.ndarray]
    reason: Reason
    value: tuple[float, float]  # the deciding score lies between
    settings: FilterSettings = SETTINGS


CASES = [
    Case("caps", CapsFilter(5), black_from(40, 30), Reason.BLACK, (0.18, 0.19)),
    Case("dark", ExposureFilter(), lambda frame: frame // 24, Reason.EXPOSURE, (0.99, 1.0)),
    Case(
        "burnt",
        ExposureFilter(),
        lambda frame: cv2.convertScaleAbs(frame, alpha=4, beta=60),
        Reason.EXPOSURE,
        (0.72, 1.0),
    ),
    Case(
        "blurred",
        BlurFilter(),
        lambda frame: cv2.GaussianBlur(frame, (0, 0), 10),
        Reason.BLURRED,
        (0.2, 0.7),
    ),
    Case(
        "operator",
        NadirFilter(),
        disc(38),
        Reason.OPERATOR,
        (0.6, 1.0),
        FilterSettings(nadir_share=0.5),
    ),
    Case(
        "tilted",
        UprightFilter(),
        lambda frame: rotate_erp(frame[None], from_euler_deg(0, 9, 15))[0],
        Reason.TILTED,
        (16, 19),
        FilterSettings(tilt_deg=10, tilt_support=0.1),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_reason_has_an_example(case: Case) -> None:
    walk = world(Motion.WALK, height=160)
    scores = case.filter.score(changed(walk, case.change))
    verdict = case.filter.decide(scores, case.settings)
    assert (verdict.kept, verdict.reason, scores[verdict.name]) == (
        False,
        case.reason,
        verdict.value,
    )
    assert case.value[0] <= verdict.value <= case.value[1], scores
    assert case.filter.decide(case.filter.score(walk), case.settings).kept


def test_caps_are_measured_in_degrees_and_solid_angle() -> None:
    scores = CapsFilter(5).score(changed(world(Motion.WALK), black_from(20, 40)))
    assert (scores["zenith_deg"], scores["nadir_deg"]) == (
        pytest.approx(20, abs=1),
        pytest.approx(40, abs=1),
    )
    assert scores["share"] == pytest.approx(
        (2 - np.cos(np.radians(20)) - np.cos(np.radians(40))) / 2, abs=0.005
    )
    assert CapsFilter(5).score(stills(np.zeros((*ERP_SIZE, 3), np.uint8)))["share"] == 1.0


def test_exposure_is_measured_by_solid_angle() -> None:
    frame = np.full((*ERP_SIZE, 3), 100, np.uint8)
    frame[: ERP_SIZE[0] // 4] = 255  # a quarter of the rows, but 15% of the sphere
    scores = ExposureFilter().score(stills(frame))
    assert scores["bright"] == pytest.approx((1 - np.cos(np.pi / 4)) / 2, abs=1e-3)
    assert scores["mean"] == pytest.approx((100 + 155 * scores["bright"]) / 255, abs=1e-3)


def test_sharpness_falls_with_blur_and_not_with_contrast() -> None:
    walk = world(Motion.WALK)
    sharpness = [
        BlurFilter().score(
            changed(walk, lambda frame, sigma=sigma: cv2.GaussianBlur(frame, (0, 0), sigma))
        )["coarse"]
        for sigma in (2, 5, 9)
    ]
    plain = BlurFilter().score(walk)["coarse"]
    assert plain > sharpness[0] > sharpness[1] > sharpness[2]
    assert BlurFilter().score(changed(walk, lambda frame: frame // 2 + 60))[
        "coarse"
    ] == pytest.approx(plain, rel=0.1)
    small = resize_frames(resize_frames(walk.frames, (128, 256)), ERP_SIZE)
    assert (
        BlurFilter()
        .decide(BlurFilter().score(SampledFrames(small, small, walk.intervals_s)), SETTINGS)
        .kept
    ), "a small video is not blurred"


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (12, 0), (0, -15), (-10, 8), (-22, 5)])
def test_pitch_and_roll_are_estimated(pitch: float, roll: float) -> None:
    scores = UprightFilter().score(
        changed(
            world(Motion.DRIVE, height=160),
            lambda frame: rotate_erp(frame[None], from_euler_deg(0, pitch, roll))[0],
        )
    )
    assert (scores["pitch_deg"], scores["roll_deg"]) == (
        pytest.approx(pitch, abs=1.5),
        pytest.approx(roll, abs=1.5),
    )
    assert scores["tilt_deg"] == pytest.approx(
        np.degrees(np.arccos(np.cos(np.radians(pitch)) * np.cos(np.radians(roll)))), abs=1.5
    )
    assert scores["support"] > SETTINGS.tilt_support / 2


def test_by_default_neither_operator_nor_tilt_drops() -> None:
    walk = changed(
        world(Motion.WALK),
        lambda frame: disc(38)(rotate_erp(frame[None], from_euler_deg(0, 0, 20))[0]),
    )
    assert all(
        one.decide(one.score(walk), SETTINGS).kept for one in (NadirFilter(), UprightFilter())
    )


def test_the_operator_is_separated_from_the_ground() -> None:
    walk = world(Motion.DRIVE)
    bare, stood = (
        NadirFilter().score(samples)["share"] for samples in (walk, changed(walk, disc(25)))
    )
    assert bare < 0.1 < 0.25 < stood < 0.6


@pytest.mark.parametrize("radius_deg", [20, 25, 30, 35])
def test_the_operator_share_is_the_solid_angle_of_the_cap(radius_deg: float) -> None:
    of_cap = (1 - np.cos(np.radians(radius_deg))) / (1 - np.cos(np.radians(40)))
    assert NadirFilter().score(changed(world(Motion.DRIVE), disc(radius_deg)))[
        "share"
    ] == pytest.approx(of_cap, abs=0.1)


def test_encoded_white_counts_as_bright() -> None:
    """An encoder with 34 dB errs by 5 levels, clipped at 255."""
    coded = np.clip(np.random.default_rng(2).normal(255, 5, (*ERP_SIZE, 3)), 0, 255).astype(
        np.uint8
    )
    samples = stills(coded, 2)
    assert ExposureFilter().score(samples)["bright"] > 0.97
    assert ExposureFilter().score(stills(np.full((*ERP_SIZE, 3), 240, np.uint8), 2))["bright"] == 0


@pytest.mark.parametrize("rows", [96, 160, 512])
def test_an_enlarged_map_keeps_its_seam(rows: int) -> None:
    """Enlarging spreads every step over several columns, except the one at the seam."""
    noise = (
        np.random.default_rng(rows)
        .integers(0, 255, (rows, 2 * rows, 1), np.uint8)
        .repeat(3, axis=2)
    )
    around = np.concatenate([noise] * 3, axis=1)  # a map is smooth across its seam too
    closed = cv2.normalize(
        cv2.GaussianBlur(around, (0, 0), rows / 24)[:, 2 * rows : 4 * rows],
        None,
        0,
        255,
        cv2.NORM_MINMAX,
    )
    broken = closed[:, np.arange(2 * rows) * 3 // 4]
    for picture, reason in ((closed, None), (broken, Reason.SEAM)):
        scores = SeamFilter().score(stills(picture, 2))
        verdict = SeamFilter().decide(scores, SETTINGS)
        assert verdict.reason == reason, scores
    assert SeamFilter().score(stills(closed, 2))["seam_ratio"] < SETTINGS.seam_ratio / 2


def test_a_passer_by_does_not_move_the_wall_behind_it() -> None:
    """Flow is smooth and spreads beyond moving pixels; unchanged pixels have not moved."""
    still = world(Motion.STILL).frames[:3]
    before, after = still.copy(), still.copy()
    figure = cv2.resize(
        np.random.default_rng(4).integers(0, 255, (20, 8, 3), np.uint8),
        (80, 200),
        interpolation=cv2.INTER_LINEAR,
    )
    before[:, 200:400, 500:580] = after[:, 200:400, 512:592] = figure
    share = MotionFilter().score(SampledFrames(before, after, np.full(3, 1 / FPS)))["share"]
    own = 80 / 1024 * (np.sin(np.radians(20)) + np.sin(np.radians(51))) / 2
    assert own / 2 < share < 4 * own


# quality


def clip_scores(samples: SampledFrames) -> dict[str, float]:
    values = {
        f"{one.name}.{name}": value
        for one in clip_filters()
        for name, value in one.score(samples).items()
    }
    return {**values, "shots.max_score": 0.02}


def test_quality_is_computed_from_stored_scores() -> None:
    walk = world(Motion.WALK)
    values = clip_scores(walk)
    best = compute_quality(values)
    assert 0.5 < best < 1
    stored = [Score(*name.split("."), value, None, True) for name, value in values.items()]  # type: ignore[arg-type]
    assert compute_quality(score_values(stored)) == best
    poorer = {
        "blur.fine": 0.3,
        "exposure.contrast": 0.02,
        "exposure.dark": 0.9,
        "motion.share": 0.1,
        "text.share": 0.01,
    }
    assert all(compute_quality({**values, name: value}) < best for name, value in poorer.items())
    assert compute_quality({**values, "motion.share": 0.0}) == 0.0
    with pytest.raises(KeyError):
        compute_quality({})


def test_high_quality_needs_every_threshold() -> None:
    values = clip_scores(world(Motion.WALK, height=160))
    assert is_high_quality(values, SETTINGS)
    failing = {
        "motion.share": 0.3,
        "blur.fine": 0.9,
        "text.share": 0.0011,
        "exposure.dark": 0.5,
        "exposure.bright": 0.5,
        "nadir.share": 0.7,
        "shots.max_score": 0.15,
    }
    assert not any(
        is_high_quality({**values, name: value}, SETTINGS) for name, value in failing.items()
    )
    assert not is_high_quality(values, FilterSettings(high_quality=HighQuality(quality=0.99)))


# versions


def test_the_recipe_depends_on_the_versions_of_filters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filters = [*video_filters(SETTINGS), *clip_filters()]
    assert all(one.name and one.version >= 1 for one in filters)
    config = CurateConfig(catalogue="none")
    before = recipe_digest(config)
    monkeypatch.setattr(BlurFilter, "version", BlurFilter.version + 1)
    assert recipe_digest(config) != before


@pytest.mark.media
@pytest.mark.slow
def test_real_scenes_are_moving_or_static(media: Path) -> None:
    moving = {
        "overpass.mp4": True,
        "prison_handheld.mp4": True,
        "tunnel_16x9.webm": True,
        "city_cg.ts": True,
        "lobby_4k_1s_static.mp4": False,
    }
    for name, moves in moving.items():
        with open_video(media / "360" / name) as reader:
            step = max(1, round(reader.fps / 5))
            first = evenly_spaced(len(reader) - step)
            frames = reader.frames(np.unique(np.concatenate([first, first + step])), size=ERP_SIZE)
        order = np.unique(np.concatenate([first, first + step]), return_inverse=True)[1]
        samples = SampledFrames(
            frames[order[: len(first)]],
            frames[order[len(first) :]],
            np.full(len(first), step / float(reader.fps)),
        )
        assert MotionFilter().decide(MotionFilter().score(samples), SETTINGS).kept == moves, name
        assert TextFilter().score(samples)["share"] < SETTINGS.text_share, name
    still = cv2.cvtColor(cv2.imread(str(media / "images" / "street_b0.png")), cv2.COLOR_BGR2RGB)
    spun = resize_frames(still[None], ERP_SIZE)
    turned = rotate_erp(
        np.repeat(spun, 4, axis=0), from_euler_deg([5, 8, 20, 40], [1, 0, -2, 3], 0)
    )
    assert (
        MotionFilter().score(SampledFrames(np.repeat(spun, 4, axis=0), turned, np.full(4, 0.2)))[
            "share"
        ]
        < 0.1
    )
