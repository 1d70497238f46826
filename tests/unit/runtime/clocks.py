"""A clock that moves only when somebody sleeps on it."""


class Clock:
    """Hand in ``clock`` as the clock and ``clock.sleep`` as the sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        if seconds:
            self.slept.append(seconds)
        self.now += seconds
