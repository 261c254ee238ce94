"""`python -m training.synthetic OUT`: write a synthetic data set."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=__doc__)
    parser.add_argument("out", type=Path, help="folder; a run that was killed resumes there")
    parser.add_argument("--hands", action="store_true", help="right hands instead of bodies")
    parser.add_argument("--count", type=int, default=20000, help="number of images (90 %% train, 5 %% val, 5 %% test)")
    parser.add_argument("--size", type=int, default=224, help="side of the square images, px")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes; the files are the same for any number")
    parser.add_argument("--renderer", choices=("auto", "gl", "numpy"), default="auto")
    parser.add_argument(
        "--backgrounds", type=Path, help="folder of images to use as backgrounds, beside the painted ones"
    )
    options = parser.parse_args(arguments)
    # set before numpy and torch are imported: one thread per worker
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from backend.errors import RecoverMeshError
    from training.synthetic.dataset_writer import write_dataset

    def report(done: int, total: int) -> None:
        print(f"{done} of {total}", file=sys.stderr, flush=True)

    try:
        card = write_dataset(
            options.out,
            part="hand" if options.hands else "body",
            count=options.count,
            size=options.size,
            seed=options.seed,
            workers=options.workers,
            renderer=options.renderer,
            photos=options.backgrounds,
            report=report,
        )
    except RecoverMeshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: {card['splits']}, renderer {card['settings']['renderer']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
