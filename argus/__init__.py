"""Argus: turn an ordinary video into a full 360° video.

The public names are loaded on first use, so that `import argus` stays fast: `argus.open_video`
imports the video libraries, `argus.ArgusPipeline` imports torch. The library depends on neither
Prefect nor Ray.
"""

from importlib.metadata import version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("argus-360")
