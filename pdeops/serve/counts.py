"""What happened so far, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Histogram:
    """Counts of values up to each edge."""

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges, self.counts, self.sum = edges, [0] * (len(edges) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def lines(self, name: str, label: str = "") -> Iterator[str]:
        """label: such as `endpoint="predict",`."""
        total = 0
        for edge, count in zip([*map(str, self.edges), "+Inf"], self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{{label}le="{edge}"}} {total}'
        labels = f"{{{label.rstrip(',')}}}" if label else ""
        yield f"{name}_sum{labels} {self.sum:.6g}"
        yield f"{name}_count{labels} {total}"


class Counts:
    """Requests by endpoint and status, their seconds, and the sizes of batches."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(LATENCIES))
        self.batches = Histogram(SIZES)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        self.requests[endpoint, status] += 1
        self.seconds[endpoint].observe(seconds)

    def text(self, **gauges: float) -> str:
        """gauges: by name and value, as they are now."""
        lines = ["# TYPE pdeops_requests_total counter"]
        for (endpoint, status), count in sorted(self.requests.items()):
            lines.append(f'pdeops_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}')
        lines.append("# TYPE pdeops_request_seconds histogram")
        for endpoint, histogram in sorted(self.seconds.items()):
            lines += histogram.lines("pdeops_request_seconds", f'endpoint="{endpoint}",')
        lines.append("# TYPE pdeops_batch_samples histogram")
        lines += self.batches.lines("pdeops_batch_samples")
        for name, value in gauges.items():
            lines += [f"# TYPE pdeops_{name} gauge", f"pdeops_{name} {value:g}"]
        return "\n".join(lines) + "\n"
