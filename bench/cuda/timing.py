# SPDX-License-Identifier: Apache-2.0
"""Rounds of all contenders in turn, timed by events, with the L2 cache flushed before each call."""
import random

_FLUSHES = 4  # so many times the L2 cache is written


class Timer:
    def __init__(self, device, seed=1):
        self._device = device
        size = _FLUSHES * device.l2_bytes
        self._flushed = device.allocate(size) if size > 0 else None
        self._events = []
        self._random = random.Random(seed)

    def _pairs(self, count):
        while len(self._events) < count:
            self._events.append((self._device.event(), self._device.event()))
        return self._events[:count]

    def time(self, contenders, rounds):
        """Appends a time for each round to each contender. Only the device waits within a round: the
        flush lasts longer than the host needs for the call, so that the call is there when the
        device has come so far."""
        for contender in contenders:
            contender.run()
        for _ in range(rounds):
            order = self._random.sample(contenders, len(contenders))
            pairs = self._pairs(len(order))
            for contender, (begin, end) in zip(order, pairs):
                if self._flushed is not None:
                    self._flushed.fill(0)
                self._device.record(begin)
                contender.run()
                self._device.record(end)
            self._device.synchronize()
            for contender, (begin, end) in zip(order, pairs):
                contender.seconds.append(self._device.seconds_between(begin, end))
