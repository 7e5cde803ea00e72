"""Recipes of small videos that cover all pairs of properties, and their making with ffmpeg.

Properties exclude each other only in pairs (a codec and a container, a codec and a depth), so that
a recipe can be completed value by value.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from tests.support.ffmpeg import run_ffmpeg

FPS = 25
TRIM_S, DELAY_S = 0.2, 0.44
# Keeps wide-gamut colors inside the nominal range, where their conversion is defined.
MUTED = ",".join(f"colorlevels={color}omin=0.15:{color}omax=0.8" for color in "rgb")
FORMATS = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpeg", "ogv": "ogg"}  # else the extension


@dataclass(frozen=True)
class Recipe:
    """Properties of a video; the defaults are the most ordinary.

    Attributes:
        container: extension of the file.
        codec: key of CODECS.
        depth: bits of a sample.
        range: tv or pc.
        color: key of COLORS.
        orientation: counter-clockwise degrees, and "m" if the picture is mirrored first.
        aspect: where a pixel aspect is declared: nowhere, in the codec, or in the container, where
            it contradicts the codec.
        rate: constant or variable.
        edit: none, trim (hidden frames at the start) or delay (times that do not start at 0).
        scan: progressive, or the first field of interlaced frames.
        height: lines.
    """

    container: str = "mp4"
    codec: str = "h264"
    depth: int = 8
    range: str = "tv"
    color: str = "undeclared"
    orientation: str = "0"
    aspect: str = "square"
    rate: str = "constant"
    edit: str = "none"
    scan: str = "progressive"
    height: int = 64

    @property
    def name(self) -> str:
        """Name of the file: its properties but for the most ordinary ones."""
        usual = Recipe()
        parts = [
            str(getattr(self, field.name))
            for field in fields(self)[1:]
            if field.name == "codec" or getattr(self, field.name) != getattr(usual, field.name)
        ]
        return f"{'-'.join(parts)}.{self.container}"

    @property
    def is_interlaced(self) -> bool:
        """True if frames hold two fields."""
        return self.scan != "progressive"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as coded."""
        return (96 if self.height < 720 else 80), self.height

    @property
    def frames(self) -> int:
        """Number of frames of the source."""
        return 30 if self.height < 720 else 12


FACTORS: dict[str, tuple[str | int, ...]] = {
    "codec": (
        *("h264", "hevc", "av1", "vp9", "vp8"),
        *("mpeg4", "mpeg2", "mjpeg", "prores", "ffv1", "theora"),
    ),
    "container": ("mp4", "mov", "mkv", "webm", "ts", "avi", "flv", "mpg", "ogv"),
    "orientation": ("0", "90", "180", "270", "0m", "90m", "180m", "270m"),
    "color": ("undeclared", "bt709", "bt601", "bt2020", "pq", "hlg"),
    "depth": (8, 10, 12),
    "range": ("tv", "pc"),
    "aspect": ("square", "codec", "container"),
    "scan": ("progressive", "top", "bottom"),
    "edit": ("none", "trim", "delay"),
    "rate": ("constant", "variable"),
    "height": (64, 720),
}

COLORS = {  # matrix, transfer, primaries
    "bt709": ("bt709", "bt709", "bt709"),
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt2020": ("bt2020nc", "bt2020-10", "bt2020"),
    "pq": ("bt2020nc", "smpte2084", "bt2020"),
    "hlg": ("bt2020nc", "arib-std-b67", "bt2020"),
}


@dataclass(frozen=True)
class Codec:
    """What an encoder and the format of its packets can hold."""

    options: str
    containers: str
    formats: dict[int, str]  # by depth
    ranges: tuple[str, ...] = ("tv",)
    colors: tuple[str, ...] = ("undeclared", "bt709", "bt601", "bt2020", "pq", "hlg")
    holds_aspect: bool = True
    holds_fields: bool = False
    allows_variable_rate: bool = True


_420 = {8: "yuv420p", 10: "yuv420p10le", 12: "yuv420p12le"}
_BOTH = ("tv", "pc")
_SDR = ("undeclared", "bt709", "bt601")
CODECS = {
    "h264": Codec(
        "-c:v libx264 -preset superfast -crf 18 -bf 2 -g 10 -threads 1",
        "mp4 mov mkv ts avi flv",
        {8: _420[8], 10: _420[10]},
        _BOTH,
        holds_fields=True,
    ),
    "hevc": Codec(
        "-c:v libx265 -preset ultrafast -crf 18"
        " -x265-params log-level=none:keyint=10:bframes=2:pools=1:open-gop=0",
        "mp4 mov mkv ts flv",
        _420,
        _BOTH,
    ),
    "av1": Codec(
        "-c:v libsvtav1 -preset 12 -crf 25 -g 10 -svtav1-params lp=1",
        "mp4 mkv webm avi flv",
        {8: _420[8], 10: _420[10]},
        _BOTH,
        holds_aspect=False,
    ),
    "vp9": Codec(
        "-c:v libvpx-vp9 -cpu-used 8 -b:v 0 -crf 20 -g 10 -auto-alt-ref 1 -lag-in-frames 8",
        "mp4 mkv webm avi flv",
        _420,
        _BOTH,
        holds_aspect=False,
    ),
    "vp8": Codec(
        "-c:v libvpx -cpu-used 8 -b:v 2M -crf 8 -g 10 -auto-alt-ref 1 -lag-in-frames 8",
        "mkv webm avi ogv",
        {8: _420[8]},
        colors=_SDR,
        holds_aspect=False,
    ),
    "mpeg4": Codec(
        "-c:v mpeg4 -q:v 3 -bf 2 -g 10",
        "mp4 mov mkv ts avi",
        {8: _420[8]},
        colors=_SDR,
        holds_fields=True,
    ),
    "mpeg2": Codec(
        "-c:v mpeg2video -q:v 3 -bf 2 -g 10",
        "mp4 mov mkv ts avi mpg",
        {8: _420[8]},
        colors=_SDR,
        holds_fields=True,
        allows_variable_rate=False,
    ),
    "mjpeg": Codec(
        "-c:v mjpeg -q:v 3 -strict -2", "mp4 mov mkv avi", {8: _420[8]}, _BOTH, colors=_SDR
    ),
    "prores": Codec(
        "-c:v prores_ks -profile:v 3",
        "mov mkv",
        {10: "yuv422p10le", 12: "yuv444p12le"},
        holds_aspect=False,
        holds_fields=True,
    ),
    "ffv1": Codec(
        "-c:v ffv1 -level 3 -threads 1",
        "mp4 mov mkv avi",
        _420,
        _BOTH,
        holds_aspect=False,
        holds_fields=True,
    ),
    "theora": Codec("-c:v libtheora -q:v 8 -g 10", "mkv ogv", {8: _420[8]}, colors=_SDR),
}
_WITH_MATRIX = {"mp4", "mov", "mkv", "webm"}
_WITH_ASPECT = {"mp4", "mov", "mkv", "webm"}
_WITHOUT_TIMES = {"avi", "ogv"}  # they count frames
_WITH_DELAY = {"mp4", "mov", "mkv", "ts", "flv", "mpg"}
_WITH_EDIT_LIST = {"mp4", "mov"}


def is_allowed(known: dict[str, str | int]) -> bool:
    """Return whether some properties can be had together; the others are open."""
    codec = CODECS.get(str(known.get("codec")))
    container = known.get("container")
    wants = known.get
    if codec and (
        (container is not None and container not in codec.containers.split())
        or wants("depth", min(codec.formats)) not in codec.formats
        or wants("range", "tv") not in codec.ranges
        or wants("color", "undeclared") not in codec.colors
        or (wants("aspect") == "codec" and not codec.holds_aspect)
        or (wants("scan", "progressive") != "progressive" and not codec.holds_fields)
        or (wants("rate") == "variable" and not codec.allows_variable_rate)
    ):
        return False
    if container is not None and (
        (wants("orientation", "0") != "0" and container not in _WITH_MATRIX)
        or (wants("aspect") == "container" and container not in _WITH_ASPECT)
        or (wants("rate") == "variable" and container in {*_WITHOUT_TIMES, "mpg"})
        or (wants("edit") == "trim" and container not in _WITH_EDIT_LIST)
        or (wants("edit") == "delay" and container not in _WITH_DELAY)
    ):
        return False
    return not (wants("color") in {"pq", "hlg"} and wants("depth") == 8)


@cache
def cover_pairs() -> tuple[Recipe, ...]:
    """Return recipes in which every pair of properties that can be had together is had once.

    Greedy: each recipe starts with the first open pair and takes, property by property, the value
    that closes most pairs.
    """
    open_pairs = {
        pair
        for (first, firsts), (second, seconds) in itertools.combinations(FACTORS.items(), 2)
        for pair in itertools.product(((first, x) for x in firsts), ((second, x) for x in seconds))
        if _complete(dict(pair), frozenset()) is not None
    }
    recipes = []
    while open_pairs:
        start = min(open_pairs, key=_pair_order)
        known = _complete(dict(start), open_pairs)
        assert known is not None, f"{start} was found possible"
        open_pairs -= set(_pairs_of(known))
        recipes.append(Recipe(**known))  # type: ignore[arg-type]
    return tuple(recipes)


def _complete(
    known: dict[str, str | int], open_pairs: Iterable[tuple[tuple[str, str | int], ...]]
) -> dict[str, str | int] | None:
    """Return the properties with all others chosen; None if that is impossible."""
    if not is_allowed(known):
        return None
    missing = [factor for factor in FACTORS if factor not in known]
    if not missing:
        return known
    factor = missing[0]

    def count_closed(value: str | int) -> int:
        return sum(
            pair in open_pairs
            for pair in _pairs_of(known | {factor: value})
            if (factor, value) in pair
        )

    for value in sorted(FACTORS[factor], key=lambda value: -count_closed(value)):
        complete = _complete(known | {factor: value}, open_pairs)
        if complete is not None:
            return complete
    return None


def _pairs_of(known: dict[str, str | int]) -> list[tuple[tuple[str, str | int], ...]]:
    items = [(factor, known[factor]) for factor in FACTORS if factor in known]
    return list(itertools.combinations(items, 2))


def _pair_order(pair: tuple[tuple[str, str | int], ...]) -> tuple[int, ...]:
    names = list(FACTORS)
    return tuple(
        number
        for factor, value in pair
        for number in (names.index(factor), FACTORS[factor].index(value))
    )


def make_video(recipe: Recipe, path: Path) -> Path:
    """Encode a video, then copy it if a property belongs to the container alone.

    Args:
        recipe: its properties.
        path: the file to write.

    Returns:
        `path`.
    """
    needs_copy = (
        replace(recipe, aspect="square").name
        != replace(recipe, aspect="square", orientation="0", edit="none").name
        or recipe.aspect == "container"
    )
    encoded = path.with_name(f"encoded-{path.name}") if needs_copy else path
    _encode(recipe, encoded)
    if needs_copy:
        _copy(recipe, encoded, path)
        encoded.unlink()
    return path


def _encode(recipe: Recipe, path: Path) -> None:
    width, height = recipe.size
    rate = FPS * (1 + recipe.is_interlaced)
    seconds = recipe.frames / FPS
    codec = CODECS[recipe.codec]
    flags = "-flags +ildct+ilme" if recipe.is_interlaced else ""
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r={rate}:d={seconds}"),
        *("-vf", ",".join(_filters(recipe))),
        *f"-fps_mode {'vfr' if recipe.rate == 'variable' else 'cfr'}".split(),
        *f"{codec.options} {flags} -f {FORMATS.get(recipe.container, recipe.container)}".split(),
        path,
    )


def _filters(recipe: Recipe) -> list[str]:
    """Return the filters that give the test picture the properties of decoded frames."""
    matrix, transfer, primaries = COLORS.get(recipe.color, ("", "", ""))
    filters = [
        *([MUTED] if recipe.color in {"bt2020", "pq", "hlg"} else []),
        f"scale=out_range={recipe.range}",
        f"format={CODECS[recipe.codec].formats[recipe.depth]}",
    ]
    if recipe.is_interlaced:
        filters.append(f"tinterlace=interleave_{recipe.scan}")
        filters.append(f"setfield={'tff' if recipe.scan == 'top' else 'bff'}")
    if recipe.rate == "variable":
        filters.append("select=not(eq(mod(n\\,7)\\,3)+between(n\\,5\\,8))")
    if recipe.aspect != "square":
        filters.append("setsar=4/3")
    names = (
        f":colorspace={matrix}:color_trc={transfer}:color_primaries={primaries}" if matrix else ""
    )
    return [*filters, f"setparams=range={recipe.range}{names}"]


def _copy(recipe: Recipe, source: Path, path: Path) -> None:
    angle = int(recipe.orientation.rstrip("m"))
    before = ["-display_rotation", str(angle)] if recipe.orientation != "0" else []
    if recipe.orientation.endswith("m"):
        before.append("-display_hflip")
    if recipe.edit == "trim":
        before += ["-ss", str(TRIM_S)]
    if recipe.edit == "delay":
        before += ["-itsoffset", str(DELAY_S)]
    after = ["-aspect", "16:9"] if recipe.aspect == "container" else []
    container = FORMATS.get(recipe.container, recipe.container)
    run_ffmpeg(*before, "-i", source, "-c", "copy", *after, "-f", container, path)
