"""Photos of two-lens cameras: a JPEG with two fisheye pictures becomes an ERP map."""

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from argus.errors import InvalidInput
from argus.files import replace_atomically, require_file
from argus.media.cameras.lens_file import Lenses, read_lenses
from argus.sphere import fisheye_to_erp

_QUALITY = 95  # of the JPEG, with full color resolution
_START, _APP1 = b"\xff\xd8", 0xE1
_LAST_HEADER = 0xDA  # start of scan
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_GPANO = (  # developers.google.com/streetview/spherical-metadata
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" '
    'GPano:ProjectionType="equirectangular" GPano:UsePanoramaViewer="True" '
    'GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}" '
    'GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}" '
    'GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def stitch_photo(
    source: Path | str,
    target: Path | str,
    *,
    lens: Path | str | Lenses,
    size: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Write the 360° photo of a JPEG with the pictures of two lenses side by side (`.insp`).

    The result is a JPEG with the metadata by which viewers know an equirectangular map (GPano in
    XMP), and with the photo's Exif: date, place, exposure.

    Args:
        source: the photo.
        target: the JPEG to write.
        lens: the lenses, as of `open_video`.
        size: (height, width) of the result; None for the density of the pictures.

    Returns:
        (height, width) of the result.

    Raises:
        InvalidInput: the photo is damaged or not twice as wide as high, or the lenses are invalid.
    """
    source, target = Path(source), Path(target)
    lenses = read_lenses(lens) if isinstance(lens, Path | str) else lens
    data = require_file(source, "photo").read_bytes()
    photo = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if photo is None or not data.startswith(_START):
        raise InvalidInput(f"{source} is damaged or not a JPEG photo; copy it again")
    height, width = photo.shape[:2]
    if width != 2 * height:
        raise InvalidInput(
            f"{source} is {width}x{height}, but a photo with the pictures of two lenses side by "
            "side is twice as wide as high; give the photo as the camera wrote it"
        )
    size = size or (height, width)
    erp = fisheye_to_erp(photo[None], lenses, size)[0]
    with replace_atomically(target) as partial:
        partial.write_bytes(_pack_jpeg(erp, data))
    return size


def _pack_jpeg(erp: np.ndarray, original: bytes) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(".jpg", erp, options)
    exif = next((part for part in _iter_app1(original) if part.startswith(_EXIF)), b"")
    xmp = _XMP + _GPANO.format(width=erp.shape[1], height=erp.shape[0]).encode()
    segments = b"".join(
        struct.pack(">BBH", 0xFF, _APP1, 2 + len(part)) + part for part in (exif, xmp) if part
    )
    return _START + segments + encoded.tobytes()[len(_START) :]


def _iter_app1(data: bytes) -> Iterator[bytes]:
    """Yield the payloads of a JPEG's APP1 segments."""
    position = len(_START)
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = struct.unpack_from(">BH", data, position + 1)
        if marker == _LAST_HEADER:
            return
        if marker == _APP1:
            yield data[position + 4 : position + 2 + length]
        position += 2 + length
