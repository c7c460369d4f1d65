"""Beam transforms: each wires pure functions of the layers below."""
