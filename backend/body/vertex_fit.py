"""Vertices -> pose, betas and translation of an SMPL-format body, for networks whose only output is vertices.

An initial state in closed form (Kabsch rotations per joint, then linear least squares for the betas), and
Levenberg-Marquardt steps with analytic derivatives.  The derivative of the pose blend shapes is left out: they are
small, so the steps still converge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from backend.body.model import BodyModel
from backend.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle

# Origin of the numbers in this file: not recorded, except where a comment gives one.
_MAX_FIT_VERTICES = 1723  # vertices in the least squares; the error is of all
_ROUNDS = 3  # of the closed-form initial state
_CHUNK = 16  # bodies at once
_STEPS = 8  # of Levenberg-Marquardt, at most
_BETA_WEIGHT = 1e-6  # of the betas' prior at 0, relative to the mean diagonal of their normal matrix
_MAX_BETA = 10.0  # the limit of shape keys' sliders in Blender


@dataclass(frozen=True)
class VertexFit:
    """N fitted bodies.

    rotations (N, J, 3, 3) and poses (N, J, 3) rad, parent-relative; betas (N, B); trans (N, 3) m, added after skinning;
    error (N,) m, mean distance of the body's vertices to the given ones (MPVPE).
    """

    rotations: Tensor
    poses: Tensor
    betas: Tensor
    trans: Tensor
    error: Tensor


@torch.no_grad()
def fit_vertices(body: BodyModel, vertices: Tensor) -> VertexFit:
    """vertices (N, V, 3) m, any frame -> the bodies nearest to them in least squares, in that frame.

    For any input, NaN included, rotations are proper and results finite.
    """
    vertices = torch.nan_to_num(vertices.to(body.v_template), nan=0.0, posinf=1e3, neginf=-1e3)
    if not len(vertices):
        joints = len(body.parents)
        empty = vertices.new_zeros
        return VertexFit(empty(0, joints, 3, 3), empty(0, joints, 3), empty(0, body.num_betas), empty(0, 3), empty(0))
    subset = _Subset(body)
    parts = [_fit(body, subset, chunk) for chunk in torch.split(vertices, _CHUNK)]
    rotations, betas, trans = (torch.cat(found) for found in zip(*parts, strict=True))
    error = torch.cat(
        [
            (body(None, b, t, rotations=r).vertices - v).norm(dim=-1).mean(-1)
            for r, b, t, v in zip(*(torch.split(x, _CHUNK) for x in (rotations, betas, trans, vertices)), strict=True)
        ]
    )
    return VertexFit(rotations, axis_angle_from_matrix(rotations), betas, trans, error)


class _Subset:
    """The vertices of a body that are in the least squares."""

    def __init__(self, body: BodyModel) -> None:
        count = len(body.v_template)
        # evenly by index, which follows the surface in every body
        self.index = torch.linspace(0, count - 1, min(count, _MAX_FIT_VERTICES), device=body.v_template.device)
        self.index = self.index.round().long()
        self.template = body.v_template[self.index]
        self.shapedirs = body.shapedirs[self.index]
        self.posedirs = body.posedirs[self.index]
        self.weights = body.weights[self.index]
        joints = len(body.parents)
        # descendants[j, k]: joint k moves with joint j
        descendants = torch.eye(joints, dtype=torch.bool)
        for k in range(1, joints):
            descendants[:, k] |= descendants[:, int(body.parents[k])]
        self.descendants = descendants.to(self.weights)


class _State(NamedTuple):
    rotations: Tensor  # (N, J, 3, 3) parent-relative
    betas: Tensor
    trans: Tensor


class _Posed(NamedTuple):
    vertices: Tensor  # (N, v, 3)
    rotations: Tensor  # (N, J, 3, 3) global
    joints: Tensor  # (N, J, 3)
    by_joint: Tensor  # (N, v, J, 3) skinning weight times the vertex moved by this joint alone


def _pose(body: BodyModel, subset: _Subset, state: _State) -> _Posed:
    rest = body.rest_joints(state.betas)
    rotations, joints = body.chain(state.rotations, rest)
    shaped = _shaped(subset, state)
    moved = torch.einsum("njab,nvb->nvja", rotations, shaped)
    shifts = joints - (rotations @ rest[..., None])[..., 0]
    by_joint = subset.weights[None, :, :, None] * (moved + shifts[:, None])
    return _Posed(by_joint.sum(2) + state.trans[:, None], rotations, joints, by_joint)


def _shaped(subset: _Subset, state: _State) -> Tensor:
    """(N, v, 3) the template with shape and pose blend shapes, before skinning."""
    identity = torch.eye(3, device=state.betas.device, dtype=state.betas.dtype)
    features = (state.rotations[:, 1:] - identity).flatten(1)
    offsets = (subset.posedirs.flatten(0, 1) @ features.T).T + (subset.shapedirs.flatten(0, 1) @ state.betas.T).T
    return subset.template + offsets.unflatten(1, (-1, 3))


def _fit(body: BodyModel, subset: _Subset, vertices: Tensor) -> _State:
    target = vertices[:, subset.index]
    state = _start(body, subset, target)
    posed = _pose(body, subset, state)
    error = (posed.vertices - target).square().sum((1, 2))
    damping = torch.full_like(error, 1e-6)
    for _ in range(_STEPS):
        trial = _step(body, subset, state, posed, target, damping)
        trial_posed = _pose(body, subset, trial)
        trial_error = (trial_posed.vertices - target).square().sum((1, 2))
        better = trial_error < error
        state = _State(*(_choose(better, a, b) for a, b in zip(trial, state, strict=True)))
        posed = _Posed(*(_choose(better, a, b) for a, b in zip(trial_posed, posed, strict=True)))
        done = bool((better & (trial_error > 0.999 * error) | ~better & (damping > 1e3)).all())
        error = torch.where(better, trial_error, error)
        damping = torch.where(better, damping * 0.1, damping * 30).clamp(1e-8, 1e6)
        if done:
            break
    return state


def _choose(which: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(which.reshape(-1, *[1] * (yes.dim() - 1)), yes, no)


def _start(body: BodyModel, subset: _Subset, target: Tensor) -> _State:
    """The initial state: in turns, each joint's rotation from its vertices, then betas and translation."""
    count, joints = len(target), len(body.parents)
    identity = torch.eye(3, device=target.device, dtype=target.dtype)
    state = _State(
        identity.expand(count, joints, 3, 3),
        target.new_zeros(count, body.num_betas),
        target.new_zeros(count, 3),
    )
    share = subset.weights.square()  # vertices between two joints count less
    # the rotation of a joint with almost no skinning weights is not determined: it stays the parent's
    idle = (share.sum(0) < 1e-3).tolist()
    share = (share + 1e-8) / (share + 1e-8).sum(0)
    for _ in range(_ROUNDS):
        shaped = _shaped(subset, state)
        rotations = _kabsch_rotations(shaped, target, share, body)
        relative = rotations.clone()
        for j in range(1, joints):
            parent_rotation = rotations[:, int(body.parents[j])]
            if idle[j]:
                rotations[:, j] = parent_rotation
            relative[:, j] = parent_rotation.mT @ rotations[:, j]
        state = state._replace(rotations=relative)
        state = _solve_shape(body, subset, state, target)
    return state


def _kabsch_rotations(shaped: Tensor, target: Tensor, share: Tensor, body: BodyModel) -> Tensor:
    """(N, J, 3, 3) best rotation of every joint's vertices (Kabsch 1976), weighted by share (v, J)."""
    shaped_mean, target_mean = (torch.einsum("vj,nva->nja", share, x) for x in (shaped, target))
    product = torch.einsum("vj,nva,nvb->njab", share, target, shaped)
    product = product - target_mean[..., :, None] * shaped_mean[..., None, :]
    moved = product + 1e-9 * torch.eye(3, device=product.device, dtype=product.dtype)
    u, _, vh = torch.linalg.svd(moved.double())
    sign = torch.ones_like(u[..., 0])
    sign[..., 2] = torch.linalg.det(u @ vh)
    return ((u * sign[..., None, :]) @ vh).to(product)


def _solve_shape(body: BodyModel, subset: _Subset, state: _State, target: Tensor) -> _State:
    """Betas and translation by linear least squares for given rotations."""
    zero = state._replace(betas=torch.zeros_like(state.betas), trans=torch.zeros_like(state.trans))
    posed = _pose(body, subset, zero)
    columns = _beta_jacobian(body, subset, posed)  # (N, v, 3, B)
    count, size = columns.shape[0], columns.shape[3]
    translation = torch.eye(3, device=target.device, dtype=target.dtype).expand(count, columns.shape[1], 3, 3)
    matrix = torch.cat([columns, translation], 3).flatten(1, 2)
    residual = (target - posed.vertices).flatten(1)
    normal = matrix.mT @ matrix
    # keeps the betas of the initial state small
    regularizer = 1e-4 * torch.diagonal(normal, dim1=1, dim2=2).mean(1, keepdim=True).expand(-1, size + 3).clone()
    regularizer[:, size:] = 0
    system = normal + torch.diag_embed(regularizer + 1e-9)
    solved = torch.linalg.solve(system, matrix.mT @ residual[..., None])[..., 0]
    return state._replace(betas=solved[:, :size].clamp(-_MAX_BETA, _MAX_BETA), trans=solved[:, size:])


def _beta_jacobian(body: BodyModel, subset: _Subset, posed: _Posed) -> Tensor:
    """(N, v, 3, B) d posed vertices / d betas at fixed rotations."""
    directions = body.joints_shapedirs  # (J, 3, B)
    joints = [directions[None, 0].expand(len(posed.rotations), -1, -1)]
    for j in range(1, len(body.parents)):
        p = int(body.parents[j])
        joints.append(joints[p] + posed.rotations[:, p] @ (directions[j] - directions[p]))
    shifts = torch.stack(joints, 1) - posed.rotations @ directions
    blended = torch.einsum("vj,njab->nvab", subset.weights, posed.rotations)
    return blended @ subset.shapedirs + torch.einsum("vj,njab->nvab", subset.weights, shifts)


def _step(body: BodyModel, subset: _Subset, state: _State, posed: _Posed, target: Tensor, damping: Tensor) -> _State:
    """The state after one damped Gauss-Newton step.

    A small rotation w of joint j about the body frame's axes moves a vertex by w x c.  The lever arm c is the vertex's
    position relative to the joint, weighted by the skinning weights of the joint and its descendants.  Products of such
    columns follow from products of the lever arms: (c x)^T (d x) = (c . d) 1 - d c^T.
    """
    count, joints, size = len(target), len(body.parents), body.num_betas
    moved = torch.einsum("nvka,jk->nvja", posed.by_joint, subset.descendants)
    lever_arms = moved - (subset.weights @ subset.descendants.T)[None, :, :, None] * posed.joints[:, None]
    residual = target - posed.vertices
    columns = _beta_jacobian(body, subset, posed)
    translation = torch.eye(3, device=target.device, dtype=target.dtype).expand(count, lever_arms.shape[1], 3, 3)
    # columns of three numbers per vertex: lever arms (J), betas (B), translation (3), residual (1)
    table = torch.cat([lever_arms.transpose(2, 3), columns, translation, residual[..., None]], 3)  # (N, v, 3, K)
    width = table.shape[3]
    flat = table.flatten(2)
    products = (flat.mT @ flat).unflatten(1, (3, width)).unflatten(3, (3, width))  # (N, a, k, b, l)
    dots = products.diagonal(dim1=1, dim2=3).sum(-1)  # (N, k, l)
    between = products[:, :, :joints, :, :joints].permute(0, 2, 4, 1, 3)  # (N, j, k, a, b): sum c_a d_b
    identity = torch.eye(3, device=target.device, dtype=target.dtype)
    rotations = dots[:, :joints, :joints, None, None] * identity - between.mT
    # (c x)^T applied to a plain column d is c x d
    cross = products[:, :, :joints, :, joints:]  # (N, a, j, b, l)
    mixed = torch.stack(
        [cross[:, (a + 1) % 3, :, (a + 2) % 3] - cross[:, (a + 2) % 3, :, (a + 1) % 3] for a in range(3)], 2
    ).flatten(1, 2)  # (N, 3 J, l)
    plain = dots[:, joints:, joints:]
    normal = torch.cat(
        [
            torch.cat([rotations.permute(0, 1, 3, 2, 4).reshape(count, 3 * joints, 3 * joints), mixed[:, :, :-1]], 2),
            torch.cat([mixed[:, :, :-1].mT, plain[:, :-1, :-1]], 2),
        ],
        1,
    )
    gradient = torch.cat([mixed[:, :, -1], plain[:, :-1, -1]], 1)
    betas = slice(3 * joints, 3 * joints + size)
    regularizer = torch.zeros_like(gradient)
    diagonal = torch.diagonal(normal, dim1=1, dim2=2)
    regularizer[:, betas] = _BETA_WEIGHT * diagonal[:, betas].mean(1, keepdim=True)
    gradient[:, betas] -= regularizer[:, betas] * state.betas
    # keeps the system regular for joints without vertices; smaller for betas, as a hand's hardly move its vertices
    floor = torch.zeros_like(diagonal)
    floor[:, : betas.start] = 1e-6 * diagonal[:, : betas.start].mean(1, keepdim=True)
    floor[:, betas] = 1e-9 * diagonal[:, betas].mean(1, keepdim=True)
    system = normal + torch.diag_embed(regularizer + damping[:, None] * diagonal + floor)
    solved = torch.linalg.solve(system.double(), gradient.double()[..., None])[..., 0].to(gradient)
    rotation_step = solved[:, : 3 * joints].unflatten(1, (joints, 3))
    # at most half a radian per step, as the linear model holds for small rotations only
    rotation_step = rotation_step * (0.5 / rotation_step.norm(dim=-1, keepdim=True).clamp(min=0.5))
    parents = torch.as_tensor(body.parents, device=target.device).clamp(min=0)
    frame = posed.rotations[:, parents].clone()
    frame[:, 0] = identity
    local = matrix_from_axis_angle((frame.mT @ rotation_step[..., None])[..., 0])
    new_betas = (state.betas + solved[:, betas]).clamp(-_MAX_BETA, _MAX_BETA)
    return _State(_orthonormal(local @ state.rotations), new_betas, state.trans + solved[:, 3 * joints + size :])


def _orthonormal(rotations: Tensor) -> Tensor:
    """Rotations without rounding errors: one Newton-Schulz step towards the polar factor."""
    return 1.5 * rotations - 0.5 * rotations @ rotations.mT @ rotations
