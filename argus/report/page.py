"""Rendering of self-contained HTML pages: templates, numbers, plots and embedded pictures."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from argus.errors import InvalidInput

Image = Path | bytes
"""An encoded JPEG, PNG, WebP or GIF: its file or its content."""

_MEDIA_TYPES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}  # by the first bytes of the file


@dataclass(frozen=True)
class Plot:
    """A plot for light and for dark pages, as data URIs."""

    light: str
    dark: str

    @classmethod
    def draw(cls, draw_svg: Callable[[bool], bytes]) -> "Plot":
        """Draw both variants.

        Args:
            draw_svg: Returns the plot as SVG; its argument says whether the page is dark.
        """
        return cls(_svg_uri(draw_svg(False)), _svg_uri(draw_svg(True)))


def render_page(template: str, **values: Any) -> str:
    """Render a template of this package as HTML.

    All values are escaped. The template filter `picture` makes a data URI of an image.

    Args:
        template: File name of the template.
        values: The variables of the template.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def load(name: str) -> str:
        return (resources.files("argus.report") / name).read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(load),
    )
    environment.filters["picture"] = data_uri
    return environment.get_template(template).render(**values)


def format_hours(value: float) -> str:
    """Return hours with two decimals, or two significant digits for small values."""
    return f"{value:,.2f}" if value >= 0.1 else f"{value:.2g}"


def data_uri(image: Image) -> str:
    """Return an encoded picture as a data URI.

    Raises:
        InvalidInput: It cannot be read, or is not a JPEG, PNG, GIF or WebP.
    """
    try:
        content = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read picture {image!r} of the report: {error}") from error
    for magic, media_type in _MEDIA_TYPES.items():
        if content.startswith(magic):
            return _encode_uri(content, media_type)
    raise InvalidInput(
        f"a picture of the report starts with {content[:8]!r}; it must be JPEG, PNG, GIF or WebP"
    )


def _svg_uri(content: bytes) -> str:
    return _encode_uri(content, "image/svg+xml")


def _encode_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
