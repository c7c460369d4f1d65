"""Bounds the memory of the pictures that threads decode at once."""

import contextlib
import threading
from collections.abc import Iterator


class DecodeGate:
    """Lets pictures in as long as their pixels together are within a bound; a larger one is let in alone."""

    def __init__(self, max_pixels: int):
        """Args:
        max_pixels: bound on the pixels held at once.
        """
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for a picture of `pixels`, and keeps it while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._max_pixels)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
