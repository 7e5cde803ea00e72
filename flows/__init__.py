"""Prefect flows: refresh, train, evaluate, promote, generate, and pipeline (the first four).

`flows.local` starts servers on loopback. It and this package import nothing heavy.
"""
