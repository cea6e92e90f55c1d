"""How peers are timed."""
import statistics
import time


def median_seconds(body, budget):
    """The median time of `body`, run once before and then at least three times for `budget` seconds."""
    body()
    times = []
    while len(times) < 3 or sum(times) < budget:
        start = time.perf_counter()
        body()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
