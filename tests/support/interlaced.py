"""H.264 videos whose fields are coded one by one (PAFF), as camcorders write them.

No free encoder writes such streams, so these hold uncompressed samples (I_PCM macroblocks).
Reference: Rec. ITU-T H.264, 7.3.
"""

from pathlib import Path

import av

_MACROBLOCK = 16
_SPS, _PPS, _IDR, _SLICE = 7, 8, 5, 1
_I_PCM, _I_SLICE = 25, 7
_MAX_FRAME_NUM, _MAX_ORDER = 16, 256
_CHROMA = bytes([128]) * 128


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int) -> None:
        self.text += f"{value:0{count}b}" if count else ""

    def put_exp_golomb(self, *values: int) -> None:
        for value in values:
            code = f"{value + 1:b}"
            self.text += "0" * (len(code) - 1) + code

    def align(self, bit: str = "0") -> bytes:
        self.text += bit * (-len(self.text) % 8)
        return int(self.text, 2).to_bytes(len(self.text) // 8, "big")


def write_field_coded(
    path: Path, levels: list[int], *, size: tuple[int, int] = (32, 32), are_fields: bool = True
) -> Path:
    """Write gray frames of interlaced H.264 at 25 frames per second.

    Args:
        path: the file, of any container.
        levels: luma of each frame.
        size: (height, width), multiples of 32 and 16.
        are_fields: code two fields per frame, with a packet each; False codes whole frames.
    """
    raw = path.with_suffix(".h264")
    raw.write_bytes(_encode(levels, size, are_fields=are_fields))
    with av.open(str(raw), format="h264") as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        step = 1800 if are_fields else 3600
        packets = [packet for packet in source.demux() if packet.size]
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, stream.time_base
            unit = round(step / 90_000 / float(packet.time_base))
            packet.pts = packet.dts = number * unit
            packet.duration = unit
            target.mux(packet)
    raw.unlink()
    return path


def _encode(levels: list[int], size: tuple[int, int], *, are_fields: bool) -> bytes:
    height, width = size
    columns, rows = width // _MACROBLOCK, height // _MACROBLOCK
    units = [_pack(_SPS, _write_sps(columns, rows)), _pack(_PPS, _write_pps())]
    for number, level in enumerate(levels):
        count = columns * rows // (2 if are_fields else 1)
        for bottom in range(2 if are_fields else 1):
            is_idr = number == 0 and bottom == 0
            field = bottom if are_fields else None
            units.append(
                _pack(_IDR if is_idr else _SLICE, _write_slice(number, level, count, field, is_idr))
            )
    return b"".join(units)


def _write_sps(columns: int, rows: int) -> bytes:
    bits = _Bits()
    bits.put(77, 8)  # Main profile
    bits.put(0, 8)
    bits.put(30, 8)
    bits.put_exp_golomb(0, 0, 0, 4, 1)  # id, frame_num 4 bits, order type 0, order 8 bits, 1 ref
    bits.put(0, 1)
    bits.put_exp_golomb(columns - 1, rows // 2 - 1)
    bits.put(0b00, 2)  # frame_mbs_only_flag 0, mb_adaptive_frame_field_flag 0
    bits.put(0b1, 1)  # direct_8x8_inference_flag
    bits.put(0b0, 1)  # no cropping
    bits.put(0b1, 1)  # VUI, for the rate
    bits.put(0b0000, 4)
    bits.put(1, 1)
    bits.put(1, 32)
    bits.put(50, 32)  # fields per second
    bits.put(1, 1)
    bits.put(0b0000, 4)  # no HRD twice, no pic_struct, no restrictions
    bits.put(1, 1)
    return bits.align()


def _write_pps() -> bytes:
    bits = _Bits()
    bits.put_exp_golomb(0, 0)
    bits.put(0b00, 2)
    bits.put_exp_golomb(0, 0, 0)
    bits.put(0b000, 3)
    bits.put_exp_golomb(0, 0, 0)
    bits.put(0b100, 3)  # deblocking is controlled by slices
    bits.put(1, 1)
    return bits.align()


def _write_slice(number: int, level: int, count: int, field: int | None, is_idr: bool) -> bytes:
    bits = _Bits()
    bits.put_exp_golomb(0, _I_SLICE, 0)
    bits.put(number % _MAX_FRAME_NUM, 4)
    bits.put(field is not None, 1)
    if field is not None:
        bits.put(field, 1)
    if is_idr:
        bits.put_exp_golomb(0)
    bits.put((2 * number + (field or 0)) % _MAX_ORDER, 8)
    bits.put(0, 2 if is_idr else 1)  # reference marking
    bits.put_exp_golomb(0, 1)  # slice_qp_delta, no deblocking
    data = b""
    for _ in range(count):
        bits.put_exp_golomb(_I_PCM)
        data += bits.align() + bytes([level]) * 256 + _CHROMA
        bits = _Bits()
    return data + b"\x80"


def _pack(kind: int, payload: bytes) -> bytes:
    """Return a NAL unit with its start code and emulation prevention (7.4.1)."""
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        zeros = zeros + 1 if byte == 0 else 0
        escaped.append(byte)
    return b"\0\0\0\1" + bytes([0x60 | kind]) + bytes(escaped)
