"""The chunks that a run streams: provisional ones from the journal, final ones from the motions."""

from __future__ import annotations

import numpy as np

from backend.clips.common_frame_preview import CommonFramePreview
from backend.clips.journal import Arrays
from backend.protocol_rows import ROWS
from backend.structures import ClipChunk, Motion, World


def provisional_chunk(
    chunks: list[Arrays], common_frame: CommonFramePreview | None, lost: tuple[str, ...]
) -> ClipChunk:
    """Journal chunks as one provisional chunk.  common_frame: of a moving camera.  lost: new since the last chunk."""

    def rows(name: str) -> np.ndarray:
        return np.concatenate([chunk[name] for chunk in chunks])

    person, betas, poses, trans = rows("person"), rows("betas"), rows("poses"), rows("trans")
    world = World()
    if common_frame is not None:
        poses, trans, world = common_frame.transform(rows("frame"), poses, betas, trans)
    ids, index = np.unique(person, return_index=True)
    arrays = {"frames": rows("frame"), "poses": poses, "trans": trans}
    for name, row in ROWS.items():
        if name not in arrays:  # quantities that need the whole clip are 0
            arrays[name] = rows(name) if name in chunks[0] else row.zeros(len(person))
    return ClipChunk(final=False, people=ids, betas=betas[index], person=person, world=world, lost=lost, **arrays)


def final_chunk(motions: list[Motion], world: World, first: int, end: int, lost: tuple[str, ...] = ()) -> ClipChunk:
    """The rows of all people in frames first <= n < end."""
    parts = [(m, (m.frames >= first) & (m.frames < end)) for m in motions]
    parts = [(m, at) for m, at in parts if at.any()]
    joints = motions[0].poses.shape[1] if motions else 24
    rows = {
        name: np.concatenate([row.zeros(0, joints), *(np.asarray(getattr(m, name))[at] for m, at in parts)])
        for name, row in ROWS.items()
    }
    betas = [m.betas for m, _ in parts]
    return ClipChunk(
        final=True,
        people=np.array([m.id for m, _ in parts], np.int64),
        betas=np.stack(betas) if betas else np.zeros((0, 10), np.float32),
        person=np.concatenate([np.zeros(0, np.int64), *(np.full(at.sum(), m.id) for m, at in parts)]),
        world=world,
        lost=lost,
        **rows,
    )
