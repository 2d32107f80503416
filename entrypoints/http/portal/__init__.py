"""The page for people at /portal. It knows the service by its HTTP API only."""
