from __future__ import annotations

import openai
import pytest

from gristmill.core.routes import KeyLimits
from tests.serving.rig import Rig


def _client(served: Rig, limits: KeyLimits) -> openai.OpenAI:
    key = served.add_key(limits=limits)
    served.push()
    return openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=key, max_retries=0)


def test_a_key_that_has_used_its_tokens_waits_and_is_told_how_long(served: Rig) -> None:
    with _client(served, KeyLimits(tokens_per_minute=60)) as client:
        first = client.with_raw_response.completions.create(
            model="tiny", prompt="All is grist", max_tokens=100, extra_body={"ignore_eos": True}
        )
        assert first.headers["x-ratelimit-limit-tokens"] == "60"
        assert first.headers["x-ratelimit-remaining-tokens"] == "0"
        with pytest.raises(openai.RateLimitError) as caught:
            client.completions.create(model="tiny", prompt="All is grist", max_tokens=1)
    assert "60 tokens a minute" in str(caught.value)
    assert 30 < float(caught.value.response.headers["retry-after"]) < 60
    assert caught.value.response.headers["x-ratelimit-remaining-tokens"] == "0"


def test_what_is_left_of_a_minutes_requests_is_told(served: Rig) -> None:
    with _client(served, KeyLimits(requests_per_minute=2)) as client:
        answers = [
            client.with_raw_response.completions.create(model="tiny", prompt="All", max_tokens=1) for _ in range(2)
        ]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0"]
        with pytest.raises(openai.RateLimitError):
            client.completions.create(model="tiny", prompt="All", max_tokens=1)


def test_a_stream_tells_too_and_its_tokens_count(served: Rig) -> None:
    with _client(served, KeyLimits(tokens_per_minute=50)) as client:
        stream = client.completions.create(
            model="tiny", prompt="All", max_tokens=60, stream=True, extra_body={"ignore_eos": True}
        )
        assert stream.response.headers["x-ratelimit-limit-tokens"] == "50"
        for _ in stream:
            pass
        with pytest.raises(openai.RateLimitError):
            client.completions.create(model="tiny", prompt="All", max_tokens=1)
