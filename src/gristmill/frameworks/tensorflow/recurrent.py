"""Recurrent layers over padded rows, both ways: [N, T, inputs] and lengths [N] → [N, T, 2 · hidden]."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gristmill.frameworks.tensorflow.layers import Chance, initialised


class LSTM(tf.Module):
    """One direction, time first: [T, N, inputs] → [T, N, hidden] (Hochreiter, Schmidhuber 1997), one fused operator."""

    def __init__(self, chance: Chance, inputs: int, hidden: int) -> None:
        super().__init__()
        self.kernel = initialised(chance, (inputs + hidden, 4 * hidden), inputs + hidden, hidden)
        self.bias = tf.Variable(tf.zeros(4 * hidden))
        self._hidden = hidden

    def __call__(self, x: Any) -> Any:
        start, no_peephole = tf.zeros([tf.shape(x)[1], self._hidden]), tf.zeros(self._hidden)
        steps = tf.shape(x, tf.int64)[0]
        # not BlockLSTMV2: its registered gradient takes the gates in another order than its kernel (TensorFlow 2.21)
        return tf.raw_ops.BlockLSTM(
            seq_len_max=steps, x=tf.cast(x, tf.float32), cs_prev=start, h_prev=start, w=self.kernel, b=self.bias,
            wci=no_peephole, wcf=no_peephole, wco=no_peephole, forget_bias=1.0, cell_clip=-1.0,
        )[-1]  # fmt: skip


class GRU(tf.Module):
    """One direction, time first (Cho et al., EMNLP 2014), the reset gate after the product."""

    def __init__(self, chance: Chance, inputs: int, hidden: int) -> None:
        super().__init__()
        self.kernel = initialised(chance, (inputs, 3 * hidden), inputs, hidden)
        self.recurrent = initialised(chance, (hidden, 3 * hidden), hidden, hidden)
        self.bias, self.recurrent_bias = tf.Variable(tf.zeros(3 * hidden)), tf.Variable(tf.zeros(3 * hidden))
        self._hidden = hidden

    def __call__(self, x: Any) -> Any:
        start = tf.zeros([tf.shape(x)[1], self._hidden])
        given = tf.cast(x, tf.float32) @ self.kernel + self.bias  # of all steps at once
        return tf.scan(self._step, given, start, parallel_iterations=1)

    def _step(self, state: Any, given: Any) -> Any:
        update, reset, new = tf.split(given, 3, axis=1)
        again_update, again_reset, again_new = tf.split(state @ self.recurrent + self.recurrent_bias, 3, axis=1)
        share = tf.sigmoid(update + again_update)
        candidate = tf.tanh(new + tf.sigmoid(reset + again_reset) * again_new)
        return share * state + (1 - share) * candidate


class Bidirectional(tf.Module):
    """Padding comes last in each row and changes nothing before it: the way back starts at the last token."""

    def __init__(self, cell: type[LSTM] | type[GRU], chance: Chance, inputs: int, hidden: int) -> None:
        super().__init__()
        self.forth, self.back = cell(chance, inputs, hidden), cell(chance, inputs, hidden)

    def __call__(self, x: Any, lengths: Any) -> Any:
        turned = tf.transpose(tf.reverse_sequence(x, lengths, seq_axis=1), [1, 0, 2])
        forth = tf.transpose(self.forth(tf.transpose(x, [1, 0, 2])), [1, 0, 2])
        back = tf.reverse_sequence(tf.transpose(self.back(turned), [1, 0, 2]), lengths, seq_axis=1)
        return tf.concat([forth, back], axis=2)
