"""Training as one writes it by hand in each framework, for pictures in memory: the job's model, optimiser and rows.

Loss and accuracy of the held-out rows each epoch, as a training through Gristmill tells them.
"""

from __future__ import annotations

import numpy as np

from gristmill.frameworks.architectures import chosen
from gristmill.frameworks.protocol import Split, TrainJob


def torch_loop(job: TrainJob) -> None:
    import torch
    from torch.nn import functional as F

    from gristmill.frameworks.on_torch.optimisers import build_optimiser
    from gristmill.frameworks.torch.trainer import build_model

    *_, model = build_model(job)
    update = build_optimiser(job.recipe.optimiser, model)
    x, y = (torch.from_numpy(values) for values in _values(job.train))
    held_x, held_y = (torch.from_numpy(values) for values in _values(job.validation))
    for _ in range(job.recipe.training.epochs):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(x)).split(job.recipe.training.batch_size):
            update.zero_grad()
            loss = F.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            update.step()
            total += loss.item() * len(rows)
        model.eval()
        with torch.inference_mode():
            output = model(held_x)
            float(F.cross_entropy(output, held_y)), float((output.argmax(1) == held_y).float().mean())


def transformers_loop(job: TrainJob) -> None:
    """Transformers' own Trainer over a list of rows."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    from gristmill.frameworks.on_torch.optimisers import build_optimiser
    from gristmill.frameworks.transformers.starting_model import starting_model

    model, training = starting_model(job).model, job.recipe.training
    update, clip = build_optimiser(job.recipe.optimiser, model), job.recipe.regularisation.clip_norm
    rows, held = (
        [{"pixel_values": torch.from_numpy(x), "labels": int(y)} for x, y in zip(*_values(split), strict=True)]
        for split in (job.train, job.validation)
    )
    arguments = TrainingArguments(
        output_dir=str(job.checkpoints), num_train_epochs=training.epochs, max_grad_norm=clip or 0.0,
        per_device_train_batch_size=training.batch_size, per_device_eval_batch_size=512, eval_strategy="epoch",
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(
        model, arguments, train_dataset=rows, eval_dataset=held,
        optimizers=(update, torch.optim.lr_scheduler.LambdaLR(update, lambda _: 1.0)),
        compute_metrics=lambda told: {"accuracy": float((told.predictions.argmax(1) == told.label_ids).mean())},
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def keras_loop(job: TrainJob) -> None:
    """`compile` and `fit`, over `tf.data` as fast as it gets: arrays given to `fit` take three times the CPU time.

    Its threads of autotuning cost more than the rows, and so do metrics of the training rows, which nobody else counts.
    """
    import keras
    import tensorflow as tf

    from gristmill.frameworks.keras.architectures.shapes import build
    from gristmill.frameworks.on_tensorflow.optimisers import build_optimiser

    optimiser, model = job.recipe.optimiser, build(job.recipe.task, *chosen(job), "fp32").model
    model.compile(
        optimizer=build_optimiser(optimiser, [optimiser.learning_rate], model.trainable_variables),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    training, (held_x, held_y) = job.recipe.training, _values(job.validation)
    options = tf.data.Options()
    options.autotune.enabled = False
    rows = tf.data.Dataset.from_tensor_slices(_values(job.train)).shuffle(len(job.train.targets), job.seed)
    rows = rows.batch(training.batch_size).prefetch(2).with_options(options)

    def measure(epoch: int, logs: dict[str, float]) -> None:
        output = model.predict_on_batch(held_x)
        float(model.loss(held_y, output)), float((output.argmax(1) == held_y).mean())

    watcher = keras.callbacks.LambdaCallback(on_epoch_end=measure)
    model.fit(rows, epochs=training.epochs, shuffle=False, callbacks=[watcher], verbose=0)


def tensorflow_loop(job: TrainJob) -> None:
    """`tf.data` without its threads of autotuning, a compiled step, and the tape."""
    import tensorflow as tf

    from gristmill.frameworks.on_tensorflow.optimisers import build_optimiser
    from gristmill.frameworks.tensorflow.architectures.shapes import build

    model = build(job.recipe.task, *chosen(job))
    trainable, training = list(model.trainable), job.recipe.training
    update = build_optimiser(job.recipe.optimiser, [job.recipe.optimiser.learning_rate], trainable)
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    @tf.function
    def step(x, y, number):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(y, model.forward(x, tf.stack([tf.constant(0, tf.int64), number]))))
        update.apply(tape.gradient(loss, trainable), trainable)
        return loss

    predict = tf.function(lambda x: model.forward(x, None))
    options = tf.data.Options()
    options.autotune.enabled = False
    rows = tf.data.Dataset.from_tensor_slices(_values(job.train)).shuffle(len(job.train.targets), job.seed)
    rows = rows.with_options(options)
    held_x, held_y = map(tf.constant, _values(job.validation))
    number = 0
    for _ in range(training.epochs):
        losses = []
        for x, y in rows.batch(training.batch_size).prefetch(2):
            losses.append(step(x, y, tf.constant(number, tf.int64)))
            number += 1
        output = predict(held_x)
        float(tf.reduce_mean(losses)), float(tf.reduce_mean(cross_entropy(held_y, output)))
        float(tf.reduce_mean(tf.cast(tf.argmax(output, 1) == held_y, tf.float32)))


def _values(split: Split) -> tuple[np.ndarray, np.ndarray]:
    (values,) = split.inputs.values()
    return values, split.targets


LOOPS = {"torch": torch_loop, "keras": keras_loop, "tensorflow": tensorflow_loop, "transformers": transformers_loop}
