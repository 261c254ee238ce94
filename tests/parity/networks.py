"""Comparison of our networks with goldens: official file format -> our importer -> our network -> differences."""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from fake_mesh import build_mesh, fake_regressor
from fake_smpl import PARENTS, build, state_dict
from fill import fill_state_dict

from backend.body.joint_sets import MANO16_PARENTS
from backend.body.loader import import_body
from backend.models.weights import LoadedNetwork, import_weights, load_network


class Meta(NamedTuple):
    model: str
    variant: str
    weights_seed: int
    input_seed: int


def meta(path: Path) -> Meta:
    with np.load(path, allow_pickle=False) as stored:
        return Meta(*(stored[f"meta.{name}"].item() for name in Meta._fields))


def is_network(path: Path) -> bool:
    """Whether a golden is a full network's; graphs, training steps, losses and preprocessing are tested elsewhere."""
    with np.load(path, allow_pickle=False) as stored:
        return "meta.variant" in stored.files and "trainstep" not in path.stem


def goldens(config, *models: str) -> list[Path]:
    """Paths of the network goldens under the `--goldens` folder."""
    folder = config.getoption("--goldens", default=Path(__file__).parent / "goldens")
    if not folder.is_dir():
        raise pytest.UsageError(f"--goldens: there is no folder {folder}")
    paths = [path for path in sorted(folder.rglob("golden_*.npz")) if is_network(path)]
    return [path for path in paths if not models or meta(path).model in models]


def keys_of(path: Path, variant: str) -> list[tuple[str, list[int], str]]:
    """Name, shape and dtype of every tensor in the official checkpoint of a golden at `path`."""
    name = f"keys_{variant.removesuffix('_3dpw')}.json"
    for folder in path.parents:
        if (folder / name).is_file():
            return [tuple(entry) for entry in json.loads((folder / name).read_text())]
    raise FileNotFoundError(f"{name} is neither next to {path} nor in a parent folder")


def load_golden(path: Path, home: Path) -> LoadedNetwork:
    """The golden's network, imported by `import_weights` from files in the original's format."""
    about = meta(path)
    entries = keys_of(path, about.variant)
    files = home / "official"
    files.mkdir(exist_ok=True)
    writer = {"fastmetro": _fastmetro, "smpler": _smpler, "pose2mesh": _pose2mesh}[about.model]
    import_weights(network_name(path), writer(about, entries, files))
    return load_network(network_name(path))


def network_name(path: Path) -> str:
    """Name of a golden's network in our registry."""
    model, variant, *_ = meta(path)
    if model == "fastmetro":
        part, size, backbone, *smpl = variant.split("_")
        return f"fastmetro-{'hand-' if part == 'hand' else ''}{size}-{backbone}{'-smpl' if smpl else ''}"
    if model == "smpler":
        kind, width, *_ = variant.split("_")
        return f"smpler-{'backbone-' if kind == 'backbone' else ''}{width}"
    return f"pose2mesh-{variant}"


def _tensors(arrays) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(value) for name, value in arrays.items()}


def _fastmetro(about: Meta, entries, files: Path) -> Path:
    part = about.variant.split("_")[0]
    torch.save(_tensors(fill_state_dict(entries, about.weights_seed)), files / "state_dict.bin")
    sizes = (778, 195) if part == "hand" else (6890, 1723, 431)
    sampler = {
        "A": [sp.coo_matrix(circle(n) if n == sizes[-1] else sp.identity(n)) for n in sizes],
        "U": [synthetic_up(a, b) for a, b in itertools.pairwise(sizes)],
        "D": [sp.csr_matrix((b, a)) for a, b in itertools.pairwise(sizes)],
    }
    rows = {}
    for key, matrices in sampler.items():
        rows[key] = np.empty(len(matrices), object)
        rows[key][:] = matrices
    np.savez(files / f"{'mano' if part == 'hand' else 'mesh'}_downsampling.npz", **rows)
    save_body(part, files)
    return files / "state_dict.bin"


def circle(count: int) -> sp.csr_matrix:
    """Adjacency of vertices whose indices differ by at most 3, modulo count."""
    gap = np.abs(np.arange(count)[:, None] - np.arange(count))
    return sp.csr_matrix((np.minimum(gap, count - gap) <= 3).astype(float))


def synthetic_up(fine: int, coarse: int) -> sp.csc_matrix:
    rows = np.repeat(np.arange(fine), 3)
    columns = (7 * np.arange(fine)[:, None] + 13 * np.arange(3)) % coarse
    return sp.csc_matrix((np.tile([0.5, 0.3, 0.2], fine), (rows, columns.ravel())), shape=(fine, coarse))


def _smpler(about: Meta, entries, files: Path) -> Path:
    regressor = "J_regressor_3dpw" if about.variant.endswith("_3dpw") else "J_regressor_h36m"
    tensors = _tensors(state_dict(entries, about.weights_seed, regressor))
    # as the authors' training saves it: a dictionary with the optimiser's state
    torch.save({"model": tensors, "optimizer": {"state": {}}, "epoch": 49}, files / "epoch_049.pt")
    return files / "epoch_049.pt"


def _pose2mesh(about: Meta, entries, files: Path) -> Path:
    save_body("hand" if about.variant == "mano" else "body", files)
    tensors = _tensors(fill_state_dict(entries, about.weights_seed))
    content = {
        "epoch": 15,
        "model_state_dict": {f"module.{name}": value for name, value in tensors.items()},
        "test_log": {"surface": [np.float64(1.0)], "joint": [np.float32(2.0)]},
    }
    torch.save(content, files / "final.pth.tar")
    return files / "final.pth.tar"


def save_body(part: str, files: Path) -> None:
    """Save a stand-in for SMPL's or MANO's file, and import it."""
    vertices, faces = build_mesh(part)
    parents = np.array(MANO16_PARENTS) if part == "hand" else PARENTS
    count, joints = len(vertices), len(parents)
    if part == "body":
        arrays = build()
        weights, regressor, template = arrays["weights"], arrays["J_regressor"], arrays["v_template"]
    else:
        owner = np.arange(count) % joints
        weights = np.eye(joints)[owner]
        regressor = weights.T / weights.sum(0)[:, None]
        template = vertices
    np.savez(
        files / f"{part}.npz",
        v_template=template,
        f=faces,
        shapedirs=np.zeros((count, 3, 10)),
        posedirs=np.zeros((count, 3, 9 * (joints - 1))),
        J_regressor=regressor,
        weights=weights,
        kintree_table=np.stack([parents, np.arange(joints)]),
    )
    import_body(files / f"{part}.npz", {"body": "smpl", "hand": "mano"}[part])


class Comparison:
    """Compares arrays with a golden's, and collects differences above the tolerance in `problems`."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as stored:
            self.golden = {name: stored[name] for name in stored.files}
        self.problems: list[str] = []
        self.checked = 0

    def __call__(self, name: str, ours, tolerance: float) -> None:
        golden = self.golden[name]
        ours = np.asarray(ours)
        self.checked += 1
        if ours.shape != golden.shape:
            self.problems.append(f"{name} is {ours.shape}, golden {golden.shape}")
            return
        gap = float(np.abs(ours.astype(np.float64) - golden).max()) if golden.size else 0.0
        if not gap <= tolerance:
            self.problems.append(f"{name} differs by {gap:.2e}, tolerance {tolerance:.0e}")


def disagreements(path: Path, loaded: LoadedNetwork) -> tuple[list[str], int]:
    """Differences of the network's outputs from its golden, and the number of arrays that were compared."""
    about, compare = meta(path), Comparison(path)
    rng = np.random.RandomState(about.input_seed)
    with torch.inference_mode(), ExitStack() as stack:
        {"fastmetro": _compare_fastmetro, "smpler": _compare_smpler, "pose2mesh": _compare_pose2mesh}[about.model](
            compare, loaded.module, rng, stack
        )
    return compare.problems, compare.checked


def _images(rng) -> torch.Tensor:
    return torch.as_tensor(rng.standard_normal((2, 3, 224, 224)).astype(np.float32))


def _record(module: torch.nn.Module, recorded: dict, name: str, stack: ExitStack, inputs: int | None = None) -> None:
    """Append a module's output (or its input number `inputs`) to recorded[name] on each call."""

    def hook(_module, args, output):
        recorded.setdefault(name, []).append(output if inputs is None else args[inputs])

    stack.callback(module.register_forward_hook(hook).remove)


def _compare_fastmetro(compare: Comparison, module, rng, stack) -> None:
    recorded: dict[str, list] = {}
    mids = sorted({key.rpartition(".")[0][4:] for key in compare.golden if key.startswith("mid.")})
    for name in mids:
        _record(module.get_submodule(name), recorded, name, stack)
    out = module(_images(rng))
    for key in compare.golden:
        if key.startswith("out.pred"):
            name = key[4:]
            if name.endswith("_every10"):
                compare(key, out[name.removesuffix("_every10")][:, ::10], 2e-5)
            elif name.endswith(("_mean", "_std")):
                entry, _, measure = name.rpartition("_")
                compare(key, getattr(np, measure)(out[entry].double().numpy()), 2e-5)
            else:
                compare(key, out[name], 2e-5)
    for k in (1, 2):
        name = f"pos_enc_{k}"
        compare(name, getattr(module, name).reshape(compare.golden[name].shape), 2e-6)
    for name in mids:
        value = recorded[name][0]
        if isinstance(value, tuple):  # the encoder: camera and image separately
            value = torch.cat(value, 1)
        if value.dim() == 3:  # the original's first axis is the token
            value = value.transpose(0, 1)
        limit = 2e-5 * max(1.0, float(compare.golden[f"mid.{name}.std"]))
        compare(f"mid.{name}.shape", np.array(value.shape), 0)
        compare(f"mid.{name}.mean", value.double().mean(), limit)
        compare(f"mid.{name}.std", value.double().std(), limit)
        parts = {
            "b0_first64": lambda v: v[0].reshape(-1)[:64],
            "b0_first_token64": lambda v: v[0, 0, :64],
            "b0_last_token64": lambda v: v[-1, 0, :64],
        }
        for part, take in parts.items():
            if f"mid.{name}.{part}" in compare.golden:
                compare(f"mid.{name}.{part}", take(value), limit)


_SMPLER_TOLERANCE = 2e-4  # float32 against float64 of the original itself is up to 4e-5


def _compare_smpler(compare: Comparison, module, rng, stack) -> None:
    recorded: dict[str, list] = {}
    _record(module.SMPL_predictor.fc1, recorded, "fc1", stack, inputs=0)
    for b, block in enumerate(getattr(module, "transformer", [])):
        _record(block.joint_feat_projection_layer, recorded, f"block{b}.joint_feat_projection", stack)
        for u, unit in enumerate(block.trans_block.trans_units):
            _record(unit, recorded, f"block{b}.unit{u}.out", stack)
        _record(block.trans_block, recorded, f"block{b}.query_in_with_joint_feat", stack, inputs=0)
        _record(block.trans_block, recorded, f"block{b}.query_out", stack)
        _record(block.trans_block.trans_units[0].local_unit, recorded, f"block{b}.local_offset", stack, inputs=2)
        for part in ("theta", "beta", "cam"):
            _record(getattr(block, f"{part}_predictor"), recorded, f"block{b}.delta_{part}", stack)
    if module.config.blocks:
        _record(module.global_feat_projection, recorded, "global_feat_projection", stack)
    images = _images(rng)
    stages = module(images, every_stage=True)
    lean = module(images)  # as in inference: only the last stage is complete
    for key in compare.golden:
        head, _, name = key.partition("/")
        if head.startswith("stage") and not head.endswith("_full"):
            value = stages[int(head[5:])][name]
            compare(key, value[:, ::10] if "vertices" in name else value, _SMPLER_TOLERANCE)
        elif head.startswith("stage"):
            entry, _, measure = name.rpartition("/")
            _compare_measure(compare, key, measure, stages[int(head[5:-5])][entry].double())
        elif head == "full" and name.startswith("predictor.fc1_input.iter"):
            compare(key, recorded["fc1"][int(name[-1])], _SMPLER_TOLERANCE)
        elif head == "full":  # values grow from block to block, and so does their rounding
            compare(key, recorded[name][0], _SMPLER_TOLERANCE * max(1.0, float(compare.golden[key].std())))
    last = f"stage{len(stages) - 1}"
    for name in ("vertices", "cam", "theta", "beta"):
        value = lean[-1][name]
        compare(f"{last}/{name}", value[:, ::10] if name == "vertices" else value, _SMPLER_TOLERANCE)


def _compare_measure(compare: Comparison, key: str, measure: str, values: torch.Tensor) -> None:
    if measure == "shape":
        compare(key, np.array(values.shape), 0)
    elif measure == "first64":
        compare(key, values.reshape(-1)[:64], _SMPLER_TOLERANCE)
    else:
        compare(key, values.mean() if measure == "mean" else values.std(correction=0), _SMPLER_TOLERANCE)


def _compare_pose2mesh(compare: Comparison, module, rng, stack) -> None:
    joints = compare.golden["pose2d"].shape[1]
    pose = torch.as_tensor(rng.standard_normal((2, joints, 2)).astype(np.float32))
    both = torch.as_tensor(rng.standard_normal((2, joints, 5)).astype(np.float32))
    compare("pose2d", pose, 0)
    compare("meshnet_in", both, 0)
    last = module.pose_lifter.w2
    for suffix, factor, limit in (("", 1.0, 1e-5), ("_x300", 300.0, 1e-2)):
        last.weight.data *= factor
        last.bias.data *= factor
        out, lean = module(pose, fake_nodes=True), module(pose)
        last.weight.data /= factor
        last.bias.data /= factor
        compare(f"posenet_mm{suffix}", out["joints"], limit)
        _compare_mesh(compare, f"full{suffix}", out)
        compare(f"full{suffix}_mesh_every10", lean["vertices"][:, ::10], 2e-5)
    _compare_mesh(compare, "meshnet_only", module.pose2mesh(both, fake_nodes=True))
    compare("meshnet_only_mesh_every10", module.pose2mesh(both)["vertices"][:, ::10], 2e-5)


def _compare_mesh(compare: Comparison, prefix: str, out) -> None:
    vertices = out["vertices"].numpy()
    compare(f"{prefix}_raw_every10", out["raw"][:, ::10], 2e-5)
    compare(f"{prefix}_mesh_every10", vertices[:, ::10], 2e-5)
    regressor = fake_regressor(int(compare.golden["regressor_joints"]), vertices.shape[1])
    compare(f"{prefix}_joints_mm", regressor @ (vertices * 1000), 5e-3)
    exact = vertices.astype(np.float64)
    compare(f"{prefix}_sum", np.array([exact.sum(), np.abs(exact).sum()]), 1e-2)
