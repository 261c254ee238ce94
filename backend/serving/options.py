"""`recover-mesh serve`: its arguments, and the options that the server runs with."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path

from backend.errors import RecoverMeshError

TOKEN_VARIABLE = "RECOVER_MESH_TOKEN"


@dataclass(frozen=True)
class ServerOptions:
    """Options of `serve`.  factory, body_source, clip_factory: `module:callable`, see `backend.serving.worker`."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None  # None: a random one
    device: str = "auto"
    model: str = "keypoint-fit"  # loaded at the start
    precision: str = "fp32"  # of networks, see `backend.models.inference.engine`
    curve_keys: Path | None = None
    watch_stdin: bool = False
    factory: str = "backend.recovery:Recoverer"
    body_source: str = "backend.serving.worker:read_body"
    clip_factory: str = "backend.clips.clip_run:ClipRun"
    task_seconds: float = 600.0  # longest time of a task, after which the worker is killed


def add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--token", help=f"secret that clients send (default: ${TOKEN_VARIABLE}, else a random one)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where models run")
    parser.add_argument("--model", default="keypoint-fit", help="model to load at the start (default: keypoint-fit)")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of networks: fp32 is exact; bf16 is faster, and the log says by how much vertices move",
    )
    parser.add_argument(
        "--watch-stdin", action="store_true", help="exit when the standard input closes (the parent has exited)"
    )
    parser.add_argument(
        "--curve-keys", type=Path, metavar="DIR", help="encrypt, and accept only the clients with a key in DIR"
    )
    parser.add_argument(
        "--add-client", metavar="NAME", help="make a client's key pair in --curve-keys, print its path, and exit"
    )
    parser.add_argument("--factory", default="backend.recovery:Recoverer", help=argparse.SUPPRESS)
    parser.add_argument("--clip-factory", default="backend.clips.clip_run:ClipRun", help=argparse.SUPPRESS)
    parser.add_argument("--body-source", default="backend.serving.worker:read_body", help=argparse.SUPPRESS)


def serve_options(args: argparse.Namespace) -> ServerOptions | None:
    """The options in the arguments; None for --add-client, whose keys it makes.  Sets up logging.

    Raises RecoverMeshError `bad_use`, `unknown_model`, and what `add_client` raises.
    """
    from backend.serving.security import add_client

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s", force=True)
    if args.add_client is not None:
        if args.curve_keys is None:
            raise RecoverMeshError("bad_use", "--add-client needs a key folder.", "Give --curve-keys DIR.")
        secret = add_client(args.curve_keys, args.add_client)
        print(f"Secret key of {args.add_client}: {secret}")
        print(f"Give it to the client together with {args.curve_keys / 'server.key'}, over a safe channel.")
        return None
    from backend.models.registry import get_model

    get_model(args.model)
    names = {field.name for field in fields(ServerOptions)}
    options = ServerOptions(**{name: value for name, value in vars(args).items() if name in names})
    return options if options.token is not None else replace(options, token=os.environ.pop(TOKEN_VARIABLE, None))
