"""The networks by name: input, output, published results, and where their files are.  No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import BadInput


@dataclass(frozen=True)
class NetworkSpec:
    """One variant of one network."""

    name: str  # on the command line and in the protocol
    label: str  # the paper's spelling
    family: str  # folder of its adapter: `fastmetro`, `smpler`, `deformer`, `pose2mesh` or `pose2mesh_small`
    settings: Mapping[str, Any]  # fields of the network's own configuration
    input: str
    outputs: str
    joints: str  # joint set of the output, or of the 2D input
    published: str  # numbers of the paper or the repository, mm, with their data set
    source: str  # where a user gets the official file
    license: str  # of the official weights
    part: str = "body"  # or `hand`
    needs: tuple[str, ...] = ()  # other official files that the import needs
    rough_camera: bool = False  # its camera is less accurate than detected keypoints: these place the body

    @property
    def carries_body(self) -> bool:
        """Whether the official files contain the full body model."""
        return self.family == "smpler"

    @property
    def released(self) -> bool:
        """Whether official weights exist."""
        return self.source.startswith("github.com")


_SMPL_BOUND = "Official weights need the SMPL body model: non-commercial"
_MANO_BOUND = "Official weights need the MANO hand model: non-commercial"


def _fastmetro(size: str, backbone: str, part: str = "body", regressor: bool = False) -> NetworkSpec:
    layers = {"s": 1, "m": 2, "l": 3}[size]
    hand, high = part == "hand", backbone == "h64"
    kind = "regressor" if regressor else part
    published = {
        ("s", "r50", "body"): "PA-MPJPE: Human3.6M 38.8, 3DPW 49.1",
        ("m", "r50", "body"): "PA-MPJPE: Human3.6M 38.6 (no released weights)",
        ("l", "r50", "body"): "PA-MPJPE: Human3.6M 37.3 (no released weights)",
        ("l", "h64", "body"): "Human3.6M MPJPE 52.96, PA 33.58; 3DPW MPVPE 82.95, MPJPE 73.54, PA 44.58",
        ("l", "h64", "hand"): "FreiHAND PA-MPJPE 6.5, PA-MPVPE 7.1, F@5 .687, F@15 .983",
        ("l", "h64", "regressor"): "PA-MPJPE of the parameters: Human3.6M 36.1, 3DPW 51.0",
    }.get((size, backbone, kind), "none")
    released = (size, backbone) == ("l", "h64") or (size, backbone, kind) == ("s", "r50", "body")
    which = "freihand" if hand else "smpl_*" if regressor else "*"
    file = f"FastMETRO-{size.upper()}-{backbone.upper()}_{which}_state_dict.bin"
    return NetworkSpec(
        name=f"fastmetro-{'hand-' if hand else ''}{size}-{backbone}{'-smpl' if regressor else ''}",
        label=f"FastMETRO-{size.upper()}-{'H64' if high else 'R50'}"
        + (" hand" if hand else "")
        + (" with SMPL regressor" if regressor else ""),
        family="fastmetro",
        settings={
            "layers": layers,
            "backbone": "hrnet_w64" if high else "resnet50",
            "part": part,
            "smpl_regressor": regressor,
        },
        part=part,
        input="224 x 224 crop",
        outputs="vertices, joints, camera" + (", SMPL parameters" if regressor else ""),
        joints="21 hand joints (FreiHAND)" if hand else "14 joints (LSP order)",
        published=published,
        source=f"github.com/postech-ami/FastMETRO, README, {file}"
        if released
        else "no weights were released; train them",
        license=_MANO_BOUND if hand else _SMPL_BOUND,
        needs=("mano_downsampling.npz",) if hand else ("mesh_downsampling.npz",),
    )


def _smpler(width: int, stage: bool = False) -> NetworkSpec:
    large = width == 48
    numbers = "Human3.6M MPJPE {}, PA {}; 3DPW MPVPE {}, MPJPE {}, PA {}"
    values = (45.2, 32.4, 82.0, 73.7, 43.4) if large else (47.0, 32.8, 84.7, 75.7, 45.2)
    return NetworkSpec(
        name=f"smpler-{'backbone-' if stage else ''}w{width}",
        label=f"SMPLer{'-L' if large else ''}{' backbone stage' if stage else ''}",
        family="smpler",
        settings={"hrnet_width": width, "blocks": 0 if stage else 3},
        input="224 x 224 crop",
        outputs="SMPL parameters, vertices, joints, camera",
        joints="14 joints (LSP order) and SMPL's 24",
        published="none" if stage else numbers.format(*values),
        source="none was released; the first training stage makes it"
        if stage
        else f"github.com/xuxy09/SMPLer, README, SMPLer{'-L' if large else ''}_h36m.pt or _3dpw.pt",
        license=_SMPL_BOUND + "; the repository names no licence",
    )


def _deformer(name: str, label: str, size: str, published: str) -> NetworkSpec:
    return NetworkSpec(
        name=name,
        label=label,
        family="deformer",
        settings={"config": name},
        input=f"{size} crop",
        outputs="vertices, joints, camera",
        joints="14 joints (LSP order)",
        published=published,
        source="neither code nor weights were ever released; train it",
        license="the weights are yours: what binds them is your training data and body",
    )


def _pose2mesh(pose_set: str, joints: str, published: str) -> NetworkSpec:
    hand = pose_set == "mano"
    return NetworkSpec(
        name=f"pose2mesh-{pose_set}",
        label=f"Pose2Mesh {'hand' if hand else pose_set}",
        family="pose2mesh",
        settings={"pose_set": pose_set},
        part="hand" if hand else "body",
        input="2D pose",
        outputs="vertices, joints",
        joints=joints,
        published=published,
        source=f"github.com/hongsukchoi/Pose2Mesh_RELEASE, README, pose2mesh_{pose_set}J_*/final.pth.tar",
        license=_MANO_BOUND if hand else _SMPL_BOUND,
        needs=("the MANO file" if hand else "the SMPL body file",),
    )


def _small(
    family: str, label: str, outputs: str, joints: str, settings: Mapping[str, Any], stage: str = ""
) -> NetworkSpec:
    """A small network of ours on the backbone of MediaPipe's pose network; its weights come with the backend."""
    name = f"{family}-{stage}small"
    train = f"train it: `python -m training fit {name}`"
    return NetworkSpec(
        name=name,
        label=f"{label} small (demonstration)",
        family=family,
        settings=settings,
        input="224 x 224 crop",
        outputs=outputs,
        joints=joints,
        published="none: ours, trained on synthetic images of the open body",
        source=f"{train}, then `export --install`" if stage else f"its weights come with the program, or {train}",
        license="CC0-1.0 (weights and open body are ours); backbone by MediaPipe, Apache-2.0. Any use.",
        rough_camera=True,
    )


_POSE2MESH_SMALL = NetworkSpec(
    name="pose2mesh-small",
    label="Pose2Mesh Small",
    family="pose2mesh_small",
    settings={"width": 512},
    input="MediaPipe's 33 landmarks, 2D and 3D",
    outputs="vertices, joints",
    joints="33 landmarks (MediaPipe)",
    published="none: trained here, see backend/assets/weights/pose2mesh-small.json",
    source="its weights come with the program, or train them",
    license="CC0-1.0",
)

NETWORKS: tuple[NetworkSpec, ...] = (
    _fastmetro("s", "r50"),
    _fastmetro("m", "r50"),
    _fastmetro("l", "r50"),
    _fastmetro("s", "h64"),
    _fastmetro("m", "h64"),
    _fastmetro("l", "h64"),
    _fastmetro("s", "r50", regressor=True),
    _fastmetro("l", "h64", regressor=True),
    _fastmetro("s", "r50", part="hand"),
    _fastmetro("l", "h64", part="hand"),
    _smpler(32),
    _smpler(48),
    _smpler(32, stage=True),
    _smpler(48, stage=True),
    _deformer("deformer-r50", "DeFormer ResNet-50", "256 x 256", "none"),
    _deformer(
        "deformer-w48",
        "DeFormer HRNet-W48",
        "256 x 256",
        "Human3.6M MPJPE 44.8, PA 31.6; 3DPW MPVPE 82.6, MPJPE 72.9, PA 44.3",
    ),
    _deformer("deformer-hrformer-b", "DeFormer HRFormer", "256 x 256", "Human3.6M MPJPE 43.3, PA 30.0"),
    _deformer("deformer-w48-384", "DeFormer HRNet-W48 384", "288 x 384", "Human3.6M MPJPE 43.7, PA 30.7"),
    _deformer("deformer-w48-dense", "DeFormer HRNet-W48 dense", "256 x 256", "Human3.6M MPJPE 43.9, PA 30.7"),
    _small(
        "fastmetro",
        "FastMETRO",
        "vertices, joints, camera",
        "14 joints (LSP order)",
        {"layers": 1, "backbone": "blazepose", "widths": (96, 48), "heads": 3, "dropout": 0.0},
    ),
    _small(
        "smpler",
        "SMPLer",
        "SMPL parameters, vertices, joints, camera",
        "14 joints (LSP order) and SMPL's 24",
        {"hrnet_width": 0, "blocks": 1, "dropout": 0.0, "first_dropout": 0.1},
    ),
    _small(
        "smpler",
        "SMPLer backbone stage,",
        "SMPL parameters, vertices, joints, camera",
        "14 joints (LSP order) and SMPL's 24",
        {"hrnet_width": 0, "blocks": 0, "dropout": 0.0, "first_dropout": 0.1},
        stage="backbone-",
    ),
    _small("deformer", "DeFormer", "vertices, joints, camera", "14 joints (LSP order)", {"config": "deformer-small"}),
    _pose2mesh("human36", "17 joints (Human3.6M)", "Human3.6M MPJPE 64.9, PA 46.3"),
    _pose2mesh("coco", "17 COCO joints, pelvis, neck", "3DPW MPJPE 88.9, PA 58.3, MPVPE 106.3"),
    _pose2mesh("smpl", "SMPL's 24 joints", "none (SURREAL)"),
    _pose2mesh("mano", "21 hand joints (FreiHAND)", "FreiHAND PA-MPVPE 7.6, PA-MPJPE 7.4, F@5 .683, F@15 .973"),
    _POSE2MESH_SMALL,
)


def network(name: str) -> NetworkSpec:
    """The network called `name`; raises BadInput `unknown_model` with the list of names."""
    for spec in NETWORKS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in NETWORKS)
    raise BadInput("unknown_model", f"There is no network {name!r}.", f"Choose one of: {known}.")


def how_to_get(network: NetworkSpec) -> str:
    """How a user gets a network's weights, as a sentence."""
    needs = f" with {', '.join(network.needs)} in its folder" if network.needs else ""
    where = f"get {network.source}{needs}" if network.released else network.source
    return f"{where[0].upper()}{where[1:]}; then: recover-mesh models import {network.name} FILE."
