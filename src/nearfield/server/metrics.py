"""What is counted and timed, for Prometheus: numbers only, never a text or a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nearfield._extras import require

if TYPE_CHECKING:
    from nearfield.server.schedule import Room

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_TOKENS = (16, 64, 256, 512, 1024, 2048, 4096, 8192, 16384)


class Metrics:
    """The counts of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._prometheus = require(
            "prometheus_client", extra="server", purpose="The server's metrics"
        )
        self.registry = self._prometheus.CollectorRegistry()
        self._prometheus.ProcessCollector(registry=self.registry, namespace="nearfield")
        self._requests = self._histogram(
            "request_seconds", "From a request's head to its answer.", ["route", "status"]
        )
        self._seen: dict[tuple[str, int], Any] = {}
        self._of_model: dict[str, ModelMetrics] = {}
        self._by_step = {
            name: self._histogram(f"{name}_seconds", help_text, ["model"])
            for name, help_text in (
                ("queue", "From a request's arrival to the start of its computing."),
                ("tokenize", "Reading the texts of one step."),
                ("inference", "Computing one batch."),
            )
        }
        self._batch_texts = self._histogram("batch_texts", "Texts a batch.", ["model"], _SIZES)
        self._batch_tokens = self._histogram("batch_tokens", "Tokens a batch.", ["model"], _TOKENS)
        self._counts = {
            name: self._prometheus.Counter(
                f"nearfield_{name}", help_text, ["model"], registry=self.registry
            )
            for name, help_text in (
                ("texts", "Texts embedded."),
                ("tokens", "Tokens read."),
                ("truncated_tokens", "Tokens left out, for being over the model's limit."),
                ("failed_texts", "Texts that could not be embedded."),
                ("dropped_texts", "Texts whose client had gone before their vectors were there."),
                ("inference_cpu_seconds", "Processor time of the threads that compute."),
            )
        }

    def watch(self, room: Room) -> None:
        """Show how much is waiting or computed."""
        for name, help_text in (
            ("requests", "Requests waiting or computed now."),
            ("texts", "Texts waiting or computed now."),
        ):
            gauge = self._prometheus.Gauge(
                f"nearfield_queue_{name}", help_text, registry=self.registry
            )
            gauge.set_function(lambda name=name: getattr(room, name))

    def of_model(self, name: str) -> ModelMetrics:
        """Give the counts of one model."""
        timed = {step: metric.labels(name) for step, metric in self._by_step.items()}
        counted = {each: metric.labels(name) for each, metric in self._counts.items()}
        made = ModelMetrics(
            timed, counted, self._batch_texts.labels(name), self._batch_tokens.labels(name)
        )
        self._of_model[name] = made
        return made

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: The route's path as declared, never as asked for.
            status: The answer's status.
            seconds: What it took.
        """
        key = route, status
        metric = self._seen.get(key)
        if metric is None:
            metric = self._seen[key] = self._requests.labels(route, status)
        metric.observe(seconds)

    def totals(self) -> dict[str, int]:
        """Give the counts since the start: ``requests``, ``texts``, ``tokens``, and so on."""
        names = ("texts", "tokens", "truncated_tokens")
        made = {name: sum(m.total(name) for m in self._of_model.values()) for name in names}
        return {"requests": self._answered(), **made}

    def text(self) -> bytes:
        """Give all in Prometheus' text format."""
        exposed: bytes = self._prometheus.generate_latest(self.registry)
        return exposed

    def _answered(self) -> int:
        samples = (sample for family in self._requests.collect() for sample in family.samples)
        return int(sum(s.value for s in samples if s.name.endswith("_count")))

    def _histogram(
        self, name: str, help_text: str, labels: list[str], buckets: tuple[float, ...] = _SECONDS
    ) -> Any:
        return self._prometheus.Histogram(
            f"nearfield_{name}", help_text, labels, registry=self.registry, buckets=buckets
        )


class ModelMetrics:
    """The counts of one model; safe from several threads.

    Args:
        timed: Histograms of the steps.
        counted: The counters.
        batch_texts: The histogram of batches' texts.
        batch_tokens: The histogram of batches' tokens.
    """

    def __init__(
        self, timed: dict[str, Any], counted: dict[str, Any], batch_texts: Any, batch_tokens: Any
    ) -> None:
        self._timed, self._counted = timed, counted
        self._batch_texts, self._batch_tokens = batch_texts, batch_tokens

    def time(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self._timed[step].observe(seconds)

    def count(self, name: str, number: float) -> None:
        """Add to a count."""
        if number:
            self._counted[name].inc(number)

    def batch(self, texts: int, tokens: int) -> None:
        """Note the size of a batch."""
        self._batch_texts.observe(texts)
        self._batch_tokens.observe(tokens)

    def total(self, name: str) -> int:
        """Give a count."""
        samples = (s for family in self._counted[name].collect() for s in family.samples)
        return int(sum(s.value for s in samples if s.name.endswith("_total")))
