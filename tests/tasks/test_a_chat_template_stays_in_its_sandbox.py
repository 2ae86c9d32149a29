"""A template is a stranger's program: whatever it reaches for, and however large it grows, the chat is refused."""

from __future__ import annotations

import pytest

from gristmill.core.errors import Malformed
from gristmill.tasks.language.chat_template import ChatTemplate

MESSAGES = [{"role": "user", "content": "How many sacks?"}, {"role": "assistant", "content": "<think>7</think>Seven."}]
GROWN = "{% set ns = namespace(x=START) %}{% for i in range(40) %}{% set ns.x = STEP %}{% endfor %}{{ ns.x }}"


def growing(start: str, step: str) -> str:
    return GROWN.replace("START", start).replace("STEP", step)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(1000000000) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ lipsum(n=100000) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages.append(1) }}",
        "{{ '{0.__class__}'.format(1) ~ 'x'.encode() }}",
        "{{ (5).to_bytes(10000000000) }}",
        "{% include '/etc/passwd' %}",
        "{{ 'x' * 10000000000 }}",
        "{{ [1] * 10000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        growing("99", "ns.x * ns.x"),
        growing("'ab'", "ns.x ~ ns.x"),
        growing("'ab'", "ns.x + ns.x"),
        growing("[1]", "ns.x + ns.x"),
        growing("[1]", "[ns.x, ns.x]"),
        growing("{'a': 1}", "{'a': ns.x, 'b': ns.x}"),
        growing("'ab'", "ns.x.replace('a', ns.x)"),
        growing("'ab'", "ns.x|replace('a', ns.x)"),
        growing("'ab'", "ns.x.join([ns.x, ns.x])"),
        growing("'ab'", "[ns.x, ns.x]|join(ns.x)"),
        growing("'ab'", "[ns.x, ns.x]|string"),
        "{% set x = namespace(y='a') %}{% for i in range(40) %}{% set x.y %}{{ x.y }}{{ x.y }}{% endset %}{% endfor %}",
    ],
)
def test_what_reaches_out_or_grows_without_end_is_refused(source: str) -> None:
    with pytest.raises(Malformed) as refused:
        ChatTemplate(source).render(MESSAGES)
    assert refused.value.details["field"] == "messages"


def test_what_real_templates_do_is_done() -> None:
    source = """
{%- set ns = namespace(last=-1, calls=[]) -%}
{%- for m in messages[::-1] if m.content is string and not m.content.startswith('<tool') -%}
  {%- set ns.last = ns.last + 1 * 2 -%}
{%- endfor -%}
{%- for m in [{'role': 'system', 'content': 'Be ' ~ 'brief' + '.'}] + messages -%}
  {%- set ns.calls = ns.calls + [m.role | upper] -%}
  {{- '<|' ~ m['role'] ~ '|>' + m.content.split('</think>')[-1].lstrip('\n') | trim }}{{ '-' * 2 -}}
{%- endfor -%}
{{- ns.calls | join(',') }} {{ ns.last }} {{ {'a': [1, 'ü']} | tojson }} {{ messages | length -}}
{{- messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join | replace('sacks', 'mills') -}}
"""
    assert ChatTemplate(source).render(MESSAGES) == (
        "<|system|>Be brief.--<|user|>How many sacks?--<|assistant|>Seven.--SYSTEM,USER,ASSISTANT 3 "
        '{"a": [1, "ü"]} 2How many mills?'
    )
