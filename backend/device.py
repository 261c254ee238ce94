"""The device that torch runs on."""

from __future__ import annotations

from backend.errors import BadInput

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> str:
    """`auto`, `cpu` or `cuda` -> `cpu` or `cuda`.  Raises BadInput: unknown_device, no_cuda."""
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
            "The device cuda was given, but torch finds no CUDA device.",
            "Use --device auto, or run `recover-mesh doctor` to see why.",
        )
    return "cpu"


def describe_device(name: str) -> str:
    """`cpu`, or the name of the GPU."""
    if name == "cuda":
        import torch

        return torch.cuda.get_device_name()
    return name
