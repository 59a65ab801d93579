"""The library's subscription over the book, with a bounded wait: a lost notice costs POLL seconds, never an event."""

from collections.abc import Sequence
from threading import Event

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

POLL = 0.05
"""Seconds between two looks at a book that does not grow."""

LIMIT = 500


class PollingSubscription(Subscription[ApplicationRecorder]):
    """Every entry above a position, from then on, until stopped."""

    def __init__(self, recorder: ApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder, gt, topics)
        self._fetched: list[Notification] = []
        self._stop = Event()

    def stop(self) -> None:
        super().stop()
        self._stop.set()

    def __next__(self) -> Notification:
        while not self._stop.is_set():
            if self._fetched:
                return self._fetched.pop()
            found = self._recorder.select_notifications(
                self._last_notification_id or 0, LIMIT, topics=self._topics, inclusive_of_start=False
            )
            self._fetched = list(reversed(found))
            if found:
                self._last_notification_id = found[-1].id
            else:
                self._stop.wait(POLL)
        raise StopIteration
