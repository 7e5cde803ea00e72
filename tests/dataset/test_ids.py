"""Ids: spellings of one URL give one id, and the split is a pure function of the id."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.dataset import assign_split, identify, normalize_url
from schemas.names import Split

URL = "https://example.com/a.mp4?x=1"


def test_every_form_of_a_youtube_url_is_one_video() -> None:
    for url in (
        "dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3s",
        "http://m.youtube.com/watch?app=m&v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?si=x",
        "https://www.youtube.com/embed/dQw4w9WgXcQ",
        "https://youtube.com/shorts/dQw4w9WgXcQ/",
        "https://www.youtube.com/live/dQw4w9WgXcQ?feature=share",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
    ):
        expected = ("youtube:dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ")
        assert identify(url) == expected, url


def test_spellings_of_a_url_are_one_video() -> None:
    assert identify("HTTPS://Example.COM:443/a.mp4?x=1#t=3") == identify(URL)
    assert identify(URL)[1] == URL


def test_other_paths_and_lookalike_hosts_are_other_videos() -> None:
    urls = [
        URL,
        "https://example.com/A.mp4?x=1",
        "https://example.com/a.mp4?x=2",
        "https://evil.com/watch?v=dQw4w9WgXcQ",
        "https://youtube.com/watch?v=short",
    ]
    ids = [identify(url)[0] for url in urls]
    assert len(set(ids)) == len(urls)
    assert all(name.startswith("url:") and len(name) == 20 for name in ids)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.text(max_size=30) | st.text("htps:/@[]?#.=watchv0", max_size=30))
def test_identification_is_idempotent_for_arbitrary_text(text: str) -> None:
    source_id, url = identify(text)
    assert source_id.startswith(("youtube:", "url:"))
    assert normalize_url(normalize_url(text)) == normalize_url(text)
    assert identify(url) == (source_id, url)


def test_splits_are_a_function_of_the_id_and_about_80_10_10() -> None:
    splits = [assign_split(f"youtube:{number:011d}") for number in range(4000)]
    shares = {split: splits.count(split) / len(splits) for split in Split}
    assert shares[Split.TRAIN] == pytest.approx(0.8, abs=0.03)
    assert shares[Split.VAL] == pytest.approx(0.1, abs=0.02)
    assert shares[Split.TEST] == pytest.approx(0.1, abs=0.02)
    assert assign_split("youtube:dQw4w9WgXcQ") is Split.TRAIN
    assert assign_split("url:0123456789abcdef") is Split.TRAIN
