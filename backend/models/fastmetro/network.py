"""FastMETRO: a mesh from one image by an encoder-decoder transformer; its queries are joints and vertices.

Cho, Youwang, Oh, "Cross-Attention of Disentangled Modalities for 3D Human Mesh Recovery with Transformers", ECCV 2022.
Parameter names are those of the released checkpoints; where code and paper differ, this follows the code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from backend.body.mesh_levels import SparseMatrix
from backend.models.backbones.blazepose import BlazePose
from backend.models.backbones.hrnet import HRNet
from backend.models.backbones.resnet import sequential_resnet50
from backend.models.fastmetro.attention import MultiHeadAttention

_FEEDFORWARD = 4  # hidden width of the feed-forward part over the transformer's width
_GRID = 7  # the backbone's map is 7 x 7 at 224 px


@dataclass(frozen=True)
class FastMETROConfig:
    """The configuration of a FastMETRO.

    layers: of each encoder and decoder: S 1, M 2, L 3.  widths: of the two transformers.
    """

    layers: int
    backbone: Literal["resnet50", "hrnet_w64", "blazepose"]
    part: Literal["body", "hand"] = "body"
    smpl_regressor: bool = False
    widths: tuple[int, int] = (512, 128)
    heads: int = 8
    dropout: float = 0.1

    @property
    def joints(self) -> int:
        return 14 if self.part == "body" else 21


@dataclass(frozen=True)
class FastMETROMesh:
    """The matrices of the body's mesh that the network needs; not part of a checkpoint.

    adjacent: (c, c) non-zero for neighbouring coarse vertices and on the diagonal.  up: (V, m) from the intermediate
    mesh (hand: from the coarse one) to the full one.  Body: c 431, m 1723, V 6890; hand: c 195, V 778.
    """

    adjacent: sp.csr_matrix
    up: sp.csr_matrix


class FastMETRO(nn.Module):
    """Images (N, 3, 224, 224), ImageNet-normalised RGB -> dict of float32:

    pred_cam (N, 3) weak-perspective: 2D = s (XY + t) in the crop's [-1, 1]; pred_3d_joints (N, J, 3);
    pred_3d_vertices_coarse (N, c, 3); pred_3d_vertices_intermediate (N, m, 3), body only; pred_3d_vertices_fine
    (N, V, 3); with the regressor pred_rotmat (N, 24, 3, 3), pred_betas (N, 10).  Metres, x right, y down, z forward,
    NOT root-relative.
    """

    allowed: Tensor
    pos_enc_1: Tensor
    pos_enc_2: Tensor

    def __init__(self, config: FastMETROConfig, mesh: FastMETROMesh) -> None:
        super().__init__()
        self.config = config
        wide, narrow = config.widths
        coarse, intermediate = mesh.adjacent.shape[0], mesh.up.shape[1]
        self.backbone, features = _backbone(config.backbone)
        self.transformer_1 = Transformer(wide, config.heads, config.layers, config.dropout)
        self.transformer_2 = Transformer(narrow, config.heads, config.layers, config.dropout)
        self.dim_reduce_enc_cam = nn.Linear(wide, narrow)
        self.dim_reduce_enc_img = nn.Linear(wide, narrow)
        self.dim_reduce_dec = nn.Linear(wide, narrow)
        self.cam_token_embed = nn.Embedding(1, wide)
        self.joint_token_embed = nn.Embedding(config.joints, wide)
        self.vertex_token_embed = nn.Embedding(coarse, wide)
        self.xyz_regressor = nn.Linear(narrow, 3)
        self.cam_predictor = nn.Linear(narrow, 3)
        self.conv_1x1 = nn.Conv2d(features, wide, 1)
        if config.part == "body":
            self.coarse2intermediate_upsample = nn.Linear(coarse, intermediate)
        if config.smpl_regressor:
            self.smpl_parameter_regressor = SMPLParameterRegressor(intermediate)
        # joints attend to all tokens and all tokens to them, vertices to their neighbours
        allowed = torch.ones(config.joints + coarse, config.joints + coarse, dtype=torch.bool)
        allowed[config.joints :, config.joints :] = torch.as_tensor(mesh.adjacent.toarray() != 0)
        self.register_buffer("allowed", allowed, persistent=False)
        self.up = SparseMatrix(mesh.up)
        self.register_buffer("pos_enc_1", sine_positions(wide, _GRID), persistent=False)
        self.register_buffer("pos_enc_2", sine_positions(narrow, _GRID), persistent=False)
        self._first_tokens: Tensor | None = None  # see `cache_constants`

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        count, joints = len(images), self.config.joints
        image = self.conv_1x1(self.backbone(images)).flatten(2).transpose(1, 2)
        camera = self.cam_token_embed.weight.expand(count, -1, -1)
        camera, image = self.transformer_1.encoder(camera, image, self.pos_enc_1)
        cached = self._first_tokens
        tokens = (self._learned_tokens() if cached is None else cached).expand(count, -1, -1)
        tokens = self.transformer_1.decoder(tokens, image, self.pos_enc_1, self.allowed, cached is not None)
        camera, image = self.transformer_2.encoder(
            self.dim_reduce_enc_cam(camera), self.dim_reduce_enc_img(image), self.pos_enc_2
        )
        tokens = self.transformer_2.decoder(self.dim_reduce_dec(tokens), image, self.pos_enc_2, self.allowed)
        xyz = self.xyz_regressor(tokens)
        coarse = xyz[:, joints:]
        out = {
            "pred_cam": self.cam_predictor(camera)[:, 0],
            "pred_3d_joints": xyz[:, :joints],
            "pred_3d_vertices_coarse": coarse,
        }
        finest = coarse
        if self.config.part == "body":
            finest = self.coarse2intermediate_upsample(coarse.transpose(1, 2)).transpose(1, 2)
            out["pred_3d_vertices_intermediate"] = finest
        out["pred_3d_vertices_fine"] = self.up(finest.transpose(0, 1)).transpose(0, 1)
        if self.config.smpl_regressor:
            # the parameters' loss does not reach the mesh
            out["pred_rotmat"], out["pred_betas"] = self.smpl_parameter_regressor(finest.detach())
        return out

    def _learned_tokens(self) -> Tensor:
        return torch.cat([self.joint_token_embed.weight, self.vertex_token_embed.weight])[None]

    def cache_constants(self) -> None:
        """Compute the decoder's first self-attention once, for inference only: its input are learned tokens alone."""
        with torch.no_grad():
            first = cast(DecoderLayer, self.transformer_1.decoder.layers[0])
            self._first_tokens = first.attend_self(self._learned_tokens(), self.allowed)

    def train(self, mode: bool = True) -> FastMETRO:
        self._first_tokens = None
        return super().train(mode)

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        super()._apply(fn, recurse)
        if self._first_tokens is not None:
            self._first_tokens = fn(self._first_tokens)
        return self


def _backbone(name: str) -> tuple[nn.Module, int]:
    """A backbone, and the channels of its 7 x 7 map."""
    if name == "blazepose":
        return BlazePose(), BlazePose.channels[-1]
    return (sequential_resnet50() if name == "resnet50" else HRNet(64, "classification")), 2048


class Transformer(nn.Module):
    """Pre-norm encoder and decoder; initial matrices are Xavier-uniform."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.encoder = Encoder(width, heads, layers, dropout)
        self.decoder = Decoder(width, heads, layers, dropout)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, dropout) for _ in range(layers))

    def forward(self, camera: Tensor, image: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """camera (N, 1, D), image (N, P, D), positions (P, D) -> the same two, encoded."""
        tokens = torch.cat([camera, image], 1)
        # the camera token has no position in the image
        token_positions = torch.cat([torch.zeros_like(positions[:1]), positions])
        for layer in self.layers:
            tokens = layer(tokens, token_positions)
        tokens = self.norm(tokens)
        return tokens[:, :1], tokens[:, 1:]


class EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(width, heads, dropout)
        self.linear1 = nn.Linear(width, _FEEDFORWARD * width)
        self.linear2 = nn.Linear(_FEEDFORWARD * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, token_positions: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        with_positions = normed + token_positions
        tokens = tokens + self.dropout(self.self_attn(with_positions, with_positions, normed))
        hidden = self.dropout(torch.relu(self.linear1(self.norm2(tokens))))
        return tokens + self.dropout(self.linear2(hidden))


class Decoder(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))

    def forward(
        self, tokens: Tensor, image: Tensor, positions: Tensor, allowed: Tensor, first_attended: bool = False
    ) -> Tensor:
        """tokens (N, T, D), image (N, P, D), positions (P, D), allowed (T, T) bool -> (N, T, D).

        first_attended: `tokens` already went through the first layer's self-attention.
        """
        keys = image + positions  # values have no positions
        for k, layer in enumerate(self.layers):
            if k or not first_attended:
                tokens = cast(DecoderLayer, layer).attend_self(tokens, allowed)
            tokens = layer(tokens, keys, image)
        return self.norm(tokens)


class DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(width, heads, dropout)
        self.multihead_attn = MultiHeadAttention(width, heads, dropout)
        self.linear1 = nn.Linear(width, _FEEDFORWARD * width)
        self.linear2 = nn.Linear(_FEEDFORWARD * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def attend_self(self, tokens: Tensor, allowed: Tensor) -> Tensor:
        """The masked self-attention with its residual: the first part of the layer."""
        normed = self.norm1(tokens)
        return tokens + self.dropout(self.self_attn(normed, normed, normed, allowed))

    def forward(self, tokens: Tensor, keys: Tensor, image: Tensor) -> Tensor:
        """The rest of the layer: cross-attention to the image and the feed-forward part."""
        tokens = tokens + self.dropout(self.multihead_attn(self.norm2(tokens), keys, image))
        hidden = self.dropout(torch.relu(self.linear1(self.norm3(tokens))))
        return tokens + self.dropout(self.linear2(hidden))


class SMPLParameterRegressor(nn.Module):
    """Intermediate vertices (N, m, 3) -> rotations (N, 24, 3, 3), betas (N, 10), as in GraphCMR (Kolotouros 2019)."""

    def __init__(self, vertices: int, width: int = 1024) -> None:
        super().__init__()
        self.regressor = nn.Sequential(
            FullyConnected(3 * vertices, width, residual=False),
            FullyConnected(width, width, residual=True),
            FullyConnected(width, width, residual=True),
            nn.Linear(width, 24 * 9 + 10),
        )

    def forward(self, vertices: Tensor) -> tuple[Tensor, Tensor]:
        out = self.regressor(vertices.flatten(1)).float()
        matrices = out[:, :216].reshape(-1, 24, 3, 3)
        with torch.autocast(out.device.type, enabled=False):  # bf16 is too coarse for rotations
            u, _, vh = torch.linalg.svd(matrices)
            rotations = u @ vh
            # as the original: the full matrix times its determinant, which is not the nearest rotation
            sign = torch.linalg.det(rotations.detach())
        return rotations * sign[..., None, None], out[:, 216:]


class FullyConnected(nn.Module):
    """Linear, batch norm, ReLU; residual: two linear layers and batch norms, and the last ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        layers: list[nn.Module] = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        if residual:
            layers += [nn.Linear(outputs, outputs), nn.BatchNorm1d(outputs)]
        self.fc_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.fc_block(x)) if self.residual else self.fc_block(x)


def sine_positions(width: int, grid: int) -> Tensor:
    """(grid * grid, width) sine position encoding, row by row; the first half of the channels is y's, the second x's.

    Carion et al., "End-to-End Object Detection with Transformers" (DETR), ECCV 2020, appendix A.4, normalised to 2 pi.
    """
    half = width // 2
    angle = torch.arange(1, grid + 1, dtype=torch.float32) / (grid + 1e-6) * (2 * math.pi)
    channel = torch.arange(half)
    frequency = 10000 ** (2 * (channel // 2).to(torch.float32) / half)
    phase = angle[:, None] / frequency
    table = torch.where(channel % 2 == 0, phase.sin(), phase.cos())
    y = table[:, None].expand(grid, grid, half)
    x = table[None].expand(grid, grid, half)
    return torch.cat([y, x], -1).flatten(0, 1)
