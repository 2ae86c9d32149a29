"""vLLM's own engine behind our verbs: its scheduler, paged cache and sampling; in this process, without a server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.bundles.manifest import Manifest
from gristmill.core.errors import CorruptBundle, Unprocessable
from gristmill.core.types import Resources
from gristmill.frameworks.generation import Emission, Job

_SEQUENCES = 64
_NO_ADAPTERS = "vLLM loads no adapters here: deploy the version with --runtime transformers."


class VllmGenerator:
    """See frameworks/generation.Generator."""

    def __init__(self, engine: Any, context_length: int) -> None:
        """`engine`: vLLM's LLMEngine, without a tokenizer."""
        self.context_length = context_length
        self._engine = engine
        self._jobs: dict[str, Job] = {}
        self._made: dict[str, int] = {}

    @classmethod
    def load(cls, bundle: Path, manifest: Manifest, resources: Resources) -> VllmGenerator:
        _settle(resources)
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        language = manifest.signature.language
        if language is None:
            raise CorruptBundle("The bundle's signature does not say the model's context length.", file="manifest.json")
        try:
            arguments = EngineArgs(
                model=str(bundle / "weights"), max_model_len=language.context_length, max_num_seqs=_SEQUENCES,
                skip_tokenizer_init=True, trust_remote_code=False, load_format="safetensors", disable_log_stats=True,
                enforce_eager=True,
            )  # fmt: skip
            engine = LLMEngine.from_engine_args(arguments)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise Unprocessable(f"vLLM does not open {manifest.name}: {str(error).strip().splitlines()[-1]}",
                                field="runtime") from error  # fmt: skip
        return cls(engine, language.context_length)

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def submit(self, job: Job) -> None:
        if job.adapter is not None:
            raise Unprocessable(f"There is no adapter {job.adapter!r} on this model.", field="model")
        if job.grammar is not None:
            raise Unprocessable("vLLM is given no grammars here: ask without response_format and required tools, or "
                                "deploy with the runtime transformers.", field="response_format")  # fmt: skip
        name = str(job.id)
        self._engine.add_request(name, {"prompt_token_ids": list(job.tokens)}, _parameters(job))
        self._jobs[name], self._made[name] = job, 0

    def cancel(self, id: int) -> None:
        if self._jobs.pop(str(id), None) is not None:
            del self._made[str(id)]
            self._engine.abort_request([str(id)])

    def step(self) -> list[Emission]:
        emitted: list[Emission] = []
        for output in self._engine.step():
            job = self._jobs.get(output.request_id)
            if job is not None:
                emitted += self._emissions(job, output)
        return emitted

    def _emissions(self, job: Job, output: Any) -> list[Emission]:
        (completion,) = output.outputs
        name, emitted = output.request_id, []
        for place, token in enumerate(completion.token_ids):
            first = self._made[name] == 0
            self._made[name] += 1
            last = place == len(completion.token_ids) - 1
            logprob, top = _logprobs(job, completion.logprobs[place] if completion.logprobs else {}, token)
            cached = int(output.num_cached_tokens or 0) if first else 0
            emitted.append(Emission(job.id, token, bool(output.finished) and last, logprob, top, cached))
        if output.finished:
            del self._jobs[name], self._made[name]
        return emitted

    def score(self, tokens: Sequence[int], adapter: str | None = None) -> np.ndarray:
        raise Unprocessable("vLLM scores no given texts here: evaluate a version that runs on transformers.",
                            field="runtime")  # fmt: skip

    def load_adapter(self, name: str, folder: Path) -> None:
        raise Unprocessable(_NO_ADAPTERS, field="adapter")

    def unload_adapter(self, name: str) -> None:
        raise Unprocessable(_NO_ADAPTERS, field="adapter")

    def close(self) -> None:
        self._engine.engine_core.shutdown()


def _settle(resources: Resources) -> None:
    """vLLM reads these when it is imported."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, resources.memory_bytes // 2 // 2**30))
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(resources.cores)))
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def _parameters(job: Job) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams

    sampling = job.sampling
    return SamplingParams(
        temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k, min_p=sampling.min_p,
        presence_penalty=sampling.presence_penalty, frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty, logit_bias=sampling.logit_bias or None, seed=sampling.seed,
        max_tokens=job.max_tokens, stop_token_ids=sorted(job.ends), ignore_eos=True, logprobs=job.logprobs,
        detokenize=False, output_kind=RequestOutputKind.DELTA,
    )  # fmt: skip


def _logprobs(job: Job, known: Any, token: int) -> tuple[float | None, tuple[tuple[int, float], ...]]:
    """Of the token, and of the likeliest, likeliest first."""
    if job.logprobs is None:
        return None, ()
    ranked = sorted(((one.rank, id, one.logprob) for id, one in known.items()))
    return known[token].logprob, tuple((id, logprob) for _, id, logprob in ranked[: job.logprobs])
