"""The commands: thin fronts of the package."""
