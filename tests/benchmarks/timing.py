"""Measures sides against each other in one run, in turn, so that a busy moment hits them all."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

ROUNDS = 7


def compare(
    title: str, unit: str, amount: float, sides: Mapping[str, Callable[[], object]]
) -> dict[str, float]:
    """Time the sides in turn, round after round; print and return the median rate of each."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    slowest = max(medians.values())
    print(f"\n{title}")
    for name, median in medians.items():
        rate = f"{amount / median:>12,.0f} {unit}"
        print(f"  {name:<34}{rate}   {slowest / median:.1f}x")
    return {name: amount / median for name, median in medians.items()}


@contextmanager
def one_core() -> Iterator[None]:
    """Holds this thread to one core, where the system can, and Arrow to one thread."""
    threads = pa.cpu_count()
    pa.set_cpu_count(1)
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        pa.set_cpu_count(threads)
        if cores:
            os.sched_setaffinity(0, cores)
