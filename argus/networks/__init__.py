"""Small networks that curation and evaluation share, and the weights of every network.

`NETWORKS` is the manifest of weights, `verified_path` the only way to a file of them, and
`fetch_weights` brings what is missing. Names are imported when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
