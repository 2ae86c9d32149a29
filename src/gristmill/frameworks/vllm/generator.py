"""vLLM's own engine behind our verbs: its scheduler, paged cache and sampling; in this process, without a server."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Grammar, Job
from gristmill.frameworks.huge_pages import use_huge_pages

_SEQUENCES = 64


class _Open:
    """A sequence under way."""

    def __init__(self, job: Job, name: str) -> None:
        """`name`: vLLM's own."""
        self.job, self.name = job, name
        self._begun = False

    def take(self, output: Any) -> list[Emission]:
        """What the output adds to it."""
        (completion,) = output.outputs
        emitted = []
        for place, token in enumerate(completion.token_ids):
            if self.job.grammar is not None:
                self.job.grammar.accept(token)
            last = place == len(completion.token_ids) - 1
            logprob, top = _logprobs(self.job, completion.logprobs[place] if completion.logprobs else {}, token)
            cached = 0 if self._begun else int(output.num_cached_tokens or 0)
            emitted.append(Emission(self.job.id, token, bool(output.finished) and last, logprob, top, cached))
            self._begun = True
        return emitted


class VllmGenerator:
    """See frameworks/generation.Generator."""

    def __init__(self, engine: Any, context_length: int, grammars: dict[int, Grammar]) -> None:
        """`engine`: vLLM's LLMEngine, without a tokenizer, which masks by `grammars` of jobs."""
        from gristmill.frameworks.vllm.adapters import Adapters

        self.context_length = context_length
        self._engine = engine
        self._open: dict[str, _Open] = {}  # by the job's number
        self._grammars = grammars
        self.runner = engine.model_executor.driver_worker.worker.model_runner
        self._adapters = Adapters(self.runner)
        self._salts: dict[str, str] = {}  # of adapters: a beginning is reused only under the same one
        self._loads = itertools.count(1)

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> VllmGenerator:
        _settle(resources)
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        from gristmill.frameworks.vllm.masks import masking

        language = manifest.signature.language
        if language is None:
            raise CorruptBundle("The bundle's signature does not say the model's context length.", file="manifest.json")
        grammars: dict[int, Grammar] = {}
        try:
            arguments = EngineArgs(
                model=str(bundle / "weights"), max_model_len=language.context_length, max_num_seqs=_SEQUENCES,
                skip_tokenizer_init=True, trust_remote_code=False, load_format="safetensors", disable_log_stats=True,
                enforce_eager=True, async_scheduling=False, logits_processors=[masking(grammars)],
            )  # fmt: skip
            made = cls(LLMEngine.from_engine_args(arguments), language.context_length, grammars)
            made.score((0, 0))  # kernels that it has not for the model's sizes fail only now
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise Unprocessable(f"vLLM does not open {manifest.name}: {str(error).strip().splitlines()[-1]}",
                                field="runtime") from error  # fmt: skip
        if resources.gpus == 0:
            use_huge_pages(but=[keys.data_ptr() for keys in made.runner.kv_caches])  # gigabytes take seconds
        return made

    @property
    def busy(self) -> bool:
        return bool(self._open)

    def submit(self, job: Job) -> None:
        self._open[str(job.id)] = _Open(job, self._add(str(job.id), job.tokens, _parameters(job), job.adapter))
        if job.grammar is not None:
            self._grammars[job.id] = job.grammar

    def _add(self, id: str, tokens: Sequence[int], parameters: Any, adapter: str | None) -> str:
        """vLLM's own name of the sequence. Raises Unprocessable on an adapter that is not there."""
        prompt: dict[str, Any] = {"prompt_token_ids": list(tokens)}
        lora = None if adapter is None else self._adapters.find(adapter)
        if adapter is not None:
            prompt["cache_salt"] = self._salts[adapter]
        name = str(self._engine.add_request(id, prompt, parameters))
        if lora is not None:
            self._adapters.begin(name, lora)
        return name

    def cancel(self, id: int) -> None:
        if str(id) in self._open:
            self._leave(str(id))
            self._engine.abort_request([str(id)])

    def _leave(self, id: str) -> None:
        gone = self._open.pop(id)
        self._adapters.end(gone.name)
        self._grammars.pop(gone.job.id, None)

    def step(self) -> list[Emission]:
        emitted: list[Emission] = []
        for output in self._engine.step():
            opened = self._open.get(output.request_id)
            if opened is not None:
                emitted += opened.take(output)
                if output.finished:
                    self._leave(output.request_id)
        return emitted

    def score(self, tokens: Sequence[int], adapter: str | None = None) -> np.ndarray:
        """The last token is drawn, as the only one that may come, since vLLM always draws one more."""
        if len(tokens) < 2:
            return np.zeros(0, np.float64)
        *prompt, last = tokens
        name = self._add("scored", prompt, _scoring(last), adapter)
        outputs: list[Any] = []
        while not (outputs and outputs[-1].finished):
            outputs += self._engine.step()
        self._adapters.end(name)
        (drawn,) = outputs[-1].outputs[0].logprobs
        told = [*outputs[-1].prompt_logprobs[1:], drawn]
        return np.asarray([one[token].logprob for one, token in zip(told, tokens[1:], strict=True)], np.float64)

    # Adapters

    def load_adapter(self, name: str, folder: Path) -> None:
        self._adapters.load(name, folder)
        self._salts[name] = f"adapter {next(self._loads)}"

    def unload_adapter(self, name: str) -> None:
        self._adapters.unload(name)

    def close(self) -> None:
        self._engine.engine_core.shutdown()


def _settle(resources: Resources) -> None:
    """vLLM reads these when it is imported."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"  # the other has no logits processors as ours
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, resources.memory_bytes // 2 // 2**30))
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(resources.cores)))
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def _parameters(job: Job) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    from gristmill.frameworks.vllm.masks import told

    sampling = job.sampling
    return SamplingParams(
        temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k, min_p=sampling.min_p,
        presence_penalty=sampling.presence_penalty, frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty, logit_bias=sampling.logit_bias or None, seed=sampling.seed,
        max_tokens=job.max_tokens, stop_token_ids=sorted(job.ends), ignore_eos=True, logprobs=job.logprobs,
        detokenize=False, output_kind=RequestOutputKind.DELTA,
        extra_args=None if job.grammar is None else told(job.id),
    )  # fmt: skip


def _scoring(last: int) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    return SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, logprobs=0, allowed_token_ids=[last],
                          ignore_eos=True, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)  # fmt: skip


def _logprobs(job: Job, known: Any, token: int) -> tuple[float | None, tuple[tuple[int, float], ...]]:
    """Of the token, and of the likeliest, likeliest first."""
    if job.logprobs is None:
        return None, ()
    ranked = sorted(((one.rank, id, one.logprob) for id, one in known.items()))
    return known[token].logprob, tuple((id, logprob) for _, id, logprob in ranked[: job.logprobs])
