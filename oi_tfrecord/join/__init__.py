"""Rows of a shard become images with their annotations."""
