"""Inference: alignment of views, and generation of panoramas of any length.

The names are loaded on first use, so importing this package does not load torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
