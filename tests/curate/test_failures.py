"""Failures that depend on settings: what is stored of these, and which changes help."""

import json
from pathlib import Path
from typing import Any

import pytest

from argus.curate import AccessSettings
from schemas.config import FetchSettings
from schemas.names import Reason

URL = "https://videos.example/a.mp4"
COOKIE = "{}\tTRUE\t/\tTRUE\t0\tsession\t{}\n"


def access(folder: Path, cookies: str = "", proxies: str = "", **fetch: Any) -> AccessSettings:
    for name, text in {"cookies_file": cookies, "proxies_file": proxies}.items():
        if text:
            path = folder / name
            path.write_text(text)
            path.chmod(0o600)
            fetch[name] = str(path)
    return AccessSettings.read(FetchSettings(**fetch))


MINE, YOURS = COOKIE.format(".videos.example", "mine1"), COOKIE.format(".videos.example", "yours")
OTHER_SITE = COOKIE.format(".other.example", "mine2")
PROXY, OTHER_PROXY = "http://me:hunter2@p.example:80\n", "http://me:public@p.example:80\n"


@pytest.mark.parametrize(
    ("reason", "then", "now", "helps"),
    [
        (Reason.FORBIDDEN_HOST, {}, {"allow_private_hosts": True}, True),
        (Reason.FORBIDDEN_HOST, {"allow_private_hosts": True}, {}, False),
        (
            Reason.FORBIDDEN_HOST,
            {"allow_private_hosts": True},
            {"allow_private_hosts": True},
            False,
        ),
        (Reason.FORBIDDEN_HOST, {"proxies": PROXY}, {}, True),
        (Reason.TOO_LONG, {"max_duration_s": 10}, {"max_duration_s": 20}, True),
        (Reason.TOO_LONG, {"max_duration_s": 20}, {"max_duration_s": 10}, False),
        (Reason.TOO_LONG, {"max_duration_s": 20}, {"max_duration_s": 20}, False),
        (Reason.TOO_LARGE, {"max_bytes": 10}, {"max_bytes": 11}, True),
        (Reason.TOO_LARGE, {"max_bytes": 10}, {"max_bytes": 9}, False),
        (Reason.PRIVATE, {}, {"cookies": MINE}, True),
        (Reason.PRIVATE, {"cookies": MINE}, {"cookies": YOURS}, True),
        (Reason.PRIVATE, {"cookies": MINE}, {"cookies": "# again\n" + MINE + OTHER_SITE}, False),
        (Reason.PRIVATE, {}, {"cookies": OTHER_SITE}, False),
        (Reason.PRIVATE, {"cookies": MINE}, {}, False),
        (Reason.PRIVATE, {}, {"cookies": "#HttpOnly_" + MINE}, True),
        (Reason.PRIVATE, {}, {"proxies": PROXY}, False),
        (Reason.MEMBERS_ONLY, {}, {"cookies": MINE}, True),
        (Reason.AGE_GATED, {}, {"cookies": MINE}, True),
        (Reason.GEO_BLOCKED, {}, {"proxies": PROXY}, True),
        (Reason.GEO_BLOCKED, {"proxies": PROXY}, {"proxies": OTHER_PROXY}, True),
        (Reason.GEO_BLOCKED, {"proxies": PROXY}, {"proxies": "\n" + PROXY}, False),
        (Reason.FORBIDDEN, {}, {"cookies": MINE}, True),
        (Reason.FORBIDDEN, {}, {"proxies": PROXY}, True),
        (Reason.FORBIDDEN, {}, {"allow_private_hosts": True, "max_bytes": 9}, False),
        (Reason.NOT_FOUND, {}, {"cookies": MINE, "allow_private_hosts": True}, False),
    ],
)
def test_a_failure_may_be_mended_by_what_it_depends_on(
    tmp_path: Path, reason: Reason, then: dict[str, Any], now: dict[str, Any], helps: bool
) -> None:
    stored = access(tmp_path, **then).describe(reason, URL)
    assert (stored is None) == (reason is Reason.NOT_FOUND)
    assert access(tmp_path, **now).may_help(reason, stored, URL) == helps


@pytest.mark.parametrize(
    ("reason", "now", "helps"),
    [
        (Reason.FORBIDDEN_HOST, {"allow_private_hosts": True}, True),
        (Reason.FORBIDDEN_HOST, {}, False),
        (Reason.TOO_LONG, {"max_duration_s": 20_000}, True),
        (Reason.TOO_LONG, {}, False),
        (Reason.TOO_LARGE, {"max_bytes": 9_000_000_000}, True),
        (Reason.PRIVATE, {"cookies": MINE}, False),  # they may be the same as then
        (Reason.GEO_BLOCKED, {"proxies": PROXY}, False),
        (Reason.REMOVED, {"allow_private_hosts": True}, False),
    ],
)
def test_failures_of_earlier_versions_are_compared_with_the_defaults(
    tmp_path: Path, reason: Reason, now: dict[str, Any], helps: bool
) -> None:
    assert access(tmp_path, **now).may_help(reason, None, URL) == helps


def test_no_secret_is_stored(tmp_path: Path) -> None:
    settings = access(tmp_path, cookies=MINE, proxies=PROXY)
    stored = settings.describe(Reason.FORBIDDEN, URL)
    assert stored is not None
    values = json.loads(stored)
    assert set(values) == {"cookies_file", "proxies_file"}
    assert all(len(value) == 4 for value in values.values())
    assert not any(word in stored + repr(settings) for word in ("mine1", "hunter2", "p.example"))
