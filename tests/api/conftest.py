"""The event loop that the tests of the API run in."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
