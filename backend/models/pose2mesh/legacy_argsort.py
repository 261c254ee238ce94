"""`numpy.argsort` with the order of equal values that numpy before 1.25 gave on every machine.

Pose2Mesh's released weights depend on a graph that was built by visiting vertices in the order of an unstable sort of
their degrees.  Nearly all degrees are equal, so another order of equal values gives another graph.  Newer numpy sorts
with vector instructions; its order of equal values depends on the processor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHORT = 16  # numpy's limit: ranges up to this length are sorted by insertion


def legacy_argsort(values: np.ndarray) -> np.ndarray:
    """(n,) int64 indices that sort values (n,), without NaN, in ascending order; ties as in numpy's old introsort.

    Median-of-three quicksort that continues with the smaller part, and heap sort where the recursion gets too deep.
    """
    keys: list[float] = np.asarray(values).ravel().tolist()
    order = list(range(len(keys)))
    if len(keys) < 2:
        return np.array(order, np.int64)
    waiting: list[tuple[int, int, int]] = []
    low, high, depth = 0, len(keys) - 1, 2 * (len(keys).bit_length() - 1)
    while True:
        if depth < 0:
            _heap_sort(keys, order, low, high)
        else:
            while high - low >= _SHORT:
                i = _partition(keys, order, low, high)
                depth -= 1
                if i - low < high - i:
                    waiting.append((i + 1, high, depth))
                    high = i - 1
                else:
                    waiting.append((low, i - 1, depth))
                    low = i + 1
            _insertion_sort(keys, order, low, high)
        if not waiting:
            return np.array(order, np.int64)
        low, high, depth = waiting.pop()


def _partition(keys: Sequence[float], order: list[int], low: int, high: int) -> int:
    """Index of the pivot (median of first, middle and last) after the range was partitioned around it."""
    middle = low + (high - low) // 2
    for a, b in ((low, middle), (middle, high), (low, middle)):
        if keys[order[b]] < keys[order[a]]:
            order[a], order[b] = order[b], order[a]
    pivot = keys[order[middle]]
    i, j = low, high - 1
    order[middle], order[j] = order[j], order[middle]
    while True:
        i += 1
        while keys[order[i]] < pivot:
            i += 1
        j -= 1
        while pivot < keys[order[j]]:
            j -= 1
        if i >= j:
            break
        order[i], order[j] = order[j], order[i]
    order[i], order[high - 1] = order[high - 1], order[i]
    return i


def _insertion_sort(keys: Sequence[float], order: list[int], low: int, high: int) -> None:
    for i in range(low + 1, high + 1):
        item, j = order[i], i
        while j > low and keys[item] < keys[order[j - 1]]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = item


def _heap_sort(keys: Sequence[float], order: list[int], low: int, high: int) -> None:
    heap = order[low : high + 1]
    count = len(heap)

    def sink(item: int, node: int, end: int) -> None:
        while (child := 2 * node) <= end:  # nodes count from 1
            if child < end and keys[heap[child - 1]] < keys[heap[child]]:
                child += 1
            if not keys[item] < keys[heap[child - 1]]:
                break
            heap[node - 1] = heap[child - 1]
            node = child
        heap[node - 1] = item

    for start in range(count // 2, 0, -1):
        sink(heap[start - 1], start, count)
    for end in range(count - 1, 0, -1):
        item, heap[end] = heap[end], heap[0]
        sink(item, 1, end)
    order[low : high + 1] = heap
