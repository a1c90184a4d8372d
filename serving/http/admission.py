"""Who may come in: a plain count while the server keeps pace, a short queue while it does not.

A burst, or a handful of clients that each wait for their answer, queues up to `most`, or up to what
can be answered in `most_s` where that is less: thirty photographs are a quarter of a second of work
on one machine and seven seconds on another. Once that is full, more comes in than can be answered,
and a queue would only make everyone's answer late: until what is offered in a window could be
answered in it, only `busy_most` are inside, half of them at work and half waiting: enough to keep
the processor busy. So under lasting overload those who are let in wait for one photograph, not for
thirty. Where so many come that the next is never far, it is let in when the one at work is half done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import RequestError

_SMOOTHING = 0.1
_ENOUGH = 3.0
"""As many arrivals are left to come while one is at work, when the next one's place is free: one in
twenty times (e^-3) nobody comes."""
_LONGEST_HOLD = 0.5
_LEAD_S = 0.005
"""What it takes from there to a photograph that is ready for the network."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Photographs inside at a time: `most`, never over `most_s` of work but for `busy_most`, which
    is also what is inside under overload.

    Overload ends with a window of `window_s` in which no more was offered than `share` of what the
    server could have answered.
    """

    most: int = 32
    busy_most: int = 2
    most_s: float = 2.5
    window_s: float = 0.5
    share: float = 0.9


class Admission:
    """Counts the photographs inside. Used from the event loop's thread only."""

    def __init__(self, bounds: Bounds, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.inside = 0
        self.is_overloaded = False
        self.photo_s = 0.0
        """Smoothed seconds between two answers while there was work, 0 before the first."""
        self._bounds = bounds
        self._clock = clock
        self._busy_since = 0.0
        self._window_from = 0.0
        self._offered = 0
        self._pressure = 1.0  # offered in the last window, as a multiple of what can be answered

    def refuses(self) -> bool:
        """Whether one photograph is refused now. Counts as an offer only if it is."""
        if self.inside < self._room():
            return False
        self._refuse(1)
        return True

    def enter(self, photos: int, *, deadline_at: float) -> Ticket:
        """Room for `photos`; a request always finds it in an empty server. RequestError 429."""
        room = self._room()
        if self.inside and self.inside + photos > room:
            self._refuse(photos)
            raise RequestError(
                429, "busy", "more requests come than can be answered", "try again in a second"
            )
        now = self._clock()
        if now + (self.inside + photos) * self.photo_s > deadline_at:
            raise RequestError(
                429, "would_be_late", "the answer would come after your deadline", "allow more time"
            )
        if not self.inside:
            self._busy_since = now
        self._offered += photos
        self.inside += photos
        return Ticket(self, photos)

    def leave(self, photos: int) -> None:
        """Give the room of `photos` back; Ticket calls this."""
        now = self._clock()
        took_s = (now - self._busy_since) / photos
        self._busy_since = now
        self.photo_s += (took_s - self.photo_s) * (_SMOOTHING if self.photo_s else 1.0)
        self.inside -= photos

    def _room(self) -> int:
        bounds = self._bounds
        if self.is_overloaded:
            now = self._clock()
            if now - self._window_from < bounds.window_s or self._lasts(now):
                return self._busy_room(now)
        if self.photo_s * bounds.most <= bounds.most_s:
            return bounds.most
        return max(bounds.busy_most, int(bounds.most_s / self.photo_s))

    def _busy_room(self, now: float) -> int:
        """`busy_most`; only the half that is at work for the first part of the way to the next answer,
        if many come. Of a batch that is less than could be held back, of several workers just right."""
        at_work = max(1, self._bounds.busy_most // 2)
        hold = min(_LONGEST_HOLD, 1 - _ENOUGH / max(self._pressure, _ENOUGH))
        free_at = self._busy_since + hold * self.photo_s - _LEAD_S
        return at_work if now < free_at else self._bounds.busy_most

    def _lasts(self, now: float) -> bool:
        """At the end of a window: was it more than could be answered?"""
        self._pressure = self._offered * self.photo_s / max(now - self._window_from, 1e-6)
        self.is_overloaded = self._pressure > self._bounds.share
        self._window_from, self._offered = now, 0
        return self.is_overloaded

    def _refuse(self, photos: int) -> None:
        if not self.is_overloaded:
            self.is_overloaded = True
            self._window_from, self._offered, self._pressure = self._clock(), 0, 1.0
        self._offered += photos


class Ticket:
    """A place inside; leaving twice counts once."""

    def __init__(self, admission: Admission, photos: int) -> None:
        self._admission = admission
        self._photos = photos

    def leave(self) -> None:
        photos, self._photos = self._photos, 0
        if photos:
            self._admission.leave(photos)
