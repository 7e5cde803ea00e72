"""Video files: probing, reading, writing, spherical metadata, and a sandbox for hostile input.

Layouts, filters and projections are not handled here. Names are imported when they are first
used, so that the records (`MediaInfo`, `SphericalMetadata`) cost no video library.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
