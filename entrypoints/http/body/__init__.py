"""Request bodies: read within bounds, and taken apart without holding up other requests."""
