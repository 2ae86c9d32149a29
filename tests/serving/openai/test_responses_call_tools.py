from __future__ import annotations

import json
from typing import Any

import openai

from gristmill.core.errors import Unavailable
from gristmill.core.generation import Delta, Finish, TokenLogprob, TokenUsage, ToolCallDelta
from gristmill.serving.gateway.dialects.openai.responses.answer import ResponseAnswer
from gristmill.serving.gateway.dialects.openai.responses.asked import Response

TOOL: Any = {"type": "function", "name": "grind", "strict": True, "parameters": {
    "type": "object", "properties": {"fine": {"type": "boolean"}}, "required": ["fine"], "additionalProperties": False,
}}  # fmt: skip
ASKED: Any = {"model": "tools", "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False,
              "max_output_tokens": 200, "temperature": 0}  # fmt: skip


def test_a_call_comes_in_pieces_that_the_client_puts_together_and_its_result_goes_back(client: openai.OpenAI) -> None:
    events = list(client.responses.create(input="Grind.", stream=True, **ASKED))
    kinds = [event.type for event in events]
    of_call = "response.function_call_arguments"
    assert kinds[2:] == ["response.output_item.added", f"{of_call}.delta", f"{of_call}.done",
                         "response.output_item.done", "response.completed"]  # fmt: skip
    last = events[-1]
    assert last.type == "response.completed"
    (call,) = last.response.output
    assert call.type == "function_call"
    assert isinstance(json.loads(call.arguments)["fine"], bool)
    pieces = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert pieces == call.arguments
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Ground."}
    turns: Any = [{"role": "user", "content": "Grind."}, call.model_dump(), result]
    by_items = client.responses.create(model="tools", input=turns, max_output_tokens=8, temperature=0)
    by_id = client.responses.create(
        model="tools", input=[result], previous_response_id=last.response.id, max_output_tokens=8, temperature=0
    )
    assert by_id.output_text == by_items.output_text


def test_a_named_tool_is_called(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "name": "grind"}
    answer = client.responses.create(input="Grind.", **ASKED | {"tool_choice": choice})
    assert [item.type for item in answer.output] == ["function_call"]


def _answer(**more: Any) -> ResponseAnswer:
    return ResponseAnswer(Response(model="m", input="x", **more), "req_1", store=False)


def _events(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in data.decode().splitlines() if line.startswith("data: ")]


DELTAS = [
    Delta(1, 0, reasoning="Two "), Delta(1, 0, reasoning="sacks."), Delta(1, 0, "\n"), Delta(1, 0, "I grind."),
    Delta(1, 0, "\n", tool_calls=(ToolCallDelta(0, "call_1", "grind"), ToolCallDelta(0, arguments="{}"))),
    Delta(1, 0, "\n", tool_calls=(ToolCallDelta(1, "call_2", "grind"), ToolCallDelta(1, arguments='{"a": 1}'))),
    Delta(1, 0, finish=Finish.tool_calls),
]  # fmt: skip


def test_thoughts_text_and_calls_are_items_in_their_order_whole_and_as_events() -> None:
    whole, streamed = _answer(), _answer()
    for delta in DELTAS:
        whole.add(delta)
    whole.end()
    used = TokenUsage(3, 0, 9, 4)
    output = whole.document("completed", used)["output"]
    assert [(item["type"], item["status"]) for item in output] == [
        ("reasoning", "completed"), ("message", "completed"), ("function_call", "completed"),
        ("function_call", "completed"),
    ]  # fmt: skip
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "Two sacks."}]
    assert output[1]["content"][0]["text"].strip() == "I grind."
    assert [item["arguments"] for item in output[2:]] == ["{}", '{"a": 1}']
    events = _events(b"".join([*map(streamed.event, DELTAS), streamed.last_event(used)]))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == output
    assert events[-1]["response"]["output"] == output
    deltas = {
        "response.reasoning_text.delta": "Two sacks.",
        "response.output_text.delta": output[1]["content"][0]["text"],
    }
    for kind, text in deltas.items():
        assert "".join(event["delta"] for event in events if event["type"] == kind) == text


def test_an_answer_that_is_cut_says_so_at_its_last_item_and_nothing_is_still_an_item() -> None:
    cut = _answer()
    cut.add(Delta(1, 0, "I gri", finish=Finish.length))
    cut.end()
    document = cut.document("completed", TokenUsage(1, 0, 2))
    assert (document["status"], document["output"][-1]["status"]) == ("incomplete", "incomplete")
    empty = _answer()
    empty.add(Delta(1, 0, finish=Finish.stop))
    empty.end()
    assert [item["type"] for item in empty.document("completed")["output"]] == ["message"]


def test_a_stream_that_breaks_off_has_failed_and_tells_the_error() -> None:
    answer = _answer()
    begun = answer.event(Delta(1, 0, "Two"))
    failed, error = _events(begun + answer.broken(Unavailable("The replica died.")))[-2:]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert (error["type"], error["message"], error["error"]["code"]) == ("error", "The replica died.", "unavailable")


def test_log_probabilities_stand_in_the_events_and_in_the_text() -> None:
    answer = _answer(include=["message.output_text.logprobs"], top_logprobs=1)
    told = TokenLogprob("Two", -0.5, b"Two", (TokenLogprob("Two", -0.5, b"Two"),))
    events = _events(answer.event(Delta(1, 0, "Two", 1, logprobs=(told,), finish=Finish.stop)))
    (delta,) = [event for event in events if event["type"] == "response.output_text.delta"]
    answer.end()
    (item,) = answer.document("completed")["output"]
    assert item["content"][0]["logprobs"] == delta["logprobs"]
    assert delta["logprobs"][0]["top_logprobs"][0]["logprob"] == -0.5
