"""The JavaScript runtime that YouTube needs: Deno, which solves the challenges of its player.

yt-dlp supports other runtimes too. Only Deno denies scripts the network, files, programs and the
environment by default, so only Deno may run code that a site sent. The solver itself is the package
`yt-dlp-ejs`; nothing is downloaded.
"""

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version

MIN_DENO_VERSION = (2, 3, 0)  # of yt-dlp
MAX_SCRIPT_S = 120.0  # a player of 2.6 MB takes 1.4 s of CPU
_REMEDY = "run: pip install 'argus-360[youtube]', or install Deno from https://deno.com"
_SOLVER = re.compile(r"yt-dlp-ejs\s*==\s*([\d.]+)")  # among the requirements of yt-dlp
_ENVIRONMENT = {
    "DENO_DIR": f"{os.devnull}/none",  # no cache, so that nothing is written
    "DENO_NO_PACKAGE_JSON": "1",
    "DENO_NO_UPDATE_CHECK": "1",
    "DENO_V8_FLAGS": "--max-old-space-size=1024",  # MB
    "HOME": "/",  # not the user's, whose .npmrc would be read
    "NO_COLOR": "1",
}
"""The whole environment of Deno, which holds no secret, such as the password of a proxy."""


def find_deno() -> str | None:
    """Return the path of Deno: that of this Python environment, else that of PATH, else None."""
    return shutil.which("deno", path=sysconfig.get_path("scripts")) or shutil.which("deno")


def find_runtime_fault() -> str | None:
    """Return why YouTube's challenges cannot be solved on this machine, with the remedy.

    Returns:
        None if Deno and the solver are usable.
    """
    path = find_deno()
    if path is None:
        return f"YouTube needs a JavaScript runtime, but Deno is not installed; {_REMEDY}"
    try:
        found = _read_deno_version(path)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return f"YouTube needs a JavaScript runtime, but {path} does not run ({error}); {_REMEDY}"
    if found < MIN_DENO_VERSION:
        needed = _join(MIN_DENO_VERSION)
        return f"YouTube needs Deno {needed} or later, but {path} is {_join(found)}; {_REMEDY}"
    return _find_solver_fault()


def run_deno(path: str, script: str, options: Sequence[str]) -> str:
    """Run a script in Deno, which has no permission.

    Args:
        path: the program.
        script: the source text.
        options: options of `deno run`.

    Returns:
        What the script wrote to its standard output.

    Raises:
        RuntimeError: the script failed, wrote to its standard error, or did not end in time.
        OSError: Deno cannot be started.
    """
    try:
        result = subprocess.run(
            [path, "run", *options, "-"],
            input=script,
            capture_output=True,
            text=True,
            timeout=MAX_SCRIPT_S,
            env=_ENVIRONMENT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"Deno did not end within {MAX_SCRIPT_S:.0f} s") from None
    if result.returncode or result.stderr:
        message = result.stderr.strip()[:500]
        raise RuntimeError(f"Deno failed with exit status {result.returncode}: {message}")
    return result.stdout


@functools.lru_cache
def _read_deno_version(path: str) -> tuple[int, ...]:
    command = [path, "--version"]
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=_ENVIRONMENT, check=True
    ).stdout
    match = re.match(r"deno (\d+)\.(\d+)\.(\d+)", output)
    if match is None:
        raise ValueError(f"its version is {output[:40]!r}")
    return tuple(map(int, match.groups()))


def _find_solver_fault() -> str | None:
    needed = next(
        (found[1] for text in requires("yt-dlp") or () if (found := _SOLVER.match(text))), None
    )
    try:
        installed = version("yt-dlp-ejs")
    except PackageNotFoundError:
        installed = None
    if installed and (needed is None or installed.split(".")[:2] == needed.split(".")[:2]):
        return None
    remedy = f"run: pip install 'yt-dlp[default]=={version('yt-dlp')}'"
    return f"yt-dlp needs yt-dlp-ejs {needed} for YouTube, but has {installed or 'none'}; {remedy}"


def _join(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))
