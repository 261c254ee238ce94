"""`make demo`: photo -> backend over ZeroMQ -> the installed extension in headless Blender -> rigged body.

Runs on scikit-image's public-domain and CC0 photos and on our rendered image, or on the photos given as arguments.
Writes for each photo into out/demo/: NAME.blend, NAME.glb, NAME_blender.png (the rigged body rendered by Blender, over
the photo), NAME_person<k>.npz and NAME_overlay.png (the same from the command line).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "demo"


def demo_photos() -> list[Path]:
    """The photos of the demo."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    photos = [folder / "astronaut.png", folder / "camera.png", folder / "coffee.png"]
    return [*photos, ROOT / "tests" / "data" / "rendered_person.jpg"]


def main() -> int:
    started = time.perf_counter()
    photos = [Path(name).resolve() for name in sys.argv[1:]] or demo_photos()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)

    print("1. Build the extension", flush=True)
    subprocess.run([sys.executable, ROOT / "tools" / "build_extension.py"], check=True, cwd=ROOT)
    archive = max((ROOT / "dist").glob("recover_mesh-*.zip"), key=lambda path: path.stat().st_mtime)

    print("2. Install it into a fresh Blender profile and click Recover Mesh on each photo", flush=True)
    job = {"zip": str(archive), "python": sys.executable, "out": str(OUT), "photos": [str(p) for p in photos]}
    (OUT / "job.json").write_text(json.dumps(job))
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(OUT / "blender_profile")}
    script = ROOT / "tools" / "demo_in_blender.py"
    rc = subprocess.run([sys.executable, script, OUT / "job.json"], env=environment, cwd=OUT).returncode
    if rc:
        print(f"Blender exited with code {rc}.", file=sys.stderr)
        return rc
    for layer in sorted(OUT.glob("*_layer.png")):
        compose(layer, photos)

    print("3. The same from the command line: npz per person and overlay image", flush=True)
    command: list[str | Path] = [sys.executable, "-m", "backend", "recover", *photos, "--out", OUT]
    rc = subprocess.run(command, cwd=ROOT).returncode
    (OUT / "job.json").unlink()
    shutil.rmtree(OUT / "blender_profile", ignore_errors=True)
    return rc or report(photos, time.perf_counter() - started)


def compose(layer: Path, photos: list[Path]) -> None:
    """Composite Blender's transparent render over its photo: NAME_blender.png."""
    from PIL import Image

    name = layer.name.removesuffix("_layer.png")
    photo = next(p for p in photos if p.stem == name)
    from backend.media.photo import load_image

    render = Image.open(layer).convert("RGBA")
    base = Image.fromarray(load_image(str(photo)).pixels).convert("RGBA").resize(render.size)
    Image.alpha_composite(base, render).convert("RGB").save(OUT / f"{name}_blender.png")
    layer.unlink()


def report(photos: list[Path], seconds: float) -> int:
    """Print the files per photo; returns 1 where one is missing, else 0."""
    print(f"\nDone in {seconds:.0f} s. Everything is in {OUT}:")
    missing = 0
    for photo in photos:
        files = sorted(p.name for p in OUT.glob(f"{photo.stem}*"))
        print(f"  {photo.name}: {', '.join(files) if files else 'no person detected'}")
    made = list(OUT.glob("*.blend"))
    if not made:
        print("No body was recovered from any photo.", file=sys.stderr)
        missing = 1
    for blend in made:
        absent = [
            s
            for s in (".glb", "_blender.png", "_overlay.png", "_person1.npz")
            if not (OUT / f"{blend.stem}{s}").exists()
        ]
        if absent:
            print(f"{blend.stem}: missing {', '.join(absent)}", file=sys.stderr)
            missing = 1
    print("Open a .blend in Blender 4.2 or later (numpad 0 looks through the photo's camera), a .glb in any viewer.")
    print("To use it: Blender > Edit > Preferences > Get Extensions > Install from Disk > dist/recover_mesh-*.zip")
    return missing


if __name__ == "__main__":
    raise SystemExit(main())
