"""The command `stitch`, which joins the pictures of a two-lens camera to one 360° map."""

import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from argus.cli.console import handle_errors, print_json, print_next, print_note
from argus.cli.options import JsonOption
from argus.cli.progress import ProgressDisplay
from argus.errors import InvalidInput
from argus.files import require_file, require_writable

_PHOTOS = (".insp", ".jpg", ".jpeg")
_NOMINAL = "nominal:"
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="IN [SECOND] OUT",
        help="A recording (.360, .insv, .mp4) or photo (.insp, .jpg); the file of its second "
        "lens, by default found by its name; the 360° video (.mp4) or photo (.jpg) to write",
    ),
]
LensOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The lenses: a lens file (see above), or nominal:200 for ideal lenses of 200 "
        "degrees; not for a GoPro",
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option(metavar="WxH", help="Size in pixels [default: the density of the pictures]"),
]
CrfOption = Annotated[int, typer.Option(min=0, max=51, help="Quality of the video: 0 is the best")]
ShowVideoOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be written, and stop")
]


@handle_errors
def stitch(
    files: FilesArgument,
    *,
    lens: LensOption = None,
    size: SizeOption = None,
    crf: CrfOption = 18,
    dry_run: ShowVideoOption = False,
    as_json: JsonOption = False,
) -> None:
    """Join the pictures of a two-lens camera to one 360° video or photo.

    A recording of a GoPro MAX (.360) is joined as it is. For an Insta360 (.insv, .insp) or any
    other camera with two fisheye lenses, `--lens` describes them. The video is equirectangular,
    marked as 360° for players, and keeps its sound.

    A lens file is JSON with both lenses: the left picture, the first track or the file `_00_`
    first. `{"lenses": [{"fov_deg": 200, "yaw_deg": 180, "pitch_deg": 0, "roll_deg": 0,
    "picture": [2880, 2880], "center": [1439.2, 1441.7], "radius": 1407.5,
    "k": [0.012, -0.003, 0, 0]}, {"fov_deg": 200, "yaw_deg": 0}]}`

    `center` is where the optical axis meets the picture, `radius` how far from it a direction
    fov_deg/2 off the axis is shown, both in pixels of a picture of the size `picture`; `k` are the
    coefficients of OpenCV's fisheye model. Defaults: the middle, half the height, no distortion.
    The angles are those of the optical axis: yaw to the right of forward, pitch upward; roll turns
    the right side down.

    JSON keys: output, camera, width, height, fps, frames, omissions (part, detail and
    track of sound that an mp4 cannot hold); of a photo only output, width and height.

    Example: `argus stitch GS010001.360 walk.mp4`
    """
    source, second, target = _name_files(files)
    is_photo = source.suffix.lower() in _PHOTOS
    _check_files(source, second, target, is_photo=is_photo)
    if is_photo and (lens is None or second):
        raise InvalidInput(
            f"{source} is a photo, which is one file, and needs --lens: "
            "argus stitch IN.insp OUT.jpg --lens FILE"
        )
    if lens is not None and not lens.startswith(_NOMINAL):
        require_file(lens, "lens file")
    map_size = _parse_size(size)
    if dry_run:
        print_note(f"would {'overwrite' if target.exists() else 'write'} {target}")
        facts = _describe(source, second, lens, map_size)
    elif is_photo:
        facts = _stitch_photo(source, target, str(lens), map_size)
    else:
        facts = _stitch_video(source, second, target, lens, map_size, crf)
    facts = {"output": None if dry_run else str(target.absolute()), **facts}
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value and name != "omissions":  # printed as notes
            typer.echo(f"{name}: {value}")
    if not dry_run and not is_photo:
        print_next(f"argus tag {shlex.quote(str(target))}")


def _name_files(files: list[Path]) -> tuple[Path, Path | None, Path]:
    if len(files) not in (2, 3):
        raise InvalidInput(
            f"got {len(files)} files, but must be 2 or 3: argus stitch IN [SECOND] OUT"
        )
    return files[0], files[1] if len(files) == 3 else None, files[-1]


def _check_files(source: Path, second: Path | None, target: Path, *, is_photo: bool) -> None:
    """Raise InvalidInput for files that cannot be used, before anything heavy is imported."""
    inputs = [require_file(source, "recording")]
    inputs += [require_file(second, "second file")] if second else []
    require_writable(target, "output", (".jpg", ".jpeg") if is_photo else (".mp4",))
    for path in inputs:
        if target.exists() and target.samefile(path):
            raise InvalidInput(f"the output {target} is {path} itself; give another name")
    if second and source.samefile(second):
        raise InvalidInput(f"{source} is given twice; give the files of both lenses, or only one")


def _parse_size(size: str | None) -> tuple[int, int] | None:
    """Return (height, width) of WIDTHxHEIGHT."""
    if size is None:
        return None
    match = _SIZE.fullmatch(size)
    if match is None:
        raise InvalidInput(f"--size is {size}, but must be WIDTHxHEIGHT, such as 3840x1920")
    from argus.media import check_map_size

    map_size = int(match[2]), int(match[1])
    check_map_size(map_size)
    return map_size


def _describe(
    source: Path, second: Path | None, lens: str | None, size: tuple[int, int] | None
) -> dict[str, Any]:
    """Return what a recording becomes, without writing; of a photo only its lenses are checked."""
    from argus.media import open_recording, read_lenses

    if source.suffix.lower() in _PHOTOS:
        read_lenses(str(lens))
        return {}
    with open_recording(source, second=second, lens=lens) as reader:
        height, width = size or reader.size
        return {
            "camera": reader.info.camera,
            "width": width,
            "height": height,
            "fps": str(reader.fps),
            "frames": len(reader),
        }


def _stitch_photo(
    source: Path, target: Path, lens: str, size: tuple[int, int] | None
) -> dict[str, Any]:
    from argus.media import stitch_photo

    height, width = stitch_photo(source, target, lens=lens, size=size)
    return {"width": width, "height": height}


def _stitch_video(
    source: Path,
    second: Path | None,
    target: Path,
    lens: str | None,
    size: tuple[int, int] | None,
    crf: int,
) -> dict[str, Any]:
    from argus.media import stitch_video

    with ProgressDisplay(f"stitch {source.name}", transient=True) as display:
        video = stitch_video(
            source,
            target,
            second=second,
            lens=lens,
            size=size,
            crf=crf,
            progress=display.update,
        )
    for omission in video.omissions:
        print_note(f"left out, because an mp4 cannot hold it: {omission}")
    return {
        "camera": video.camera,
        "width": video.width,
        "height": video.height,
        "fps": str(video.fps),
        "frames": video.frames,
        "omissions": [asdict(omission) for omission in video.omissions],
    }
