"""How long the first token took, how long each of the others, and the energy: in the record and for Prometheus."""

from __future__ import annotations

import time
from typing import Any

import openai

from tests.serving.rig import Rig, eventually


def record_of(served: Rig, client: openai.OpenAI, max_tokens: int) -> Any:
    """Of a text that is asked for now; those of broken streams before it may come late."""
    given = client.completions.with_raw_response.create(
        model="tiny", prompt="All is grist", max_tokens=max_tokens, extra_body={"ignore_eos": True}
    )
    own = given.headers["x-request-id"]
    return eventually(lambda: [record for record in served.records() if record.id == own], 30)[0]


def test_a_texts_record_tells_its_times_and_its_energy(client: openai.OpenAI, served: Rig) -> None:
    started = time.monotonic()
    record = record_of(served, client, max_tokens=40)
    took_us = (time.monotonic() - started) * 1e6
    assert record.tokens["completion"] == 40
    assert record.first_token_us is not None
    assert record.per_token_us is not None
    assert 0 < record.first_token_us < record.first_token_us + 39 * record.per_token_us <= took_us + 39
    assert record.first_token_us + 39 * record.per_token_us <= record.latency_us + 39  # each is rounded
    assert record.energy_uj is not None
    assert 0 < record.energy_uj < 1000e6  # a kilojoule would be minutes of a core


def test_a_text_of_one_token_has_no_time_between_two(client: openai.OpenAI, served: Rig) -> None:
    record = record_of(served, client, max_tokens=1)
    assert record.first_token_us is not None
    assert record.per_token_us is None


def test_prometheus_reads_both_as_histograms(client: openai.OpenAI, served: Rig) -> None:
    client.completions.create(model="tiny", prompt="All is grist", max_tokens=4, extra_body={"ignore_eos": True})
    text = served.request("GET", "/metrics").body.decode()
    for name in ("time_to_first_token_seconds", "time_per_output_token_seconds"):
        counted = [
            line for line in text.splitlines() if line.startswith(f'gristmill_{name}_count{{tenant="t",endpoint="tiny"')
        ]
        assert len(counted) == 1
        assert int(counted[0].split()[-1]) >= 1
        assert f"# TYPE gristmill_{name} histogram" in text
    assert "gristmill_batch_rows_count" not in text  # it generates
