"""One message from a gateway → one message back. A request that fails takes no other with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np

from gristmill.core.errors import GristmillError, Internal, Malformed, Unprocessable
from gristmill.serving.wire.messages import Answered, Compute, Computed, Explain, Fault, Parse, Part, Payload
from gristmill.serving.wire.tensors import Buffer, to_array, to_bytes
from gristmill.serving.worker.explaining import explanations
from gristmill.serving.worker.turns import Take
from gristmill.serving.worker.version import Version
from gristmill.tasks.protocol import Tensors

_log = logging.getLogger(__name__)
Parts = list[Buffer]


def compute(version: Version, message: Compute, body: Buffer) -> tuple[Computed, Parts]:
    """All rows in one call of the model; when that fails, each request alone, so that only the poisoned one fails."""
    raw = tensors(message.inputs, body, sum(message.rows))
    try:
        outputs = version.outputs(raw)
        faults = _not_finite(outputs, message.rows)
    except Exception as error:
        outputs, faults = _one_by_one(version, raw, message.rows, error)
    if faults:
        keep = np.repeat([i not in faults for i in range(len(message.rows))], message.rows)
        if outputs and len(next(iter(outputs.values()))) == len(keep):
            outputs = {name: values[keep] for name, values in outputs.items()}
    parts, buffers = _outputs(version, outputs)
    return Computed(message.batch, parts, 0, faults), buffers


def tensors(parts: Iterable[Part], body: Buffer, rows: int) -> Tensors:
    """The raw tensors that lie one after the other in `body`."""
    view, offset, found = memoryview(body), 0, {}
    for part in parts:
        found[part.name] = to_array(view[offset : offset + part.size], part.dtype, (rows, *part.shape))
        offset += part.size
    return found


def _outputs(version: Version, outputs: Tensors) -> tuple[tuple[Part, ...], Parts]:
    parts, buffers = [], []
    for spec in version.manifest.signature.outputs:
        values = outputs.get(spec.name)
        if values is None:
            continue
        data = to_bytes(values, spec.dtype)
        parts.append(Part(spec.name, spec.dtype, values.shape[1:], len(data)))
        buffers.append(data)
    return tuple(parts), buffers


def _one_by_one(version: Version, raw: Tensors, rows: list[int], error: Exception) -> tuple[Tensors, dict[int, Fault]]:
    if len(rows) == 1:
        return {}, {0: fault(error)}
    good: list[Tensors] = []
    faults: dict[int, Fault] = {}
    start = 0
    for i, count in enumerate(rows):
        single = {name: values[start : start + count] for name, values in raw.items()}
        start += count
        try:
            outputs = version.outputs(single)
            wrong = _not_finite(outputs, [count])
        except Exception as single_error:
            faults[i] = fault(single_error)
            continue
        if wrong:
            faults[i] = wrong[0]
        else:
            good.append(outputs)
    if not good:
        return {}, faults
    return {name: np.concatenate([outputs[name] for outputs in good]) for name in good[0]}, faults


def _not_finite(outputs: Tensors, rows: list[int]) -> dict[int, Fault]:
    """Requests whose outputs hold NaN or infinity: JSON cannot carry them, and no caller wants them."""
    faults: dict[int, Fault] = {}
    for name, values in outputs.items():
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        owners = np.repeat(np.arange(len(rows)), rows)
        for i in np.unique(owners[~finite]):
            sentence = f"The model's output {name!r} is not a finite number for this input."
            faults.setdefault(int(i), Fault(Internal.code, sentence))
    return faults


def fault(error: Exception) -> Fault:
    """An error as it crosses the socket; of an unforeseen one only the log tells more."""
    if isinstance(error, GristmillError):
        return Fault(error.code, error.message, error.details)
    _log.error("a request failed in the model", exc_info=error)
    return Fault(Internal.code, "The model failed on this request; the replica's log has the reason.")


def parse(version: Version, message: Parse, body: Buffer) -> tuple[Answered, Parts]:
    """Payloads → the task's answers; a broken one gets its own error and the others go on together."""
    faults: dict[int, Fault] = {}
    parsed: dict[int, _Parsed] = {}
    for i, data in enumerate(_payloads(message.payloads, body)):
        try:
            parsed[i] = read_payload(version, data, message.payloads[i].content_type)
        except Exception as error:
            faults[i] = fault(error)
    outputs = _together(version, parsed, faults)
    documents, rows = [], []
    for i in range(len(message.payloads)):
        document = b""
        if i in outputs:
            try:
                document = _answer(version, parsed[i], outputs[i])
            except Exception as error:
                faults[i] = fault(error)
        documents.append(document)
        rows.append(parsed[i].rows if i in parsed else 0)
    return Answered(message.batch, [len(document) for document in documents], rows, 0, faults), list(documents)


def _payloads(payloads: list[Payload], body: Buffer) -> Iterable[memoryview]:
    view, offset = memoryview(body), 0
    for payload in payloads:
        yield view[offset : offset + payload.size]
        offset += payload.size


class _Parsed(msgspec.Struct):
    raw: Tensors
    rows: int
    parameters: dict[str, Any]
    inputs: Any  # as decoded: says whether one or many were asked


class _Envelope(msgspec.Struct):
    """huggingface_hub sends a table in a field `table` of its own, all else in `inputs`."""

    inputs: Any = msgspec.UNSET
    table: Any = msgspec.UNSET
    parameters: dict[str, Any] | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode


def read_payload(version: Version, data: Buffer, content_type: str | None) -> _Parsed:
    """JSON `{"inputs", "parameters"}` or raw bytes → raw tensors by the task. Raises Malformed, Unprocessable."""
    # huggingface_hub sends bytes without saying what they are; what is meant as an envelope begins with a brace
    if content_type == "application/json" or (content_type is None and bytes(data[:64]).lstrip()[:1] == b"{"):
        try:
            envelope = _envelope(data)
        except msgspec.ValidationError as error:
            raise Malformed(f"The request is not a task's request: {error}; send {{'inputs': ...}}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"The body is not valid JSON: {error}.") from None
        except RecursionError:
            raise Malformed("The body is nested too deeply to be read.") from None
        inputs = envelope.table if envelope.inputs is msgspec.UNSET else envelope.inputs
        if inputs is msgspec.UNSET:
            raise Malformed("The request has no `inputs`: send {'inputs': ...}.", field="inputs")
        parameters = envelope.parameters or {}
    else:
        inputs, parameters = bytes(data), {}
    raw = version.task.parse(inputs, content_type, version.manifest.signature)
    rows = len(next(iter(raw.values())))
    if rows < 1:
        raise Unprocessable("`inputs` is empty: expected at least 1.", field="inputs", expected=1, got=0)
    return _Parsed(raw, rows, parameters, inputs)


def _together(version: Version, parsed: dict[int, _Parsed], faults: dict[int, Fault]) -> dict[int, Tensors]:
    """Outputs by place in the batch; adds the faults of the model."""
    if not parsed:
        return {}
    places, rows = list(parsed), [one.rows for one in parsed.values()]
    wrong: dict[int, Fault] = {}
    try:
        raw = {name: np.concatenate([one.raw[name] for one in parsed.values()]) for name in parsed[places[0]].raw}
        outputs = version.outputs(raw)
        wrong = _not_finite(outputs, rows)
        split = _split(outputs, rows)
    except Exception as error:
        if len(places) == 1:
            faults[places[0]] = fault(error)
            return {}
        found: dict[int, Tensors] = {}
        for place, one in parsed.items():
            found |= _together(version, {place: one}, faults)
        return found
    faults |= {places[i]: reason for i, reason in wrong.items()}
    return {place: split[i] for i, place in enumerate(places) if i not in wrong}


def _split(outputs: Tensors, rows: list[int]) -> list[Tensors]:
    ends = np.cumsum(rows)
    return [
        {name: values[end - count : end] for name, values in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]


def _answer(version: Version, parsed: _Parsed, outputs: Tensors) -> bytes:
    """As the Hugging Face task has it: one picture gives its labels, all else a list with one answer a row."""
    answers = version.task.answers(outputs, version.manifest.signature, parsed.parameters)
    one_picture = version.manifest.task.startswith("image") and not isinstance(parsed.inputs, list)
    return msgspec.json.encode(answers[0] if one_picture else answers)


def explain(version: Version, message: Explain, body: Buffer, take: Take) -> tuple[Answered, Parts]:
    """As `parse` does; the model computes in turns."""
    try:
        parameters = message.parameters
        if message.payload is None:
            raw, rows = tensors(message.inputs, body, message.rows), message.rows
        else:
            parsed = read_payload(version, body, message.payload.content_type)
            raw, rows, parameters = parsed.raw, parsed.rows, parsed.parameters | parameters
        document = msgspec.json.encode(explanations(version, raw, parameters, take))
    except Exception as error:
        return Answered(message.batch, [0], [0], 0, {0: fault(error)}), []
    return Answered(message.batch, [len(document)], [rows], 0), [document]


Answering = Callable[[Version, Any, Buffer], tuple[Computed | Answered, Parts]]
ANSWERING: dict[type, Answering] = {Compute: compute, Parse: parse}
