"""Conversion of HDR and wide-gamut pictures to SDR in BT.709, as FFmpeg's zscale filter does it.

Numbers of matrices, transfer functions and primaries are those of Rec. ITU-T H.273 and FFmpeg.
"""

import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.media.info import UNDECLARED_COLOR

Array = NDArray[np.float64]

_PQ, _HLG, _SRGB = 16, 18, 13
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}  # of other SDR transfer functions
_BT1886 = 2.4
_REFERENCE_WHITE = 203.0  # cd/m², Rec. ITU-R BT.2408
_PQ_PEAK, _HLG_PEAK = 10000.0, 1000.0  # cd/m²
_HLG_SYSTEM_GAMMA = 1.2

# K_R and K_B
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
CONVERTIBLE_MATRICES = frozenset(_LUMA_WEIGHTS)
_BT709, _BT2020 = 1, 9  # both matrices and primaries
_BT601 = 6
_P3_DCI, _P3_D65 = 11, 12
_D65 = (0.3127, 0.3290)
# x and y of red, green and blue; all have the white of D65
_CHROMATICITIES = {
    _BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    _BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _P3_D65: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}

_RPU_PROFILE = 4  # offset of vdr_rpu_profile in FFmpeg's AVDOVIRpuDataHeader
_DEEP_YUV, _DEEP_RGB = "yuv444p16le", "gbrp16le"
_PLANAR_RGB = {"gbrp9le", "gbrp10le", "gbrp12le", "gbrp14le", "gbrp16le"}
_FULL_RANGE = 2
# codes of 16 bits: black, and from black to white and between the ends of chroma
_LIMITED_RANGE = (16 * 256, 219 * 256, 224 * 256)
_NO_CHROMA = 128 * 256
_CODES = 65535  # largest 16-bit code
_PIXELS_AT_ONCE = 1 << 15  # stay in the cache
_UNIT = 52428  # code of 1.0; the headroom keeps values above nominal white


class Encoding(NamedTuple):
    """Encoding of colors in the samples of a frame.

    Attributes:
        matrix: one of CONVERTIBLE_MATRICES; 0 for RGB.
        is_full_range: True for 0 .. 255, False for 16 .. 235 and formats that swscale converts
            to that (yuvj).
        transfer: transfer function.
        primaries: BT.709 stands for all that are not converted.
        bits: of a sample of the frame.
        sample_format: FFmpeg's format in which ColorConverter takes the samples.
    """

    matrix: int
    is_full_range: bool
    transfer: int
    primaries: int
    bits: int
    sample_format: str

    @property
    def is_hdr(self) -> bool:
        """True for PQ and HLG."""
        return self.transfer in {_PQ, _HLG}

    @property
    def is_bt709_sdr(self) -> bool:
        """True if the matrix suffices to make RGB."""
        return not self.is_hdr and self.primaries == _BT709


def read_encoding(frame: Any) -> Encoding:
    """Return the encoding that a decoded frame declares, without gaps.

    Undeclared primaries are BT.2020 in HDR, else BT.709. DCI-P3 counts as Display P3, so that white
    stays white. An undeclared or unknown matrix is BT.2020 in HDR or with the primaries of BT.2020,
    else BT.709 for frames at least 1280 wide or more than 576 high, as in most players, else
    BT.601. An undeclared range is 16 .. 235.
    """
    transfer, primaries = frame.color_trc, frame.color_primaries
    is_hdr = transfer in {_PQ, _HLG}
    if is_hdr and primaries == UNDECLARED_COLOR:
        primaries = _BT2020
    elif primaries == _P3_DCI:
        primaries = _P3_D65
    elif primaries not in _CHROMATICITIES:
        primaries = _BT709
    if frame.format.is_rgb or frame.format.has_palette:
        matrix = 0
    elif frame.colorspace in CONVERTIBLE_MATRICES:
        matrix = frame.colorspace
    elif is_hdr or primaries == _BT2020:
        matrix = _BT2020
    else:
        matrix = _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601
    name, bits = frame.format.name, frame.format.components[0].bits
    # swscale shifts luma and chroma to 16 bits, and passes planar RGB of the same size as it is
    sample_format = _DEEP_YUV
    if matrix == 0:
        sample_format, bits = (name, bits) if name in _PLANAR_RGB else (_DEEP_RGB, 16)
    is_full_range = frame.color_range == _FULL_RANGE and not name.startswith("yuvj")
    return Encoding(matrix, is_full_range, transfer, primaries, bits, sample_format)


def is_dolby_vision_5(frame: Any) -> bool:
    """Return whether a decoded frame is of Dolby Vision profile 5.

    Its samples (IPT with PQ) become colors by a process that FFmpeg does not have. Frames of other
    profiles can be shown as what they are without Dolby Vision.
    """
    metadata = bytes(frame.side_data.get("DOVI_METADATA") or b"")
    if not metadata:
        return False
    header = int.from_bytes(metadata[: struct.calcsize("N")], sys.byteorder)
    return metadata[header + _RPU_PROFILE] == 0


@lru_cache(maxsize=8)
class ColorConverter:
    """Converter of samples to SDR in BT.709.

    The light of the picture is scaled such that the reference white of HDR becomes white; what is
    brighter, or outside the primaries of BT.709, is clipped. SDR keeps its transfer function.

    Args:
        encoding: of the samples.
    """

    def __init__(self, encoding: Encoding) -> None:
        decode, encode = _get_transfer(encoding.transfer)
        light = decode(np.arange(_CODES + 1) / _UNIT)
        self._light = light.astype(np.float32)
        self._light_steps = np.diff(light, append=light[-1]).astype(np.float32)
        root = np.arange(_CODES + 1) / _CODES  # of light, which keeps shadows apart
        self._to_output = np.clip(np.rint(255 * encode(root**2)), 0, 255).astype(np.uint8)
        self._to_codes = _build_matrix_to_rgb(encoding)
        to_xyz = _build_matrix_to_xyz(encoding.primaries)
        self._to_bt709 = np.linalg.inv(_build_matrix_to_xyz(_BT709)) @ to_xyz * _CODES**2
        self._luminance = to_xyz[1:2] if encoding.transfer == _HLG else None

    def convert(self, samples: NDArray[np.uint16], output: NDArray[np.uint8]) -> None:
        """Convert a picture.

        Args:
            samples: [height, width, 3], luma and chroma or RGB.
            output: uint8 RGB [height, width, 3]; filled.
        """
        step = max(1, _PIXELS_AT_ONCE // samples.shape[1])
        for start in range(0, len(samples), step):
            rows = slice(start, start + step)
            self._convert_rows(samples[rows], output[rows])

    def _convert_rows(self, samples: NDArray[np.uint16], output: NDArray[np.uint8]) -> None:
        light = self._decode(cv2.transform(samples.astype(np.float32), self._to_codes))
        linear = cv2.transform(light, self._to_bt709)
        if self._luminance is not None:
            gain = cv2.pow(cv2.transform(light, self._luminance), _HLG_SYSTEM_GAMMA - 1)
            linear = cv2.multiply(linear, cv2.merge([gain] * 3))
        root = cv2.sqrt(cv2.max(linear, 0))
        cv2.LUT(np.minimum(root, _CODES).astype(np.uint16), self._to_output, output)

    def _decode(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Look light up, interpolated: beside clipped highlights, dark channels are differences."""
        codes = np.clip(codes, 0, _CODES)
        index = codes.astype(np.uint16)
        return cv2.LUT(index, self._light) + (codes - index) * cv2.LUT(index, self._light_steps)


def _get_transfer(number: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return the functions from signal to light, where 1 is white, and back.

    HDR goes back as SDR in BT.1886. Light of HLG is scene light, still without system gamma.
    """
    if number == _SRGB:
        return _decode_srgb, _encode_srgb
    gamma = _GAMMAS.get(number, _BT1886)
    decode = {_PQ: _decode_pq, _HLG: _decode_hlg}.get(number, lambda signal: signal**gamma)
    return decode, lambda light: light ** (1 / gamma)


def _decode_pq(signal: Array) -> Array:
    """Apply the EOTF of SMPTE ST 2084; 1 is the reference white."""
    root = np.minimum(signal, 1) ** (1 / 78.84375)
    ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return ratio ** (1 / 0.1593017578125) * (_PQ_PEAK / _REFERENCE_WHITE)


def _decode_hlg(signal: Array) -> Array:
    """Apply the inverse OETF of ARIB STD-B67, such that system gamma leads to reference white."""
    low = signal**2 / 3
    high = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    scale = (_HLG_PEAK / _REFERENCE_WHITE) ** (1 / _HLG_SYSTEM_GAMMA)
    return np.where(signal <= 0.5, low, high) * scale


def _decode_srgb(signal: Array) -> Array:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _encode_srgb(light: Array) -> Array:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _build_matrix_to_rgb(encoding: Encoding) -> Array:
    """Build the matrix [3, 4] from samples to codes of R'G'B'."""
    white = (1 << encoding.bits) - 1
    if encoding.matrix == 0:
        return np.hstack([np.eye(3) * (_UNIT / white), np.zeros((3, 1))])
    white <<= 16 - encoding.bits
    k_red, k_blue = _LUMA_WEIGHTS[encoding.matrix]
    red, blue = 2 * (1 - k_red), 2 * (1 - k_blue)
    k_green = 1 - k_red - k_blue
    matrix = np.array(
        [[1, 0, red], [1, -blue * k_blue / k_green, -red * k_red / k_green], [1, blue, 0]]
    )
    low, luma, chroma = (0, white, white) if encoding.is_full_range else _LIMITED_RANGE
    matrix *= _UNIT / np.array([luma, chroma, chroma])
    return np.hstack([matrix, -(matrix @ [low, _NO_CHROMA, _NO_CHROMA])[:, None]])


def _build_matrix_to_xyz(primaries: int) -> Array:
    """Build the matrix [3, 3] from linear RGB to CIE XYZ."""
    corners = (*_CHROMATICITIES[primaries], _D65)
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in corners]).T
    colors, white = columns[:, :3], columns[:, 3]
    matrix: Array = colors * np.linalg.solve(colors, white)
    return matrix
