"""Mp4 files: their boxes, and copies into them without re-encoding and without loss."""
