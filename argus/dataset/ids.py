"""Stable identifiers: the id of a video, the id of a clip, and the split of a video."""

import hashlib
import re
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

from schemas.names import Split

YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_SHORT_HOST = "youtu.be"
_YOUTUBE_HOSTS = frozenset(
    {
        "youtube.com",
        "www.youtube.com",
        "m.youtube.com",
        "music.youtube.com",
        "www.youtube-nocookie.com",
        "youtube-nocookie.com",
    }
)
_YOUTUBE_PATHS = frozenset({"embed", "shorts", "live", "v"})
_WATCH_PAGE = "https://www.youtube.com/watch?v="
_NORMALIZED = re.compile(r"https?://([a-z0-9.-]+)/[!-\"$->@-~]*(?:\?[!-\"$-~]+)?")
"""Most URLs: nothing is to be normalized, so that a catalogue of millions is read in seconds."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TRAIN_END, _VAL_END = 0.8, 0.9  # shares of the hash range; the rest is test


def identify(text: str) -> tuple[str, str]:
    """Return the id and the normalized URL of a video.

    Args:
        text: A URL or a bare YouTube id; surrounding white space is ignored.

    Returns:
        `(source_id, url)`. `source_id` is `youtube:ID`, or `url:` and the first 16 hexadecimal
        digits of the SHA-256 of the normalized URL.
    """
    text = text.strip()
    if youtube := _find_youtube_id(text):
        return f"youtube:{youtube}", f"{_WATCH_PAGE}{youtube}"
    url = normalize_url(text)
    return f"url:{hashlib.sha256(url.encode()).hexdigest()[:16]}", url


def normalize_url(url: str) -> str:
    """Return the URL with a lower-case scheme and host, without a default port and fragment.

    Text that is not an http or https URL is returned unchanged.
    """
    plain = _NORMALIZED.fullmatch(url)
    return url if plain else _normalize(_parse_url(url)) or url


def assign_split(source_id: str) -> Split:
    """Return the split of a video whose catalogue sets none: 80% train, 10% val, 10% test.

    The split is a pure function of the id (BLAKE2b), so it never changes between refreshes.
    """
    digest = hashlib.blake2b(source_id.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    if share < _TRAIN_END:
        return Split.TRAIN
    return Split.VAL if share < _VAL_END else Split.TEST


def format_clip_id(source_id: str, start_ms: int, end_ms: int) -> str:
    """Return `source_id@start_ms-end_ms`."""
    return f"{source_id}@{start_ms}-{end_ms}"


def hash_source_id(source_id: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of an id, safe as a file name."""
    return hashlib.sha256(source_id.encode()).hexdigest()[:16]


def _normalize(parts: SplitResult | None) -> str:
    """Return the normalized URL; empty if it is not an http or https URL."""
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not (hostname := parts.hostname):
        return ""
    host = f"[{hostname}]" if ":" in hostname else hostname
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    number = parts.port
    port = f":{number}" if number not in (None, _DEFAULT_PORTS[parts.scheme]) else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path or "/", parts.query, ""))


def _parse_url(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for a port that is not a number
    except ValueError:
        return None
    return parts


def _find_youtube_id(text: str) -> str | None:
    """Return the YouTube id that a text is or whose page it names; None if it is another URL."""
    found = text.removeprefix(_WATCH_PAGE)
    if YOUTUBE_ID.fullmatch(found):
        return found
    plain = _NORMALIZED.fullmatch(text)
    is_other = plain and plain[1] not in _YOUTUBE_HOSTS and plain[1] != _SHORT_HOST
    return None if is_other else _parse_youtube_id(_parse_url(text))


def _parse_youtube_id(parts: SplitResult | None) -> str | None:
    if parts is None or parts.scheme not in _DEFAULT_PORTS:
        return None
    names = parts.path.strip("/").split("/")
    found, host = "", parts.hostname
    if host == _SHORT_HOST:
        found = names[0]
    elif host in _YOUTUBE_HOSTS:
        if len(names) > 1 and names[0] in _YOUTUBE_PATHS:
            found = names[1]
        elif names == ["watch"]:
            found = parse_qs(parts.query).get("v", [""])[0]
    return found if YOUTUBE_ID.fullmatch(found) else None
