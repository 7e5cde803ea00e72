"""What crosses a boundary: enumerations, records, configurations and Arrow schemas, versioned.

Imports only pyarrow and pydantic, so that anything may import it.
"""
