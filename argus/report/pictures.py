"""Pictures for reports: labeled strips, contact sheets and the seam. Arrays are uint8 [H, W, 3].

numpy and Pillow are imported when a picture is made.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels = NDArray[np.uint8]

_GAP = 6
_LABEL_HEIGHT = 28
_LABEL_FONT_SIZE = 18
_BACKGROUND = (38, 42, 48)
_TEXT_COLOR = (226, 230, 235)
_THUMBNAIL_BOX = (0, 0, 256, 128)  # the video's picture in a sheet of `argus.curate.thumbnails`


def make_strip(panels: "Mapping[str, Pixels]", *, height: int = 192) -> "Pixels":
    """Return panels side by side, each with its name above it.

    Args:
        panels: Pictures by name, such as input, generated and truth.
        height: Height to which each panel is scaled, in pixels.

    Returns:
        uint8 [height + 28, W, 3].
    """
    return make_contact_sheet(
        list(panels.values()), list(panels), columns=max(1, len(panels)), height=height
    )


def make_contact_sheet(
    pictures: "Sequence[Pixels]", labels: Sequence[str] = (), *, columns: int = 4, height: int = 128
) -> "Pixels":
    """Return pictures in rows, each with its label above it.

    Args:
        pictures: The pictures, row by row.
        labels: One per picture, or none.
        columns: Pictures per row.
        height: Height to which each picture is scaled, in pixels.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: There are no pictures or columns, or the number of labels differs.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    if not pictures or columns < 1:
        raise ValueError(
            f"a contact sheet needs at least one picture and one column; "
            f"got {len(pictures)} and {columns}"
        )
    if labels and len(labels) != len(pictures):
        raise ValueError(
            f"got {len(labels)} labels for {len(pictures)} pictures; give one per picture, or none"
        )
    tiles = [_scale(picture, height) for picture in pictures]
    head = _LABEL_HEIGHT if labels else 0
    widths = [
        max(tile.width for tile in tiles[column::columns])
        for column in range(min(columns, len(tiles)))
    ]
    lefts = [sum(widths[:column]) + column * _GAP for column in range(len(widths))]
    row_height = height + head + _GAP
    rows = -(-len(tiles) // columns)
    size = (lefts[-1] + widths[-1], rows * row_height - _GAP)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=_LABEL_FONT_SIZE)
    for k, tile in enumerate(tiles):
        x, y = lefts[k % columns], (k // columns) * row_height
        sheet.paste(tile, (x, y + head))
        if labels:
            text = _shorten(labels[k], widths[k % columns] - 6, font.getlength)
            draw.text((x + 5, y + 3), text, fill=_TEXT_COLOR, font=font)
    return np.asarray(sheet)


def crop_seam(erp: "Pixels", *, share: float = 0.5) -> "Pixels":
    """Return the part of an ERP around its seam: the right end joined to the left end.

    Args:
        erp: uint8 [H, W, 3].
        share: Width of the result as a share of W, in (0, 1].

    Returns:
        uint8 [H, about share·W, 3], with the seam in the middle.

    Raises:
        ValueError: The share is out of range.
    """
    import numpy as np

    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; it must be in (0, 1]")
    width = erp.shape[1]
    half = max(1, round(width * share / 2))
    return np.roll(erp, width // 2, axis=1)[:, max(0, width // 2 - half) : width // 2 + half]


def crop_thumbnail(sheet: bytes) -> bytes:
    """Return the video's picture of a stored contact sheet (`argus.curate.thumbnails`).

    Args:
        sheet: The encoded contact sheet.

    Returns:
        A JPEG of 256×128 pixels.

    Raises:
        OSError: The sheet cannot be decoded.
    """
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(sheet)) as image:
        image.crop(_THUMBNAIL_BOX).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def encode_png(picture: "Pixels") -> bytes:
    """Return a picture as a PNG file."""
    return _encode(picture, "PNG")


def encode_jpeg(picture: "Pixels", *, quality: int = 88) -> bytes:
    """Return a picture as a JPEG file."""
    return _encode(picture, "JPEG", quality=quality)


def _encode(picture: "Pixels", file_format: str, **options: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, file_format, **options)
    return buffer.getvalue()


def _scale(picture: "Pixels", height: int) -> "Image.Image":
    from PIL import Image

    image = Image.fromarray(picture)
    size = (max(1, round(image.width * height / image.height)), height)
    method = Image.Resampling.BICUBIC if height > image.height else Image.Resampling.BOX
    return image.resize(size, method)


def _shorten(text: str, width: int, measure: Callable[[str], float]) -> str:
    """Return the text, cut with an ellipsis to a width in pixels."""
    if measure(text) <= width:
        return text
    while text and measure(text + "…") > width:
        text = text[:-1]
    return text + "…"
