"""The report of a demo run."""

import base64
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.report import Picture, ReportData, VideoCard, encode_png, render_report, write_report

HOSTILE = "\"><script>alert('x')</script>&<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """Parsed HTML: elements with their attributes, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_shows_all_data_of_the_report(data: ReportData) -> None:
    page = Page(render_report(data))
    text = page.text
    for words in (
        "A run",
        "champion",
        "14.50",
        "20.25",
        "step 100",
        "stereo",
        "halves are alike",
        "not 360",
        "404",
        "2 clips",
        "000002",
        "ab12" * 16,
    ):
        assert words in text
    assert "https://example.org/stereo.mp4" in text
    assert page.all("article")[0]["data-reason"] == "kept"
    assert len(page.all("article")) == 4


def test_the_page_refers_to_no_other_file(data: ReportData) -> None:
    page = Page(render_report(data))
    sources = [
        attributes[name]
        for _, attributes in page.elements
        for name in ("src", "srcset", "href", "action", "poster")
        if name in attributes
    ]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not page.all("link")
    assert not page.all("iframe")
    assert "@import" not in render_report(data)
    assert not re.search(r"url\(", render_report(data))


def test_pictures_are_embedded_unchanged(data: ReportData) -> None:
    sources = [attributes["src"] for attributes in Page(render_report(data)).all("img")]
    content = data.results[0].image
    assert isinstance(content, bytes)
    assert f"data:image/png;base64,{base64.b64encode(content).decode()}" in sources


@pytest.mark.parametrize(
    "place",
    ["title", "url", "reason", "detail", "source_id", "caption", "summary", "provenance", "method"],
)
def test_text_of_strangers_is_escaped(place: str, data: ReportData) -> None:
    usual = Page(render_report(data))
    kept, dropped, *others = data.videos
    hostile = {
        "title": lambda: replace(data, title=HOSTILE),
        "url": lambda: replace(data, videos=(kept, replace(dropped, url=HOSTILE), *others)),
        "reason": lambda: replace(data, videos=(kept, replace(dropped, reason=HOSTILE), *others)),
        "detail": lambda: replace(data, videos=(kept, replace(dropped, detail=HOSTILE), *others)),
        "source_id": lambda: replace(
            data, videos=(replace(kept, source_id=HOSTILE), dropped, *others)
        ),
        "caption": lambda: replace(data, samples=(replace(data.samples[0], caption=HOSTILE),)),
        "summary": lambda: replace(data, summary={HOSTILE: HOSTILE, "kept": "1"}),
        "provenance": lambda: replace(data, provenance={"snapshot": HOSTILE, "digest": "x"}),
        "method": lambda: replace(
            data, metrics={HOSTILE: {"psnr_all": 1.0, "psnr_seen": 2.0}, "fill": {"psnr_all": 1.5}}
        ),
    }[place]()
    page = Page(render_report(hostile))
    assert HOSTILE in " ".join(page.words)
    assert sorted(tag for tag, _ in page.elements) == sorted(tag for tag, _ in usual.elements), (
        "the text creates no element"
    )
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_the_best_value_of_each_metric_is_marked(data: ReportData) -> None:
    html = render_report(data)
    assert re.findall(r'<td class="best">([\d.]+)</td>', html) == ["20.25", "15.50"]
    assert "–" in html, "a missing value is a dash"


def test_empty_parts_are_left_out() -> None:
    page = Page(render_report(ReportData(title="Nothing yet")))
    assert page.text.startswith("Nothing yet")
    assert not page.all("img")
    assert not page.all("h2")


def test_dropped_videos_can_be_filtered_by_reason(data: ReportData) -> None:
    page = Page(render_report(data))
    assert [attributes["data-reason"] for attributes in page.all("button")] == [
        "",
        "not_360",
        "not_found",
        "stereo",
    ]
    assert [attributes["data-reason"] for attributes in page.all("article")] == [
        "kept",
        "not_360",
        "not_found",
        "stereo",
    ]


def test_a_picture_may_be_a_file(tmp_path: Path, picture: np.ndarray, data: ReportData) -> None:
    file = tmp_path / "thumbnail.png"
    file.write_bytes(encode_png(picture))
    report = tmp_path / "made" / "report.html"
    write_report(report, replace(data, samples=(Picture(file),)))
    file.unlink()
    assert base64.b64encode(encode_png(picture)).decode() in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("image", [Path("absent.png"), b"<svg onload='alert(1)'/>", b""])
def test_a_bad_picture_is_an_error_and_nothing_is_written(
    tmp_path: Path, image: Path | bytes
) -> None:
    report = tmp_path / "report.html"
    video = VideoCard("url:01", "https://example.org", "kept", thumbnail=image)
    with pytest.raises(InvalidInput):
        write_report(report, ReportData(title="A run", videos=(video,)))
    assert list(tmp_path.iterdir()) == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"numpy", "PIL", "matplotlib", "jinja2", "torch", "cv2", "pyarrow"}
    code = f"import sys, argus.report\nassert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
