from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient

from tests.serving.rig import Rig

PROMPT = "All is grist"


@pytest.fixture(scope="module")
def served(language_served: Rig) -> Rig:
    return language_served


@pytest.fixture(scope="module")
def expected(served: Rig) -> str:
    """The same model's greedy answer in OpenAI's dialect."""
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
    text: str = served.request("POST", "/v1/completions", body).json["choices"][0]["text"]
    return text


@pytest.fixture
def hugging_face(served: Rig) -> InferenceClient:
    return InferenceClient(model=f"http://127.0.0.1:{served.port}/models/tiny", token=served.key)


def test_hugging_faces_client_generates_text_whole_and_as_a_stream(
    hugging_face: InferenceClient, expected: str
) -> None:
    assert hugging_face.text_generation(PROMPT, max_new_tokens=12) == expected
    assert hugging_face.text_generation(PROMPT, max_new_tokens=12, return_full_text=True) == PROMPT + expected
    assert "".join(hugging_face.text_generation(PROMPT, max_new_tokens=12, stream=True)) == expected


def test_its_details_tell_of_each_token(hugging_face: InferenceClient, served: Rig, expected: str) -> None:
    whole = hugging_face.text_generation(PROMPT, max_new_tokens=12, details=True, top_n_tokens=2)
    assert whole.generated_text == expected
    assert whole.details is not None
    tokens = [token.id for token in whole.details.tokens]
    assert len(tokens) == whole.details.generated_tokens
    assert whole.details.finish_reason in ("length", "eos_token")
    likeliest: Any = [top[0] for top in whole.details.top_tokens or ()]
    assert [top["id"] for top in likeliest] == tokens
    events = list(hugging_face.text_generation(PROMPT, max_new_tokens=12, details=True, stream=True))
    assert [event.token.id for event in events] == tokens
    assert [event.index for event in events] == list(range(1, len(events) + 1))
    assert events[-1].generated_text == expected
    assert events[-1].details is not None
    assert events[-1].details.generated_tokens == len(tokens)
    assert events[-1].details.input_length == len(
        served.request("POST", "/v1/tokenize", {"model": "tiny", "prompt": PROMPT}).json["tokens"]
    )


def test_a_stop_string_ends_it_and_is_told(hugging_face: InferenceClient, expected: str) -> None:
    stop = expected[3:5]
    told = hugging_face.text_generation(PROMPT, max_new_tokens=12, details=True, stop=[stop])
    assert told.generated_text == expected[: expected.index(stop)]
    assert told.details is not None
    assert told.details.finish_reason == "stop_sequence"


def test_a_grammar_and_a_seed_hold(hugging_face: InferenceClient) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    grammar: Any = {"type": "json", "value": schema}
    text = hugging_face.text_generation(PROMPT, max_new_tokens=60, grammar=grammar, temperature=1.0, seed=3)
    assert json.loads(text) in ({"a": 1}, {"a": 2})


def test_its_chat_answers_as_openais_client_is_answered(served: Rig) -> None:
    client = InferenceClient(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=served.key)
    asked: Any = {"messages": [{"role": "user", "content": "How many sacks?"}], "max_tokens": 8, "temperature": 0}
    whole = client.chat_completion(model="tiny", **asked)
    streamed = client.chat_completion(model="tiny", stream=True, **asked)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == whole.choices[0].message.content


@pytest.mark.parametrize(
    "parameters",
    [{"watermark": True}, {"typical_p": 0.5}, {"best_of": 3}, {"unknown": 1}, {"max_new_tokens": 0}, {"stop": "x"}],
)
def test_what_cannot_be_done_is_refused_by_its_name(served: Rig, parameters: dict[str, Any]) -> None:
    answer = served.request("POST", "/models/tiny", {"inputs": "x", "parameters": parameters})
    assert answer.status == 400
    assert next(iter(parameters)) in answer.json["error"]


@pytest.mark.parametrize("binary", [False, True])
def test_tritons_client_infers_texts_from_prompts(served: Rig, expected: str, binary: bool) -> None:
    client = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    described = client.get_model_metadata("tiny", headers={"authorization": f"Bearer {served.key}"})
    assert described["outputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    prompts = triton.InferInput("prompt", [2], "BYTES")
    prompts.set_data_from_numpy(np.array([PROMPT.encode(), b"The books say"], object), binary_data=binary)
    result = client.infer(
        "tiny", [prompts], parameters={"max_tokens": 12, "temperature": 0},
        headers={"authorization": f"Bearer {served.key}"},
        outputs=[triton.InferRequestedOutput("text", binary_data=binary)],
    )  # fmt: skip
    texts = [text if isinstance(text, str) else text.decode() for text in result.as_numpy("text")]
    assert texts[0] == expected
    assert len(texts) == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"parameters": {"temperature": -1}}, 400, "temperature"),
        ({"parameters": {"n": 2}}, 400, "n"),
        ({"parameters": {"colour": 2}}, 400, "colour"),
        ({"data": [""]}, 422, "prompt"),
        ({"datatype": "FP32", "data": [1.0]}, 422, "prompt"),
        ({"outputs": [{"name": "logprobs"}]}, 422, "logprobs"),
    ],
)
def test_tensors_that_no_text_can_come_of_are_refused_by_their_field(
    served: Rig, body: dict[str, Any], status: int, field: str
) -> None:
    tensor = {
        "name": "prompt",
        "datatype": body.pop("datatype", "BYTES"),
        "shape": [1],
        "data": body.pop("data", ["x"]),
    }
    answer = served.request("POST", "/v2/models/tiny/infer", {"inputs": [tensor], **body})
    assert answer.status == status
    assert field in answer.json["error"]
