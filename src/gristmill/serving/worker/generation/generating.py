"""A version that generates text: requests come between two steps, and each step gives every request its next token."""

from __future__ import annotations

import itertools
import secrets
import socket
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gristmill.core.errors import Malformed
from gristmill.core.generation import Delta, GenerationRequest, TokenUsage
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Grammar, Job, Top
from gristmill.frameworks.language import WEIGHTS, LanguageRuntime, likeliest_jobs, likeliest_of
from gristmill.serving.wire.messages import Answered, Begun, Cancel, Ended, Fault, Generate, Generated, Tokenize
from gristmill.serving.worker.computing import fault
from gristmill.serving.worker.generation.adapting import adapt
from gristmill.serving.worker.generation.choice import Choice
from gristmill.serving.worker.generation.explaining import ExplainRequest, given_answer
from gristmill.serving.worker.generation.forced import Forced
from gristmill.serving.worker.generation.gradients import Gradients
from gristmill.serving.worker.generation.grammars import Grammars
from gristmill.serving.worker.generation.prompts import Prompt, Prompts, check_echo
from gristmill.serving.worker.generation.requests import Request, TextRequest
from gristmill.serving.worker.generation.segments import MARKS, Kind, Segments
from gristmill.serving.worker.generation.stop_strings import StopStrings
from gristmill.serving.worker.generation.tool_calls import call_grammar, wanted_tools
from gristmill.serving.worker.state import WorkerState
from gristmill.serving.worker.version import Version
from gristmill.tasks.language.chat_template import ChatTemplate
from gristmill.tasks.protocol import Tensors
from gristmill.tasks.text_generation import LIKELIEST, PROMPT

Send = Callable[..., None]  # (connection, message, *buffers)


class _Open:
    """One request of one gateway."""

    def __init__(self, connection: socket.socket, number: int, request: Request) -> None:
        self.connection, self.number, self.request = connection, number, request
        self.compute_us = 0.0
        self.energy_uj: float | None = 0.0  # None: of one of its steps no counter told

    def add_energy(self, joules: float | None, among: int) -> None:
        if joules is None or self.energy_uj is None:
            self.energy_uj = None
        else:
            self.energy_uj += joules * 1e6 / among


class _Made(NamedTuple):
    """What goes out to one gateway after a step."""

    deltas: list[Delta]
    ended: list[Ended]


class Generation:
    """See server.Answering."""

    messages = Generate | Cancel | Tokenize

    def __init__(self, version: Version, bundle: Path, resources: Resources, state: WorkerState, send: Send) -> None:
        runtime, facts = version.runtime, version.manifest.signature.language
        assert isinstance(runtime, LanguageRuntime)
        assert facts is not None
        self._generator, self._tokenizer = runtime.generator, runtime.tokenizer
        weights = bundle / WEIGHTS
        template = ChatTemplate.open(weights, self._tokenizer.beginning, self._tokenizer.end)
        self._thinks = template is not None and MARKS[Kind.reasoning][1] in template.source
        self._prompts = Prompts(self._tokenizer, template, facts)
        self._grammars = Grammars(weights, self._tokenizer, facts.vocabulary)
        self._gradients = Gradients(bundle, version.manifest, resources)
        self._working: deque[_Open] = deque()  # requests with something to compute beside the engine
        self._state, self._send = state, send
        self._ids = itertools.count(1)
        self._vocabulary = facts.vocabulary
        self._requests: dict[tuple[socket.socket, int], _Open] = {}
        self._by_id: dict[int, _Open] = {}
        self._golden: dict[int, Top] = {}  # of the adapter that is replayed

    @property
    def busy(self) -> bool:
        return self._generator.busy or bool(self._working)

    def adapt(self) -> None:
        wanted, self._state.wanted = self._state.wanted, None
        if wanted is not None:
            adapt(self._generator, wanted, self._state, self._golden_answers)
            loaded = [one for one in wanted if one.name in self._state.adapters]
            self._gradients.adapters = {one.name: Path(one.folder) / WEIGHTS for one in loaded}

    def _golden_answers(self, adapter: str, golden: Tensors) -> Tensors:
        """What a replay compares, computed in the same steps as whatever else is under way."""
        jobs = list(likeliest_jobs(self._tokenizer, golden[PROMPT], self._ids, adapter))
        for job in jobs:
            self._generator.submit(job)
        self._golden = dict.fromkeys((job.id for job in jobs), ())
        while not all(self._golden.values()):
            self.step()
        return {LIKELIEST: likeliest_of(self._golden.values())}

    def take(self, connection: socket.socket, message: Any, body: bytearray) -> None:
        if isinstance(message, Generate):
            try:
                self._begin(connection, message)
            except Exception as error:
                nothing = Ended(message.request, TokenUsage(0, 0, 0), 0, fault(error))
                self._send(connection, Generated(ended=(nothing,)))
        elif isinstance(message, Cancel):
            opened = self._requests.get((connection, message.request))
            if opened is not None:
                self._stop(opened)
                self._send(connection, Generated(ended=(self._end(opened),)))
        else:
            self._tokenize(connection, message)

    def drop(self, connection: socket.socket) -> None:
        """The gateway is gone: nobody waits for its requests."""
        for opened in [one for one in self._requests.values() if one.connection is connection]:
            self._stop(opened)
            self._end(opened)

    # A request's way

    def _begin(self, connection: socket.socket, message: Generate) -> None:
        asked = message.asked
        prompt = self._prompts.read(asked)
        request = self._explaining(message, prompt) if asked.explanation is not None else self._writing(message, prompt)
        opened = _Open(connection, message.request, request)
        self._submit(opened)
        self._requests[connection, message.request] = opened
        self._send(connection, Generated(begun=(Begun(message.request, len(prompt.tokens)),)))

    def _writing(self, message: Generate, prompt: Prompt) -> TextRequest:
        asked = message.asked
        most = self._prompts.most_new(asked, prompt)
        if asked.echo:
            check_echo(prompt.tokens, most, self._tokenizer.ends)
        jobs = [self._job(asked, prompt, most, index) for index in range(asked.n)]
        choices = [self._choice(asked, prompt, (message.request, index), job) for index, job in enumerate(jobs)]
        return TextRequest(list(zip(jobs, choices, strict=True)), len(prompt.tokens))

    def _explaining(self, message: Generate, prompt: Prompt) -> ExplainRequest:
        asked = message.asked
        answer = given_answer(asked, self._tokenizer)
        if answer is not None:
            asked = msgspec.structs.replace(asked, max_tokens=max(len(answer), 1))
        writing = self._job(asked, prompt, self._prompts.most_new(asked, prompt), 0)
        request = ExplainRequest(
            message.request, asked, writing, self._prompts.said(asked, prompt), self._tokenizer, self._vocabulary,
            self._ids, self._gradients,
        )  # fmt: skip
        if answer is not None:
            request.explain(answer)
        return request

    def _submit(self, opened: _Open) -> None:
        for job in opened.request.jobs():
            self._generator.submit(job)
            self._by_id[job.id] = opened
        if opened.request.working and opened not in self._working:
            self._working.append(opened)

    def _job(self, asked: GenerationRequest, prompt: Prompt, most: int, index: int) -> Job:
        seed = asked.sampling.seed
        sampling = msgspec.structs.replace(
            asked.sampling, seed=secrets.randbits(63) if seed is None else (seed + index) % 2**63
        )
        ends = frozenset() if asked.ignore_eos else self._tokenizer.ends
        tokens, grammar = prompt.tokens, self._grammar(asked)
        if asked.echo:  # its tokens come one by one: so every engine tells how likely each of them was
            tokens, most, grammar = tokens[:1], most + len(tokens) - 1, Forced(tokens[1:], self._vocabulary)
        return Job(next(self._ids), tokens, most, sampling, ends, asked.logprobs, grammar, asked.adapter)

    def _grammar(self, asked: GenerationRequest) -> Grammar | None:
        functions = wanted_tools(asked)
        if functions:
            return self._grammars.of_lark(call_grammar(functions, several=asked.parallel_tool_calls), "tools")
        if asked.tools and asked.tool_choice not in ("none", "auto", "required"):
            raise Malformed(f"There is no function {asked.tool_choice!r} among the tools.", field="tool_choice")
        return None if asked.json_schema is None else self._grammars.of_schema(asked.json_schema)

    def _choice(self, asked: GenerationRequest, prompt: Prompt, place: tuple[int, int], job: Job) -> Choice:
        kinds = {Kind.reasoning} if self._thinks and asked.messages is not None else set()
        kinds |= {Kind.tool_call} if asked.tools and asked.tool_choice != "none" else set()
        segments = Segments(frozenset(kinds), prompt.inside)
        echoed = prompt.tokens if asked.echo else ()
        return Choice(place, self._tokenizer, job.ends, StopStrings(asked.stop), segments, echoed)

    def step(self) -> None:
        """One token for every sequence under way, in one frame a gateway; then a little of what else is to be done."""
        if self._generator.busy:
            self._generate()
        if self._working:
            self._work(self._working.popleft())

    def _generate(self) -> None:
        started = self._state.begin()
        emissions = self._generator.step()
        took_us = self._state.end(started, len(emissions)) * 1e6
        made: dict[socket.socket, _Made] = {}
        for emission in emissions:
            opened = self._by_id.get(emission.id)
            if opened is not None:
                opened.compute_us += took_us / len(emissions)
                opened.add_energy(self._state.joules, len(emissions))
                advance = partial(self._added, opened.request, emission)
                self._go_on(opened, advance, made.setdefault(opened.connection, _Made([], [])))
            elif emission.id in self._golden:
                self._golden[emission.id] = emission.top
        for connection, out in made.items():
            self._tell(connection, out)

    def _work(self, opened: _Open) -> None:
        out = _Made([], [])
        self._go_on(opened, partial(self._worked, opened), out)
        self._tell(opened.connection, out)

    def _worked(self, opened: _Open) -> Delta | None:
        started = self._state.begin()
        try:
            return opened.request.work()
        finally:
            opened.compute_us += self._state.end(started, 0) * 1e6
            opened.add_energy(self._state.joules, 1)

    def _tell(self, connection: socket.socket, out: _Made) -> None:
        if out.deltas or out.ended:
            self._send(connection, Generated(tuple(out.deltas), tuple(out.ended)))

    def _added(self, request: Request, emission: Emission) -> Delta | None:
        delta = request.add(emission)
        if emission.id not in request.under_way:
            del self._by_id[emission.id]
            if not emission.finished:  # a stop string
                self._generator.cancel(emission.id)
        return delta

    def _go_on(self, opened: _Open, advance: Callable[[], Delta | None], out: _Made) -> None:
        try:
            delta = advance()
            self._submit(opened)
        except Exception as error:
            self._stop(opened)
            out.ended.append(self._end(opened, fault(error)))
            return
        if delta is not None:
            out.deltas.append(delta)
        if opened.request.ended:
            out.ended.append(self._end(opened))

    def _stop(self, opened: _Open) -> None:
        for id in opened.request.under_way:
            self._generator.cancel(id)
            self._by_id.pop(id, None)
        if opened in self._working:
            self._working.remove(opened)

    def _end(self, opened: _Open, reason: Fault | None = None) -> Ended:
        del self._requests[opened.connection, opened.number]
        usage = opened.request.usage()
        energy = None if opened.energy_uj is None else round(opened.energy_uj)
        return Ended(opened.number, usage, round(opened.compute_us), reason, energy)

    def _tokenize(self, connection: socket.socket, message: Tokenize) -> None:
        try:
            tokens: Sequence[int] = self._prompts.read(message.asked).tokens
        except Exception as error:
            self._send(connection, Answered(message.batch, [0], [0], 0, {0: fault(error)}))
            return
        document = msgspec.json.encode({"tokens": tokens, "count": len(tokens)})
        self._send(connection, Answered(message.batch, [len(document)], [1], 0), document)
