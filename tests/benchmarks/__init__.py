"""Measurements: run by hand, part of no test run but for the statistics' own tests."""
