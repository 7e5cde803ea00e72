"""Ray jobs (`python -m ray_jobs.curate|train|evaluate|generate --config FILE`) and their client.

Importing this package imports nothing heavy, because flows use it.
"""
