"""DeFormer: joints and vertices of a coarse or the full mesh as queries with deformable attention to image features.

Yoshiyasu, "Deformable Mesh Transformer for 3D Human Mesh Recovery", CVPR 2023.  The author published no code and no
weights, and the paper's text was not available: this follows the talk's slides and the two figures of the author's
repository.  From there: the order of the decoder's layers, three blocks, the five maps, queries, attention pattern and
refinement.  Widths, heads, points, initial values, the output stage and the gradient rule are our choice, after
Deformable DETR (Zhu et al. 2021); each is a field of the configuration or a line here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from backend.body.joint_sets import H36M17_TO_J14
from backend.body.mesh_levels import MeshLevels, SparseMatrix
from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from backend.models.backbones.hrformer import HRFormer
from backend.models.backbones.hrnet import HRNet
from backend.models.backbones.resnet import ResNet50
from backend.models.deformer.layers import Block, Neck, PreciseLinear
from backend.models.deformer.sparse_pattern import JOINTS, mesh_pattern

STRIDES = (4, 8, 16, 32)
_PELVIS = 0
_FIRST_SCALE = 0.9  # a standing person fills this share of the crop (Kanazawa et al., "HMR", CVPR 2018)


class Backbone(Protocol):
    channels: tuple[int, ...]

    def features(self, x: Tensor) -> list[Tensor]: ...


@dataclass(frozen=True)
class DeFormerConfig:
    """The configuration of a DeFormer.

    queries: number of queried vertices, the size of one mesh level: 431, 1723 or 6890.

    input_size: (H, W) px, multiples of 32.  widths: per block.  rings, tile16: see `mesh_pattern`.  gradient: `every`
    detaches the coordinates before each block, for losses on every estimate; `last` does not, for a loss on the last
    estimate alone.  attention, sampling: backends, see `sparse_attention` and `sample_maps`.  checkpointing: blocks
    are computed again in the backward pass, to save memory in training.
    """

    backbone: Literal["resnet50", "hrnet_w48", "hrformer_small", "hrformer_base", "blazepose"]
    input_size: tuple[int, int] = (256, 256)
    queries: int = 431
    widths: tuple[int, ...] = (256, 256, 256)
    map_width: int = 256
    heads: int = 8
    feedforward: int = 1024
    points: int = 4
    rings: int = 1
    tile16: bool = False
    dropout: float = 0.1
    gradient: Literal["every", "last"] = "every"
    attention: str = "auto"
    sampling: str = "auto"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if any(side <= 0 or side % 32 for side in self.input_size):
            raise BadInput(
                "bad_config",
                f"The input size {self.input_size} is not a multiple of the maps' stride 32.",
                "Give height and width in multiples of 32 pixels.",
            )
        if any(width % self.heads for width in self.widths):
            raise BadInput(
                "bad_config",
                f"Widths {self.widths} cannot be divided among {self.heads} heads.",
                "Choose widths that are multiples of the number of heads.",
            )


_COARSE = DeFormerConfig("hrnet_w48")
CONFIGS: dict[str, DeFormerConfig] = {
    "deformer-r50": replace(_COARSE, backbone="resnet50"),
    "deformer-w48": _COARSE,
    "deformer-hrformer-b": replace(_COARSE, backbone="hrformer_base"),
    "deformer-w48-384": replace(_COARSE, input_size=(384, 288)),
    "deformer-w48-dense": replace(_COARSE, queries=6890),
    "deformer-small": DeFormerConfig(
        "blazepose", (224, 224), widths=(64, 64), map_width=64, heads=4, feedforward=256, dropout=0.0
    ),
}


class DeFormer(nn.Module):
    """Images (N, 3, H, W), ImageNet-normalised RGB -> dict, float32, axes x right, y down, z forward:

    estimates (N, blocks + 1, T, 3): X^0 (the template) to the last X, T = 14 joints and the queried vertices, in the
    crop's units: its longer side spans [-1, 1]; scale (N, 1, 1) metres per such unit; and the outputs of `measure` for
    the last X.
    """

    template: Tensor
    first: Tensor
    regressor: Tensor
    regressor_of_queries: Tensor

    def __init__(
        self,
        config: DeFormerConfig,
        levels: MeshLevels,
        template: Tensor,
        joint_regressor: Tensor,
        backbone: nn.Module | None = None,
    ) -> None:
        """levels: of the body's mesh, finest first; template (V, 3) m, in the body frame (y up); joint_regressor
        (17, V), Human3.6M's joints; backbone: with `channels` and `features`, instead of the configured one.
        Raises BadInput `bad_config` where the body has no level of `config.queries` vertices."""
        super().__init__()
        if config.queries not in levels.sizes:
            raise BadInput(
                "bad_config",
                f"The mesh has levels of {levels.sizes} vertices, none of {config.queries}.",
                "Set `queries` to one of them.",
            )
        self.config = config
        self.backbone = make_backbone(config.backbone) if backbone is None else backbone
        channels = cast(Backbone, self.backbone).channels
        height, width = config.input_size
        shapes = (*((height // s, width // s) for s in STRIDES), (1, 1))
        self.neck = Neck(channels, config.map_width)
        first, last = config.widths[0], config.widths[-1]
        tokens = JOINTS + config.queries
        self.query_vectors = nn.Parameter(torch.empty(tokens, first))
        nn.init.normal_(self.query_vectors, std=0.02)
        self.query_places = PreciseLinear(3, first)
        self.query_image = nn.Linear(config.map_width, first)
        shared = (config.heads, config.feedforward, config.points, config.dropout, config.attention, config.sampling)
        self.blocks = nn.ModuleList(Block(d, config.map_width, shapes, *shared) for d in config.widths)
        self.between = nn.ModuleList(nn.Identity() if a == b else nn.Linear(a, b) for a, b in pairwise(config.widths))
        output = PreciseLinear(last, 1)
        nn.init.zeros_(output.weight)
        nn.init.constant_(output.bias, math.log(math.expm1(1 / _FIRST_SCALE)))
        self.scale_head = nn.Sequential(nn.Linear(last, last), nn.ReLU(), output)
        self.level = levels.sizes.index(config.queries)
        self.pattern = mesh_pattern(levels.adjacency[self.level], JOINTS, config.rings, config.tile16)
        self._set_mesh(levels, template.detach().float(), joint_regressor.detach().float())

    def _set_mesh(self, levels: MeshLevels, template: Tensor, joint_regressor: Tensor) -> None:
        """Register the body's constants, which are not part of a checkpoint."""

        def constant(name: str, value: Tensor) -> None:
            self.register_buffer(name, value, persistent=False)

        # facing the camera: rotated by 180 degrees about x, from y up to y down
        vertices = template * template.new_tensor([1.0, -1.0, -1.0])
        joints = joint_regressor @ vertices
        for down in levels.down[: self.level]:
            vertices = SparseMatrix(down)(vertices)
        first = torch.cat([joints[list(H36M17_TO_J14)], vertices]) - joints[_PELVIS]
        constant("first", first * _FIRST_SCALE)
        constant("regressor", joint_regressor)
        for k, (up, down) in enumerate(zip(levels.up, levels.down, strict=True)):
            self.add_module(f"up{k}", SparseMatrix(up))
            self.add_module(f"down{k}", SparseMatrix(down))
        # approximate joint regressor for the queried vertices, before there is a full mesh
        on_queries = joint_regressor.T
        for up in levels.up[: self.level]:
            on_queries = SparseMatrix(up.T)(on_queries)
        constant("regressor_of_queries", on_queries.T.contiguous())
        if self.level > 1:
            # as in METRO and FastMETRO: the first upsampling is learned, the last one is fixed
            up = levels.up[self.level - 1]
            self.upsample = PreciseLinear(up.shape[1], up.shape[0])
            with torch.no_grad():
                self.upsample.weight.copy_(torch.as_tensor(up.toarray()))
                self.upsample.bias.zero_()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """See the class.  Raises BadInput `image_size` for images of another size than the configuration's."""
        if tuple(images.shape[-2:]) != self.config.input_size:
            raise BadInput(
                "image_size",
                f"The images are {tuple(images.shape[-2:])}, the network expects {self.config.input_size}.",
                "Cut the crops to the size of the configuration.",
            )
        pixels, overall = self.neck(cast(Backbone, self.backbone).features(images))
        positions = self.query_vectors + self.query_places(self.first)
        tokens = positions + self.query_image(overall)[:, None]
        coordinates = self.first.expand(len(images), -1, -1)
        estimates = [coordinates]
        for k, block in enumerate(self.blocks):
            if k:
                tokens = self.between[k - 1](tokens)
            if self.config.gradient == "every":
                coordinates = coordinates.detach()
            inputs = (tokens, coordinates, self.image_points(coordinates), pixels, self.pattern)
            if self.config.checkpointing and self.training:
                tokens, update = checkpoint(block, *inputs, use_reentrant=False)
            else:
                tokens, update = block(*inputs)
            coordinates = coordinates + update
            estimates.append(coordinates)
        scale = nn.functional.softplus(self.scale_head(tokens[:, :JOINTS].mean(1)))[:, None]
        return {"estimates": torch.stack(estimates, 1), "scale": scale, **self.measure(coordinates, scale)}

    def image_points(self, coordinates: Tensor) -> Tensor:
        """(..., 2) x and y in [0, 1], (0, 0) the top left and (1, 1) the bottom right corner, from (..., 3) in the
        crop's units."""
        height, width = self.config.input_size
        longer = max(height, width)
        x, y = coordinates[..., 0], coordinates[..., 1]
        return torch.stack([0.5 + 0.5 * longer / width * x, 0.5 + 0.5 * longer / height * y], -1)

    def measure(self, coordinates: Tensor, scale: Tensor) -> dict[str, Tensor]:
        """Estimates X (..., T, 3) in the crop's units, scale (..., 1, 1) -> dict, m, the mesh's pelvis at the origin:

        joints (..., 14, 3), the joint tokens; vertices (..., V, 3), and vertices_<size> (..., size, 3) for every
        coarser level; mesh_joints (..., 14, 3), regressed from the vertices; camera (..., 3) = s, tx, ty: s (XY + t)
        is the position in the crop's units.
        """
        with torch.autocast(coordinates.device.type, enabled=False):
            # upsampling rows need not sum to 1: the mesh must be near the origin
            near = (self.regressor_of_queries @ coordinates[..., JOINTS:, :])[..., [_PELVIS], :]
            meshes = self._every_level(coordinates[..., JOINTS:, :] - near)
            regressed = self.regressor @ meshes[0]
            pelvis = regressed[..., [_PELVIS], :]
            out = {
                "joints": scale * (coordinates[..., :JOINTS, :] - near - pelvis),
                "vertices": scale * (meshes[0] - pelvis),
                "mesh_joints": scale * (regressed[..., H36M17_TO_J14, :] - pelvis),
            }
            for mesh in meshes[1:]:
                out[f"vertices_{mesh.shape[-2]}"] = scale * (mesh - pelvis)
            shift = (scale * (near + pelvis))[..., 0, :2]
            out["camera"] = torch.cat([(1 / scale[..., 0]).expand_as(shift[..., :1]), shift], -1)
            return out

    def _every_level(self, vertices: Tensor) -> list[Tensor]:
        """Vertices of all levels, finest first, from the queried level's (..., v, 3)."""
        meshes = [vertices]
        for k in reversed(range(self.level)):
            if k and k == self.level - 1:
                meshes.insert(0, self.upsample(meshes[0].transpose(-1, -2)).transpose(-1, -2))
            else:
                meshes.insert(0, _product(getattr(self, f"up{k}"), meshes[0]))
        k = self.level
        while hasattr(self, f"down{k}"):
            meshes.append(_product(getattr(self, f"down{k}"), meshes[-1]))
            k += 1
        return meshes


def make_backbone(name: str) -> nn.Module:
    """A backbone with random weights, and with `channels` and `features`.  Raises BadInput `bad_config`."""
    makers = {
        "resnet50": lambda: ResNet50(),
        "hrnet_w48": lambda: HRNet(48, "multi"),
        "hrformer_small": lambda: HRFormer("small"),
        "hrformer_base": lambda: HRFormer("base"),
        "blazepose": lambda: BlazePose(),
    }
    if name not in makers:
        raise BadInput("bad_config", f"There is no backbone {name!r}.", f"Choose one of: {', '.join(makers)}.")
    return makers[name]()


def _product(matrix: SparseMatrix, points: Tensor) -> Tensor:
    """(..., V, 3) m, matrix (V, v) times points (..., v, 3)."""
    columns = points.reshape(-1, *points.shape[-2:]).transpose(0, 1)
    return matrix(columns).transpose(0, 1).reshape(*points.shape[:-2], -1, 3)
