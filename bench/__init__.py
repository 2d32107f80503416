"""What the service costs, as ratios of things measured in one run: `make bench`. The service imports none of it."""
