"""Limb outliers of whole tracks: limbs that jump to another person's limb or swap left and right for some frames.

Each limb's detections are the states of a Viterbi path over the clip.  The path pays for speed above the limb's usual
one and for each frame that it skips.  A skip is cheap where the limb lies on another person's limb and expensive where
nobody else is near: a kick is fast too, but not an outlier.  Lengths are in person sizes, see `Candidate.size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_dilation, median_filter

from backend.body.joint_sets import ARMS, BLAZEPOSE33, HIPS, LEGS, SHOULDERS, left_right
from backend.motion.contacts import intervals
from backend.motion.occlusion_gaps import hidden_rows
from backend.structures import Track


def _sides(*parts: str) -> tuple[tuple[int, ...], ...]:
    """Landmark indices of the parts of the left and of the right limb."""
    return tuple(zip(*left_right(BLAZEPOSE33, *parts), strict=True))


# (all landmarks of the left and right limb, those that the path is computed from, the pair that the limbs start at)
_LIMBS = ((LEGS, _sides("knee", "ankle", "foot_index"), HIPS), (ARMS, _sides("elbow", "wrist"), SHOULDERS))
_END = 1  # index of ankle or wrist among those of the path
_BONES = tuple(
    bone
    for limb in (*_sides("hip", "knee", "ankle", "foot_index"), *_sides("shoulder", "elbow", "wrist"))
    for bone in pairwise(limb)
)
# Set on the rendered clips of docs/results.md (limbs swap in *cross*; *dance* and *run* must pass unchanged), none held
# out.  Lengths in person sizes (about 0.6 m).
_MIN_SPEED_LIMIT = 9.0  # per s; slower motion is never an outlier
_SPEED_MARGIN = 1.3  # of the limb's 90 % quantile of speed: faster is an outlier
_NOISE = 0.05  # distance that costs nothing: detector noise
_MAX_JUMP_COST = 2.0  # cap, also the cost of a new path
_MAX_GAP = 0.7  # s that a path may skip; longer outliers are kept
_MAX_SWAP = 0.24  # s; longer left/right swaps are kept
_MEDIAN_ROWS = 11  # window of the median that finds whole-body swaps
_SIZE_ROWS = 15  # window of the median of the person's size
_SWAP_COST = 1.5  # per s of swapped left and right
_SKIP_COST, _SKIP_COST_NEAR = 20.0, 4.0  # per s of skipped frames; where the limb lies on another person's
_WITHIN = 0.6  # distance of the landmarks' boxes at which people are near each other
_NEAR = 0.35  # distance at which a limb lies on another
_VISIBLE = (0.1, 0.5)  # visibility: not detected at or below the first, full skip cost from the second on
_FAR = (1e9, 1e9, 0.0)  # landmark of a person who is not there


def suppress_limb_outliers(tracks: Sequence[Track], fps: float) -> list[Track]:
    """The tracks with visibility 0 for limb outliers; each track has a detection.  fps: of the rows."""
    found = []
    for k, track in enumerate(tracks):
        others = [_landmarks_of_other(track, other, fps) for m, other in enumerate(tracks) if m != k]
        found.append(_mask_outliers(track, others, fps))
    return found


def _left_right_swaps(track: Track, chains: Sequence[Sequence[int]], base: Sequence[int], fps: float) -> np.ndarray:
    """(T,) bool: left and right are swapped, for at most _MAX_SWAP: where legs pass each other, longer is ambiguous."""
    left, right = chains
    detected, confidence = _detected(track, (*left, *right))
    positions = _relative(track, (*left, *right), base)
    other = np.roll(positions, len(left), 1)
    candidate_cost = np.where(detected[:, None], [0.0, _SWAP_COST / fps], np.inf)
    limit = np.full(len(track), _speed_limits(positions, detected, fps)[1])
    skip_cost = _SKIP_COST / fps * confidence
    chosen = viterbi_path(np.stack([positions, other], 1), candidate_cost, skip_cost, limit, fps)
    return _short_runs(chosen == 1, _MAX_SWAP * fps)


def _mask_outliers(track: Track, others: Sequence[np.ndarray], fps: float) -> Track:
    """The track with visibility 0 for limb outliers.  others: per other person, see `_landmarks_of_other`."""
    points = track.keypoints2d.copy()
    near_others, whole_body = _near_others(track, others), _whole_body_swaps(track)
    for sides, chains, base in _LIMBS:
        swapped = _left_right_swaps(track, chains, base, fps)
        for k, (limb, chain) in enumerate(zip(sides, chains, strict=True)):
            near, worse = _overlaps_others(track, chain, others)
            same = near_others & _overlaps_opposite(track, chain, chains[1 - k])
            # detections next to these lie between the two limbs and are wrong too
            between = binary_dilation(_short_runs(same, _MAX_GAP * fps) | swapped)
            off = between | _short_runs(worse, _MAX_GAP * fps)
            detected, confidence = _detected(track, chain)
            detected &= ~off
            positions = _relative(track, chain, base)
            slow, fast = _speed_limits(positions, detected, fps)
            skip_cost = np.where(near, _SKIP_COST_NEAR, _SKIP_COST) / fps * confidence * detected
            candidate_cost = np.where(detected, 0.0, np.inf)[:, None]
            chosen = viterbi_path(positions[:, None], candidate_cost, skip_cost, np.where(near, slow, fast), fps)
            off |= detected & (chosen < 0)
            off &= ~whole_body  # the fit rejects such rows by the mean robust weight of all landmarks
            points[np.nonzero(off)[0][:, None], limb, 2] = 0.0
    return replace(track, keypoints2d=points)


def viterbi_path(
    positions: np.ndarray, candidate_cost: np.ndarray, skip_cost: np.ndarray, speed_limit: np.ndarray, fps: float
) -> np.ndarray:
    """(T,) index of the candidate on the Viterbi path, -1 where it skips the frame.

    positions: (T, S, P, 2), S candidates for P limb points, sizes.  candidate_cost: (T, S).  skip_cost: (T,).
    speed_limit: (T,) sizes per s; each excess distance costs its length.
    """
    count, candidates = positions.shape[:2]
    reach = max(round(_MAX_GAP * fps), 1)
    skipped = np.concatenate([[0.0], np.cumsum(skip_cost)])  # cost of skipping all rows before
    cost = np.zeros((count, candidates))
    back = np.full((count, candidates), -1)  # predecessor: row * candidates + candidate
    restart, restart_from = -_MAX_JUMP_COST, -1  # cheapest path so far, without later skips; the empty one at first
    for t in range(count):
        first = max(t - reach, 0)
        cost[t], back[t] = skipped[t] + restart + _MAX_JUMP_COST, restart_from
        if first < t:
            steps = np.arange(t - first, 0, -1)
            speed = np.minimum(speed_limit[first:t], speed_limit[t])
            # (row before, candidate from, candidate to)
            distance = np.linalg.norm(positions[t] - positions[first:t, :, None], axis=-1).mean(-1)
            jump = np.maximum(distance - _NOISE - (speed * steps / fps)[:, None, None], 0.0)
            path_costs = cost[first:t, :, None] + np.minimum(jump, _MAX_JUMP_COST)
            path_costs += (skipped[t] - skipped[first + 1 : t + 1])[:, None, None]
            path_costs = path_costs.reshape(-1, candidates)
            best = path_costs.argmin(0)
            found = path_costs[best, np.arange(candidates)]
            better = found < cost[t]
            cost[t] = np.where(better, found, cost[t])
            back[t] = np.where(better, first * candidates + best, back[t])
        cost[t] += candidate_cost[t]
        ends = cost[t] - skipped[t + 1]
        if ends.min() < (np.inf if restart_from < 0 else restart):
            restart, restart_from = float(ends.min()), int(t * candidates + ends.argmin())
    chosen = np.full(count, -1)
    at = restart_from
    while at >= 0:
        row, candidate = divmod(at, candidates)
        chosen[row], at = candidate, back[row, candidate]
    return chosen


def _detected(track: Track, chain: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) bool: the limb is detected; (T,) its confidence 0..1."""
    visible = track.keypoints2d[:, chain, 2].min(1)
    detected = track.seen & (visible > _VISIBLE[0])
    return detected, np.clip(visible / _VISIBLE[1], 0, 1) * detected


def _relative(track: Track, chain: Sequence[int], base: Sequence[int]) -> np.ndarray:
    """(T, P, 2) limb points relative to the middle of the base pair, sizes."""
    points = track.keypoints2d[..., :2].astype(float)
    return (points[:, chain] - points[:, base].mean(1, keepdims=True)) / _sizes(track)[:, None, None]


def _sizes(track: Track) -> np.ndarray:
    """(T,) `Candidate.size`, px, median over time, at least 4."""
    points = _interpolated(track)[..., :2]
    shoulders, hips = points[:, SHOULDERS], points[:, HIPS]
    spine = np.linalg.norm(shoulders.mean(1) - hips.mean(1), axis=1)
    size = spine + 0.5 * np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    return np.maximum(median_filter(size, _SIZE_ROWS, mode="nearest"), 4.0)


def _whole_body_swaps(track: Track) -> np.ndarray:
    """(T,) bool: left and right of the whole body, trunk included, are swapped for a few frames."""
    left, right = zip(SHOULDERS, HIPS, strict=True)
    across = (track.keypoints3d[:, left] - track.keypoints3d[:, right]).sum(1)
    return (across * median_filter(across, (_MEDIAN_ROWS, 1), mode="nearest")).sum(1) < 0


def _speed_limits(positions: np.ndarray, detected: np.ndarray, fps: float) -> tuple[float, float]:
    """Speeds above which this limb is an outlier, sizes per s: near another person's limb, and elsewhere."""
    both = detected[1:] & detected[:-1]
    if not both.any():
        return _MIN_SPEED_LIMIT, _MIN_SPEED_LIMIT
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(1)[both] * fps
    usual = _SPEED_MARGIN * float(np.quantile(speed, 0.9))
    return usual, max(_MIN_SPEED_LIMIT, usual)


def _landmarks_of_other(track: Track, other: Track, fps: float) -> np.ndarray:
    """(T, 33, 3) landmarks of another person in the rows of `track`, interpolated in short gaps, _FAR elsewhere."""
    points = np.full((len(track), 33, 3), _FAR)
    _, at, other_rows = np.intersect1d(track.frames, other.frames, return_indices=True)
    shown = ~hidden_rows(other.seen, fps)[other_rows]
    points[at[shown]] = _interpolated(other)[other_rows[shown]]
    return points


def _near_others(track: Track, others: Sequence[np.ndarray]) -> np.ndarray:
    """(T,) bool: the landmarks' box is within _WITHIN of another person's."""
    mine, size = track.keypoints2d[..., :2], _sizes(track)[:, None]
    low, high = mine.min(1) - _WITHIN * size, mine.max(1) + _WITHIN * size
    near_others = np.zeros(len(track), bool)
    for points in others:
        near_others |= ((points[..., :2].max(1) > low) & (points[..., :2].min(1) < high)).all(1)
    return near_others


def _overlaps_others(track: Track, chain: Sequence[int], others: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) bool: the limb's end lies on another person's limb; (T,) bool: and that one has the higher visibility."""
    near, worse = np.zeros((2, len(track)), bool)
    size, visible = _sizes(track), track.keypoints2d[:, chain, 2].min(1)
    end = track.keypoints2d[:, chain[_END], :2].astype(float)
    for points in others:
        for a, b in _BONES:
            on = _segment_distance(end, points[:, a, :2], points[:, b, :2]) < _NEAR * size
            near |= on
            worse |= on & (visible < points[:, [a, b], 2].min(1))
    return near, worse


def _overlaps_opposite(track: Track, chain: Sequence[int], other: Sequence[int]) -> np.ndarray:
    """(T,) bool: the limb lies on its left/right counterpart, which has the higher visibility."""
    points = track.keypoints2d.astype(float)
    distance = np.linalg.norm(points[:, chain, :2] - points[:, other, :2], axis=-1).mean(1)
    worse = points[:, chain, 2].min(1) < points[:, other, 2].min(1)
    return worse & (distance < _NEAR * _sizes(track))


def _short_runs(flags: np.ndarray, longest: float) -> np.ndarray:
    """(T,) bool: the runs of True of at most `longest` rows."""
    short = flags.copy()
    for first, end in intervals(flags):
        short[first:end] = end - first <= longest
    return short


def _segment_distance(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) distance of points (T, 2) from the segments a to b."""
    along = b - a
    part = ((point - a) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9)
    return np.linalg.norm(point - a - along * np.clip(part, 0, 1)[:, None], axis=1)


def _interpolated(track: Track) -> np.ndarray:
    """(T, 33, 3) keypoints2d, linearly interpolated between detections."""
    seen, rows = np.nonzero(track.seen)[0], np.arange(len(track))
    flat = track.keypoints2d.astype(float).reshape(len(track), -1)
    between = [np.interp(rows, seen, values[seen]) for values in flat.T]
    return np.stack(between, 1).reshape(track.keypoints2d.shape)
