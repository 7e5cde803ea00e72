"""Pictures for people: labelled strips, contact sheets, the seam. Arrays are uint8 [H,W,3] RGB."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_GAP = 6
_LABEL = 28
_PAPER = (38, 42, 48)
_INK = (226, 230, 235)


def strip(panels: "Mapping[str, Pixels]", *, height: int = 192) -> "Pixels":
    """Panels side by side, such as input | generated | truth, each scaled to `height` pixels with its name above. uint8 [height+28, W, 3]."""
    return contact_sheet(
        list(panels.values()), list(panels), columns=max(1, len(panels)), height=height
    )


def contact_sheet(
    pictures: "Sequence[Pixels]", labels: Sequence[str] = (), *, columns: int = 4, height: int = 128
) -> "Pixels":
    """Pictures in rows of `columns`, each scaled to `height` with its label above.

    Raises ValueError without pictures, or when labels are not one each.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    if not pictures or columns < 1:
        raise ValueError(
            f"a sheet needs at least one picture and one column; got {len(pictures)} and {columns}"
        )
    if labels and len(labels) != len(pictures):
        raise ValueError(
            f"got {len(labels)} labels for {len(pictures)} pictures; give one each, or none"
        )
    tiles = [_scaled(picture, height) for picture in pictures]
    head = _LABEL if labels else 0
    widths = [
        max(tile.width for tile in tiles[column::columns])
        for column in range(min(columns, len(tiles)))
    ]
    lefts = [sum(widths[:column]) + column * _GAP for column in range(len(widths))]
    down = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (lefts[-1] + widths[-1], down * (height + head + _GAP) - _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    for k, tile in enumerate(tiles):
        x, y = lefts[k % columns], (k // columns) * (height + head + _GAP)
        sheet.paste(tile, (x, y + head))
        if labels:
            draw.text(
                (x + 5, y + 3),
                _clipped(labels[k], widths[k % columns] - 6, font.getlength),
                fill=_INK,
                font=font,
            )
    return np.asarray(sheet)


def seam_view(erp: "Pixels", *, share: float = 0.5) -> "Pixels":
    """The map's right end joined to its left: what lies behind, with the seam in the middle. uint8 [H, about share·W, 3], 0 < share ≤ 1."""
    import numpy as np

    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, but must be in (0, 1]")
    width = erp.shape[1]
    side = max(1, round(width * share / 2))
    return np.roll(erp, width // 2, axis=1)[:, max(0, width // 2 - side) : width // 2 + side]


def first_picture(sheet: bytes) -> bytes:
    """The video's own picture, 256×128, cut out of its contact sheet (`argus.curate.thumbnails`) as a JPEG. Raises OSError."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(sheet)) as image:
        image.crop((0, 0, 256, 128)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def encode_png(picture: "Pixels") -> bytes:
    """A PNG file of a picture."""
    return _encoded(picture, "PNG")


def encode_jpeg(picture: "Pixels", *, quality: int = 88) -> bytes:
    """A JPEG file of a picture."""
    return _encoded(picture, "JPEG", quality=quality)


def _encoded(picture: "Pixels", file_format: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, file_format, **options)
    return buffer.getvalue()


def _scaled(picture: "Pixels", height: int):  # type: ignore[no-untyped-def]
    from PIL import Image

    image = Image.fromarray(picture)
    size = (max(1, round(image.width * height / image.height)), height)
    return image.resize(
        size, Image.Resampling.BICUBIC if height > image.height else Image.Resampling.BOX
    )


def _clipped(text: str, width: int, length) -> str:  # type: ignore[no-untyped-def]
    if length(text) <= width:
        return text
    while text and length(text + "…") > width:
        text = text[:-1]
    return text + "…"
