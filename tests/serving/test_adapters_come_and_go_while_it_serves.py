"""LoRA adapters through every public door: imported, added to an endpoint that serves, called, counted, removed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import torch

from tests import adapters, language
from tests.running import Platform, eventually

WORDS = len(language.tokenizer())
GREEDY: Any = {"temperature": 0, "max_tokens": 12, "extra_body": {"ignore_eos": True}}
PROMPT = "All is grist to the mill."


@pytest.fixture(scope="module")
def platform(language_platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A base with two adapters."""
    folder = tmp_path_factory.mktemp("adapters")
    imports = [("models", "import", str(adapters.save(folder / name, WORDS, seed=seed)), "--base", "tiny@1")
               for seed, name in enumerate(("poet", "clerk"), 1)]  # fmt: skip
    with ThreadPoolExecutor() as together:
        list(together.map(lambda arguments: language_platform.json(*arguments), imports))
    for name in ("poet", "clerk"):
        language_platform.json("endpoints", "adapters", "add", "tiny", name)
    yield language_platform
    with language_platform.client() as sdk:
        sdk.endpoints.scale("tiny", 1)


@pytest.fixture
def client(platform: Platform) -> Iterator[openai.OpenAI]:
    url = f"{platform.inference_url}/v1"
    with openai.OpenAI(base_url=url, api_key=platform.key, max_retries=0) as made:
        yield made


def completed(client: openai.OpenAI, model: str) -> str:
    return client.completions.create(model=model, prompt=PROMPT, **GREEDY).choices[0].text


def test_each_adapter_answers_under_its_name_beside_the_others(client: openai.OpenAI) -> None:
    names = ("tiny", "tiny:poet", "tiny:clerk")
    assert set(names) <= {one.id for one in client.models.list()}
    alone = {name: completed(client, name) for name in names}
    assert len(set(alone.values())) == 3
    together: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda name=name: together.append((name, completed(client, name))))
               for name in names * 4]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(together) == sorted(list(alone.items()) * 4)
    assert client.models.retrieve("tiny:poet")


def test_what_an_adapter_writes_owes_what_captum_says_of_its_own_model(platform: Platform, tmp_path: Path) -> None:
    from captum.attr import IntegratedGradients

    folder = adapters.save(tmp_path / "poet", WORDS, seed=1)
    merged: Any = adapters.opened(WORDS, folder).merge_and_unload()
    prompt, answer = (language.tokenizer().encode(text) for text in (PROMPT, " go"))
    embedded = merged.get_input_embeddings().weight.detach()
    end = embedded[torch.tensor(prompt)][None]
    (first, *_) = answer

    def told(given: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(merged(inputs_embeds=given).logits[:, -1].log_softmax(-1)[:, first])

    owed = IntegratedGradients(told).attribute(end, embedded[torch.zeros(1, len(prompt), dtype=int)], n_steps=24)
    asked = {"inputs": PROMPT, "parameters": {"answer": " go", "method": "integrated-gradients", "steps": 24,
                                              "points": 2, "target": 0}}  # fmt: skip
    url, key = f"{platform.inference_url}/v2/models", {"authorization": f"Bearer {platform.key}"}
    of_poet, of_base = (
        httpx2.post(f"{url}/{name}/explain", json=asked, headers=key, timeout=60).json()["explanations"][0]["values"][0]
        for name in ("tiny:poet", "tiny")
    )
    assert of_poet == pytest.approx(owed.sum(dim=2)[0].detach().numpy(), abs=2e-3)
    assert of_base != pytest.approx(of_poet, abs=0.05)


def test_an_unknown_adapter_is_not_found_in_openais_form(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="tiny:nobody"):
        completed(client, "tiny:nobody")


def test_replicas_that_come_have_them_before_they_answer(platform: Platform, client: openai.OpenAI) -> None:
    before = completed(client, "tiny:poet")
    with platform.client() as sdk:
        sdk.endpoints.scale("tiny", 2)
        sdk.endpoints.wait("tiny")
    assert [completed(client, "tiny:poet") for _ in range(6)] == [before] * 6


def test_one_that_is_removed_finishes_what_it_writes_and_then_is_unknown(
    platform: Platform, client: openai.OpenAI
) -> None:
    platform.json("endpoints", "adapters", "add", "tiny", "poet", "--as", "brief")
    asked: Any = {"model": "tiny:brief", "prompt": PROMPT, "temperature": 0, "max_tokens": 200, "stream": True}
    whole = client.completions.create(**{**asked, "stream": False}, extra_body={"ignore_eos": True}).choices[0].text
    stream = client.completions.create(**asked, extra_body={"ignore_eos": True})
    text = next(stream).choices[0].text
    platform.json("endpoints", "adapters", "remove", "tiny", "brief")
    assert text + "".join(chunk.choices[0].text for chunk in stream) == whole

    def unknown() -> bool:
        try:
            completed(client, "tiny:brief")
        except openai.NotFoundError:
            return True
        return False

    eventually(unknown, 30)
    assert {one["name"] for one in platform.json("endpoints", "adapters", "list", "tiny")} == {"poet", "clerk"}


def test_the_books_count_its_tokens_as_the_adapters_own(platform: Platform, client: openai.OpenAI) -> None:
    completed(client, "tiny:clerk")
    entries = ("books", "entries", "--account", "units:tokens:clerk@1")
    assert eventually(lambda: platform.json(*entries), 20)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("deploy", "poet@1"), "is an adapter"),
        (("endpoints", "adapters", "add", "tiny", "tiny@1"), "is no adapter"),
        (("endpoints", "adapters", "add", "tiny", "poet"), "has an adapter 'poet'"),
        (("endpoints", "adapters", "remove", "tiny", "nobody"), "has no adapter 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    platform: Platform, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = platform.cli(*arguments, check=False)
    assert refused.returncode != 0
    assert sentence in " ".join((refused.stdout + refused.stderr).split())


def test_a_replica_that_comes_back_has_them_before_it_answers(platform: Platform, client: openai.OpenAI) -> None:
    before = completed(client, "tiny:poet")
    (oldest, *_) = platform.replicas("tiny")
    platform.kill(oldest)
    assert [completed(client, "tiny:poet") for _ in range(9)] == [before] * 9
