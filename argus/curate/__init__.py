"""Curation: from the entries of a catalogue to clips.

read_catalogue → fetch → process_isolated (layout, filters, clips) → stage_result → commit.
`download` fetches files, `layout` detects the layout of the sphere, `filters` and `scorers` compute
scores, `dedup` finds copies; `Recipe`, `reevaluate_video` and `recompute_isolated` limit what a
change of settings repeats. `CurationRun` runs a whole refresh on an `Executor`. Names are imported
when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
