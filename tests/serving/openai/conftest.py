from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.serving.rig import Rig


@pytest.fixture
def served(language_served: Rig) -> Rig:
    return language_served


@pytest.fixture
def client(served: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=served.key, max_retries=0) as made:
        yield made
