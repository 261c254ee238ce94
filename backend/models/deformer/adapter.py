"""DeFormer's adapter.  There are no official files: its weights come from our own training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from backend.body.mesh_levels import body_levels
from backend.body.model import BodyModel
from backend.errors import BadInput
from backend.models.adapter import Adapter, Constants, Imported, Prediction, evaluation_regressor
from backend.models.deformer.network import CONFIGS, DeFormer
from backend.models.spec import NetworkSpec


class DeFormerAdapter(Adapter):
    """See `Adapter`.  Mesh levels are computed from the body; the constant is the regressor of 17 joints."""

    def input_size(self, spec: NetworkSpec) -> tuple[int, int] | None:
        return CONFIGS[spec.name].input_size

    def constants(self, spec: NetworkSpec, body: BodyModel) -> dict[str, Tensor]:
        return {"joint_regressor": evaluation_regressor(body)}

    def convert(
        self, spec: NetworkSpec, tensors: dict[str, Tensor], body: BodyModel | None, files: Sequence[Path]
    ) -> Imported:
        if body is None:
            raise BadInput(
                "body_missing",
                f"The body that the weights of {spec.label} were trained on is not known.",
                "Name it: --body open_body, or the body that you imported.",
            )
        return Imported(tensors, self.constants(spec, body))

    def build(self, spec: NetworkSpec, body: BodyModel, constants: Constants) -> nn.Module:
        levels = body_levels(body.v_template.double().cpu().numpy(), body.faces.cpu().numpy())
        return DeFormer(CONFIGS[spec.name], levels, body.v_template.cpu(), constants["joint_regressor"])

    def predict(self, module: nn.Module, inputs: Tensor, body: BodyModel) -> Prediction:
        out = module(inputs)
        return Prediction(out["vertices"].float(), out["camera"].float())


ADAPTER = DeFormerAdapter()
