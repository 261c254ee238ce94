"""`python -m benchmarks.clips OUT`: renders clips NAME.mp4 with ground truth NAME.npz.

Of a moving camera, NAME.camera.json is the path, for `recover-mesh recover --camera`.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from backend.body.loader import load_body
from benchmarks.clips.cameras import camera_file_content
from benchmarks.clips.motions import MOTIONS, MotionMaker
from benchmarks.clips.render import Renderer
from benchmarks.clips.scene import Scene


def write_clip(folder: Path, name: str, scene: Scene, renderer: Renderer) -> Path:
    """Render a scene and write its ground truth; returns the mp4's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(scene.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = scene.camera.width, scene.camera.height, "yuv420p"
        stream.options = {"crf": "20"}
        for image in renderer.frames(scene):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    c = scene.camera
    moving = {}
    if scene.view is not None:
        content = camera_file_content(scene.view, size=(c.width, c.height))
        (folder / f"{name}.camera.json").write_text(json.dumps(content))
        moving = {"camera_rotation": scene.view.rotation, "camera_translation": scene.view.translation}
    np.savez_compressed(
        folder / f"{name}.npz",
        **{
            key: np.stack([getattr(one, key) for one in scene.people])
            for key in ("poses", "betas", "trans", "joints", "contacts")
        },
        camera=np.array([c.fx, c.fy, c.cx, c.cy]),
        image_size=np.array([c.width, c.height]),
        fps=np.array(scene.fps),
        world_rotation=scene.world.rotation,
        world_translation=scene.world.translation,
        **moving,
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default=",".join(MOTIONS), help="comma-separated names")
    parser.add_argument("--size", default="960x540")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, help="length of every clip (default: its own)")
    args = parser.parse_args()
    body = load_body("open")
    size = tuple(int(n) for n in args.size.split("x"))
    maker = MotionMaker(body, args.fps)
    for k, name in enumerate(args.only.split(",")):
        more = {} if args.seconds is None else {"seconds": args.seconds}
        print(write_clip(args.out, name, MOTIONS[name](maker, size, **more), Renderer(body, k)), flush=True)


if __name__ == "__main__":
    main()
