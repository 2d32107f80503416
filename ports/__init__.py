"""What the domain needs from the outside world, as protocols over domain values."""
