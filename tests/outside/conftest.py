"""What the tests stand on: a running server, told by the file that TOLLGATE_STAGE names.

`tests/it/outside.rs` writes that file and reads back the calls that were made, to prove the charge.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import anthropic
import openai
import pytest


@pytest.fixture(scope="session")
def stage():
    return json.loads(Path(os.environ["TOLLGATE_STAGE"]).read_text())


ROWS = []


@pytest.fixture
def matrix():
    """Rows of client, situation and what came of it; printed when all has run."""
    return ROWS


def pytest_terminal_summary(terminalreporter):
    for client, situation, found in ROWS:
        terminalreporter.write_line(f"{client:22} {situation!s:16} {found}")


@dataclass
class Call:
    """What a client saw of one answered call."""

    model: str
    input: int
    output: int


@pytest.fixture(scope="session")
def calls(stage):
    """Every answered call of the funded key belongs in here; the wallet must fall by exactly their price."""
    made = []
    yield made
    Path(stage["calls"]).write_text(json.dumps([asdict(call) for call in made]))


@pytest.fixture(scope="session")
def openai_client(stage):
    def client(key="funded"):
        return openai.OpenAI(
            api_key=stage["keys"].get(key, key),
            base_url=stage["base_url"] + "/v1",
            max_retries=0,
            timeout=30,
        )

    return client


@pytest.fixture(scope="session")
def anthropic_client(stage):
    def client(key="funded"):
        return anthropic.Anthropic(
            api_key=stage["keys"].get(key, key),
            base_url=stage["base_url"],
            max_retries=0,
            timeout=30,
        )

    return client
