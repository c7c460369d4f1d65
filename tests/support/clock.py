class Clock:
    """Seconds that pass only when a test adds some to `now`."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now
