"""`python -m tools.training_page`: write the tables of all runs into docs/results-training.md.

Sources: the run files, and the results of `tools.overfit_runs` in docs/training-results.
"""

from __future__ import annotations

import sys

from tools.overfit_runs import ROOT, tables

PAGE = ROOT / "docs" / "results-training.md"
BEGIN, END = "<!-- runs: python -m tools.training_page -->", "<!-- end of runs -->"


def main() -> int:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
