"""Limits the memory of decoded images: a file of some kilobytes may decode to a gigabyte."""

import contextlib
import threading
from collections.abc import Iterator


class PixelBudget:
    """Limits the pixels that are decoded at once. An image over the limit is decoded alone."""

    def __init__(self, max_pixels: int):
        """Starts with nothing held.

        Args:
            max_pixels: bound on the pixels held at once.
        """
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for an image of `pixels`, and holds them while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._max_pixels)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


DECODED_AT_ONCE = PixelBudget(max_pixels=48 << 20)
"""The pixels that a process decodes at once, whichever part of it does."""
