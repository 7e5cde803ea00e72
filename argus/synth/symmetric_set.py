"""Set of videos of rooms that look alike in several directions, in every layout.

It has two halves. Thresholds may be chosen on the tuning half; the scored half counts, whose rooms,
patterns, sizes and rates occur nowhere in the tuning half.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argus.media import SphericalMetadata, tag_spherical
from argus.synth.rooms import ROOMS
from argus.synth.video_kinds import VIDEO_KINDS
from argus.synth.videos import SynthVideo, write_video_kind

_TUNING_ROOMS = (
    "cube",
    "cell with a door",
    "parking deck",
    "hexagon",
    "rotunda",
    "corridor",
    "gallery",
)
_SCORED_ROOMS = (
    "hall",
    "chapel",
    "garage with a door",
    "hexagonal hall",
    "hexagon with a door",
    "colonnade",
    "long corridor",
    "office",
    "saloon",
)
_TUNING_SEED, _SCORED_SEED = 5_000, 9_000
_TUNING_SIZES, _SCORED_SIZES = (128, 192), (144, 240)  # rows of the whole map
_TUNING_RATE, _SCORED_RATE = 5, 6
_SECONDS = 2
_KINDS = (
    "walk",
    "mono_erp_16x9",
    "mono_erp_letterboxed",
    "mono_erp_pillarboxed",
    "stereo_tb",
    "stereo_tb_2to1",
    "stereo_sbs",
    "stereo_sbs_2to1",
    "vr180",
    "vr180_mono",
    "cubemap_3x2",
    "cubemap_v2",
    "cubemap_6x1",
    "eac",
    "dual_fisheye",
)
_EYES: dict[str, dict[str, Any]] = {
    "two cameras": {},
    "a circle of eyes": {"is_omnidirectional": True},
    "one eye twice": {"baseline_m": 0.0},
}
_MONO, _TOP_BOTTOM = SphericalMetadata(), SphericalMetadata(stereo_mode="top-bottom")
_WRONG = {"stereo_tb": _MONO, "stereo_sbs": _MONO, "eac": _MONO, "walk": _TOP_BOTTOM}
"""A wrong declaration for each of these kinds."""


@dataclass(frozen=True)
class SymmetricCase:
    """One video of the set.

    Attributes:
        room: Name in `ROOMS`.
        kind: Name in `VIDEO_KINDS`, which gives the layout.
        declared: Metadata of the file.
        eyes: Name of the kind of eyes of stereo kinds; empty for others.
        seed: Seed of the patterns, the people and the camera path.
        height: Rows of the whole map.
        fps: Frames per second.
    """

    room: str
    kind: str
    declared: SphericalMetadata | None
    eyes: str
    seed: int
    height: int
    fps: int

    @property
    def name(self) -> str:
        """Room, kind, eyes and declaration."""
        right = self.declared == VIDEO_KINDS[self.kind].spherical
        declared = "declared" if right else "declared wrongly"
        return ", ".join(
            part
            for part in (self.room, self.kind, self.eyes, declared if self.declared else "")
            if part
        )

    def write(self, path: Path) -> SynthVideo:
        """Write the file and return the truth about it."""
        room = replace(ROOMS[self.room], **_EYES.get(self.eyes, {}))
        video = write_video_kind(
            path,
            self.kind,
            seed=self.seed,
            seconds=_SECONDS,
            fps=self.fps,
            height=self.height,
            room=room,
        )
        if self.declared:
            tag_spherical(path, path, self.declared)
        return video


def make_symmetric_cases(*, is_scored: bool) -> list[SymmetricCase]:
    """Return the videos of a half: every room in every layout, declared or not."""
    rooms = _SCORED_ROOMS if is_scored else _TUNING_ROOMS
    sizes = _SCORED_SIZES if is_scored else _TUNING_SIZES
    seed, fps = (_SCORED_SEED, _SCORED_RATE) if is_scored else (_TUNING_SEED, _TUNING_RATE)
    return [
        SymmetricCase(room, kind, declared, eyes, seed + n, sizes[n % 2], fps)
        for n, room in enumerate(rooms)
        for kind, declared, eyes in _list_kinds(n)
    ]


def _list_kinds(number: int) -> Iterator[tuple[str, SphericalMetadata | None, str]]:
    """Yield (kind, declaration, eyes) for a room; the eyes take turns over the rooms."""
    for k, kind in enumerate(_KINDS):
        is_stereo = kind.startswith("stereo") or kind == "vr180"
        eyes = list(_EYES)[(number + k) % len(_EYES)] if is_stereo else ""
        yield kind, None, eyes
        if spherical := VIDEO_KINDS[kind].spherical:
            yield kind, spherical, eyes
        if kind in _WRONG:
            yield kind, _WRONG[kind], eyes
