"""The ways in: HTTP, the command line, settings, and the container that wires everything."""
