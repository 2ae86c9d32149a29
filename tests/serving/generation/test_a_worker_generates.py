"""A worker with a tiny language model, asked over its socket as a gateway asks it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.bundles.manifest import decode_manifest, write_manifest
from gristmill.core import frames
from gristmill.core.generation import Delta, Finish, GenerationRequest, Sampling
from gristmill.core.supervision import Adapt, Adapted, Pong, ask
from gristmill.core.types import AdapterRef
from gristmill.lab.package import manifest_with_files
from gristmill.serving.wire.messages import (
    Answered,
    Cancel,
    Ended,
    Generate,
    Generated,
    Hello,
    Ready,
    Tokenize,
    decode_to_gateway,
)
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests import adapters, language
from tests.serving.rig import Bundle, Rig, Worker, eventually

GREEDY = Sampling(temperature=0)
TOOL = {"type": "function", "function": {"name": "grind", "parameters": {
    "type": "object", "properties": {"sacks": {"type": "integer"}}, "required": ["sacks"],
    "additionalProperties": False,
}}}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(language_bundle: Bundle) -> Bundle:
    return language_bundle


@pytest.fixture(scope="module")
def tokenizer(bundle: Bundle) -> LanguageTokenizer:
    return LanguageTokenizer.open(bundle.folder / "weights")


@pytest.fixture(scope="module")
def worker(language_served: Rig) -> Worker:
    return language_served.workers[1]


class Gateway:
    """One connection; `ask` waits for a request's end."""

    def __init__(self, worker: Worker) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(30)
        self.connection.connect(worker.socket)
        frames.send(self.connection, Hello("test"))
        assert isinstance(self.receive(), Ready)
        self._numbers = itertools.count(1)

    def receive(self) -> Any:
        return decode_to_gateway(frames.receive(self.connection)[0])

    def begin(self, **asked: Any) -> int:
        number = next(self._numbers)
        asked = {"max_tokens": 12, "sampling": GREEDY} | asked
        frames.send(self.connection, Generate(number, GenerationRequest(**asked)))
        return number

    def ask(self, **asked: Any) -> tuple[list[Delta], Ended]:
        number = self.begin(**asked)
        return self.rest(number)

    def rest(self, number: int) -> tuple[list[Delta], Ended]:
        deltas: list[Delta] = []
        while True:
            message = self.receive()
            assert isinstance(message, Generated)
            deltas += [delta for delta in message.deltas if delta.request == number]
            for ended in message.ended:
                if ended.request == number:
                    return deltas, ended


@pytest.fixture(scope="module")
def gateway(worker: Worker) -> Iterator[Gateway]:
    made = Gateway(worker)
    yield made
    made.connection.close()


def text(deltas: list[Delta], choice: int = 0) -> str:
    return "".join(delta.text for delta in deltas if delta.choice == choice)


def test_a_prompt_is_continued_and_what_it_used_is_told(gateway: Gateway, tokenizer: LanguageTokenizer) -> None:
    deltas, ended = gateway.ask(prompt="All is grist", ignore_eos=True)
    assert ended.fault is None
    assert (ended.usage.prompt, ended.usage.completion) == (len(tokenizer.encode("All is grist")), 12)
    assert sum(delta.tokens for delta in deltas) == 12
    assert deltas[-1].finish is Finish.length
    again, _ = gateway.ask(prompt=tokenizer.encode("All is grist"), ignore_eos=True)
    assert text(again) == text(deltas)


def test_messages_are_rendered_by_the_models_own_template(gateway: Gateway, tokenizer: LanguageTokenizer) -> None:
    messages = [{"role": "user", "content": "How many sacks?"}]
    deltas, ended = gateway.ask(messages=messages)
    rendered = "<|user|>How many sacks?<|end|><|assistant|>"
    assert ended.usage.prompt == len(tokenizer.encode(rendered, rendered=True))
    assert text(gateway.ask(prompt=rendered)[0]) == text(deltas)


def test_a_stop_string_ends_the_answer_before_it_and_none_of_it_is_sent(gateway: Gateway) -> None:
    whole = text(gateway.ask(prompt="All is", max_tokens=40, ignore_eos=True)[0])
    stop = whole[6:9]
    deltas, ended = gateway.ask(prompt="All is", max_tokens=40, ignore_eos=True, stop=(stop,))
    assert text(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish is Finish.stop
    assert ended.usage.completion < 40


def test_several_choices_differ_by_seed_and_come_again_with_it(gateway: Gateway) -> None:
    warm = {"prompt": "The books say", "n": 3, "sampling": Sampling(seed=11), "ignore_eos": True}
    deltas, ended = gateway.ask(**warm)
    texts = [text(deltas, choice) for choice in range(3)]
    assert len(set(texts)) == 3
    assert ended.usage.completion == 36
    again, _ = gateway.ask(**warm)
    assert [text(again, choice) for choice in range(3)] == texts


def test_log_probabilities_name_tokens_and_their_bytes(gateway: Gateway, tokenizer: LanguageTokenizer) -> None:
    deltas, _ = gateway.ask(prompt="Seven, said the miller", logprobs=2, ignore_eos=True)
    told = [one for delta in deltas for one in delta.logprobs]
    assert len(told) == 12
    assert all(one.logprob <= 0 and len(one.top) == 2 and one.top[0].logprob >= one.top[1].logprob for one in told)
    assert b"".join(one.data for one in told).decode("utf-8", "replace") == text(deltas)


def test_an_answer_fits_its_json_schema(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}, "days": {"type": "boolean"}},
              "required": ["city", "days"], "additionalProperties": False}  # fmt: skip
    deltas, _ = gateway.ask(prompt="Where?", max_tokens=80, sampling=Sampling(seed=3), json_schema=schema)
    answer = json.loads(text(deltas))
    assert answer["city"] in ("Paris", "Rome")
    assert isinstance(answer["days"], bool)
    assert deltas[-1].finish is Finish.stop


def test_a_tool_that_must_be_called_is_called_with_arguments_that_fit(gateway: Gateway) -> None:
    asked = {"messages": [{"role": "user", "content": "Grind."}], "tools": [TOOL], "tool_choice": "required",
             "parallel_tool_calls": False, "max_tokens": 120, "sampling": Sampling(seed=5)}  # fmt: skip
    deltas, ended = gateway.ask(**asked)
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert ended.fault is None
    assert (calls[0].index, calls[0].name, calls[0].arguments) == (0, "grind", "")
    assert isinstance(json.loads(calls[1].arguments)["sacks"], int)
    assert deltas[-1].finish is Finish.tool_calls
    assert text(deltas).strip() == ""


def test_a_cancelled_request_ends_with_what_it_used_and_others_go_on(gateway: Gateway) -> None:
    left = gateway.begin(prompt="All is grist that comes", max_tokens=200, ignore_eos=True)
    stays = gateway.begin(prompt="All is", max_tokens=30, ignore_eos=True)
    frames.send(gateway.connection, Cancel(left))
    ended: dict[int, Ended] = {}
    while stays not in ended:
        ended |= {one.request: one for one in gateway.receive().ended}
    assert ended[left].usage.completion < 200
    assert ended[stays].usage.completion == 30


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": [5, 999_999]}, "prompt"),
        ({"prompt": "All is grist", "max_tokens": language.CONTEXT}, "prompt"),
        ({"messages": [{"role": "user", "content": "x " * 400}], "max_tokens": None}, "messages"),
        ({"prompt": "x", "json_schema": {"type": "nonsense"}}, "response_format"),
        ({"prompt": "x", "json_schema": {"type": "string", "minLength": 5, "maxLength": 2}}, "response_format"),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [TOOL], "tool_choice": "fly"}, "tool_choice"),
        ({"prompt": "x", "adapter": "fine"}, "model"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_naming_the_field(
    gateway: Gateway, asked: dict[str, Any], field: str
) -> None:
    deltas, ended = gateway.ask(**asked)
    assert deltas == []
    assert ended.fault is not None
    assert ended.fault.details["field"] == field
    assert ended.usage.completion == 0


def test_tokens_are_counted_without_computing(gateway: Gateway, tokenizer: LanguageTokenizer) -> None:
    frames.send(gateway.connection, Tokenize(7, GenerationRequest(prompt="All is grist")))
    header, body = frames.receive(gateway.connection)
    assert isinstance(decode_to_gateway(header), Answered)
    assert json.loads(body)["tokens"] == tokenizer.encode("All is grist")


@pytest.fixture
def poet(tmp_path: Path, bundle: Bundle) -> Bundle:
    source = adapters.save(tmp_path / "poet", len(language.tokenizer()), seed=1)
    return Bundle(*language.bundle(tmp_path, source, language.LanguageBundle(*bundle)))


def with_weights_of_another(right: Bundle, where: Path) -> Bundle:
    """Its files are whole by their digests, and its golden answers are not those of its matrices."""
    folder = Path(shutil.copytree(right.folder, where / "wrong"))
    adapters.save(folder / "weights", len(language.tokenizer()), seed=2)
    (folder / "weights" / "README.md").unlink()
    manifest = decode_manifest((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").unlink()
    return Bundle(folder, write_manifest(folder, manifest_with_files(manifest, folder)), right.signature)


def test_an_adapter_is_replayed_while_others_are_answered_and_a_wrong_one_refused(
    worker: Worker, gateway: Gateway, poet: Bundle, tmp_path: Path
) -> None:
    wrong = with_weights_of_another(poet, tmp_path)
    whole = text(gateway.ask(prompt="All is grist", max_tokens=200, ignore_eos=True)[0])
    under_way = gateway.begin(prompt="All is grist", max_tokens=200, ignore_eos=True)
    refs = [AdapterRef(name, f"{name}@1", one.digest, str(one.folder)) for name, one in
            (("poet", poet), ("wrong", wrong))]  # fmt: skip
    ask(worker.socket, Adapt(tuple(refs)), Adapted)
    eventually(lambda: pong(worker).refused, 30)
    assert pong(worker).adapters == {"poet": poet.digest}
    assert re.search(r"output 'logprobs' differs by up to \d", pong(worker).refused["wrong"])
    assert text(gateway.rest(under_way)[0]) == whole
    assert gateway.ask(prompt="All is grist", adapter="poet")[1].fault is None
    assert gateway.ask(prompt="All is grist", adapter="wrong")[1].fault is not None


def pong(worker: Worker) -> Pong:
    told = worker.ping()
    assert told is not None
    return told


def test_a_gateway_that_goes_leaves_no_work_behind(worker: Worker, gateway: Gateway) -> None:
    other = Gateway(worker)
    for _ in range(4):
        other.begin(prompt="All is grist", max_tokens=240, ignore_eos=True)
    other.connection.close()
    assert gateway.ask(prompt="The books", ignore_eos=True)[1].usage.completion == 12
