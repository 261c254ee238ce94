"""Tiny Human3.6M in Pose2Mesh's JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.datasets.human36m import EVERY, PROTOCOL2
from training.datasets.tiny.people import CAMERA, SIZE, WORLD_TO_CAMERA, WORLD_TRANSLATION, Person, bodies, save


def name_of(person: Person, subject: int) -> str:
    return f"s_{subject:02d}_act_02_subact_01_ca_01/s_{subject:02d}_act_02_subact_01_ca_01_{person.index + 1:06d}.jpg"


def write_human36m(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Both splits: each subject has `count` sampled frames, one that the step skips, and one without a fit."""
    detected: dict[str, Any] = {}
    for split, subjects in PROTOCOL2.items():
        for subject in subjects:
            people = bodies(count, seed + subject)
            _subject(folder, subject, people, EVERY[split])
            if split == "test":
                for person in people:
                    name = name_of(person, subject).split("/")[-1]
                    detected[name] = (person.joints2d("h36m17") + 0.5).tolist()
    (folder / "absnet_output_on_testset.json").write_text(json.dumps(detected))
    return {"kind": "human36m", "path": str(folder), "split": "train", "body": "open"}


def _subject(folder: Path, subject: int, people: list[Person], every: int) -> None:
    images: list[dict] = []
    annotations: list[dict] = []
    joints: dict[str, list] = {}
    fits: dict[str, dict] = {}
    for person in [*people, None, None]:
        number = len(images)
        # after the people: a frame that the step skips, and one without a fit
        frame = number * every if number != len(people) else number * every + 1
        shown = person or people[0]
        name = name_of(shown, subject) if person else f"s_{subject:02d}_unused_{number}.jpg"
        images.append({
            "id": 1000 * subject + number, "file_name": name, "width": SIZE[0], "height": SIZE[1], "subject": subject,
            "action_idx": 2, "subaction_idx": 1, "cam_idx": 1, "frame_idx": frame,
        })  # fmt: skip
        annotations.append({"id": number, "image_id": 1000 * subject + number, "bbox": shown.xywh()})
        pose, trans = shown.in_world()
        world = (shown.joints3d("h36m17") - WORLD_TRANSLATION) @ WORLD_TO_CAMERA
        joints[str(frame)] = (world * 1000).tolist()
        if number != len(people) + 1:
            fits[str(frame)] = {"pose": pose.tolist(), "shape": shown.betas.tolist(), "trans": trans.tolist()}
        if person:
            save(folder / "images" / name, person.jpeg())
    camera = {
        "R": WORLD_TO_CAMERA.tolist(),
        "t": (WORLD_TRANSLATION * 1000).tolist(),
        "f": CAMERA[:2].tolist(),
        "c": CAMERA[2:].tolist(),
    }
    content = {
        "data": {"images": images, "annotations": annotations}, "camera": {"1": camera},
        "joint_3d": {"2": {"1": joints}}, "smpl_param": {"2": {"1": fits}},
    }  # fmt: skip
    (folder / "annotations").mkdir(exist_ok=True)
    for part, value in content.items():
        (folder / "annotations" / f"Human36M_subject{subject}_{part}.json").write_text(json.dumps(value))
