from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests import language
from tests.running import free_port
from tests.serving.rig import Bundle, Rig, rig


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A gateway before two replicas of the tiny language model."""
    bundle = Bundle(*language.bundle(tmp_path_factory.mktemp("language")))
    with rig(tmp_path_factory.mktemp("rig"), free_port()) as made:
        workers = [made.add_worker(bundle, "tiny@1") for _ in range(2)]
        made.serve("tiny", ("tiny@1", bundle, 1, workers))
        made.push()
        made.wait_ready()
        made.start_gateway()
        yield made


@pytest.fixture
def client(served: Rig) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=served.key, max_retries=0) as made:
        yield made
