"""`store` and `previous_response_id`: what was answered goes on, is read and is deleted, by its own tenant alone."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.running import free_port
from tests.serving.rig import Rig

GREEDY: Any = {"model": "tiny", "temperature": 0, "max_output_tokens": 8}


def test_a_conversation_goes_on_from_a_response_as_if_it_was_sent_whole(client: openai.OpenAI) -> None:
    first = client.responses.create(input="One?", instructions="Count.", **GREEDY)
    streamed = list(client.responses.create(input="Two?", previous_response_id=first.id, stream=True, **GREEDY))
    second: Any = streamed[-1]
    turns: Any = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": first.output_text},
                  {"role": "user", "content": "Two?"}]  # fmt: skip
    whole = client.responses.create(input=turns, **GREEDY)  # instructions are of one response alone
    assert second.response.output_text == whole.output_text
    third = client.responses.create(input="Three?", previous_response_id=second.response.id, **GREEDY)
    more: Any = [{"role": "assistant", "content": whole.output_text}, {"role": "user", "content": "Three?"}]
    assert third.output_text == client.responses.create(input=[*turns, *more], **GREEDY).output_text
    assert third.previous_response_id == second.response.id


def test_what_is_kept_is_read_listed_and_deleted(client: openai.OpenAI) -> None:
    made = client.responses.create(input="One?", metadata={"of": "a test"}, **GREEDY)
    after = client.responses.create(input="Two?", previous_response_id=made.id, **GREEDY)
    assert client.responses.retrieve(made.id) == made
    items = client.responses.input_items.list(after.id, order="asc").data
    texts = [item.content[0].text for item in items if item.type == "message"]
    assert texts == ["One?", made.output_text, "Two?"]
    newest = client.responses.input_items.list(after.id, limit=1)
    assert (newest.data[0].id, newest.has_more) == (items[-1].id, True)
    assert [item.id for item in newest] == [item.id for item in reversed(items)]  # the client turns the pages
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(input="Two?", previous_response_id=made.id, **GREEDY)
    assert (gone.value.param, gone.value.code) == ("previous_response_id", "previous_response_not_found")
    assert client.responses.retrieve(after.id).id == after.id


def test_what_is_not_to_be_kept_is_not(client: openai.OpenAI) -> None:
    made = client.responses.create(input="One?", store=False, **GREEDY)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_another_tenant_and_a_key_for_other_endpoints_find_nothing(served: Rig, client: openai.OpenAI) -> None:
    made = client.responses.create(input="One?", **GREEDY)
    strangers = [served.add_key("u"), served.add_key(scopes=("other",))]
    friend = served.add_key(scopes=("tiny",))
    served.push()
    for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
        unknown = served.request(method, f"/v1/responses/resp_unknown{path}")
        for key in strangers:
            answer = served.request(method, f"/v1/responses/{made.id}{path}", key=key)
            assert (answer.status, answer.body) == (404, unknown.body.replace(b"resp_unknown", made.id.encode()))
    assert served.request("GET", f"/v1/responses/{made.id}", key=friend).json["id"] == made.id


def test_another_gateway_goes_on_and_one_that_keeps_nothing_says_so(served: Rig, client: openai.OpenAI) -> None:
    made = client.responses.create(input="One?", **GREEDY)
    asked = {"input": "Two?", "previous_response_id": made.id, **GREEDY}
    with served.second_gateway(free_port()) as other:
        there = other.request("POST", "/v1/responses", asked).json
    here = client.responses.create(**asked)
    assert there["output"][0]["content"] == [part.model_dump() for part in here.output[0].content]  # type: ignore[union-attr]
    with served.second_gateway(free_port(), responses_kept_days=0.0) as forgetful:
        plain = forgetful.request("POST", "/v1/responses", {"input": "One?", **GREEDY})
        assert (plain.status, plain.json["store"]) == (200, False)
        for more, param in (({"store": True}, "store"), ({"previous_response_id": made.id}, "previous_response_id")):
            answer = forgetful.request("POST", "/v1/responses", {"input": "One?", **GREEDY, **more})
            assert (answer.status, answer.json["error"]["param"]) == (400, param)


def test_the_tokens_of_an_input_are_counted_before_it_is_sent(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="tiny", input="How many sacks?", instructions="Count.")
    made = client.responses.create(input="How many sacks?", instructions="Count.", **GREEDY)
    assert made.usage is not None
    assert counted.input_tokens == made.usage.input_tokens


@pytest.mark.parametrize(
    ("query", "param"),
    [("?limit=0", "limit"), ("?order=up", "order"), ("?after=x", "after"), ("?colour=red", "colour")],
)
def test_a_list_refuses_what_it_does_not_know(served: Rig, client: openai.OpenAI, query: str, param: str) -> None:
    made = client.responses.create(input="One?", **GREEDY)
    answer = served.request("GET", f"/v1/responses/{made.id}/input_items{query}")
    assert (answer.status, answer.json["error"]["param"]) == (400, param)
