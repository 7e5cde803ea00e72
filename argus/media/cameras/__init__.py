"""Recordings of two-lens cameras: recognition, lens files, reading as one map, photos."""
