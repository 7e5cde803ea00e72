"""Prefect flows: what happens when."""
