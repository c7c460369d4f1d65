"""Converts the Open Images dataset to TensorFlow training records."""

__version__ = "0.1.0"
