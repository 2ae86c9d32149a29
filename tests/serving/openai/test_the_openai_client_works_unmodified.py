from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
import torch

from gristmill.frameworks.transformers.causal import load_causal
from gristmill.tasks.language.tokenizer import LanguageTokenizer
from tests.serving.rig import Bundle, Rig, eventually

MESSAGES: Any = [{"role": "user", "content": "How many sacks?"}]
GREEDY: Any = {"temperature": 0, "max_tokens": 20, "extra_body": {"ignore_eos": True}}


def test_a_chat_answers_whole_and_as_a_stream_with_the_same_text(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="tiny", messages=MESSAGES, **GREEDY)
    choice = whole.choices[0]
    assert (whole.object, choice.message.role, choice.finish_reason) == ("chat.completion", "assistant", "length")
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 20
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 20
    chunks = list(
        client.chat.completions.create(
            model="tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **GREEDY
        )
    )
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == choice.message.content
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 20


def test_several_choices_come_with_their_indexes(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "messages": MESSAGES, "n": 3, "seed": 4, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    texts = ["", "", ""]
    for chunk in client.chat.completions.create(stream=True, **asked):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


def test_prompts_are_completed_one_or_several_as_text_or_as_tokens(client: openai.OpenAI, served: Rig) -> None:
    tokens = served.request("POST", "/v1/tokenize", {"model": "tiny", "prompt": "All is grist"}).json["tokens"]
    asked: Any = {"model": "tiny", **GREEDY}
    one = client.completions.create(prompt="All is grist", **asked).choices[0].text
    several = client.completions.create(prompt=["The books say", "All is grist"], **asked)
    assert [choice.index for choice in several.choices] == [0, 1]
    assert several.choices[1].text == one
    assert client.completions.create(prompt=tokens, **asked).choices[0].text == one
    streamed = ["", ""]
    for chunk in client.completions.create(prompt=["The books say", "All is grist"], stream=True, **asked):
        for choice in chunk.choices:
            streamed[choice.index] += choice.text
    assert streamed == [choice.text for choice in several.choices]
    echoed = client.completions.create(prompt="All is grist", echo=True, **asked)
    assert echoed.choices[0].text == "All is grist" + one


def test_log_probabilities_come_in_both_shapes(client: openai.OpenAI) -> None:
    told = client.chat.completions.create(model="tiny", messages=MESSAGES, logprobs=True, top_logprobs=3, **GREEDY)
    logprobs = told.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 20
    assert logprobs.content[0].logprob == logprobs.content[0].top_logprobs[0].logprob
    completion = client.completions.create(model="tiny", prompt="All", logprobs=2, **GREEDY).choices[0]
    assert completion.logprobs is not None
    assert len(completion.logprobs.tokens or ()) == 20


def test_a_stop_string_ends_the_answer(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="tiny", prompt="All is", **GREEDY).choices[0].text
    stop = whole[5:7]
    cut = client.completions.create(model="tiny", prompt="All is", stop=[stop], **GREEDY).choices[0]
    assert (cut.text, cut.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_an_answer_fits_its_schema_and_json_is_json(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"sack": {"type": "boolean"}}, "required": ["sack"],
              "additionalProperties": False}  # fmt: skip
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=120, seed=1,
        response_format={"type": "json_schema", "json_schema": {"name": "sack", "schema": schema, "strict": True}},
    )  # fmt: skip
    assert isinstance(json.loads(answer.choices[0].message.content or "")["sack"], bool)


def test_the_async_client_streams_to_many_at_once(served: Rig) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> tuple[str, int]:
        stream = await client.completions.create(
            model="tiny", prompt=f"Sack {number}", stream=True, stream_options={"include_usage": True}, **GREEDY
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage is not None
        return "".join(chunk.choices[0].text for chunk in chunks[:-1]), chunks[-1].usage.completion_tokens

    async def all_of_them() -> list[tuple[str, int]]:
        url = f"http://127.0.0.1:{served.port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key=served.key, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(80)))

    answers = asyncio.run(all_of_them())
    assert {tokens for _, tokens in answers} == {20}
    assert len({text for text, _ in answers}) > 40


def test_models_are_listed_and_texts_tokenised(client: openai.OpenAI, served: Rig) -> None:
    listed, _ = client.models.list()
    retrieved = client.models.retrieve("tiny")
    assert (listed.id, listed.object) == (retrieved.id, retrieved.object) == ("tiny", "model")
    assert listed.created == retrieved.created
    answer = served.request("POST", "/v1/tokenize", {"model": "tiny", "prompt": "All is grist"})
    assert answer.json["count"] == len(answer.json["tokens"]) > 1


def test_every_stream_is_in_the_journal_with_its_tokens_by_class(client: openai.OpenAI, served: Rig) -> None:
    before = {record.id for record in served.records()}
    answer = client.completions.create(model="tiny", prompt="The books say what each sack cost", **GREEDY)
    again = client.completions.create(model="tiny", prompt="The books say what each sack cost", **GREEDY)
    (first, second) = eventually(
        lambda: len(new := [one for one in served.records() if one.id not in before]) == 2 and new, 5
    )
    assert answer.usage is not None
    assert again.usage is not None
    assert (first.operation, first.status, first.tokens["completion"]) == ("generate", 200, 20)
    assert first.tokens["prompt"] == answer.usage.prompt_tokens
    assert second.tokens["prompt"] + second.tokens["cached"] == again.usage.prompt_tokens
    assert again.usage.prompt_tokens_details is not None
    assert again.usage.prompt_tokens_details.cached_tokens == second.tokens["cached"] > 0


def test_a_prompt_is_scored_by_echo_with_logprobs(client: openai.OpenAI, language_bundle: Bundle) -> None:
    """As evaluation harnesses ask: the prompt's own log probabilities, and nothing written."""
    prompt = "All is grist to the mill."
    scored = client.completions.create(model="tiny", prompt=prompt, echo=True, logprobs=1, max_tokens=0)
    (choice,) = scored.choices
    assert choice.logprobs is not None
    told = choice.logprobs.token_logprobs or []
    tokens = LanguageTokenizer.open(language_bundle.folder / "weights").encode(prompt)
    with torch.inference_mode():
        logits = load_causal(language_bundle.folder / "weights").float()(torch.tensor([tokens])).logits[0]
    expected = logits.log_softmax(-1)[range(len(tokens) - 1), tokens[1:]]
    assert told[0] is None
    assert told[1:] == pytest.approx(expected.tolist(), abs=0.2)  # bfloat16 is off by 0.04 on the whole
    assert (choice.text, "".join(choice.logprobs.tokens or [])) == (prompt, prompt)
    assert (choice.finish_reason, scored.usage and scored.usage.completion_tokens) == ("length", 0)
    by_ids = client.completions.create(model="tiny", prompt=tokens, echo=True, logprobs=0, max_tokens=0)
    assert by_ids.choices[0].text == prompt


def test_an_echo_goes_on_as_the_prompt_would_whole_and_as_events(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "prompt": "The books", "temperature": 0, "max_tokens": 6, "logprobs": 2}
    plain = client.completions.create(**asked)
    whole = client.completions.create(**asked, echo=True)
    streamed = list(client.completions.create(**asked, echo=True, stream=True))
    assert whole.choices[0].text == "The books" + plain.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text
    assert (whole.usage, plain.usage) != (None, None)
    assert whole.usage.completion_tokens == plain.usage.completion_tokens  # type: ignore[union-attr]
    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    pieces = [one for chunk in streamed for one in (chunk.choices[0].logprobs.text_offset or [])]  # type: ignore[union-attr]
    assert pieces == logprobs.text_offset


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"max_tokens": 0}, "max_tokens"), ({"echo": True, "prompt": [5, 6]}, "echo"),
     ({"echo": True, "logprobs": 1, "presence_penalty": 1}, "echo"),
     ({"echo": True, "logprobs": 1, "prompt": [5, 0, 6]}, "prompt"),
     ({"echo": True, "logprobs": 1, "prompt": [5], "max_tokens": 0}, "max_tokens")],
)  # fmt: skip
def test_an_echo_that_cannot_be_is_refused_by_name(served: Rig, asked: dict[str, Any], param: str) -> None:
    answer = served.request("POST", "/v1/completions", {"model": "tiny", "prompt": "x"} | asked)
    assert (answer.status, answer.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"n": 0}, "n"),
        ({"colour": "red"}, "colour"),
        ({"messages": [{"role": "user", "content": "x", "colour": "red"}]}, "messages[0].colour"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"store": True}, "store"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"max_tokens": 10_000}, "messages"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"logit_bias": {"99999999": 1}}, "logit_bias"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "grind"}}]}, "tools"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}}},
         "response_format"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": "sack " * 500}]}, "messages"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_400_that_names_the_parameter(served: Rig, asked: dict[str, Any], param: str) -> None:
    for stream in (False, True):
        body = {"model": "tiny", "messages": MESSAGES, "stream": stream} | asked
        answer = served.request("POST", "/v1/chat/completions", body)
        error = answer.json["error"]
        assert (answer.status, error["param"], error["type"]) == (400, param, "invalid_request_error"), error
        assert "Traceback" not in error["message"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"messages": None}, "invalid_type"),
        ({"messages": []}, "empty_array"),
        ({"messages": [{"content": "x"}]}, "missing_required_parameter"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter"),
        ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": "sack " * 500}]}, "context_length_exceeded"),
        ({"colour": "red"}, "unknown_parameter"),
        ({"temperature": "warm"}, "invalid_type"),
        ({"temperature": 3}, "decimal_above_max_value"),
        ({"n": 0}, "integer_below_min_value"),
        ({"stop": ["x"] * 20}, "array_above_max_length"),
        ({"stop": ""}, "empty_string"),
        ({"metadata": {"x": "y" * 600}}, "string_above_max_length"),
        ({"metadata": {str(number): "" for number in range(17)}}, "object_above_max_properties"),
        ({"response_format": {"type": "xml"}}, "invalid_value"),
        ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "invalid_value"),
        ({"top_logprobs": 3}, "invalid_value"),
        ({"store": True}, "unsupported_parameter"),
        ({"model": "unknown"}, "model_not_found"),
    ],
)
def test_what_is_refused_has_the_code_that_openai_gives_it(served: Rig, asked: dict[str, Any], code: str) -> None:
    answer = served.request("POST", "/v1/chat/completions", {"model": "tiny", "messages": MESSAGES} | asked)
    assert answer.json["error"]["code"] == code, answer.json


def test_what_may_stand_there_is_told(served: Rig) -> None:
    for asked, known in (
        ({"messages": [{"role": "king", "content": "x"}]}, "'assistant', 'developer', 'system', 'tool', 'user'"),
        ({"tool_choice": "maybe"}, "'auto', 'none', 'required'"),
        ({"response_format": {"type": "xml"}}, "'json_object', 'json_schema', 'text'"),
    ):
        answer = served.request("POST", "/v1/chat/completions", {"model": "tiny", "messages": MESSAGES} | asked)
        assert f"is none of {known}." in answer.json["error"]["message"], answer.json


def test_errors_raise_the_clients_own_exceptions(client: openai.OpenAI, served: Rig) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="unknown", prompt="x")
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="unknown", input="x")
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("unknown")
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError):
        client.models.delete("tiny")
    with pytest.raises(openai.NotFoundError) as no_path:
        client.moderations.create(input="x")
    assert (no_path.value.type, no_path.value.code) == ("invalid_request_error", "unknown_url")
    assert "POST /v1/moderations" in no_path.value.message
    with (
        pytest.raises(openai.AuthenticationError),
        openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="none") as stranger,
    ):
        stranger.chat.completions.create(model="tiny", messages=MESSAGES)
    no_json = served.request("POST", "/v1/completions", b"{")
    assert (no_json.status, no_json.json["error"]["code"]) == (400, None)
    alone = served.request("POST", "/v1/completions", {"model": "tiny", "prompt": "x", "stream_options": {}})
    assert (alone.status, alone.json["error"]["param"]) == (400, "stream_options")


LIST = {"type": "object", "properties": {"next": {"$ref": "#/$defs/list"}}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "#"}, "hold itself without end"),
        ({"$defs": {"list": LIST | {"required": ["next"]}}, "$ref": "#/$defs/list"}, "hold itself without end"),
        ({"type": "string", "pattern": "(["}, "unclosed character class"),
        ({"type": "string", "pattern": "^a$", "minLength": 5}, "Unsatisfiable"),
        ({"oneOf": [{"type": "string"}, {"type": "string"}]}, "oneOf constraints are not supported."),
    ],
)
def test_a_schema_that_nothing_fits_is_refused_and_says_why(served: Rig, schema: dict[str, Any], says: str) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": "tiny", "messages": MESSAGES, "response_format": form}
    answer = served.request("POST", "/v1/chat/completions", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, "response_format")
    assert says in answer.json["error"]["message"]


def test_a_schema_that_may_hold_itself_and_may_end_is_taken(served: Rig) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$defs": {"list": LIST}, **LIST}}}
    body = {"model": "tiny", "messages": MESSAGES, "response_format": form, "max_tokens": 2}
    assert served.request("POST", "/v1/chat/completions", body).status == 200


def test_one_of_several_prompts_that_is_too_long_refuses_them_all(client: openai.OpenAI) -> None:
    asked: Any = {"model": "tiny", "prompt": ["All", "sack " * 500, "is"], "max_tokens": 200}
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(**asked)
    assert (refused.value.param, refused.value.code) == ("prompt", "context_length_exceeded")
    with pytest.raises(openai.BadRequestError) as refused:  # before the first event of those that could be written
        client.completions.create(**asked, stream=True)
    assert (refused.value.param, refused.value.code) == ("prompt", "context_length_exceeded")


def test_a_client_that_leaves_several_prompts_frees_them_all(client: openai.OpenAI, served: Rig) -> None:
    before = {record.id for record in served.records()}
    stream = client.completions.create(
        model="tiny", prompt=["All", "is"], max_tokens=240, n=32, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    stream.close()
    records = eventually(lambda: len(new := [one for one in served.records() if one.id not in before]) == 2 and new, 5)
    assert all(record.tokens.get("completion", 0) < 240 * 32 for record in records)


@pytest.mark.parametrize("broken", [b"\xff", rb"\ud800"])
def test_text_that_is_no_unicode_is_a_400_that_says_where_it_stands(served: Rig, broken: bytes) -> None:
    body = b'{"model": "tiny", "messages": [{"role": "user", "content": [{"type": "text", "text": "x%b"}]}]}' % broken
    answer = served.request("POST", "/v1/chat/completions", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, "messages[0].content[0].text")
