"""SMPLer's adapter.  Its official files contain the full body model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from backend.body.arrays import BodyArrays
from backend.body.files import SMPL_LICENSE
from backend.body.joint_sets import SMPL24
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import Adapter, Constants, Imported, Prediction, evaluation_regressor
from backend.models.smpler.network import SMPLer, SMPLerConfig
from backend.models.spec import NetworkSpec

_HANDLER = "smpl_handler."
_REGRESSOR = _HANDLER + "J_regressor_h36m_correct"  # in files for 3DPW, this is another regressor
_BODY = {
    "v_template": "v_template",
    "shapedirs": "shapedirs",
    "posedirs": "posedirs",
    "J_regressor": "joint_regressor",
    "lbs_weights": "weights",
    "faces_tensor": "faces",
    "parents": "parents",
}


class SMPLerAdapter(Adapter):
    """See `Adapter`.  The constant is the regressor of the 17 evaluation joints."""

    def input_size(self, spec: NetworkSpec) -> tuple[int, int] | None:
        return (224, 224)

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        return {"joint_regressor": evaluation_regressor(body)}

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        own = {name: value for name, value in tensors.items() if not name.startswith(_HANDLER)}
        missing = [key for key in (f"{_HANDLER}smpl.{k}" for k in _BODY) if key not in tensors]
        if _REGRESSOR not in tensors or missing:
            lacking = ", ".join([_REGRESSOR] * (_REGRESSOR not in tensors) + missing[:3])
            raise BadInput(
                "checkpoint_mismatch",
                f"The file lacks the body model that SMPLer's official files contain ({lacking}).",
                "Give the published file, or one that was saved by this program.",
            )
        carried = body_of(tensors)
        if body is not None:
            template = body.v_template.cpu().numpy()
            if carried.v_template.shape != template.shape or np.abs(carried.v_template - template).max() > 1e-4:
                raise BadInput(
                    "body_mismatch",
                    f"The checkpoint was made with another body than {body.name!r}.",
                    "Leave out --body: the file contains its own.",
                )
        return Imported(own, {"joint_regressor": tensors[_REGRESSOR].float().contiguous()}, carried)

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        return SMPLer(SMPLerConfig(**spec.settings), body, constants["joint_regressor"])

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        last = module(inputs)[-1]
        return Prediction(last["vertices"].float(), last["cam"].float(), last["theta"].float(), last["beta"].float())


def body_of(tensors: dict[str, Tensor]) -> BodyArrays:
    """The body in an official checkpoint.  Raises BadInput `checkpoint_mismatch`."""
    values = {ours: tensors[f"{_HANDLER}smpl.{theirs}"].cpu().numpy() for theirs, ours in _BODY.items()}
    count = len(values["v_template"])
    try:
        posedirs = values.pop("posedirs").T.reshape(count, 3, -1)
        parents = values.pop("parents").astype(np.int64)
        faces = values.pop("faces").astype(np.int64)
        arrays = {name: value.astype(np.float64) for name, value in values.items()}
        regressor = tensors[_REGRESSOR].cpu().numpy().astype(np.float64)
        if arrays["weights"].shape != (count, len(SMPL24)) or regressor.shape != (17, count):
            raise ValueError("weights or regressor have another shape")
        return BodyArrays(
            name="smpl",
            license=SMPL_LICENSE,
            joint_names=SMPL24,
            parents=parents,
            faces=faces,
            posedirs=posedirs.astype(np.float64),
            regressors={"h36m17": regressor},
            **arrays,
        )
    except (ValueError, IndexError) as error:
        raise BadInput(
            "checkpoint_mismatch",
            f"The body model in the file is not SMPL's ({error}).",
            "Give the published file.",
        ) from None


ADAPTER = SMPLerAdapter()
