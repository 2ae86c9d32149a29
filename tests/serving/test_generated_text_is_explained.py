"""`/v2/models/{m}/explain` of a language model: what each token of the answer owes to each piece of the prompt."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gristmill.frameworks.transformers.causal import load_causal
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests.serving.rig import Answer, Bundle, Rig, eventually

PROMPT = "Data, compute and hours"


@pytest.fixture(scope="module")
def bundle(language_bundle: Bundle) -> Bundle:
    return language_bundle


@pytest.fixture(scope="module")
def served(language_served: Rig) -> Rig:
    return language_served


def explain(served: Rig, inputs: Any, **parameters: Any) -> Answer:
    body = {"inputs": inputs, "parameters": {"max_new_tokens": 4, "points": 3} | parameters}
    return served.request("POST", "/v2/models/tiny/explain", body)


def logprobs(bundle: Bundle, prompt: list[int], answer: list[int]) -> np.ndarray:
    """By Transformers alone: one forward pass over prompt and answer."""
    model = load_causal(bundle.folder / "weights")
    with torch.inference_mode():
        scores = model(torch.tensor([prompt + answer])).logits[0].float().log_softmax(-1).numpy()
    return np.array([scores[len(prompt) - 1 + place, token] for place, token in enumerate(answer)])


def test_each_token_of_the_answer_is_told_what_it_loses_without_each_token_of_the_prompt(
    served: Rig, bundle: Bundle
) -> None:
    tokenizer = LanguageTokenizer.open(bundle.folder / "weights")
    (found,) = explain(served, PROMPT, answer=" go in").json["explanations"]
    prompt, answer = tokenizer.encode(PROMPT), tokenizer.encode(" go in")
    full = logprobs(bundle, prompt, answer)
    without = [logprobs(bundle, prompt[:place] + prompt[place + 1 :], answer) for place in range(len(prompt))]
    assert np.array(found["values"]) == pytest.approx((full[None] - np.array(without)).T, abs=0.1)
    assert found["output_scores"] == pytest.approx(full, abs=0.05)
    assert found["score"] == pytest.approx(sum(found["output_scores"]), abs=1e-4)
    assert ("".join(found["names"]), "".join(found["outputs"]), found["label"]) == (PROMPT, " go in", " go in")


def test_without_an_answer_the_models_own_is_explained(served: Rig) -> None:
    said = served.request("POST", "/v1/completions", {"model": "tiny", "prompt": PROMPT, "max_tokens": 4,
                                                      "temperature": 0}).json["choices"][0]["text"]  # fmt: skip
    found = explain(served, PROMPT).json["explanations"][0]
    assert found["label"] == said
    assert np.array(found["values"]).shape == (4, len(found["names"]))
    assert 0 <= found["deletion_auc"] <= 1
    assert found["deletion_auc"] < found["insertion_auc"]
    assert len(found["curves"]["deletion"]) == len(found["curves"]["fraction"]) == 4


def test_one_token_of_the_answer_is_explained_alone(served: Rig) -> None:
    whole = explain(served, PROMPT).json["explanations"][0]
    alone = explain(served, PROMPT, target=2).json["explanations"][0]
    assert alone["outputs"] == whole["outputs"][2:3]
    assert alone["values"][0] == pytest.approx(whole["values"][2], abs=0.1)


def test_a_chat_is_explained_by_what_was_said_in_it_and_not_by_its_template(served: Rig) -> None:
    found = explain(served, [{"role": "user", "content": "How many sacks?"}]).json["explanations"][0]
    assert "".join(found["names"]) == "How many sacks?"


def test_long_prompts_are_explained_by_their_words(served: Rig) -> None:
    found = explain(served, "Seven, said the miller, and the eighth was for the mill.", units=6)
    names = found.json["explanations"][0]["names"]
    assert len(names) <= 6
    assert all(name[0] == " " for name in names[1:])


def test_the_picture_is_a_map_and_the_page_escapes_what_it_shows(served: Rig) -> None:
    drawn = explain(served, PROMPT, render="png").json["explanations"][0]["picture"]
    assert Image.open(io.BytesIO(base64.b64decode(drawn))).format == "PNG"
    page = explain(served, "<b>mill</b>", render="html").json["explanations"][0]["picture"]
    assert "<details>" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("inputs", "parameters", "status", "says"),
    [
        (3, {}, 400, "send {'inputs': 'a prompt'}"),
        (PROMPT, {"max_new_tokens": 0}, 400, "`max_new_tokens` should be a whole number from 1 to 512"),
        (PROMPT, {"method": "shapley"}, 422, "Text is explained by occlusion or integrated-gradients: got 'shapley'."),
        (PROMPT, {"target": 9}, 422, "`target` is 9, and the answer has tokens 0 to 3."),
        (PROMPT, {"pionts": 9}, 422, "Did you mean 'points'?"),
        (PROMPT, {"answer": ""}, 422, "The answer has no tokens"),
        ("mill " * 300, {}, 400, "context length is 256 tokens"),
        (PROMPT, {"answer": "mill " * 300}, 400, "context length is 256 tokens"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_sentence(
    served: Rig, inputs: Any, parameters: dict[str, Any], status: int, says: str
) -> None:
    answer = explain(served, inputs, **parameters)
    assert answer.status == status
    assert says in answer.json["error"]


def test_an_explanation_is_metered_as_its_answer(served: Rig) -> None:
    before = len(served.records())
    explain(served, PROMPT)
    eventually(lambda: len(served.records()) == before + 1, 30)
    record = served.records()[-1]
    assert (record.operation, record.status, record.tokens["completion"]) == ("explain", 200, 4)


def test_by_gradients_it_owes_what_captum_says(served: Rig, bundle: Bundle) -> None:
    from captum.attr import IntegratedGradients

    tokenizer = LanguageTokenizer.open(bundle.folder / "weights")
    prompt, answer = tokenizer.encode(PROMPT), tokenizer.encode(" go in")
    asked = {"answer": " go in", "method": "integrated-gradients", "steps": 24}
    (found,) = explain(served, PROMPT, **asked).json["explanations"]
    model = load_causal(bundle.folder / "weights", torch.float32)
    embedded = model.get_input_embeddings().weight.detach()
    end = embedded[torch.tensor(prompt + answer[:-1])][None]
    begin = end.clone()
    begin[0, : len(prompt)] = embedded[min(tokenizer.ends)]

    def told(given: torch.Tensor, place: int) -> torch.Tensor:
        logits = model(inputs_embeds=given).logits[:, len(prompt) - 1 + place]
        return logits.float().log_softmax(-1)[:, answer[place]]

    for place in range(len(answer)):
        by_captum, delta = IntegratedGradients(told).attribute(
            end, begin, additional_forward_args=place, n_steps=24, return_convergence_delta=True
        )
        owed = by_captum.sum(dim=2)[0, : len(prompt)].detach().numpy()
        assert found["values"][place] == pytest.approx(owed, abs=2e-3)
        assert abs(float(delta)) <= found["delta"] + 2e-3
    assert (found["method"], found["names"]) == ("integrated-gradients", [tokenizer.decode([one]) for one in prompt])
    assert len(found["curves"]["fraction"]) == 4
    assert found["deletion_auc"] is not None


def test_gradients_of_one_token_of_a_chat_as_a_page_while_others_write(served: Rig) -> None:
    messages = [{"role": "user", "content": "How many sacks?"}]
    asked = {"method": "integrated-gradients", "steps": 8, "target": 1, "render": "html"}
    with ThreadPoolExecutor(2) as clients:
        writing = clients.submit(
            served.request, "POST", "/v1/completions", {"model": "tiny", "prompt": "All", "max_tokens": 100}
        )
        (found,) = explain(served, messages, **asked).json["explanations"]
        assert writing.result().status == 200
    assert (found["target"], len(found["values"]), "".join(found["names"])) == (1, 1, "How many sacks?")
    assert "integrated-gradients" in found["picture"]
    assert "convergence error" in found["picture"]
