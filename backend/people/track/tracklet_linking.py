"""Re-identification: tracklets of one person, who was hidden or left and came back, are linked.

Agglomerative: the pair of lowest cost first.  Costs are per tracklet, so that a long clip of a crowd stays cheap.
"""

from __future__ import annotations

import numpy as np

from backend.body.joint_sets import HIPS, SHOULDERS
from backend.people.detect.candidates import CORE

# First values, origin not recorded; checked on made-up tracklets (tests/backend/people/test_identities.py)
_MIN_SIMILARITY = 0.72  # of appearance
_NEAR = 3.0  # person sizes, largest distance over a short gap
_SHORT_GAP = 1.0  # s; after a longer gap the position does not count
_MAX_GAP = 60.0  # s; longer gaps are not linked
_GROWTH = 2.0  # largest ratio of sizes, or its inverse; more after a long gap: people approach the camera
_GROWTH_PER_SECOND = 1.0
_GAP_COST = 0.02  # per s
_MARGIN = 0.08  # of cost, by which a rival must be worse
_MIN_OVERLAP = 0.3  # s that two tracklets coexist, to be two people: less may be one person detected twice

Arrays = dict[str, np.ndarray]


def link_tracklets(person: np.ndarray, detections: Arrays, fps: float) -> np.ndarray:
    """(N,) ids; linked tracklets take the lowest of theirs.

    person: (N,) ids, 0: none.  detections: as for `identities.identify`, sorted by frame.  A link is left out where two
    people of similar appearance are possible.
    """
    if not person.any():
        return person
    tracklets = _Tracklets(person, detections, fps)
    while (pair := tracklets.best_pair()) is not None:
        tracklets.join(*pair)
    return tracklets.relabelled(person)


class _Tracklets:
    """n tracklets and `costs` (n, n) of the second continuing the first, infinite where it cannot."""

    def __init__(self, person: np.ndarray, detections: Arrays, fps: float) -> None:
        self.ids, member = np.unique(person[person > 0], return_inverse=True)
        at = np.nonzero(person > 0)[0]
        order = np.argsort(member, kind="stable")
        mine = np.split(at[order], np.cumsum(np.bincount(member, minlength=len(self.ids)))[:-1])
        first, last = np.array([m[0] for m in mine], np.int64), np.array([m[-1] for m in mine], np.int64)
        self.fps = fps
        self.owner = np.arange(len(self.ids))  # index of the tracklet that each was joined to
        self.first, self.last = detections["frame"][first], detections["frame"][last]
        self.start, self.end = (detections["keypoints2d"][at][:, :, :2] for at in (first, last))
        self.count = np.array([len(m) for m in mine], float)
        embeddings = [detections["looks"][m].mean(0) for m in mine]
        self.embeddings = np.array(embeddings, float).reshape(len(mine), 2, -1)
        self.active = np.ones(len(mine), bool)
        self.costs = np.array([self._from(k) for k in range(len(mine))]).reshape(len(mine), len(mine))

    def _from(self, a: int) -> np.ndarray:
        """(n,) cost of each tracklet as the continuation of `a`."""
        return self._costs(np.array([a]), np.arange(len(self.ids)))

    def _to(self, b: int) -> np.ndarray:
        """(n,) cost of `b` as the continuation of each tracklet."""
        return self._costs(np.arange(len(self.ids)), np.array([b]))

    def _costs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Cost of `b` as the continuation of `a`, indices that broadcast to (n,)."""
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
        """The unambiguous pair of lowest cost, None without one."""
        a, b = np.nonzero(np.isfinite(self.costs))
        for k in np.argsort(self.costs[a, b], kind="stable"):
            if self._unambiguous(int(a[k]), int(b[k])):
                return int(a[k]), int(b[k])
        return None

    def _unambiguous(self, a: int, b: int) -> bool:
        """Whether no other pair competes; after a short gap the position decides."""
        if (self.first[b] - self.last[a]) / self.fps <= _SHORT_GAP:
            return True
        limit = self.costs[a, b] + _MARGIN
        rival = (self.costs[:, b] < limit) & self._concurrent(a)
        double = (self.costs[a] < limit) & self._concurrent(b)
        return not (rival.any() or double.any())

    def _concurrent(self, a: int) -> np.ndarray:
        """(n,) bool: tracklets that coexist with `a` for more than _MIN_OVERLAP, hence other people."""
        shared = np.minimum(self.last, self.last[a]) - np.maximum(self.first, self.first[a])
        concurrent = shared / self.fps > _MIN_OVERLAP
        concurrent[a] = False
        return concurrent

    def join(self, a: int, b: int) -> None:
        """Join `b` to the end of `a`, under the lower index."""
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
        """(N,) ids with those of joined tracklets replaced."""
        found = person > 0
        relabelled = person.copy()
        relabelled[found] = self.ids[self.owner[np.searchsorted(self.ids, person[found])]]
        return relabelled


def _sizes(points: np.ndarray) -> np.ndarray:
    """(n,) `Candidate.size` of landmarks (n, 33, 2), px, at least 1."""
    shoulders, hips = points[:, SHOULDERS], points[:, HIPS]
    spine = np.linalg.norm(shoulders.mean(1) - hips.mean(1), axis=1)
    return np.maximum(spine + 0.5 * np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1), 1.0)
