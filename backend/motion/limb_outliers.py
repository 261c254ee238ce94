"""Limbs that leave their own path for some frames: for another person's limb, or left and right change places.

The whole track is known here, so both sides of a jump are.  Of all readings of a limb those are kept that lie on the
cheapest way through the clip: a way pays for what it is faster than the limb else is, and for every reading that it
leaves out.  Leaving out is cheap where the reading lies on another person's limb, and dear where nobody else is: a kick
is as fast out as back, and lasts, but is no jump.
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
    """The landmarks of the left and of the right limb."""
    return tuple(zip(*left_right(BLAZEPOSE33, *parts), strict=True))


# left and right: what is exchanged, and what of it tells the place; then where the limbs begin
_LIMBS = (
    (LEGS, _sides("knee", "ankle", "foot_index"), HIPS),
    (ARMS, _sides("elbow", "wrist"), SHOULDERS),
)
_END = 1  # of a lead: ankle or wrist
_BONES = tuple(
    bone
    for limb in (*_sides("hip", "knee", "ankle", "foot_index"), *_sides("shoulder", "elbow", "wrist"))
    for bone in pairwise(limb)
)
# sizes of a person (about 0.6 m in the picture), and s
_MIN_SPEED_LIMIT = 9.0  # per s: no limb is blamed for what is slower than this,
_SPEED_MARGIN = 1.3  # times as fast as it is in most frames,
_NOISE = 0.05  # and what a reading trembles
_MAX_JUMP_COST = 2.0  # what one jump costs at most: a path may begin anew
_MAX_GAP = 0.7  # s that a path bridges
_MAX_SWAP = 0.24  # s for which left and right change places
_MEDIAN_ROWS = 11  # rows
_FAR = (1e9, 1e9, 0.0)
_SWAP_COST = 1.5  # per s with left and right exchanged
_SKIP_COST, _SKIP_COST_NEAR = 20.0, 4.0  # per s without a reading; where it lies on somebody else's limb
_WITHIN = 0.6  # of another's landmarks
_NEAR = 0.35  # between limbs of two people
_VISIBLE = (0.1, 0.5)  # below the first is no reading, from the second on a sure one


def suppress_limb_outliers(tracks: Sequence[Track], fps: float) -> list[Track]:
    """The tracks, each seen somewhere, with visibility 0 for limbs off their path.  fps: of the rows."""
    found = []
    for k, track in enumerate(tracks):
        others = [_landmarks_of_other(track, other, fps) for m, other in enumerate(tracks) if m != k]
        found.append(_mask_outliers(track, others, fps))
    return found


def _left_right_swaps(track: Track, leads: Sequence[Sequence[int]], base: Sequence[int], fps: float) -> np.ndarray:
    """(T,) bool: left and right have changed places for a moment.  What lasts longer cannot be told: where legs pass
    each other either way goes on as it went."""
    left, right = leads
    there, sure = _readable(track, (*left, *right))
    positions = _relative(track, (*left, *right), base)
    other = np.roll(positions, len(left), 1)
    candidate_cost = np.where(there[:, None], [0.0, _SWAP_COST / fps], np.inf)
    speed_limit = np.full(len(track), _speed_limits(positions, there, fps)[1])
    chosen = viterbi_path(np.stack([positions, other], 1), candidate_cost, _SKIP_COST / fps * sure, speed_limit, fps)
    return _short_runs(chosen == 1, _MAX_SWAP * fps)


def _mask_outliers(track: Track, others: Sequence[np.ndarray], fps: float) -> Track:
    """Nothing seen where a limb is off its path.  others: of each of the others, see `_landmarks_of_other`."""
    points = track.keypoints2d.copy()
    near_others, whole = _near_others(track, others), _whole_body_swaps(track)
    for sides, leads, base in _LIMBS:
        swapped = _left_right_swaps(track, leads, base, fps)
        for k, (limb, lead) in enumerate(zip(sides, leads, strict=True)):
            near, worse = _overlaps_others(track, lead, others)
            same = near_others & _overlaps_opposite(track, lead, leads[1 - k])
            # the readings before and behind such are on their way between two limbs, and no better
            between = binary_dilation(_short_runs(same, _MAX_GAP * fps) | swapped)
            off = between | _short_runs(worse, _MAX_GAP * fps)
            there, sure = _readable(track, lead)
            there &= ~off
            positions = _relative(track, lead, base)
            slow, fast = _speed_limits(positions, there, fps)
            skip_cost = np.where(near, _SKIP_COST_NEAR, _SKIP_COST) / fps * sure * there
            candidate_cost = np.where(there, 0.0, np.inf)[:, None]
            chosen = viterbi_path(positions[:, None], candidate_cost, skip_cost, np.where(near, slow, fast), fps)
            off |= there & (chosen < 0)
            off &= ~whole  # the fit knows such rows by all landmarks together: none may be missing
            points[np.nonzero(off)[0][:, None], limb, 2] = 0.0
    return replace(track, keypoints2d=points)


def viterbi_path(
    positions: np.ndarray,
    candidate_cost: np.ndarray,
    skip_cost: np.ndarray,
    speed_limit: np.ndarray,
    fps: float,
) -> np.ndarray:
    """positions: (T, S, P, 2), S candidates for P limb points.  candidate_cost: (T, S) of each; skip_cost: (T,)
    none of them.  speed_limit: (T,) per s.  -> (T,) the candidate on the cheapest path, -1 for none.  Costs in sizes.
    """
    count, candidates = positions.shape[:2]
    reach = max(round(_MAX_GAP * fps), 1)
    skipped = np.concatenate([[0.0], np.cumsum(skip_cost)])  # of the rows before
    cost = np.zeros((count, candidates))
    back = np.full((count, candidates), -1)  # row * readings + reading before
    restart, restart_from = (
        -_MAX_JUMP_COST,
        -1,
    )  # the cheapest path so far, without what is skipped: the empty one
    for t in range(count):
        first = max(t - reach, 0)
        cost[t], back[t] = skipped[t] + restart + _MAX_JUMP_COST, restart_from
        if first < t:
            steps = np.arange(t - first, 0, -1)
            speed = np.minimum(speed_limit[first:t], speed_limit[t])
            distance = np.linalg.norm(positions[t] - positions[first:t, :, None], axis=-1).mean(
                -1
            )  # (before, from, to)
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


def _readable(track: Track, lead: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) bool rows with a reading; (T,) 0..1 how sure it is."""
    visible = track.keypoints2d[:, lead, 2].min(1)
    there = track.seen & (visible > _VISIBLE[0])
    return there, np.clip(visible / _VISIBLE[1], 0, 1) * there


def _relative(track: Track, lead: Sequence[int], base: Sequence[int]) -> np.ndarray:
    """(T, P, 2) places of limb points from where the limbs begin, sizes."""
    points = track.keypoints2d[..., :2].astype(float)
    return (points[:, lead] - points[:, base].mean(1, keepdims=True)) / _sizes(track)[:, None, None]


def _sizes(track: Track) -> np.ndarray:
    """(T,) px; see `Candidate.size`."""
    points = _interpolated(track)[..., :2]
    shoulders, hips = points[:, SHOULDERS], points[:, HIPS]
    spine = np.linalg.norm(shoulders.mean(1) - hips.mean(1), axis=1)
    size = spine + 0.5 * np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)
    return np.maximum(median_filter(size, 15, mode="nearest"), 4.0)


def _whole_body_swaps(track: Track) -> np.ndarray:
    """(T,) bool: left and right of the whole body, trunk included, have changed places for a moment."""
    left, right = zip(SHOULDERS, HIPS, strict=True)
    across = (track.keypoints3d[:, left] - track.keypoints3d[:, right]).sum(1)
    return (across * median_filter(across, (_MEDIAN_ROWS, 1), mode="nearest")).sum(1) < 0


def _speed_limits(positions: np.ndarray, there: np.ndarray, fps: float) -> tuple[float, float]:
    """Sizes per s that are no jump for this limb: where it is in doubt, and else."""
    both = there[1:] & there[:-1]
    if not both.any():
        return _MIN_SPEED_LIMIT, _MIN_SPEED_LIMIT
    speed = np.linalg.norm(np.diff(positions, axis=0), axis=-1).mean(1)[both] * fps
    usual = _SPEED_MARGIN * float(np.quantile(speed, 0.9))
    return usual, max(_MIN_SPEED_LIMIT, usual)


def _landmarks_of_other(track: Track, other: Track, fps: float) -> np.ndarray:
    """(T, 33, 3) another's landmarks in the rows of `track`, also while out of sight for a moment; else far away."""
    points = np.full((len(track), 33, 3), _FAR)
    _, at, there = np.intersect1d(track.frames, other.frames, return_indices=True)
    shown = ~hidden_rows(other.seen, fps)[there]
    points[at[shown]] = _interpolated(other)[there[shown]]
    return points


def _near_others(track: Track, others: Sequence[np.ndarray]) -> np.ndarray:
    """(T,) bool: somebody else is within reach."""
    mine, size = track.keypoints2d[..., :2], _sizes(track)[:, None]
    low, high = mine.min(1) - _WITHIN * size, mine.max(1) + _WITHIN * size
    near_others = np.zeros(len(track), bool)
    for points in others:
        near_others |= ((points[..., :2].max(1) > low) & (points[..., :2].min(1) < high)).all(1)
    return near_others


def _overlaps_others(track: Track, lead: Sequence[int], others: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(T,) bool: the limb's end lies on an arm or a leg of another person; and that is seen better."""
    near, worse = np.zeros((2, len(track)), bool)
    size, visible = _sizes(track), track.keypoints2d[:, lead, 2].min(1)
    end = track.keypoints2d[:, lead[_END], :2].astype(float)
    for points in others:
        for a, b in _BONES:
            on = _segment_distance(end, points[:, a, :2], points[:, b, :2]) < _NEAR * size
            near |= on
            worse |= on & (visible < points[:, [a, b], 2].min(1))
    return near, worse


def _overlaps_opposite(track: Track, lead: Sequence[int], other: Sequence[int]) -> np.ndarray:
    """(T,) bool: the limb lies on the other side's, which is seen better."""
    points = track.keypoints2d.astype(float)
    distance = np.linalg.norm(points[:, lead, :2] - points[:, other, :2], axis=-1).mean(1)
    worse = points[:, lead, 2].min(1) < points[:, other, 2].min(1)
    return worse & (distance < _NEAR * _sizes(track))


def _short_runs(flags: np.ndarray, longest: float) -> np.ndarray:
    """Only runs of so many rows."""
    short = flags.copy()
    for first, end in intervals(flags):
        short[first:end] = end - first <= longest
    return short


def _segment_distance(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) distance of a point (T, 2) from the line between a and b."""
    along = b - a
    part = ((point - a) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9)
    return np.linalg.norm(point - a - along * np.clip(part, 0, 1)[:, None], axis=1)


def _interpolated(track: Track) -> np.ndarray:
    """(T, 33, 3) px and visibility, between sights on the way from one to the next."""
    seen, rows = np.nonzero(track.seen)[0], np.arange(len(track))
    flat = track.keypoints2d.astype(float).reshape(len(track), -1)
    between = [np.interp(rows, seen, values[seen]) for values in flat.T]
    return np.stack(between, 1).reshape(track.keypoints2d.shape)
