"""Notes for a person on how frames were changed or chosen when a video was read."""

from argus.media.info import MediaInfo

_HDR_NAMES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


def describe_reading(info: MediaInfo) -> tuple[str, ...]:
    """Return what differs between the frames as they are read and as they are stored, as clauses.

    Rotation, mirroring and pixel aspect are left out: every player applies them.

    Args:
        info: the properties of the video.
    """
    notes = {
        f"the frames of a {info.camera} are joined to one map": info.camera,
        f"video track {info.video_track} of {_count_video_tracks(info)} is read "
        f"({info.track_choice})": info.track_choice,
        "the frame rate varies, so frames are chosen by time": info.is_variable_rate,
        "interlaced fields are made into whole frames": info.is_interlaced,
        f"HDR ({_HDR_NAMES.get(info.color.transfer)}) is converted to SDR": info.color.is_hdr,
    }
    return tuple(note for note, is_true in notes.items() if is_true)


def _count_video_tracks(info: MediaInfo) -> int:
    return sum(track.kind == "video" for track in info.tracks)
