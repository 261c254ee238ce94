"""Which device torch runs on."""

from __future__ import annotations

from backend.errors import BadInput

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> str:
    """`auto`, `cpu` or `cuda` -> `cpu` or `cuda`.  Raises BadInput `no_cuda` where CUDA is asked for but absent."""
    if name not in DEVICES:
        raise BadInput("unknown_device", f"There is no device {name!r}.", f"Choose one of: {', '.join(DEVICES)}.")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise BadInput(
            "no_cuda",
            "CUDA was asked for, but torch finds no CUDA device.",
            "Use --device auto, or run `recover-mesh doctor` to see why.",
        )
    return "cpu"


def describe_device(name: str) -> str:
    """A name to show: `cpu`, or the GPU's own."""
    if name == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return name
