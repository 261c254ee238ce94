"""The open body."""

import pytest

from backend.body.loader import load_body


@pytest.fixture(scope="session")
def body():
    return load_body("open")
