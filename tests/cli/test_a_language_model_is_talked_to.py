from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from gristmill.client.asynchronous import AsyncClient
from tests.running import Platform, eventually

MESSAGES = [{"role": "user", "content": "How many sacks?"}]


@pytest.fixture
def running(language_platform: Platform) -> Platform:
    return language_platform


def _chat(running: Platform, said: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gristmill.cli.main", "chat", "tiny", "--max-tokens", "8", *arguments]
    return subprocess.run(command, input=said, env=running.environment, capture_output=True, text=True, check=False)


def test_a_conversation_goes_on_until_exit_and_may_begin_anew(running: Platform) -> None:
    talked = _chat(running, "How many?\n/new\nHow many?\n/exit\n", "--temperature", "0")
    assert talked.returncode == 0, talked.stderr
    answers = talked.stdout.rstrip("\n")
    half = len(answers) // 2
    assert answers[:half] == answers[half + 1 :]  # the same question in a new conversation
    assert "/exit" in talked.stderr


def test_one_message_gets_one_document(running: Platform) -> None:
    told = running.json("chat", "tiny", "How many sacks?", "--max-tokens", "5")
    assert told["usage"]["completion_tokens"] <= 5
    assert told["finish_reason"] in ("stop", "length")


def test_the_sdk_streams_sync_and_async_what_the_openai_client_gets(running: Platform) -> None:
    asked = {"temperature": 0, "max_tokens": 12}
    with openai.OpenAI(base_url=f"{running.inference_url}/v1", api_key=running.key) as client:
        told = client.chat.completions.create(model="tiny", messages=MESSAGES, **asked).choices[0].message.content  # type: ignore[call-overload]
    with running.client() as own:
        chunks = list(own.chat("tiny", MESSAGES, **asked))

    async def streamed() -> str:
        async with AsyncClient(running.control_url, running.key, running.inference_url) as own:
            parts = [chunk async for chunk in own.chat("tiny", MESSAGES, **asked)]
        return "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)

    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == told
    assert asyncio.run(streamed()) == told


def test_tokens_stand_in_the_books_by_class(running: Platform) -> None:
    def report() -> dict[str, object]:
        return running.json("books", "report", "unit-cost")

    eventually(lambda: "tokens" in str(report()) and running.json("books", "check")["usage_records"] >= 1, 30)
    assert running.json("books", "check")["problems"] == []


def test_the_operator_sees_how_fast_it_writes(running: Platform) -> None:
    running.cli("chat", "tiny", "How many sacks?", "--max-tokens", "5")
    figures = eventually(lambda: running.client().endpoints.get("tiny")["written"], 30)
    assert 0 < figures["first_token_s"]["p50"] <= figures["first_token_s"]["p95"]
    assert 0 < figures["per_token_s"]["p50"] <= figures["per_token_s"]["p95"]
    assert figures["energy"]["joules_per_1000_tokens"] > 0
    shown = " ".join(running.cli("endpoints", "show", "tiny").stdout.split())
    assert re.search(r"first token p50 \S+ m?s, p95 \S+ m?s .* each token p50 \S+ m?s", shown)
    assert f"J per 1,000 tokens ({figures['energy']['basis']})" in shown


def test_a_text_is_written_where_a_hard_budget_pays_for_its_longest_answer(running: Platform) -> None:
    for kind, price in {"token": "0USD", "token:completion": "1USD", "request": "0USD"}.items():
        running.cli("books", "rates", "--card", "price", "--item", f"serving.{kind}", "--price", price,
                    "--unit", kind.partition(":")[0])  # fmt: skip
    key = running.json("keys", "create", "writer", "--project", "atlas")
    running.set_hard_budget("project:atlas", "10USD")
    with openai.OpenAI(base_url=f"{running.inference_url}/v1", api_key=key["token"], max_retries=0) as client:

        def ask(**more: int) -> openai.types.chat.ChatCompletion | openai.APIStatusError:
            try:
                return client.chat.completions.create(model="tiny", messages=MESSAGES, **more)  # type: ignore[call-overload,no-any-return]
            except openai.APIStatusError as refused:
                return refused

        too_long = ask(max_tokens=11)
        assert isinstance(too_long, openai.APIStatusError), too_long
        assert (too_long.status_code, too_long.type) == (402, "insufficient_quota")
        assert "The budget of project:atlas has less left than the 11.0" in too_long.message
        written = ask(max_tokens=8)
        assert isinstance(written, openai.types.chat.ChatCompletion), written
        assert getattr(ask(), "status_code", 200) == 402  # to the end of the context

    def used() -> list[dict[str, int]]:
        rows = running.client().books.report("budget")["rows"]
        return [row for row in rows if row["budget"] == "project:atlas" and row["used_micro"]]

    (row,) = eventually(used, 30, "it is not in the books")
    assert row["used_micro"] // 10**6 == written.usage.completion_tokens
    assert row["used_micro"] + row["left_micro"] == 10 * 10**6
    assert row["unsettled_micro"] == 0


def test_what_is_no_language_model_says_so(running: Platform) -> None:
    asked = running.cli("chat", "nobody", "hello", check=False)
    assert asked.returncode == 1
    assert "nobody" in asked.stderr
    assert Path(running.home).exists()
