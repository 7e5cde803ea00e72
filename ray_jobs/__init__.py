"""What Ray runs (`python -m ray_jobs.curate|train|evaluate|generate --config FILE`), and the client that starts, follows and stops it.

Importing this package imports nothing heavy: flows use it.
"""
