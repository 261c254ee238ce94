"""`python -m backend` is `recover-mesh`."""

from backend.cli import main

raise SystemExit(main())
