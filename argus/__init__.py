"""Argus: ordinary video in, full 360° video out. The library; it knows neither Prefect nor Ray."""
