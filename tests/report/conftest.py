"""Fixtures: the data of a report, and pages in a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argus.report import Picture, ReportData, VideoCard, encode_jpeg, encode_png


@pytest.fixture
def picture() -> np.ndarray:
    """Return an ERP picture, uint8 [32, 64, 3], in which every column has its own color."""
    columns = np.arange(64, dtype=np.uint8)
    return np.broadcast_to(
        np.stack([columns * 4, 255 - columns * 4, columns * 0 + 90], axis=-1), (32, 64, 3)
    ).copy()


@pytest.fixture
def data(picture: np.ndarray) -> ReportData:
    return ReportData(
        title="A run",
        subtitle="of the tests",
        summary={"videos": "4", "kept": "1"},
        model={"version": "3", "alias": "champion"},
        metrics={"model": {"psnr_all": 14.5, "psnr_seen": 20.25}, "fill": {"psnr_all": 15.5}},
        results=(Picture(encode_png(picture), "input | generated | truth"),),
        samples=(Picture(encode_jpeg(picture), "step 100"),),
        train_loss=((0, 2.0), (1, 1.5), (2, 1.2)),
        validation_loss=((0, 2.1), (2, 1.3)),
        videos=(
            VideoCard(
                "url:01",
                "https://example.org/kept.mp4",
                "kept",
                thumbnail=encode_jpeg(picture),
                layout="mono_erp",
                split="train",
                clips=2,
            ),
            VideoCard(
                "url:02",
                "https://example.org/stereo.mp4",
                "dropped",
                "stereo",
                "halves are alike",
                encode_jpeg(picture),
            ),
            VideoCard("url:03", "https://example.org/flat.mp4", "dropped", "not_360"),
            VideoCard("url:04", "https://example.org/gone.mp4", "failed", "not_found", "404"),
        ),
        provenance={"snapshot": "000002", "digest": "ab12" * 16},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Yield headless Chromium, without network access of its own."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not program:
        pytest.skip("needs a Chromium: apt-get install chromium")
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-component-update",
        "--disable-sync",
    ]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=program, args=[*quiet, "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Yield a function that opens a file as a page. An error on the page fails the test."""
    pages: list[Any] = []
    errors: list[str] = []

    def open_file(path: Path, **options: Any) -> Any:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_file
    for page in pages:
        page.close()
    assert errors == []
