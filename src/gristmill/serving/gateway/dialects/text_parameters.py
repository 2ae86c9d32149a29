"""What Hugging Face's clients may ask of a language model, as Text Generation Inference reads it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from gristmill.core.errors import Malformed
from gristmill.core.generation import GenerationRequest, Sampling

_NEW_TOKENS = 100  # Text Generation Inference's default
_NOT_DONE = ("best_of", "decoder_input_details", "truncate", "typical_p", "watermark")
Count = Annotated[int, Meta(ge=1)]


class Grammar(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["json", "json_schema"]
    value: dict[str, Any]


class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    """Greedy unless `do_sample` or something to sample by is there."""

    adapter_id: str | None = None
    best_of: int | None = None
    decoder_input_details: bool | None = None
    details: bool | None = None
    do_sample: bool | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    grammar: Grammar | None = None
    max_new_tokens: Count | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=10)] | None = None
    return_full_text: bool | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    stop: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=16)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    top_n_tokens: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    truncate: int | None = None
    typical_p: float | None = None
    watermark: bool | None = None

    @property
    def sampled(self) -> bool:
        given = (self.temperature, self.top_k, self.top_p)
        return bool(self.do_sample) if self.do_sample is not None else any(value is not None for value in given)

    def sampling(self) -> Sampling:
        return Sampling(
            temperature=(1.0 if self.temperature is None else self.temperature) if self.sampled else 0.0,
            top_p=self.top_p or 1.0,
            top_k=self.top_k or 0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            seed=self.seed,
        )


class TextRequest(msgspec.Struct, forbid_unknown_fields=True):
    inputs: Annotated[str, Meta(min_length=1)]
    parameters: Parameters | None = None
    stream: bool | None = None

    def generation(self, adapter: str | None) -> GenerationRequest:
        """`details` and streams tell of each token."""
        asked = self.parameters or Parameters()
        return GenerationRequest(
            prompt=self.inputs,
            adapter=asked.adapter_id or adapter,
            max_tokens=asked.max_new_tokens or _NEW_TOKENS,
            stop=tuple(asked.stop or ()),
            sampling=asked.sampling(),
            logprobs=asked.top_n_tokens or 0 if asked.details or self.stream else None,
            json_schema=asked.grammar.value if asked.grammar is not None else None,
        )


_decode = msgspec.json.Decoder(TextRequest).decode


def read_text_request(body: bytes) -> TextRequest:
    """Raises Malformed naming the field."""
    try:
        asked = _decode(body)
    except msgspec.ValidationError as error:
        raise Malformed(f"The request is not one to generate text: {error}; send {{'inputs': 'a prompt', 'parameters': "
                        "{...}}.") from None  # fmt: skip
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise Malformed("The body is nested too deeply to be read.") from None
    for name in _NOT_DONE:
        if getattr(asked.parameters, name, None) not in (None, False, 1 if name == "best_of" else None):
            _refuse(name)
    return asked


def _refuse(name: str) -> NoReturn:
    raise Malformed(f"Parameter {name!r} is not done here: leave it out.", field=name)
