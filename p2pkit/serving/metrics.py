"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = {"registry": self._registry}
        self.requests = Counter("p2pkit_requests", "Translations asked for.", ["model", "status"], **own)
        self.seconds = Histogram(
            "p2pkit_request_seconds",
            "Time from a request's first byte to its answer.",
            ["model"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            **own,
        )
        self.batches = Histogram(
            "p2pkit_batch_images", "Images translated together.", ["model"], buckets=(1, 2, 4, 8, 16, 32), **own
        )
        self.waiting = Gauge("p2pkit_waiting", "Images that wait to be translated.", ["model"], **own)

    def text(self) -> bytes:
        """Return everything in Prometheus' form."""
        text: bytes = generate_latest(self._registry)
        return text
