"""Training through Transformers' own Trainer, with PEFT's adapters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gristmill.bundles.manifest import ADAPTER, MANIFEST, decode_manifest
from gristmill.core.errors import Unprocessable
from gristmill.core.generation import LanguageFacts
from gristmill.frameworks.lora import architecture_of
from gristmill.frameworks.on_torch.augmentation import augmented
from gristmill.frameworks.on_torch.determinism import make_deterministic
from gristmill.frameworks.on_torch.optimisers import build_optimiser
from gristmill.frameworks.on_torch.state import TrainingState
from gristmill.frameworks.protocol import Trained, TrainJob, Watcher
from gristmill.frameworks.training import Course, Progress, check_finite
from gristmill.frameworks.transformers.causal_imports import facts
from gristmill.frameworks.transformers.kept_adapter import write_kept
from gristmill.frameworks.transformers.objectives import Classification, NextToken, Objective
from gristmill.frameworks.transformers.samples import sample
from gristmill.frameworks.transformers.starting_model import merged, starting_model
from gristmill.tasks.language.chat_template import CHAT_TEMPLATE
from gristmill.tasks.language.tokenizer import GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG, LanguageTokenizer
from gristmill.tasks.protocol import ModelOutput

_NOT_HERE = ("l1", "l2", "mixup", "ema")


class TransformersTrainer:
    """See frameworks/protocol.Trainer."""

    def train(self, job: TrainJob, watcher: Watcher, weights: Path) -> Trained:
        _check(job)
        make_deterministic(job)
        course = Course(job, watcher)
        learner = TransformersLearner(job, course, watcher)
        course.begin(learner)
        while course.goes_on:
            learner.fit()
        course.end()
        return learner.write(weights, course.progress)


class TransformersLearner:
    """See frameworks/training.Learner."""

    def __init__(self, job: TrainJob, course: Course, watcher: Watcher) -> None:
        self.job, self._course, self._watcher = job, course, watcher
        self._device = torch.device("cuda" if job.resources.gpus and torch.cuda.is_available() else "cpu")
        model, self._padding = starting_model(job)
        self._model = model.to(self._device)
        self.objective: Objective = (
            NextToken(job, self._device)
            if job.tokenizer is not None
            else Classification(job, course.task.default_loss, self._padding, self._device)
        )
        self._state = TrainingState(self._model, build_optimiser(job.recipe.optimiser, self._model), None, None)

    def fit(self) -> None:
        """All epochs that are left; of a resumed run first the rest of the one that was broken off."""
        progress, recipe = self._course.progress, self.job.recipe
        epochs = 1 if progress.place else recipe.training.epochs - progress.epoch
        begun, rate = progress.step, recipe.optimiser.learning_rate
        schedule = LambdaLR(self._state.optimiser, lambda done: self._course.learning_rate(begun + done) / rate)
        with torch.random.fork_rng():  # the Trainer sets the seed anew, and chance goes on from where it stands
            trainer = CourseTrainer(
                model=self._model, args=self._arguments(epochs), optimizers=(self._state.optimiser, schedule),
                callbacks=[CourseCallback(self._course, self.tell_sample)], compute_loss_func=self._batch_loss,
            )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.batches = Batches(self, self._course)
        trainer.train()

    def _arguments(self, epochs: int) -> TrainingArguments:
        training, clip = self.job.recipe.training, self.job.recipe.regularisation.clip_norm
        return TrainingArguments(
            output_dir=str(self.job.checkpoints), num_train_epochs=epochs, seed=self.job.seed,
            per_device_train_batch_size=training.batch_size, gradient_accumulation_steps=training.accumulate,
            max_grad_norm=clip or 0.0, bf16=training.precision == "bf16", fp16=training.precision == "fp16",
            torch_compile=training.compile, use_cpu=self._device.type == "cpu", save_strategy="no",
            logging_strategy="no", eval_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip

    def _batch_loss(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """The batch's share of the mean loss over the step's items."""
        loss, count = self.objective.loss(outputs, labels)
        self._state.loss_sum.add_(loss.detach(), alpha=count)
        self._state.loss_rows += count
        return loss * (count / num_items_in_batch) if num_items_in_batch is not None else loss

    def tell_sample(self) -> None:
        """What a language model writes by now; chance goes on from where it stood."""
        if isinstance(self.objective, NextToken) and self.job.tokenizer is not None:
            with torch.random.fork_rng():
                text = sample(self._model, self.objective.validation.x, LanguageTokenizer.open(self.job.tokenizer))
            self._model.train()
            self._watcher.sample(self._course.progress.step, text)

    def train_loss(self) -> float:
        return float(self._state.loss_sum) / max(1, self._state.loss_rows)

    def forget_loss(self) -> None:
        self._state.loss_rows = 0
        self._state.loss_sum.zero_()

    @torch.no_grad()
    def validate(self) -> tuple[ModelOutput, float]:
        found = self.objective.validate(self._model.eval())
        self._model.train()
        return found

    def keep_best(self) -> None:
        self._state.keep_best()

    def take_best(self) -> None:
        self._state.take_best()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return self._state.save()

    def restore(self, tensors: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> None:
        self._state.restore(tensors, numbers)

    def write(self, folder: Path, progress: Progress) -> Trained:
        adapter = self.job.recipe.adapter
        if adapter is not None and not adapter.merge:
            return self._write_adapter(folder, progress)
        trained = sum(parameter.numel() for parameter in self._state.parameters if parameter.requires_grad)
        model = merged(self._model).cpu()
        check_finite({name: tensor.numpy() for name, tensor in model.state_dict().items()}, progress.step)
        model.save_pretrained(folder)
        language = self._with_tokenizer(folder, model)
        architecture = {"name": type(model).__name__, "padding": self._padding, "trained_parameters": trained}
        parameters = sum(parameter.numel() for parameter in model.parameters())
        return Trained(architecture, "transformers", parameters, dict(progress.values), progress.step, language)

    def _write_adapter(self, folder: Path, progress: Progress) -> Trained:
        """The base's tokenizer and facts stay with the base."""
        assert self.job.base is not None
        base = decode_manifest((self.job.base / MANIFEST).read_bytes())
        learned = {name: one for name, one in self._model.named_parameters() if one.requires_grad}
        check_finite({name: one.detach().cpu().numpy() for name, one in learned.items()}, progress.step)
        layers = write_kept(self._model, str(self.job.recipe.base), folder)
        parameters = sum(one.parameters for one in layers)
        return Trained(architecture_of(layers), ADAPTER, parameters, dict(progress.values), progress.step,
                       base.signature.language)  # fmt: skip

    def _with_tokenizer(self, folder: Path, model: Any) -> LanguageFacts | None:
        """A language model's weights need their tokenizer beside them."""
        if self.job.tokenizer is None:
            return None
        for name in (TOKENIZER, TOKENIZER_CONFIG, GENERATION_CONFIG, CHAT_TEMPLATE):
            if (self.job.tokenizer / name).is_file():
                shutil.copyfile(self.job.tokenizer / name, folder / name)
        return facts(folder, model.config.to_dict())


class Batches:
    """What is left of the epoch that the course is in, batch by batch: an order that follows from seed and epoch."""

    def __init__(self, learner: TransformersLearner, course: Course) -> None:
        self._learner, self._course = learner, course
        self._size = learner.job.recipe.training.batch_size

    def __len__(self) -> int:
        return -(-(len(self._learner.objective.train) - self._course.progress.place * self._course.rows) // self._size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        objective, progress = self._learner.objective, self._course.progress
        order = objective.train.order(self._learner.job.seed, progress.epoch)
        for start in range(progress.place * self._course.rows, len(order), self._size):
            x, y = objective.train.rows(order[start : start + self._size])
            yield objective.given(augmented(x, self._learner.job.recipe.augmentation), y)


class CourseTrainer(Trainer):
    batches: Batches

    def get_train_dataloader(self) -> Any:
        return self.batches


class CourseCallback(TrainerCallback):
    """The Trainer's loop told to the course: live metrics, checkpoints, early stopping and cancelling."""

    def __init__(self, course: Course, after_epoch: Callable[[], None]) -> None:
        self._course, self._after_epoch = course, after_epoch

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.before_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.after_step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._course.end_epoch()
        self._after_epoch()
        control.should_training_stop = not self._course.goes_on


def _check(job: TrainJob) -> None:
    asked = next((name for name in _NOT_HERE if getattr(job.recipe.regularisation, name)), None)
    if asked is not None:
        raise Unprocessable(f"Transformers' Trainer has no regularisation.{asked}: leave it out, or train in torch.",
                            field=f"regularisation.{asked}")  # fmt: skip
