"""Reports for people: HTML pages, plots, pictures and explanations of decisions.

The names are loaded on first use, because some of them import numpy, Pillow or pyarrow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
