"""A package index on loopback, and wheels of one file."""

import base64
import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from argus.synth import FileHandler, serve_handler


def write_wheel(folder: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """Write a wheel with these members, and the page that names it; return its path."""
    distribution = name.replace("-", "_")
    info = f"{distribution}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items())
    page = folder / "simple" / name
    page.mkdir(parents=True, exist_ok=True)
    wheel = page / f"{distribution}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    (page / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    return wheel


@contextlib.contextmanager
def serve_index(folder: Path) -> Iterator[str]:
    """Serve the index of a folder until the block ends; yield the value for PIP_INDEX_URL."""

    class Handler(_IndexHandler):
        pass

    Handler.folder, Handler.requests = folder, []
    with serve_handler(Handler) as url:
        yield f"{url}/simple"


class _IndexHandler(FileHandler):
    """Sends `index.html` for a folder, as the content type that pip requires."""

    def find_file(self) -> Path | None:
        if self.path.endswith("/"):
            self.path += "index.html"
        return super().find_file()

    def send_header(self, keyword: str, value: str) -> None:
        is_page = keyword == "Content-Type" and self.path.endswith(".html")
        super().send_header(keyword, "text/html" if is_page else value)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
