"""What Ray runs."""
