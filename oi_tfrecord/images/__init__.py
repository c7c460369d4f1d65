"""Image bytes: checked for whole, plain JPEGs, and re-encoded as such; PNGs of masks."""
