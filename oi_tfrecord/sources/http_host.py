"""Requests to a host that may ask to be left alone for a while (Retry-After)."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from typing import Any

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, MayPassError, next_wait


@dataclasses.dataclass
class Host:
    """What all requests to a host share.

    Attributes:
        slots: bound on the open connections to the host.
        resume_at: time of the event loop before which no request is sent.
    """

    slots: asyncio.Semaphore
    resume_at: float = 0.0


@dataclasses.dataclass
class UrlRequests:
    """The requests for one URL, each sent when its host accepts requests.

    Attributes:
        host: the host of the URL.
        slots: bound on the open connections of the client.
        settings: settings of the client.
        url: the URL.
        request: sends the request once.
        count: number of requests that were sent.
        waited: seconds waited because the host asked to.
        refusal: the last answer in which the host asked to wait.
    """

    host: Host
    slots: asyncio.Semaphore
    settings: FetchSettings
    url: str
    request: Callable[[], Coroutine[Any, Any, bytes]]
    count: int = 0
    waited: float = 0.0
    refusal: MayPassError | None = None

    async def send(self) -> bytes:
        """Sends the request when the host accepts it, and again as often as the host only asks to wait.

        Raises:
            MayPassError: if the request failed, and the host did not say when to come back.
            FetchRejected: if it failed for good, or the host asks to wait too long.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_host()
            # The host first: a request that waits for a busy host must not hold a place that other hosts could use.
            async with self.host.slots, self.slots:
                if self.host.resume_at > loop.time():
                    continue
                self.count += 1
                try:
                    return await self.request()
                except MayPassError as failure:
                    if not failure.retry_after:
                        raise
                    self.refusal = failure
                    self.host.resume_at = max(self.host.resume_at, loop.time() + failure.retry_after)

    def rejected(self, failure: MayPassError, reason: str = "") -> FetchRejected:
        """Returns the final error.

        Args:
            failure: the last failure.
            reason: why no further request is sent, if attempts are left.
        """
        attempts = f"{self.count} attempt{'s' * (self.count > 1)}"
        return FetchRejected(failure.reason, f"{failure.detail} ({attempts}{reason}): {self.url}", failure.status)

    async def _wait_for_host(self) -> None:
        loop = asyncio.get_running_loop()
        while (pause := self.host.resume_at - loop.time()) > 0:
            wait = next_wait(pause, self.waited, self.settings)
            if wait is None and self.refusal is not None:
                raise self.rejected(self.refusal, f"; its host asks to wait {pause:,.0f} s")
            if wait is None:
                detail = f"not requested, as its host asks to wait {pause:,.0f} s: {self.url}"
                raise FetchRejected(Reject.DOWNLOAD_FAILED, detail, 0)
            await asyncio.sleep(wait)
            self.waited += wait
