"""SMPLer: SMPL parameters from one image by attention between 26 target tokens and a pyramid of image features.

Xu, Liu, Yan, "SMPLer: Taming Transformers for Monocular 3D Human Shape and Pose Estimation", PAMI 2024.  Parameter
names are those of the released checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.body.joint_sets import H36M17_TO_J14
from backend.body.model import BodyModel
from backend.geometry.rotations import matrix_from_6d
from backend.models.backbones.blazepose import BlazePose
from backend.models.backbones.hrnet import HRNet
from backend.models.smpler.layers import RADIUS, WIDTH, Pyramid, TransformerBlock

_GRID = 56  # of the finest map, at 224 px
_IDENTITY_6D = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

Stage = dict[str, Tensor]


@dataclass(frozen=True)
class SMPLerConfig:
    """The configuration of a SMPLer.

    hrnet_width: 32 (SMPLer), 48 (SMPLer-L), or 0 for MediaPipe's backbone in the small network.

    blocks: refinement blocks; 0 is the first training stage.  first_dropout: of the first estimate.
    """

    hrnet_width: int
    blocks: int = 3
    dropout: float = 0.1
    first_dropout: float = 0.5


class SMPLer(nn.Module):
    """Images (N, 3, 224, 224), ImageNet-normalised RGB -> list of stages: the first estimate, then one per block.

    Each stage is a dict: theta (N, 24, 3, 3) parent-relative rotations, beta (N, 10), cam (N, 3) weak-perspective:
    2D = s (XY + t) in the crop's [-1, 1]; smpl_joints (N, 24, 3) m and smpl_joints2d (N, 24, 2).  The last one (every
    one with `every_stage`) has vertices (N, V, 3) m, joints (N, 14, 3) m, joints2d (N, 14, 2) and, relative to the
    regressed pelvis, vertices_minus_pelvis and joints_minus_pelvis.  x right, y down, z forward.
    """

    joint_regressor: Tensor
    body: BodyModel

    def __init__(self, config: SMPLerConfig, body: BodyModel, joint_regressor: Tensor) -> None:
        """joint_regressor: (17, V) Human3.6M joints."""
        super().__init__()
        self.config = config
        width = config.hrnet_width
        self.backbone: HRNet | BlazePose = HRNet(width, "multi") if width else BlazePose()
        features = self.backbone.channels[-1]
        self.SMPL_predictor = SMPLPredictor(features, config.first_dropout)
        # the body is the user's own file, not a part of the network
        object.__setattr__(self, "body", body)
        self.register_buffer("joint_regressor", joint_regressor, persistent=False)
        if config.blocks:
            self.init_query_layer_beta = nn.Linear(10, WIDTH)
            self.init_query_layer_theta = nn.Linear(9, WIDTH)
            self.init_query_layer_cam = nn.Linear(3, WIDTH)
            self.global_feat_projection = nn.Linear(features, WIDTH)
            self.transformer = nn.ModuleList(
                RefinementBlock(self.backbone.channels, config.dropout) for _ in range(config.blocks)
            )

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        super()._apply(fn, recurse)
        self.body._apply(fn)
        return self

    def forward(self, images: Tensor, every_stage: bool = False) -> list[Stage]:
        maps = self.backbone.features(images)
        image_feature = maps[-1].mean((2, 3))
        theta, beta, cam = self.SMPL_predictor(image_feature)
        blocks = self.config.blocks
        stages = [self._stage(theta, beta, cam, every_stage or not blocks)]
        if not blocks:
            return stages
        query = torch.cat(
            [
                self.init_query_layer_theta(theta.flatten(2)),
                self.init_query_layer_beta(beta)[:, None],
                self.init_query_layer_cam(cam)[:, None],
            ],
            1,
        )
        query = query + self.global_feat_projection(image_feature)[:, None]
        for k, block in enumerate(self.transformer):
            rotation_update, shape, camera_update, query = block(query, maps, stages[-1]["smpl_joints2d"])
            with torch.autocast(theta.device.type, enabled=False):
                theta = theta.float() @ rotation_update.float()
            beta, cam = beta + shape, cam + camera_update
            stages.append(self._stage(theta, beta, cam, every_stage or k == blocks - 1))
        return stages

    def _stage(self, theta: Tensor, beta: Tensor, cam: Tensor, complete: bool) -> Stage:
        stage = {"theta": theta, "beta": beta, "cam": cam}
        # float32 whatever the network's precision: bf16 would move vertices by millimetres
        theta, beta = theta.to(self.joint_regressor.dtype), beta.to(self.joint_regressor.dtype)
        with torch.autocast(theta.device.type, enabled=False):
            if not complete:  # the next block needs the joints only
                stage["smpl_joints"] = self.body.pose_joints(theta, beta)
            else:
                posed = self.body(None, beta, rotations=theta)
                regressed = self.joint_regressor @ posed.vertices
                pelvis, joints = regressed[:, :1], regressed[:, H36M17_TO_J14]
                stage |= {
                    "smpl_joints": posed.joints,
                    "vertices": posed.vertices,
                    "vertices_minus_pelvis": posed.vertices - pelvis,
                    "joints": joints,
                    "joints_minus_pelvis": joints - pelvis,
                    "joints2d": project(joints, cam),
                }
            stage["smpl_joints2d"] = project(stage["smpl_joints"], cam)
        return stage


def project(points: Tensor, cam: Tensor) -> Tensor:
    """points (N, K, 3) m, cam (N, 3) = s, tx, ty -> (N, K, 2) in the crop's [-1, 1]."""
    return cam[:, None, :1] * (points[..., :2] + cam[:, None, 1:])


class SMPLPredictor(nn.Module):
    """The first estimate: HMR's iterative regression, three times the same layers (Kanazawa et al., CVPR 2018)."""

    init_pose: Tensor
    init_shape: Tensor
    init_cam: Tensor

    def __init__(self, features: int, dropout: float = 0.5, width: int = 1024) -> None:
        super().__init__()
        self.register_buffer("init_pose", torch.tensor(_IDENTITY_6D).repeat(24)[None])
        self.register_buffer("init_shape", torch.zeros(1, 10))
        self.register_buffer("init_cam", torch.tensor([[1.0, 0.0, 0.0]]))
        self.fc1 = nn.Linear(features + 144 + 10 + 3, width)
        self.fc2 = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.decpose = nn.Linear(width, 144)
        self.decshape = nn.Linear(width, 10)
        self.deccam = nn.Linear(width, 3)
        for layer in (self.decpose, self.decshape, self.deccam):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """feature (N, C) -> theta (N, 24, 3, 3), beta (N, 10), cam (N, 3)."""
        count = len(feature)
        pose, shape, cam = (start.expand(count, -1) for start in (self.init_pose, self.init_shape, self.init_cam))
        for _ in range(3):
            hidden = torch.cat([feature, pose, shape, cam], 1)
            hidden = self.dropout(torch.relu(self.fc1(hidden)))
            hidden = self.dropout(torch.relu(self.fc2(hidden)))
            pose = pose + self.decpose(hidden)
            shape = shape + self.decshape(hidden)
            cam = cam + self.deccam(hidden)
        return matrix_from_6d(pose.unflatten(1, (24, 6))), shape, cam


class RefinementBlock(nn.Module):
    """Updates of pose, shape and camera from image features at the current joints."""

    def __init__(self, channels: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.raw_feat_projection_layer = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, WIDTH, 1), nn.LayerNorm(WIDTH, eps=1e-12)) for c in channels
        )
        self.joint_feat_projection_layer = nn.Sequential(nn.Linear(WIDTH, WIDTH))
        self.trans_block = TransformerBlock(_GRID, dropout)
        self.theta_predictor = nn.Linear(WIDTH, 6)
        self.beta_predictor = nn.Linear(WIDTH, 10)
        self.cam_predictor = nn.Linear(WIDTH, 3)
        for layer in (self.theta_predictor, self.beta_predictor, self.cam_predictor):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():  # the identity rotation
            self.theta_predictor.bias[[0, 3]] = 0.1

    def forward(self, query: Tensor, maps: list[Tensor], joints2d: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """query (N, 26, 128), joints2d (N, 24, 2) in [-1, 1] -> updates of theta (N, 24, 3, 3), beta (N, 10) and cam
        (N, 3), and the new query."""
        tokens = [
            layer[1](layer[0](x).flatten(2).transpose(1, 2))  # type: ignore[index]
            for layer, x in zip(self.raw_feat_projection_layer, maps, strict=True)
        ]
        finest = tokens[0].transpose(1, 2).unflatten(2, (_GRID, _GRID))
        grid = joints2d.to(finest.dtype)[:, :, None]
        at_joints = functional.grid_sample(finest, grid, align_corners=True)[..., 0].transpose(1, 2)
        at_joints = self.joint_feat_projection_layer(at_joints)
        query = query + torch.cat([at_joints, at_joints.mean(1, keepdim=True).expand(-1, 2, -1)], 1)
        window, offsets = joint_windows(tokens[0], joints2d)
        query = self.trans_block(query, Pyramid(tokens, window, offsets))
        rotation_update = matrix_from_6d(self.theta_predictor(query[:, :24]))
        return rotation_update, self.beta_predictor(query[:, 24]), self.cam_predictor(query[:, 25]), query


def joint_windows(tokens: Tensor, joints2d: Tensor) -> tuple[Tensor, Tensor]:
    """Features (N, 24, 64, C) of the 8 x 8 pixels around every joint, and their offsets from it (N, 24, 64, 2).

    tokens: (N, 56 * 56, C) finest map.  joints2d: (N, 24, 2) in [-1, 1].  Beyond the border the border is repeated.
    Offsets are in window radii, x first; x is the outer index of the 64 pixels.
    """
    joint = (joints2d + 1) / 2 * (_GRID - 1)
    steps = torch.arange(1 - RADIUS, RADIUS + 1, device=joint.device)
    columns = (joint[..., :1].floor() + steps).clamp(0, _GRID - 1)
    rows = (joint[..., 1:].floor() + steps).clamp(0, _GRID - 1)
    shape = (*joint.shape[:2], 2 * RADIUS, 2 * RADIUS)
    pixels = torch.stack([columns[..., :, None].expand(shape), rows[..., None, :].expand(shape)], -1).flatten(2, 3)
    offsets = (pixels - joint[:, :, None]) / RADIUS
    index = (pixels[..., 1] * _GRID + pixels[..., 0]).long().flatten(1)
    # NaN joints (a diverged network) must not index outside
    index = index.clamp(0, _GRID * _GRID - 1)
    features = tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[2]))
    return features.unflatten(1, pixels.shape[1:3]), offsets
