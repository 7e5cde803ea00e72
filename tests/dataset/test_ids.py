"""Identifiers: normalization, YouTube ids, splits and clip ids."""

import hashlib
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.dataset import assign_split, format_clip_id, hash_source_id, identify, normalize_url
from schemas.names import Split

QUICK = settings(max_examples=50, deadline=None, derandomize=True)
LABELS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
HOSTS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
PATHS = st.lists(st.text(string.ascii_letters + "-_.~%20", max_size=8), max_size=3).map("/".join)
YOUTUBE_IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)


@st.composite
def urls(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from(["http", "https", "HTTP", "Https"]))
    user = draw(st.sampled_from(["", "user@", "User:pass@"]))
    port = draw(st.sampled_from(["", ":80", ":443", ":8080"]))
    query = draw(st.sampled_from(["", "?v=1", "?a=b&c=D"]))
    fragment = draw(st.sampled_from(["", "#top"]))
    return f"{scheme}://{user}{draw(HOSTS)}{port}/{draw(PATHS)}{query}{fragment}"


@QUICK
@given(st.one_of(urls(), st.text(max_size=40)))
def test_normalization_is_idempotent_and_keeps_the_id(url: str) -> None:
    normalized = normalize_url(url)
    assert normalize_url(normalized) == normalized
    if url.strip() == url:
        assert identify(normalized)[0] == identify(url)[0]


@QUICK
@given(urls())
def test_a_fragment_and_the_case_of_scheme_and_host_do_not_matter(url: str) -> None:
    scheme, _, rest = url.partition("://")
    bare = url.partition("#")[0]
    assert normalize_url(f"{scheme.upper()}://{rest}") == normalize_url(bare)
    source_id, identified = identify(url)
    assert identified == normalize_url(url)
    assert source_id == f"url:{hashlib.sha256(identified.encode()).hexdigest()[:16]}"


@pytest.mark.parametrize(
    "rest",
    [
        *("a.b/", "a.b//", "a.b/c?", "a.b/c??", "a.b/c?d?e", "a.b/c;d?e=f;g", "a.b/#", "a.b/c?d#e"),
        *("-/x", "../x", "a.b/../c", "a.b/%23?%3f", "a.b/\"<>|^`{}'", "a.b", "a.b?c", "user@a.b/"),
        *("a.b:80/", "a.b/c:80", "a.b/c@d", "a.b/watch?v=abcdefghijk", "youtu.be/abcdefghijk"),
        *("youtube.com/v/abcdefghijk", "www.youtube.com/watch?v=abcdefghijk", "youtube.com.a/v/x"),
        *(
            "www.youtube.com/watch?v=abcdefghijkl",
            "www.youtube.com/watch?v=abcdefghijk#t",
            "youtu.be",
        ),
    ],
)
def test_the_case_of_the_scheme_decides_nothing(rest: str) -> None:
    assert identify(f"http://{rest}") == identify(f"HTTP://{rest}")
    assert identify(f"https://{rest}") == identify(f"hTTPS://{rest}")


@QUICK
@given(YOUTUBE_IDS)
def test_every_form_of_a_youtube_url_has_one_id(video: str) -> None:
    forms = [
        video,
        f" {video}\n",
        f"https://www.youtube.com/watch?v={video}&t=9",
        f"http://m.youtube.com/watch?list=x&v={video}",
        f"https://youtu.be/{video}?si=x",
        *(f"https://youtube.com/{path}/{video}" for path in ("embed", "shorts", "live", "v")),
    ]
    url = f"https://www.youtube.com/watch?v={video}"
    assert {identify(form) for form in forms} == {(f"youtube:{video}", url)}


@QUICK
@given(st.text(max_size=40))
def test_the_split_follows_the_hash_of_the_id(source_id: str) -> None:
    digest = hashlib.blake2b(source_id.encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    expected = Split.TRAIN if share < 0.8 else Split.VAL if share < 0.9 else Split.TEST
    assert assign_split(source_id) is assign_split(source_id) is expected


def test_ids_never_change() -> None:
    assert assign_split("youtube:dQw4w9WgXcQ") is Split.TRAIN
    assert identify("HTTPS://Example.com:443/A?b#c") == (
        "url:3b5ca9017f9888b4",
        "https://example.com/A?b",
    )
    assert format_clip_id("url:a", 0, 10_000) == "url:a@0-10000"
    assert hash_source_id("url:a") == hashlib.sha256(b"url:a").hexdigest()[:16]
