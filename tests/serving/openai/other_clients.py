"""`python other_clients.py URL KEY`: LangChain's and LlamaIndex's OpenAI classes, unmodified, against the model `tiny`.

A program of its own: they pin another `openai` than this project's tests. Prints one line a client.
"""

import asyncio
import sys
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

QUESTION = "How many sacks?"
SCHEMA: dict[str, Any] = {
    "title": "Trip", "type": "object", "properties": {"days": {"enum": [3, 4]}}, "required": ["days"],
    "additionalProperties": False,
}  # fmt: skip


def langchain(url: str, key: str) -> None:
    chat = ChatOpenAI(model="tiny", base_url=url, api_key=key, temperature=0, max_tokens=60, max_retries=0)
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    whole = chat.invoke(messages)
    assert whole.usage_metadata["output_tokens"] > 0
    chunks = list(chat.stream(messages))
    assert "".join(str(chunk.content) for chunk in chunks) == whole.content
    assert chunks[-1].usage_metadata is None or chunks[-1].usage_metadata["output_tokens"] > 0
    assert asyncio.run(chat.ainvoke(messages)).content == whole.content
    assert [answer.content for answer in chat.batch([messages, messages])] == [whole.content] * 2
    assert chat.with_structured_output(SCHEMA, method="json_schema").invoke(messages)["days"] in (3, 4)
    logprobs = chat.bind(logprobs=True, top_logprobs=2).invoke(messages).response_metadata["logprobs"]["content"]
    assert len(logprobs[0]["top_logprobs"]) == 2
    completed = OpenAI(model="tiny", base_url=url, api_key=key, temperature=0, max_tokens=12)
    assert "".join(completed.stream("All is grist")) == completed.invoke("All is grist")


def llama_index(url: str, key: str) -> None:
    llm = OpenAILike(model="tiny", api_base=url, api_key=key, is_chat_model=True, temperature=0, max_tokens=12,
                     max_retries=0)  # fmt: skip
    messages = [ChatMessage(role="user", content=QUESTION)]
    whole = str(llm.chat(messages).message.content)
    assert "".join(part.delta or "" for part in llm.stream_chat(messages)) == whole
    assert str(asyncio.run(llm.achat(messages)).message.content) == whole
    plain = OpenAILike(model="tiny", api_base=url, api_key=key, is_chat_model=False, temperature=0, max_tokens=12)
    assert "".join(part.delta or "" for part in plain.stream_complete("All is grist")) == (
        plain.complete("All is grist").text
    )


if __name__ == "__main__":
    for client in (langchain, llama_index):
        client(*sys.argv[1:])
        print(client.__name__)
