"""Who may come in: a plain count while the server keeps pace, a short queue while it does not.

A burst, or a handful of clients that each wait for their answer, queues up to `most`. Once somebody
had to be refused, more comes in than can be answered, and a queue would only make everyone's answer
late: until `calm_s` pass without a refusal only `busy_most` are inside, enough to keep the processor
busy. So under lasting overload those who are let in wait for about one photograph, not for thirty.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import RequestError

_SMOOTHING = 0.1


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Photographs inside at a time. `busy_most` holds while, and shortly after, some are refused."""

    most: int = 32
    busy_most: int = 2
    calm_s: float = 1.0


class Admission:
    """Counts the photographs inside. Used from the event loop's thread only."""

    def __init__(self, bounds: Bounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.inside = 0
        self.refused = 0
        self.photo_s = 0.0
        """Smoothed seconds between two answers while there was work, 0 before the first."""
        self._bounds = bounds
        self._clock = clock
        self._refused_at = float("-inf")
        self._busy_since = 0.0

    @property
    def room(self) -> int:
        """How many photographs may be inside now."""
        calm = self._clock() - self._refused_at >= self._bounds.calm_s
        return self._bounds.most if calm else self._bounds.busy_most

    def refuses(self) -> bool:
        """Whether a single photograph would be refused now; a refusal is counted."""
        if self.inside < self.room:
            return False
        self._refuse()
        return True

    def enter(self, photos: int, *, deadline_at: float) -> Ticket:
        """Room for `photos`; a request always finds it in an empty server. RequestError 429."""
        if self.inside and self.inside + photos > self.room:
            self._refuse()
            raise RequestError(
                429, "busy", "more requests come than can be answered", "try again in a second"
            )
        now = self._clock()
        if now + (self.inside + photos) * self.photo_s > deadline_at:
            self.refused += 1
            raise RequestError(
                429, "would_be_late", "the answer would come after your deadline", "allow more time"
            )
        if not self.inside:
            self._busy_since = now
        self.inside += photos
        return Ticket(self, photos)

    def leave(self, photos: int) -> None:
        """Give the room of `photos` back; Ticket calls this."""
        now = self._clock()
        took_s = (now - self._busy_since) / photos
        self._busy_since = now
        self.photo_s += (took_s - self.photo_s) * (_SMOOTHING if self.photo_s else 1.0)
        self.inside -= photos

    def _refuse(self) -> None:
        self.refused += 1
        self._refused_at = self._clock()


class Ticket:
    """A place inside; leaving twice counts once."""

    def __init__(self, admission: Admission, photos: int) -> None:
        self._admission = admission
        self._photos = photos

    def leave(self) -> None:
        photos, self._photos = self._photos, 0
        if photos:
            self._admission.leave(photos)
