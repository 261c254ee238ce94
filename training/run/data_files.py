"""Which files each data set must find below the data root, as its users have them.  `*` stands for any name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from training.run.spec import SetSpec

_HUMAN36M = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}


def files_of(spec: SetSpec, prepare: Mapping[str, Any]) -> list[str]:
    """Paths and patterns, relative to the data root."""
    options = spec.options
    folder = PurePosixPath(str(options.get("path", "")))
    split = str(options.get("split", "train"))
    detected = prepare.get("input") == "detected"
    kinds = ("data", "camera", "joint_3d", "smpl_param")
    names = ["."]
    if spec.kind == "human36m":
        names = [f"annotations/Human36M_subject{s}_{k}.json" for s in _HUMAN36M[split] for k in kinds]
        if split == "test" and detected:
            names.append("absnet_output_on_testset.json")
    elif spec.kind == "coco":
        names = ["annotations/person_keypoints_train2017.json", "annotations/coco_smplify_train.json"]
    elif spec.kind == "muco":
        names = ["data/MuCo-3DHP.json", "data/smpl_param.json"]
    elif spec.kind == "amass":
        names = [f"*{_any_case(name)}*" for name in options.get("subsets", ["CMU"])]
    elif spec.kind == "pw3d_json":
        names = [f"data/3DPW_latest_{split}.json"]
        if detected:
            names.append(f"data/darkpose_3dpw_{split}set_output.json")
    elif spec.kind == "surreal_json":
        names = [f"data/{split}.json"] + [f"data/hrnet_output_on_{split}set.json"] * detected
    elif spec.kind == "freihand_json":
        names = [f"data/freihand_{split}_coco.json", f"data/freihand_{split}_data.json"]
        if detected or split == "eval":  # whose true poses are not public
            names.append(f"data/hrnet_output_on_{'test' if split == 'eval' else split}set.json")
    return [str(folder / name) for name in names]


def _any_case(name: str) -> str:
    """As a pattern: the folder's own spelling differs (`CMU`, `cmu`)."""
    return "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in name)
