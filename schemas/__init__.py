"""Data that crosses a boundary: enumerations, records, configurations, forms and Arrow schemas.

Imports only pyarrow and pydantic, so that every other package may import it.
"""
