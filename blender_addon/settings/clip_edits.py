# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who in a clip, corrected by the artist: merges and splits, kept in order until they are applied.

An edit changes the list of people at once, so that the next one can follow; the bodies change when the clip is
recovered again.  All of it lives in the scene's settings: undo takes it back, the file keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import properties

ClipSettings = properties.RecoverMeshClipSettings
_FIELDS = ("id", "first", "last", "seen", "use")


def frame_range_key(fields: Mapping[str, Any]) -> str:
    """Which frames a job reads: in others, other people have those ids.  fields: of the job file."""
    return f"{fields['first']} {fields['last']} {fields['step']}"


def matches_job(clip: ClipSettings, fields: Mapping[str, Any]) -> bool:
    """Whether the people who are listed are those whom this job would find.  fields: of the job file."""
    return clip.people_of == fields["source"] and clip.people_in in ("", frame_range_key(fields))


def edit_rows(clip: ClipSettings) -> list[list[Any]]:
    """The edits as the job file has them."""
    return [[edit.kind, edit.person, edit.second, edit.new] for edit in clip.edits]


def labels(clip: ClipSettings) -> list[str]:
    """The edits as the artist reads them; frames are those of the scene."""
    return [
        f"{edit.second} merged into {edit.person}"
        if edit.kind == "merge"
        else f"{edit.person} split at {edit.second + clip.people_start}: {edit.new}"
        for edit in clip.edits
    ]


def has_pending_edits(clip: ClipSettings) -> bool:
    """Whether ticks or edits were changed since the clip was recovered."""
    return json.loads(clip.applied or "[]") != edit_rows(clip) or any(one.use != one.kept for one in clip.people)


def store(clip: ClipSettings, fields: Mapping[str, Any], start: int, arrays: Mapping[str, Any]) -> None:
    """Take the `people` of the protocol; ticks as they were recovered.

    fields: of the job that found them.
    start: frame of the scene for the clip's first.
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
    return [one for one in clip.people if one.select]


def merge_blocked_reason(clip: ClipSettings) -> str:
    """Why nothing can be merged; empty where it can."""
    return "" if len(selected(clip)) > 1 else "Select two or more people first, with the arrows at the right"


def merge(clip: ClipSettings) -> int:
    """The chosen become one, who has the lowest of their ids.  Returns it."""
    ids = sorted(one.id for one in selected(clip))
    rows = {one.id: one for one in clip.people}
    into = rows[ids[0]]
    for other in (rows[k] for k in ids[1:]):
        into.first, into.last = min(into.first, other.first), max(into.last, other.last)
        into.seen = into.seen + other.seen if into.seen and other.seen else 0
        into.use = into.use or other.use
    for k in ids[1:]:
        _add_edit(clip, "merge", ids[0], k)
        clip.people.remove(next(place for place, one in enumerate(clip.people) if one.id == k))
    return ids[0]


def split_blocked_reason(clip: ClipSettings, frame: int) -> str:
    """Why nobody can be split at a frame of the scene; empty where somebody can."""
    found = selected(clip)
    if len(found) != 1:
        return "Select one person first, with the arrow at the right"
    first, last = found[0].first + clip.people_start, found[0].last + clip.people_start
    if not first < frame <= last:
        return f"Go to a frame from {first + 1} to {last}: there Person {found[0].id} can be split"
    return ""


def split(clip: ClipSettings, frame: int) -> int:
    """The chosen person is another one from a frame of the scene on.  Returns the new id."""
    (one,) = selected(clip)
    cut = frame - clip.people_start
    used = [person.id for person in clip.people] + [row[0] for row in json.loads(clip.unedited or "[]")]
    used += [edit.new for edit in clip.edits]
    new = max(used) + 1
    rows = _people_rows(clip)
    place = next(k for k, row in enumerate(rows) if row[0] == one.id)
    _add_edit(clip, "split", one.id, cut, new)
    use = one.use
    rows[place : place + 1] = [[one.id, one.first, cut - 1, 0, use], [new, cut, one.last, 0, use]]
    _set_people(clip, rows)
    return new


def reset(clip: ClipSettings) -> None:
    """No edit, everybody as found."""
    clip.edits.clear()
    if clip.unedited:
        _set_people(clip, json.loads(clip.unedited))


def _add_edit(clip: ClipSettings, kind: str, person: int, second: int, new: int = 0) -> None:
    edit = clip.edits.add()
    edit.kind, edit.person, edit.second, edit.new = kind, person, second, new


def _people_rows(clip: ClipSettings) -> list[list[Any]]:
    return [[getattr(one, name) for name in _FIELDS] for one in clip.people]


def _set_people(clip: ClipSettings, rows: Sequence[Sequence[Any]]) -> None:
    kept = {one.id: one.kept for one in clip.people}
    clip.people.clear()
    for row in rows:
        one = clip.people.add()
        for name, value in zip(_FIELDS, row, strict=True):
            setattr(one, name, value)
        one.kept = kept.get(one.id, one.use)
