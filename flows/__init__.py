"""Prefect: what happens when. Refresh, train, evaluate, promote, generate, and pipeline (the first four in a row).

`flows.local` starts loopback servers; it and this package import nothing heavy.
"""
