from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.serving.rig import Rig

GREEDY: Any = {"temperature": 0, "max_output_tokens": 16}


def test_a_response_answers_whole_and_as_events_with_the_same_text(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="tiny", input="How many sacks?", **GREEDY)
    assert whole.output_text
    assert whole.usage is not None
    assert whole.usage.output_tokens <= 16
    assert whole.status in ("completed", "incomplete")
    events = list(client.responses.create(model="tiny", input="How many sacks?", stream=True, **GREEDY))
    kinds = [event.type for event in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]  # fmt: skip
    assert kinds[-1] == f"response.{whole.status}"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text


def test_instructions_and_a_conversation_are_a_chat(client: openai.OpenAI) -> None:
    turns: Any = [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "Two."},
                  {"role": "user", "content": [{"type": "input_text", "text": "Three?"}]}]  # fmt: skip
    response = client.responses.create(model="tiny", instructions="Count.", input=turns, **GREEDY)
    messages: Any = [{"role": "system", "content": "Count."}, *turns[:2], {"role": "user", "content": "Three?"}]
    chat = client.chat.completions.create(model="tiny", messages=messages, temperature=0, max_tokens=16)
    assert response.output_text == chat.choices[0].message.content


FORM: Any = {"format": {"type": "json_schema", "name": "sack", "strict": True, "schema": {
    "type": "object", "properties": {"sack": {"type": "boolean"}}, "required": ["sack"], "additionalProperties": False,
}}}  # fmt: skip


def test_an_answer_fits_its_schema_and_the_clients_own_stream_puts_it_together(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="tiny", input="Sack?", max_output_tokens=100, text=FORM)
    assert isinstance(json.loads(answer.output_text)["sack"], bool)
    with client.responses.stream(model="tiny", input="Sack?", max_output_tokens=100, text=FORM) as stream:
        for _ in stream:
            pass
        assert isinstance(json.loads(stream.get_final_response().output_text)["sack"], bool)


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"previous_response_id": "resp_1"}, "previous_response_id"), ({"input": []}, "input"),
     ({"temperature": 7}, "temperature"), ({"input": [{"content": "x"}]}, "input[0].role"),
     ({"background": True}, "background"), ({"input": "sack " * 500}, "input"),
     ({"truncation": "auto"}, "truncation"),
     ({"include": ["reasoning.encrypted_content"]}, "include[0]"), ({"reasoning": {"effort": "low"}}, "reasoning"),
     ({"conversation": "conv_1"}, "conversation"), ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
     ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0].call_id"),
     ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
     ({"input": [{"type": "function_call", "name": "x", "call_id": "c", "arguments": "{"}]}, "input[0].arguments"),
     ({"tools": [{"type": "function", "name": "grind"}]}, "tools"), ({"stream_options": {}}, "stream_options"),
     ({"max_output_tokens": 9_000}, "input"), ({"metadata": {"k": "v" * 600}}, "metadata"),
     ({"instructions": "Be.", "input": [{"role": "user", "content": [{"type": "input_image"}]}]},
      "input[0].content[0]")],
)  # fmt: skip
def test_what_is_not_done_here_is_refused_by_name(served: Rig, asked: dict[str, Any], param: str) -> None:
    answer = served.request("POST", "/v1/responses", {"model": "tiny", "input": "x"} | asked)
    assert (answer.status, answer.json["error"]["param"]) == (400, param)
