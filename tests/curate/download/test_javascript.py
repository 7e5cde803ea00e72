"""The JavaScript runtime: found, refused or isolated, before a request is sent."""

import sysconfig
from pathlib import Path

import pytest
from yt_dlp.utils._jsruntime import DenoJsRuntime
from yt_dlp_ejs.yt import solver

from argus.curate import VideoSource
from argus.curate.download import LocalRateLimiter, RateKey, RatePolicy, fetch, javascript
from argus.curate.download.javascript import (
    MIN_DENO_VERSION,
    find_deno,
    find_runtime_fault,
    run_deno,
)
from argus.errors import FetchError
from argus.media import run_sandboxed
from schemas.config import FetchSettings
from schemas.names import Reason

SOURCE = VideoSource("youtube:aqz-KE-bpKQ", "https://www.youtube.com/watch?v=aqz-KE-bpKQ")
SETTINGS = FetchSettings(allow_private_hosts=True, timeout_s=30, min_free_bytes=0)
PERMISSIONS = [
    'await fetch("http://127.0.0.1:80")',
    'await Deno.connect({hostname: "127.0.0.1", port: 80})',
    'await Deno.resolveDns("videos.example", "A")',
    'await import("http://127.0.0.1:80/x.js")',
    'await import("npm:left-pad")',
    'Deno.readTextFileSync("/etc/hostname")',
    'Deno.writeTextFileSync("x", "x")',
    'new Deno.Command("/bin/true").outputSync()',
    'Deno.env.get("HOME")',
]
OPTIONS = ("--no-prompt", "--no-remote", "--no-npm", "--cached-only")


class UnaskedRateLimiter(LocalRateLimiter):
    """A rate limiter that must not be asked."""

    def acquire(self, key: RateKey, policy: RatePolicy) -> float:
        raise AssertionError("the fetch was counted")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only one in which programs are looked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path / "none"))
    return folder


def write_program(folder: Path, text: str) -> None:
    (folder / "deno").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "deno").chmod(0o755)


def run(script: str) -> str:
    path = find_deno()
    assert path is not None
    return run_deno(path, script, OPTIONS)


def test_the_runtime_of_the_environment_is_usable() -> None:
    assert find_deno() == str(Path(sysconfig.get_path("scripts")) / "deno")
    assert find_runtime_fault() is None


def test_the_oldest_version_is_that_of_yt_dlp() -> None:
    assert MIN_DENO_VERSION == DenoJsRuntime.MIN_SUPPORTED_VERSION


@pytest.mark.parametrize(
    "program",
    [None, "echo deno 2.2.12 '(stable)'", "echo bun 1.2", "exit 3", "exec /none"],
    ids=["none", "too old", "another program", "fails", "cannot start"],
)
def test_youtube_is_refused_before_a_request_without_a_usable_runtime(
    programs: Path, tmp_path: Path, program: str | None
) -> None:
    if program:
        write_program(programs, program)
    with pytest.raises(FetchError) as caught:
        fetch(SOURCE, tmp_path / "out", SETTINGS, UnaskedRateLimiter())
    assert (caught.value.reason, caught.value.retryable) == (Reason.NO_JS_RUNTIME, True)
    assert "argus-360[youtube]" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_runtime_on_the_path_is_found(programs: Path) -> None:
    write_program(programs, "echo deno 2.3.0 '(stable)'")
    assert find_deno() == str(programs / "deno")
    assert find_runtime_fault() is None


@pytest.mark.parametrize("installed", [None, "0.7.0"])
def test_a_solver_that_yt_dlp_does_not_accept_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    real = javascript.version

    def version(name: str) -> str:
        if name != "yt-dlp-ejs":
            return real(name)
        if installed is None:
            raise javascript.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(javascript, "version", version)
    fault = find_runtime_fault()
    assert fault is not None
    assert "yt-dlp[default]" in fault


@pytest.mark.parametrize("statement", PERMISSIONS)
def test_scripts_have_no_permission(statement: str) -> None:
    with pytest.raises(RuntimeError, match=r"NotCapable|specifier"):
        run(statement)


def test_script_gets_no_environment_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".npmrc").write_text("not valid [")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DENO_DIR", str(tmp_path / "cache"))
    assert run("console.log(6 * 7)") == "42\n"
    assert [path.name for path in tmp_path.iterdir()] == [".npmrc"]


def test_runtime_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@proxy.example:80")
    write_program(tmp_path, "env")
    found = run_deno(str(tmp_path / "deno"), "", ())
    assert "DENO_DIR=" in found
    assert "hunter2" not in found


def test_script_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(javascript, "MAX_SCRIPT_S", 0.5)
    for script in ("for (;;) {}", "setInterval(() => {}, 50)"):
        with pytest.raises(RuntimeError, match="did not end"):
            run(script)


def test_solver_runs_within_the_limits_of_a_sandbox() -> None:
    """V8 cannot start where the address space is limited to 4 GiB."""
    script = (
        f"{solver.lib()}; Object.assign(globalThis, lib); {solver.core()}; console.log(typeof jsc)"
    )
    limits = {"timeout_s": 60, "memory_bytes": 2 << 30}
    arguments = (find_deno(), script, OPTIONS)
    assert run_sandboxed(run_deno, *arguments, limits_reserved=False, **limits) == "function\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(1))",
        "const all = []; for (;;) all.push([all.length])",
    ],
)
def test_script_that_needs_too_much_memory_is_stopped(script: str) -> None:
    arguments = (find_deno(), script, OPTIONS)
    with pytest.raises(RuntimeError, match="exit status"):
        run_sandboxed(
            run_deno, *arguments, timeout_s=100, memory_bytes=2 << 30, limits_reserved=False
        )
