"""Pieces of tracks that follow each other and are the same person: who was hidden, or left and came back.

Agglomerative: the surest pair first.  What decides is kept per piece, so that a long clip of a crowd stays cheap.
"""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import HIPS, SHOULDERS
from backend.people.detect.candidates import CORE

_MIN_SIMILARITY = 0.72  # clothes, to be the same person again
_NEAR = 3.0  # sizes away, after a short time
_SHORT_GAP = 1.0  # s; after more, where somebody was says nothing about where they come back
_MAX_GAP = 60.0  # s after which nobody is linked
_GROWTH = 2.0  # times the size in the picture, or 1 / so much; more after a long gap: people walk up to the camera
_GROWTH_PER_SECOND = 1.0
_GAP_COST = 0.02  # cost of a second's gap
_MARGIN = 0.08  # by so much the second best must be worse where two people could be meant
_MIN_OVERLAP = 0.3  # s side by side, to be surely two people: less may be one person found twice

Arrays = dict[str, np.ndarray]


def link_tracklets(person: np.ndarray, detections: Arrays, fps: float) -> np.ndarray:
    """person: (N,) ids, 0 is nobody.  detections: as for `identities.identify`, in the order of frames.  -> (N,) ids.

    Linked pieces take their lowest id.  Where two people look alike and either could be meant, nobody is linked.
    """
    if not person.any():
        return person
    tracklets = _Tracklets(person, detections, fps)
    while (pair := tracklets.best_pair()) is not None:
        tracklets.join(*pair)
    return tracklets.relabelled(person)


class _Tracklets:
    """What is known of n pieces; `costs` (n, n) of one going on as another, infinite where it cannot."""

    def __init__(self, person: np.ndarray, detections: Arrays, fps: float) -> None:
        self.ids, member = np.unique(person[person > 0], return_inverse=True)
        at = np.nonzero(person > 0)[0]
        order = np.argsort(member, kind="stable")
        mine = np.split(at[order], np.cumsum(np.bincount(member, minlength=len(self.ids)))[:-1])
        first, last = np.array([m[0] for m in mine], np.int64), np.array([m[-1] for m in mine], np.int64)
        self.fps = fps
        self.owner = np.arange(len(self.ids))  # the piece that each has become a part of
        self.first, self.last = detections["frame"][first], detections["frame"][last]
        self.start, self.end = (
            detections["keypoints2d"][first][:, :, :2],
            detections["keypoints2d"][last][:, :, :2],
        )
        self.count = np.array([len(m) for m in mine], float)
        embeddings = [detections["looks"][m].mean(0) for m in mine]
        self.embeddings = np.array(embeddings, float).reshape(len(mine), 2, -1)
        self.active = np.ones(len(mine), bool)
        self.costs = np.array([self._from(k) for k in range(len(mine))]).reshape(len(mine), len(mine))

    def _from(self, a: int) -> np.ndarray:
        """(n,) cost of each piece as the continuation of `a`."""
        return self._costs(np.array([a]), np.arange(len(self.ids)))

    def _to(self, b: int) -> np.ndarray:
        """(n,) cost of each piece as what `b` continues."""
        return self._costs(np.arange(len(self.ids)), np.array([b]))

    def _costs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        seconds = (self.first[b] - self.last[a]) / self.fps
        halves = np.einsum("nhk,nhk->nh", *np.broadcast_arrays(self.embeddings[a], self.embeddings[b])) * 2
        known = self.embeddings[a].any(2) & self.embeddings[b].any(2)
        similarity = np.where(known.any(1), (halves * known).sum(1) / np.maximum(known.sum(1), 1), 0.0)
        before, after = _sizes(self.end[a]), _sizes(self.start[b])
        growth = np.abs(np.log(after / before))
        away = np.median(np.linalg.norm(self.end[a][:, CORE] - self.start[b][:, CORE], axis=2), axis=1)
        short = seconds <= _SHORT_GAP
        fits = (seconds > 0) & (seconds <= _MAX_GAP) & (similarity >= _MIN_SIMILARITY) & self.active[a] & self.active[b]
        fits &= ~short | (away <= _NEAR * np.minimum(before, after))
        fits &= growth < np.log(_GROWTH + _GROWTH_PER_SECOND * np.maximum(seconds - _SHORT_GAP, 0))
        return np.where(fits, 1 - similarity + _GAP_COST * seconds, np.inf)

    def best_pair(self) -> tuple[int, int] | None:
        """The two that are most surely one person, None where nobody is left."""
        a, b = np.nonzero(np.isfinite(self.costs))
        for k in np.argsort(self.costs[a, b], kind="stable"):
            if self._unambiguous(int(a[k]), int(b[k])):
                return int(a[k]), int(b[k])
        return None

    def _unambiguous(self, a: int, b: int) -> bool:
        """After a short gap the place tells; after a long one nobody else who was there may be meant as well."""
        if (self.first[b] - self.last[a]) / self.fps <= _SHORT_GAP:
            return True
        limit = self.costs[a, b] + _MARGIN
        rival = (self.costs[:, b] < limit) & self._concurrent(a)
        double = (self.costs[a] < limit) & self._concurrent(b)
        return not (rival.any() or double.any())

    def _concurrent(self, a: int) -> np.ndarray:
        """(n,) who was there at the same time, for long enough to be somebody else."""
        shared = np.minimum(self.last, self.last[a]) - np.maximum(self.first, self.first[a])
        concurrent = shared / self.fps > _MIN_OVERLAP
        concurrent[a] = False
        return concurrent

    def join(self, a: int, b: int) -> None:
        """`b` becomes the rest of `a`; the piece with the lower id stands for both."""
        keep, gone = min(a, b), max(a, b)
        weights = self.count[[a, b]] / self.count[[a, b]].sum()
        embeddings = np.tensordot(weights, self.embeddings[[a, b]], 1)
        ends = self.first[a], self.start[a].copy(), self.last[b], self.end[b].copy()
        self.first[keep], self.start[keep], self.last[keep], self.end[keep] = ends
        self.embeddings[keep], self.count[keep] = embeddings, self.count[[a, b]].sum()
        self.owner[self.owner == gone] = keep
        self.active[gone] = False
        self.costs[gone], self.costs[:, gone] = np.inf, np.inf
        self.costs[keep], self.costs[:, keep] = self._from(keep), self._to(keep)

    def relabelled(self, person: np.ndarray) -> np.ndarray:
        """(N,) ids of the pieces -> of those that stand for them."""
        found = person > 0
        relabelled = person.copy()
        relabelled[found] = self.ids[self.owner[np.searchsorted(self.ids, person[found])]]
        return relabelled


def _sizes(points: np.ndarray) -> np.ndarray:
    """(n, 33, 2) -> (n,) `Candidate.size`, at least 1 px."""
    shoulders, hips = points[:, SHOULDERS], points[:, HIPS]
    spine = np.linalg.norm(shoulders.mean(1) - hips.mean(1), axis=1)
    return np.maximum(spine + 0.5 * np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1), 1.0)
