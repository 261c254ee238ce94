# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's corrections of the track ids of a clip: merges and splits, in the order in which they are applied.

An edit changes the list of people at once, so that the next edit can use it; the bodies change when the clip is
recovered again.  Edits are stored in the scene's settings: undo reverts them, the .blend saves them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import properties

ClipSettings = properties.RecoverMeshClipSettings
_FIELDS = ("id", "first", "last", "seen", "use")


def frame_range_key(fields: Mapping[str, Any]) -> str:
    """A key of the frames that a job reads; track ids are valid for these only.  fields: of the job file."""
    return f"{fields['first']} {fields['last']} {fields['step']}"


def matches_job(clip: ClipSettings, fields: Mapping[str, Any]) -> bool:
    """Whether the listed people are those of this job's clip and frames.  fields: of the job file."""
    return clip.people_of == fields["source"] and clip.people_in in ("", frame_range_key(fields))


def edit_rows(clip: ClipSettings) -> list[list[Any]]:
    """The edits in the form of the job file."""
    return [[edit.kind, edit.person, edit.second, edit.new] for edit in clip.edits]


def labels(clip: ClipSettings) -> list[str]:
    """The edits as text for the panel; frames are the scene's."""
    return [
        f"{edit.second} merged into {edit.person}"
        if edit.kind == "merge"
        else f"{edit.person} split at {edit.second + clip.people_start}: {edit.new}"
        for edit in clip.edits
    ]


def has_pending_edits(clip: ClipSettings) -> bool:
    """Whether edits or ticks have changed since the clip was recovered."""
    return json.loads(clip.applied or "[]") != edit_rows(clip) or any(one.use != one.kept for one in clip.people)


def store(clip: ClipSettings, fields: Mapping[str, Any], start: int, arrays: Mapping[str, Any]) -> None:
    """List the people of the protocol's `people`, each ticked if it was recovered.

    fields: of the job that found them.  start: frame of the scene for the clip's first.
    """
    clip.people_of, clip.people_in, clip.people_start = fields["source"], frame_range_key(fields), start
    rows = []
    for k, track_id in enumerate(arrays["people"].tolist()):
        first, last, seen = (int(arrays[name][k]) for name in ("first", "last", "seen"))
        rows.append([track_id, first, last, seen, bool(arrays["kept"][k])])
    _set_people(clip, rows)
    for one in clip.people:
        one.kept = one.use
    edits = fields.get("edits", [])
    clip.applied = json.dumps(edits)
    if not edits:
        clip.edits.clear()
        clip.unedited = json.dumps(rows)


def selected(clip: ClipSettings) -> list[properties.RecoverMeshClipPerson]:
    """The people who are selected for Merge or Split Here."""
    return [one for one in clip.people if one.select]


def merge_blocked_reason(clip: ClipSettings) -> str:
    """Why a merge is impossible; empty if it is possible."""
    return "" if len(selected(clip)) > 1 else "Select two or more people first, with the arrows at the right"


def merge(clip: ClipSettings) -> int:
    """Merge the selected people; returns the id of the merged person, the lowest of theirs."""
    ids = sorted(one.id for one in selected(clip))
    rows = {one.id: one for one in clip.people}
    into = rows[ids[0]]
    for other in (rows[k] for k in ids[1:]):
        into.first, into.last = min(into.first, other.first), max(into.last, other.last)
        into.seen = into.seen + other.seen if into.seen and other.seen else 0
        into.use = into.use or other.use
    for k in ids[1:]:
        _add_edit(clip, "merge", ids[0], k)
        clip.people.remove(next(index for index, one in enumerate(clip.people) if one.id == k))
    return ids[0]


def split_blocked_reason(clip: ClipSettings, frame: int) -> str:
    """Why a split at a frame of the scene is impossible; empty if it is possible."""
    found = selected(clip)
    if len(found) != 1:
        return "Select one person first, with the arrow at the right"
    first, last = found[0].first + clip.people_start, found[0].last + clip.people_start
    if not first < frame <= last:
        return f"Go to a frame from {first + 1} to {last}: there Person {found[0].id} can be split"
    return ""


def split(clip: ClipSettings, frame: int) -> int:
    """Split the selected person at a frame of the scene; returns the id of the new person, who begins there."""
    (one,) = selected(clip)
    cut = frame - clip.people_start
    used = [person.id for person in clip.people] + [row[0] for row in json.loads(clip.unedited or "[]")]
    used += [edit.new for edit in clip.edits]
    new = max(used) + 1
    rows = [[getattr(person, name) for name in _FIELDS] for person in clip.people]
    index = next(k for k, row in enumerate(rows) if row[0] == one.id)
    _add_edit(clip, "split", one.id, cut, new)
    use = one.use
    rows[index : index + 1] = [[one.id, one.first, cut - 1, 0, use], [new, cut, one.last, 0, use]]
    _set_people(clip, rows)
    return new


def reset(clip: ClipSettings) -> None:
    """Remove all edits; the list of people is again as the backend found it."""
    clip.edits.clear()
    if clip.unedited:
        _set_people(clip, json.loads(clip.unedited))


def _add_edit(clip: ClipSettings, kind: str, person: int, second: int, new: int = 0) -> None:
    edit = clip.edits.add()
    edit.kind, edit.person, edit.second, edit.new = kind, person, second, new


def _set_people(clip: ClipSettings, rows: Sequence[Sequence[Any]]) -> None:
    kept = {one.id: one.kept for one in clip.people}
    clip.people.clear()
    for row in rows:
        one = clip.people.add()
        for name, value in zip(_FIELDS, row, strict=True):
            setattr(one, name, value)
        one.kept = kept.get(one.id, one.use)
