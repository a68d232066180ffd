"""Writes losses/*.json: losses and gradients by TensorFlow, for the loss language and for layers models.

`expressions`: our text and the same loss in TensorFlow, differentiated by tf.GradientTape in float32 on the CPU. Every
function of the language occurs at least once (a test checks it). `models`: tf_keras models as to_json() writes them, with
the loss class applied to their output.
"""

import json
import os
import platform
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tf_keras as keras  # noqa: E402

from encoding import HERE, b64, f32, machine, rng_of, write  # noqa: E402

MADE_BY = {
    "python": platform.python_version(),
    "tensorflow": tf.__version__,
    "tf_keras": keras.__version__,
    "numpy": np.__version__,
    **machine(),
    "onednn": False,
}
BOUND = {"relative": 1e-5}


def normal(*shape):
    return lambda rng: rng.standard_normal(shape)


def positive(*shape):
    return lambda rng: rng.uniform(0.2, 3, shape)


def within(low, high, *shape):
    return lambda rng: rng.uniform(low, high, shape)


def below(count, *shape):
    return lambda rng: rng.integers(0, count, shape)


def exactly(*values):
    return lambda rng: np.array(values, dtype=float)


def distribution(*shape):
    def draw(rng):
        parts = rng.uniform(0.1, 1, shape)
        return parts / parts.sum(-1, keepdims=True)

    return draw


def one_hot(classes, *shape):
    return lambda rng: np.eye(classes)[rng.integers(0, classes, shape)]


def tensor(values):
    values = np.asarray(values)
    return {"shape": list(values.shape), "values": b64(values)}


def gradient(found):
    if found is None:
        return None
    if isinstance(found, tf.IndexedSlices):
        return {"indices": [int(i) for i in found.indices.numpy()], **tensor(found.values.numpy())}
    return tensor(found.numpy())


def expression(text, compute, variables, inputs=None, grad_loss=None, name=None):
    """`compute` takes the variables, then the inputs, in order."""
    rng = rng_of(text)
    initial = {label: f32(draw(rng)) for label, draw in variables.items()}
    given = {label: f32(draw(rng)) for label, draw in (inputs or {}).items()}
    watched = {label: tf.Variable(values) for label, values in initial.items()}
    constants = {label: tf.constant(values) for label, values in given.items()}
    with tf.GradientTape() as tape:
        loss = tf.convert_to_tensor(compute(*watched.values(), *constants.values()))
    begin = None if grad_loss is None else f32(grad_loss(rng))
    found = tape.gradient(loss, watched, output_gradients=None if begin is None else tf.constant(begin))
    return {
        "name": name or text,
        "loss": text,
        "variables": {label: tensor(values) for label, values in initial.items()},
        "inputs": {label: tensor(values) for label, values in given.items()},
        **({} if begin is None else {"grad_loss": tensor(begin)}),
        "expected": {
            "loss": tensor(loss.numpy()),
            "gradients": {label: gradient(found[label]) for label in watched},
        },
        "bound": BOUND,
    }


def unary(name, compute, draw=normal(3, 4)):
    return expression(f"{name}(a)", lambda a: compute(a), {"a": draw})


def ints(x):
    return tf.cast(x, tf.int32)


def loss(name, function, target, output, options=""):
    """Cases of a loss function with all three reductions. Keras returns one number for each example."""
    out = []
    for reduction, reduce in [("mean", tf.reduce_mean), ("sum", tf.reduce_sum), ("none", tf.identity)]:
        words = "".join(f", {word}" for word in [options, "" if reduction == "mean" else f"reduction={reduction}"] if word)
        out.append(
            expression(
                f"{name}(y, a{words})", lambda a, y: reduce(function(y, a)), {"a": output}, {"y": target}
            )
        )
    return out


def expressions():
    losses = keras.losses
    yield expression("3 * a * a + 2 * b * b", lambda a, b: 3 * a * a + 2 * b * b, {"a": normal(), "b": normal()})
    yield expression(
        "h = tanh(matmul(x, a) + b); mean(square(h - y))",
        lambda a, b, x, y: tf.reduce_mean(tf.square(tf.tanh(x @ a + b) - y)),
        {"a": normal(4, 3), "b": normal(3)},
        {"x": normal(5, 4), "y": normal(5, 3)},
    )
    yield expression("-a ^ 2 ^ b / 3", lambda a, b: -(a ** (2**b)) / 3, {"a": positive(3), "b": normal(3)})
    yield expression("a - b", lambda a, b: a - b, {"a": normal(2, 3), "b": normal(3)})
    yield expression("a / b", lambda a, b: a / b, {"a": normal(2, 3), "b": positive(2, 1)})
    yield expression("a * b", lambda a, b: a * b, {"a": normal(4, 1, 3), "b": normal(2, 1)})
    yield expression("pow(a, b)", lambda a, b: a**b, {"a": positive(5), "b": normal(5)})
    yield expression("pow(a, 3)", lambda a: a**3.0, {"a": normal(5)})
    yield expression("maximum(a, b)", tf.maximum, {"a": exactly(1, 2, 3, -1), "b": exactly(2, 2, 1, -1)})
    yield expression("minimum(a, b)", tf.minimum, {"a": exactly(1, 2, 3, -1), "b": exactly(2, 2, 1, -1)})
    for symbol, compute in [
        ("<", tf.less),
        ("<=", tf.less_equal),
        (">", tf.greater),
        (">=", tf.greater_equal),
        ("==", tf.equal),
        ("!=", tf.not_equal),
    ]:
        yield expression(
            f"(a {symbol} b) * a * b",
            lambda a, b: tf.cast(compute(a, b), tf.float32) * a * b,
            {"a": exactly(1, 2, 3), "b": exactly(2, 2, 2)},
        )
    yield unary("negative", tf.negative)
    yield unary("abs", tf.abs, exactly(-2, 0, 3))
    yield unary("sign", tf.sign, exactly(-2, 0, 3))
    yield unary("square", tf.square)
    yield unary("sqrt", tf.sqrt, positive(7))
    yield unary("rsqrt", lambda a: 1 / tf.sqrt(a), positive(7))
    yield unary("exp", tf.exp)
    yield unary("expm1", tf.math.expm1)
    yield unary("log", tf.math.log, positive(7))
    yield unary("log1p", tf.math.log1p, positive(7))
    yield unary("sin", tf.sin)
    yield unary("cos", tf.cos)
    yield unary("tanh", tf.tanh)
    yield unary("sigmoid", tf.sigmoid)
    yield unary("softplus", tf.math.softplus)
    yield expression(
        "clip(a, -0.5, 0.5)", lambda a: tf.clip_by_value(a, -0.5, 0.5), {"a": exactly(-1, -0.5, 0.2, 0.5, 1)}
    )
    yield expression(
        "where(a > b, a * 2, b * 3)", lambda a, b: tf.where(a > b, a * 2, b * 3), {"a": normal(2, 3), "b": normal(3)}
    )
    yield expression(
        "a * stop_gradient(a * b)", lambda a, b: a * tf.stop_gradient(a * b), {"a": normal(3), "b": normal(3)}
    )

    # tfjs' kernels return 0 for the sign, the sine and the log1p of small numbers.
    small = exactly(1e-7, -3e-9, 1e-20)
    for name, compute in [("abs", tf.abs), ("sign", tf.sign), ("log1p", tf.math.log1p), ("sin", tf.sin), ("cos", tf.cos)]:
        yield expression(f"{name}(a)", compute, {"a": small}, name=f"{name} of small numbers")
    yield expression("sin(a)", tf.sin, {"a": exactly(1e9, -3e5)}, name="sin of large numbers")
    yield expression(
        "mean_absolute_error(y, a)",
        keras.losses.mean_absolute_error,
        {"a": exactly(1, 2)},
        {"y": exactly(1.0000002, 1.9999998)},
        name="mean_absolute_error of near numbers",
    )
    yield expression("a / b", lambda a, b: a / b, {"a": exactly(1e-10), "b": exactly(1e-22)}, name="a / b of small numbers")
    yield expression("a / b", lambda a, b: a / b, {"a": exactly(1e30), "b": exactly(1e22)}, name="a / b of large numbers")
    yield expression("where(a > 0, sqrt(a), 0)", lambda a: tf.where(a > 0, tf.sqrt(a), 0.0), {"a": exactly(1, 0, 2)})
    nan, inf = float("nan"), float("inf")
    for name, compute in [("maximum", tf.maximum), ("minimum", tf.minimum)]:
        for order in ["a, x", "x, a"]:
            yield expression(
                f"{name}({order})",
                lambda a, x: compute(a, x) if order == "a, x" else compute(x, a),
                {"a": exactly(1, 2, -3)},
                {"x": exactly(nan, 1, 2)},
                name=f"{name}({order}) of NaN",
            )
        yield expression(f"{name}(a, b)", compute, {"a": normal(2, 1, 3), "b": normal(4, 1)}, name=f"{name}(a, b) of shapes that broadcast")
    for name, compute in [
        ("abs", tf.abs),
        ("sign", tf.sign),
        ("relu6", tf.nn.relu6),
        ("hard_sigmoid", keras.activations.hard_sigmoid),
    ]:
        yield expression(f"{name}(x) * a", lambda a, x: compute(x) * a, {"a": normal(3)}, {"x": exactly(nan, inf, -inf)}, name=f"{name} of NaN")
    yield expression("clip(x, -1, 1) * a", lambda a, x: tf.clip_by_value(x, -1, 1) * a, {"a": normal(3)}, {"x": exactly(nan, inf, -inf)})
    for values in [(-inf, -inf), (inf, 1), (1e4, -1e4, 1e4)]:
        yield expression("log_sum_exp(a)", tf.reduce_logsumexp, {"a": exactly(*values)}, name=f"log_sum_exp of {values}")

    yield unary("relu", tf.nn.relu, exactly(-2, 0, 3))
    yield unary("relu6", tf.nn.relu6, exactly(-2, 3, 7))
    yield unary("leaky_relu", tf.nn.leaky_relu, exactly(-2, 0, 3))
    yield expression("leaky_relu(a, alpha=0.3)", lambda a: tf.nn.leaky_relu(a, 0.3), {"a": normal(7)})
    yield unary("elu", tf.nn.elu)
    yield expression("elu(a, alpha=0.5)", lambda a: keras.activations.elu(a, 0.5), {"a": normal(7)})
    yield unary("selu", tf.nn.selu)
    yield unary("selu", tf.nn.selu, exactly(-2, 0, 3)) | {"name": "selu at 0"}
    yield unary("gelu", lambda a: tf.nn.gelu(a, approximate=False))
    yield expression("gelu(a, approximate=true)", lambda a: tf.nn.gelu(a, approximate=True), {"a": normal(7)})
    yield expression("hard_silu(a)", lambda a: a * tf.nn.relu6(a + 3) / 6, {"a": exactly(-4, -1, 0, 0.7, 5)})
    yield unary("log_sigmoid", tf.math.log_sigmoid)
    yield unary("swish", tf.nn.swish)
    yield unary("silu", tf.nn.silu)
    yield unary("mish", keras.activations.mish)
    yield unary("softsign", tf.nn.softsign, exactly(-2, 0, 3, 0.5))
    yield unary("softsign", tf.nn.softsign, exactly(1e9, -1e12)) | {"name": "softsign of large numbers"}
    yield unary("hard_sigmoid", keras.activations.hard_sigmoid, exactly(-4, -1, 0, 0.7, 5))
    for name, compute in [("softmax", tf.nn.softmax), ("log_softmax", tf.nn.log_softmax)]:
        yield expression(
            f"sum({name}(a) * x)", lambda a, x: tf.reduce_sum(compute(a) * x), {"a": normal(3, 5)}, {"x": normal(3, 5)}
        )

    for name, compute in [
        ("sum", tf.reduce_sum),
        ("mean", tf.reduce_mean),
        ("max", tf.reduce_max),
        ("min", tf.reduce_min),
        ("variance", tf.math.reduce_variance),
        ("norm", tf.norm),
        ("log_sum_exp", tf.reduce_logsumexp),
    ]:
        yield unary(name, compute, normal(2, 3, 4))
        yield unary(f"{name}", compute, normal()) | {"name": f"{name} of a scalar"} if name != "norm" else unary(
            "norm", lambda a: tf.sqrt(tf.square(a)), positive()
        ) | {"name": "norm of a scalar"}
        yield expression(f"{name}(a, 1)", lambda a: compute(a, axis=1), {"a": normal(2, 3, 4)})
        yield expression(
            f"{name}(a, axis=[0, -1], keepdims=true)",
            lambda a: compute(a, axis=[0, 2], keepdims=True),
            {"a": normal(2, 3, 4)},
        )
    ties = exactly([1, 3, 3], [2, 2, 2])
    yield expression("max(a, axis=1)", lambda a: tf.reduce_max(a, axis=1), {"a": ties}, name="max of equal ones")
    yield expression("min(a)", tf.reduce_min, {"a": exactly(1, 1, 2)}, name="min of equal ones")
    yield expression("argmax(a) * b", lambda a, b: tf.cast(tf.argmax(a, -1), tf.float32) * b, {"a": normal(3, 4), "b": normal()})

    for a, b in [((3, 4), (4, 2)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2))]:
        yield expression("a @ b", tf.matmul, {"a": normal(*a), "b": normal(*b)}, name=f"a @ b of {a} and {b}")
    yield expression("matmul(a, b)", lambda a, b: tf.linalg.matvec(a, b), {"a": normal(3, 4), "b": normal(4)}, name="a matrix and a vector")
    yield expression("a @ b", lambda a, b: tf.linalg.matvec(b, a, transpose_a=True), {"a": normal(4), "b": normal(4, 3)}, name="a vector and a matrix")
    yield expression("a @ b", lambda a, b: tf.reduce_sum(a * b), {"a": normal(4), "b": normal(4)}, name="two vectors")

    weigh = {"x": normal(4, 6)}
    yield expression("reshape(a, [4, -1]) * x", lambda a, x: tf.reshape(a, [4, -1]) * x, {"a": normal(2, 3, 4)}, weigh)
    yield expression("transpose(a) * x", lambda a, x: tf.transpose(a) * x, {"a": normal(6, 4)}, weigh)
    yield expression(
        "transpose(a, perm=[1, 2, 0]) * x", lambda a, x: tf.transpose(a, [1, 2, 0]) * x, {"a": normal(3, 2, 4)}, {"x": normal(2, 4, 3)}
    )
    yield expression("expand_dims(a, 1) * x", lambda a, x: a[:, None] * x, {"a": normal(4)}, weigh)
    yield expression("squeeze(a) * x", lambda a, x: tf.squeeze(a) * x, {"a": normal(1, 6, 1)}, weigh)
    yield expression("squeeze(a, [0]) * x", lambda a, x: tf.squeeze(a, [0]) * x, {"a": normal(1, 4, 1)}, weigh)
    yield expression("concat([a, b, a], axis=1) * x", lambda a, b, x: tf.concat([a, b, a], 1) * x, {"a": normal(4, 2), "b": normal(4, 2)}, weigh)
    yield expression("stack([a, b], axis=1) * x", lambda a, b, x: tf.stack([a, b], 1) * x, {"a": normal(4), "b": normal(4)}, {"x": normal(4, 2)})
    yield expression(
        "slice(a, [1, 0], [2, -1]) * x", lambda a, x: tf.slice(a, [1, 0], [2, -1]) * x, {"a": normal(4, 3)}, {"x": normal(2, 3)}
    )
    yield expression("reverse(a, 0) * x", lambda a, x: tf.reverse(a, [0]) * x, {"a": normal(4, 6)}, weigh)
    yield expression("tile(a, [2, 3]) * x", lambda a, x: tf.tile(a, [2, 3]) * x, {"a": normal(2, 2)}, weigh)
    yield expression(
        "pad(a, before=[1, 0], after=[0, 2]) * x", lambda a, x: tf.pad(a, [[1, 0], [0, 2]]) * x, {"a": normal(3, 4)}, weigh
    )

    places = {"i": exactly(2, 0, 2, 3), "x": normal(4, 3)}
    yield expression("gather(a, i) * x", lambda a, i, x: tf.gather(a, ints(i)) * x, {"a": normal(5, 3)}, places)
    yield expression(
        "gather(a, i) * x + mean(gather(a, i + 1))",
        lambda a, i, x: tf.gather(a, ints(i)) * x + tf.reduce_mean(tf.gather(a, ints(i + 1))),
        {"a": normal(5, 3)},
        places,
    )
    yield expression(
        "gather(a, i) * x + sum(a * a)",
        lambda a, i, x: tf.gather(a, ints(i)) * x + tf.reduce_sum(a * a),
        {"a": normal(5, 3)},
        places,
    )
    yield expression(
        "gather(2 * a, i) * x", lambda a, i, x: tf.gather(2 * a, ints(i)) * x, {"a": normal(5, 3)}, places
    )
    yield expression(
        "gather(a, i, axis=1) * x", lambda a, i, x: tf.gather(a, ints(i), axis=1) * x, {"a": normal(4, 5)}, {"i": exactly(4, 4, 0), "x": normal(4, 3)}
    )
    yield expression(
        "gather(a, i) * x", lambda a, i, x: tf.gather(a, ints(i)) * x, {"a": normal(5)}, {"i": below(5, 2, 3), "x": normal(2, 3)}, name="gather from a vector by a matrix"
    )
    yield expression("one_hot(i, 5) @ a", lambda a, i: tf.one_hot(ints(i), 5) @ a, {"a": normal(5, 3)}, {"i": below(5, 4)})

    for padding in ["valid", "same"]:
        for size, strides in [((3, 3), (1, 1)), ((2, 3), (2, 2)), ((1, 1), (1, 1)), ((3, 2), (2, 1))]:
            words = f"strides=[{strides[0]}, {strides[1]}], padding={padding}"
            yield expression(
                f"conv2d(x, a, {words})",
                lambda a, x: tf.nn.conv2d(x, a, strides, padding.upper()),
                {"a": normal(*size, 3, 4)},
                {"x": normal(2, 6, 5, 3)},
                name=f"conv2d {size}, {words}",
            )
            yield expression(
                f"conv2d(a, x, {words})",
                lambda a, x: tf.nn.conv2d(a, x, strides, padding.upper()),
                {"a": normal(2, 6, 5, 3)},
                {"x": normal(*size, 3, 4)},
                name=f"conv2d {size}, {words}, by its input",
            )
            yield expression(
                f"sum(square(max_pool2d(a, [{size[0]}, {size[1]}], {words})))",
                lambda a: tf.reduce_sum(tf.square(tf.nn.max_pool2d(a, size, strides, padding.upper()))),
                {"a": normal(2, 6, 5, 3)},
            )
            yield expression(
                f"sum(square(average_pool2d(a, [{size[0]}, {size[1]}], {words})))",
                lambda a: tf.reduce_sum(tf.square(tf.nn.avg_pool2d(a, size, strides, padding.upper()))),
                {"a": normal(2, 6, 5, 3)},
            )
        yield expression(
            f"depthwise_conv2d(x, a, padding={padding}) * b",
            lambda a, b, x: tf.nn.depthwise_conv2d(x, a, [1, 1, 1, 1], padding.upper()) * b,
            {"a": normal(3, 2, 3, 2), "b": normal(6)},
            {"x": normal(2, 6, 5, 3)},
        )
        yield expression(
            f"conv1d(x, a, stride=2, padding={padding}) * b",
            lambda a, b, x: tf.nn.conv1d(x, a, 2, padding.upper()) * b,
            {"a": normal(3, 2, 4), "b": normal(4)},
            {"x": normal(2, 9, 2)},
        )

        for strides in [(1, 1), (2, 2), (3, 2)]:
            words = f"strides=[{strides[0]}, {strides[1]}], padding={padding}"

            def transposed(x, kernel):
                """The result has the shape that Keras gives it."""
                valid = padding == "valid"
                sizes = [
                    n * stride + (max(size - stride, 0) if valid else 0)
                    for n, stride, size in zip(x.shape[1:3], strides, kernel.shape[:2])
                ]
                return tf.nn.conv2d_transpose(x, kernel, [x.shape[0], *sizes, kernel.shape[2]], strides, padding.upper())

            yield expression(
                f"sum(square(conv2d_transpose(a, b, {words})))",
                lambda a, b: tf.reduce_sum(tf.square(transposed(a, b))),
                {"a": normal(2, 3, 4, 2), "b": normal(3, 2, 5, 2)},
            )
        yield expression(
            f"sum(square(conv2d(a, b, padding={padding}, dilations=[2, 3])))",
            lambda a, b: tf.reduce_sum(tf.square(tf.nn.convolution(a, b, padding=padding.upper(), dilations=[2, 3]))),
            {"a": normal(2, 7, 8, 3), "b": normal(3, 2, 3, 4)},
        )
        yield expression(
            f"sum(square(conv1d(a, b, padding={padding}, dilation=2)))",
            lambda a, b: tf.reduce_sum(tf.square(tf.nn.convolution(a, b, padding=padding.upper(), dilations=[2]))),
            {"a": normal(2, 9, 3), "b": normal(3, 3, 4)},
        )
        for words, options in [("strides=[2, 2]", {"strides": [1, 2, 2, 1]}), ("dilations=[2, 2]", {"strides": [1, 1, 1, 1], "dilations": [2, 2]})]:
            yield expression(
                f"sum(square(depthwise_conv2d(a, b, padding={padding}, {words})))",
                lambda a, b: tf.reduce_sum(tf.square(tf.nn.depthwise_conv2d(a, b, padding=padding.upper(), **options))),
                {"a": normal(2, 7, 6, 3), "b": normal(3, 2, 3, 2)},
            )
        yield expression(
            f"sum(square(max_pool2d(a, [2, 2], strides=[100000000, 100000000], padding={padding})))",
            lambda a: tf.reduce_sum(tf.square(tf.nn.max_pool2d(a, 2, 100000000, padding.upper()))),
            {"a": normal(2, 6, 5, 3)},
        )

    yield from loss("mean_squared_error", losses.mean_squared_error, normal(4, 3), normal(4, 3))
    yield from loss("mean_absolute_error", losses.mean_absolute_error, normal(4, 3), normal(4, 3))
    yield from loss("mean_absolute_percentage_error", losses.mean_absolute_percentage_error, normal(4, 3), normal(4, 3))
    yield from loss("mean_squared_logarithmic_error", losses.mean_squared_logarithmic_error, positive(4, 3), positive(4, 3))
    yield from loss("huber", losses.huber, normal(4, 3), normal(4, 3))
    yield from loss("huber", lambda y, a: losses.huber(y, a, delta=0.3), normal(4, 3), normal(4, 3), "delta=0.3")
    yield from loss("log_cosh", losses.log_cosh, normal(4, 3), normal(4, 3))
    labels, chances = below(2, 4, 3), within(0.05, 0.95, 4, 3)
    yield from loss("binary_crossentropy", losses.binary_crossentropy, labels, chances)
    yield from loss(
        "binary_crossentropy",
        lambda y, a: losses.binary_crossentropy(y, a, from_logits=True, label_smoothing=0.1),
        labels,
        normal(4, 3),
        "from_logits=true, label_smoothing=0.1",
    )
    hot = one_hot(3, 4)
    yield from loss("categorical_crossentropy", losses.categorical_crossentropy, hot, distribution(4, 3))
    yield from loss(
        "categorical_crossentropy",
        lambda y, a: losses.categorical_crossentropy(y, a, from_logits=True, label_smoothing=0.1),
        hot,
        normal(4, 3),
        "from_logits=true, label_smoothing=0.1",
    )
    yield from loss(
        "sparse_categorical_crossentropy", losses.sparse_categorical_crossentropy, below(3, 4), distribution(4, 3)
    )
    yield from loss(
        "sparse_categorical_crossentropy",
        lambda y, a: losses.sparse_categorical_crossentropy(y, a, from_logits=True),
        below(3, 4),
        normal(4, 3),
        "from_logits=true",
    )
    yield from loss(
        "softmax_cross_entropy", lambda y, a: tf.nn.softmax_cross_entropy_with_logits(y, a), distribution(4, 3), normal(4, 3)
    )
    yield from loss(
        "sigmoid_cross_entropy",
        lambda y, a: tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, a), -1),
        labels,
        normal(4, 3),
    )
    yield from loss("kl_divergence", losses.kl_divergence, distribution(4, 3), distribution(4, 3))
    yield from loss("poisson", losses.poisson, positive(4, 3), positive(4, 3))
    yield from loss("hinge", losses.hinge, below(2, 4, 3), normal(4, 3))
    yield from loss("squared_hinge", losses.squared_hinge, below(2, 4, 3), normal(4, 3))
    yield from loss("categorical_hinge", losses.categorical_hinge, hot, normal(4, 3))
    yield from loss("cosine_similarity", losses.cosine_similarity, normal(4, 3), normal(4, 3))

    yield expression(
        "a * a * b", lambda a, b: a * a * b, {"a": normal(3), "b": normal()}, grad_loss=normal(3), name="grad_loss of a tensor"
    )
    yield expression("a * b", lambda a, b: a * b, {"a": normal(), "b": normal()}, grad_loss=normal(), name="grad_loss of a scalar")
    yield expression("a * a + 0 * x", lambda a, b, x: a * a + 0 * x, {"a": normal(), "b": normal()}, {"x": normal()}, name="a variable that is not in the loss")


def flat(built):
    for layer in built.layers:
        yield from flat(layer) if hasattr(layer, "layers") else [layer]


def model(name, build, loss, inputs, targets, training=True, reference=keras):
    """`inputs`: one draw, or draws by the input layers' names. Weights are random, because Keras' are mostly zeros."""
    rng = rng_of(name)
    built = build(reference)
    given = {label: f32(draw(rng)) for label, draw in inputs.items()} if isinstance(inputs, dict) else f32(inputs(rng))
    wanted = f32(targets(rng))
    built(given)
    named = {}
    for layer in flat(built):
        wrapped = [layer.forward_layer, layer.backward_layer] if hasattr(layer, "forward_layer") else [None]
        for owner in wrapped:
            for weight in (owner or layer).weights:
                path = [layer.name, *([owner.name] if owner else []), weight.name.split("/")[-1].removesuffix(":0")]
                label = "/".join(path)
                assert label not in named or named[label] is weight, label
                named[label] = weight
    for label, weight in named.items():
        low = 0.3 if "variance" in label or "gamma" in label else -0.7
        weight.assign(f32(rng.uniform(low, 1.1 if low > 0 else 0.7, weight.shape)))
    before = {label: weight.numpy() for label, weight in named.items()}
    trained = [id(weight) for weight in built.trainable_weights]
    watched = {label: weight for label, weight in named.items() if id(weight) in trained}
    variables = {label: getattr(weight, "value", weight) if reference is not keras else weight for label, weight in watched.items()}
    with tf.GradientTape() as tape:
        value = loss(reference)(wanted, built(given, training=training))
        value = tf.add_n([value, *built.losses])
    found = tape.gradient(value, variables)
    averages = [label for label in named if "/moving_" in label]
    member = loss(reference)
    return {
        "name": name,
        "reference": f"tf_keras {keras.__version__}" if reference is keras else f"keras {reference.__version__}",
        "model": json.loads(built.to_json()),
        "loss": {"class_name": type(member).__name__, "config": json.loads(json.dumps(member.get_config(), default=str))},
        "training": training,
        "variables": {label: tensor(values) for label, values in before.items()},
        "averages": averages,
        "inputs": {label: tensor(values) for label, values in given.items()} if isinstance(given, dict) else {"": tensor(given)},
        "targets": tensor(wanted),
        "expected": {
            "loss": tensor(value.numpy()),
            "gradients": {label: gradient(found[label]) for label in watched},
            "updates": {label: tensor(named[label].numpy()) for label in averages} if training else {},
        },
        "bound": BOUND,
    }


def models():
    import keras as keras3

    def sequential(*layers):
        def build(k):
            k.backend.clear_session()
            return k.Sequential([make(k) for make in layers])

        return build

    def mse(k):
        return k.losses.MeanSquaredError()

    def mlp(k):
        k.backend.clear_session()
        return k.Sequential(
            [
                k.layers.Input((6,)),
                k.layers.Dense(8, activation="relu", name="hidden"),
                k.layers.Dense(3, activation="softmax", name="classes"),
            ]
        )

    def convolutional(k):
        k.backend.clear_session()
        return k.Sequential(
            [
                k.layers.Input((8, 8, 2)),
                k.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
                k.layers.MaxPooling2D(2),
                k.layers.Conv2D(5, (3, 2), strides=(1, 2), name="conv2"),
                k.layers.ReLU(),
                k.layers.Flatten(),
                k.layers.Dropout(0.5),
                k.layers.Dense(3, name="logits"),
            ]
        )

    def embedding(k):
        k.backend.clear_session()
        return k.Sequential(
            [
                k.layers.Input((5,)),
                k.layers.Embedding(11, 4, name="words"),
                k.layers.GlobalAveragePooling1D(),
                k.layers.Dense(1, activation="sigmoid", name="score"),
            ]
        )

    def twins(k):
        """Two inputs through one shared layer, merged in every way."""
        k.backend.clear_session()
        left, right = k.layers.Input((4,), name="left"), k.layers.Input((4,), name="right")
        shared = k.layers.Dense(3, activation="tanh", name="shared")
        a, b = shared(left), shared(right)
        merged = [
            k.layers.Add(name="add")([a, b]),
            k.layers.Subtract(name="subtract")([a, b]),
            k.layers.Multiply(name="multiply")([a, b]),
            k.layers.Average(name="average")([a, b]),
            k.layers.Maximum(name="maximum")([a, b]),
            k.layers.Minimum(name="minimum")([a, b]),
        ]
        together = k.layers.Concatenate(name="together")(merged)
        return k.Model([left, right], k.layers.Dense(2, name="out")(together))

    def nested(k):
        k.backend.clear_session()
        inner = k.Sequential([k.layers.Input((4,)), k.layers.Dense(3, activation="elu", name="inside")], name="inner")
        entry = k.layers.Input((4,), name="entry")
        return k.Model(entry, k.layers.Dense(1, name="outside")(inner(entry)))

    def frozen(k):
        k.backend.clear_session()
        return k.Sequential(
            [
                k.layers.Input((4,)),
                k.layers.Dense(3, name="kept", trainable=False),
                k.layers.BatchNormalization(name="norm", trainable=False),
                k.layers.Dense(2, name="moved"),
            ]
        )

    def dotted(axes, rank):
        def build(k):
            k.backend.clear_session()
            shapes = [(4,), (4,)] if rank == 1 else [(3, 4), (4, 2)]
            left, right = k.layers.Input(shapes[0], name="left"), k.layers.Input(shapes[1], name="right")
            before = k.layers.Dense(shapes[0][-1], name="before")(left)
            return k.Model([left, right], k.layers.Dot(axes, normalize=rank == 2, name="dot")([before, right]))

        return build

    for reference in (keras, keras3):
        suffix = "" if reference is keras else ", in Keras 3"
        yield model(f"a perceptron{suffix}", mlp, lambda k: k.losses.SparseCategoricalCrossentropy(), normal(7, 6), below(3, 7), reference=reference)
        yield model(
            f"a convolutional net{suffix}",
            convolutional,
            lambda k: k.losses.CategoricalCrossentropy(from_logits=True),
            normal(4, 8, 8, 2),
            one_hot(3, 4),
            training=False,
            reference=reference,
        )
        yield model(f"an embedding net{suffix}", embedding, lambda k: k.losses.BinaryCrossentropy(), below(11, 6, 5), below(2, 6, 1), reference=reference)
        yield model(f"twins{suffix}", twins, mse, {"left": normal(5, 4), "right": normal(5, 4)}, normal(5, 2), reference=reference)
        yield model(f"a model in a model{suffix}", nested, lambda k: k.losses.Huber(delta=0.5), normal(5, 4), normal(5, 1), reference=keras) if reference is keras else model(
            f"layers that are not trained{suffix}", frozen, mse, normal(5, 4), normal(5, 2), reference=reference
        )
    yield model("layers that are not trained", frozen, mse, normal(5, 4), normal(5, 2))

    yield model(
        "BatchNormalization of images, in Keras 3",
        sequential(lambda k: k.layers.Input((6, 5, 2)), lambda k: k.layers.BatchNormalization(name="norm")),
        mse,
        normal(3, 6, 5, 2),
        normal(3, 6, 5, 2),
        reference=keras3,
    )
    images, steps, rows = normal(3, 6, 5, 2), normal(3, 6, 4), normal(5, 4)
    for training in (True, False):
        when = "training" if training else "not training"
        yield model(
            f"BatchNormalization of images, {when}",
            sequential(lambda k: k.layers.Input((6, 5, 2)), lambda k: k.layers.BatchNormalization(name="norm", momentum=0.9), lambda k: k.layers.Activation("tanh")),
            mse,
            images,
            normal(3, 6, 5, 2),
            training,
        )
        yield model(
            f"BatchNormalization of vectors, {when}",
            sequential(
                lambda k: k.layers.Input((4,)),
                # No bias: its gradient would be only rounding errors.
                lambda k: k.layers.Dense(3, name="dense", use_bias=False),
                lambda k: k.layers.BatchNormalization(name="norm", scale=False, epsilon=0.01),
            ),
            mse,
            rows,
            normal(5, 3),
            training,
        )
    simple = [
        ("LayerNormalization", (4,), lambda k: k.layers.LayerNormalization(name="it"), rows, normal(5, 4)),
        ("Dense", (6, 4), lambda k: k.layers.Dense(3, name="it", activation="gelu"), steps, normal(3, 6, 3)),
        ("LeakyReLU", (4,), lambda k: k.layers.LeakyReLU(), rows, normal(5, 4)),
        ("ELU", (4,), lambda k: k.layers.ELU(0.7), rows, normal(5, 4)),
        ("Softmax", (4,), lambda k: k.layers.Softmax(), rows, normal(5, 4)),
        ("Reshape", (4,), lambda k: k.layers.Reshape((2, -1)), rows, normal(5, 2, 2)),
        ("Permute", (6, 4), lambda k: k.layers.Permute((2, 1)), steps, normal(3, 4, 6)),
        ("RepeatVector", (4,), lambda k: k.layers.RepeatVector(3), rows, normal(5, 3, 4)),
        ("Conv1D", (6, 4), lambda k: k.layers.Conv1D(3, 2, strides=2, padding="same", name="it"), steps, normal(3, 3, 3)),
        ("DepthwiseConv2D", (6, 5, 2), lambda k: k.layers.DepthwiseConv2D(3, depth_multiplier=2, name="it"), images, normal(3, 4, 3, 4)),
        ("AveragePooling2D", (6, 5, 2), lambda k: k.layers.AveragePooling2D(2, padding="same"), images, normal(3, 3, 3, 2)),
        ("MaxPooling1D", (6, 4), lambda k: k.layers.MaxPooling1D(2), steps, normal(3, 3, 4)),
        ("AveragePooling1D", (6, 4), lambda k: k.layers.AveragePooling1D(3, strides=2, padding="same"), steps, normal(3, 3, 4)),
        ("GlobalMaxPooling1D", (6, 4), lambda k: k.layers.GlobalMaxPooling1D(), steps, normal(3, 4)),
        ("GlobalMaxPooling2D", (6, 5, 2), lambda k: k.layers.GlobalMaxPooling2D(), images, normal(3, 2)),
        ("GlobalAveragePooling2D", (6, 5, 2), lambda k: k.layers.GlobalAveragePooling2D(keepdims=True), images, normal(3, 1, 1, 2)),
        ("ZeroPadding2D", (6, 5, 2), lambda k: k.layers.ZeroPadding2D(((1, 0), (2, 1))), images, normal(3, 7, 8, 2)),
        ("ReLU", (4,), lambda k: k.layers.ReLU(max_value=0.5, negative_slope=0.1), rows, normal(5, 4)),
    ]
    for name, shape, make, given, wanted in simple:
        yield model(
            name,
            # A layer with weights before it, to differentiate by.
            sequential(lambda k: k.layers.Input(shape), lambda k: k.layers.Dense(shape[-1], name="before"), make),
            mse,
            given,
            wanted,
        )
    larger = normal(3, 9, 9, 2)
    newer = [
        ("PReLU", (4,), lambda k: k.layers.PReLU(name="it"), rows, normal(5, 4)),
        ("PReLU(shared_axes)", (6, 5, 2), lambda k: k.layers.PReLU(shared_axes=[1, 2], name="it"), images, normal(3, 6, 5, 2)),
        ("Rescaling", (4,), lambda k: k.layers.Rescaling(1 / 3, offset=-1), rows, normal(5, 4)),
        ("SpatialDropout1D", (6, 4), lambda k: k.layers.SpatialDropout1D(0.5), steps, normal(3, 6, 4)),
        ("SpatialDropout2D", (6, 5, 2), lambda k: k.layers.SpatialDropout2D(0.5), images, normal(3, 6, 5, 2)),
        ("GaussianNoise", (4,), lambda k: k.layers.GaussianNoise(0.5), rows, normal(5, 4)),
        ("GaussianDropout", (4,), lambda k: k.layers.GaussianDropout(0.5), rows, normal(5, 4)),
        ("Conv2DTranspose", (6, 5, 2), lambda k: k.layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu", name="it"), images, normal(3, 12, 10, 3)),
        ("Conv2DTranspose(valid)", (6, 5, 2), lambda k: k.layers.Conv2DTranspose(3, (2, 3), strides=(3, 2), name="it"), images, normal(3, 18, 11, 3)),
        ("SeparableConv2D", (6, 5, 2), lambda k: k.layers.SeparableConv2D(3, 3, depth_multiplier=2, padding="same", name="it"), images, normal(3, 6, 5, 3)),
        (
            "DepthwiseConv2D(regularizer)",
            (6, 5, 2),
            lambda k: k.layers.DepthwiseConv2D(3, depthwise_regularizer=k.regularizers.L2(0.1), name="it"),
            images,
            normal(3, 4, 3, 2),
        ),
        ("Conv2D(dilation_rate)", (9, 9, 2), lambda k: k.layers.Conv2D(3, 3, dilation_rate=2, name="it"), larger, normal(3, 5, 5, 3)),
        ("Conv1D(causal)", (6, 4), lambda k: k.layers.Conv1D(3, 2, dilation_rate=2, padding="causal", name="it"), steps, normal(3, 6, 3)),
        ("ZeroPadding1D", (6, 4), lambda k: k.layers.ZeroPadding1D((2, 1)), steps, normal(3, 9, 4)),
        ("Cropping1D", (6, 4), lambda k: k.layers.Cropping1D((2, 1)), steps, normal(3, 3, 4)),
        ("Cropping2D", (6, 5, 2), lambda k: k.layers.Cropping2D(((1, 2), (0, 1))), images, normal(3, 3, 4, 2)),
        ("UpSampling1D", (6, 4), lambda k: k.layers.UpSampling1D(3), steps, normal(3, 18, 4)),
        ("UpSampling2D", (6, 5, 2), lambda k: k.layers.UpSampling2D((2, 3)), images, normal(3, 12, 15, 2)),
        ("TimeDistributed", (6, 4), lambda k: k.layers.TimeDistributed(k.layers.Dense(3, activation="tanh"), name="it"), steps, normal(3, 6, 3)),
        ("Bidirectional", (6, 4), lambda k: k.layers.Bidirectional(k.layers.LSTM(3), name="it"), steps, normal(3, 6)),
        (
            "Bidirectional(sequences)",
            (6, 4),
            lambda k: k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True), merge_mode="sum", name="it"),
            steps,
            normal(3, 6, 3),
        ),
        ("GRU(reset_after)", (6, 4), lambda k: k.layers.GRU(3, reset_after=False, name="it"), steps, normal(3, 3)),
        ("regularizers", (4,), lambda k: k.layers.Dense(3, kernel_regularizer=k.regularizers.L1L2(0.1, 0.2), bias_regularizer="l2", name="it"), rows, normal(5, 3)),
        ("hard_sigmoid", (4,), lambda k: k.layers.Activation("hard_sigmoid"), normal(5, 4), normal(5, 4)),
    ]
    def recurrent(k):
        """Keras 3 writes into the model that it was not training when the model was made."""
        k.backend.clear_session()
        entry = k.layers.Input((6, 4), name="entry")
        sequence = k.layers.LSTM(3, return_sequences=True, name="first")(entry)
        centered = k.layers.BatchNormalization(name="norm")(sequence)
        return k.Model(entry, k.layers.GRU(2, name="second")(centered))

    for reference in (keras, keras3):
        suffix = "" if reference is keras else ", in Keras 3"
        yield model(f"recurrent layers of a Functional{suffix}", recurrent, mse, steps, normal(3, 2), reference=reference)
        for name, shape, make, given, wanted in newer:
            yield model(
                f"{name}{suffix}",
                sequential(lambda k: k.layers.Input(shape), lambda k: k.layers.Dense(shape[-1], name="before"), make),
                mse,
                given,
                wanted,
                # Random layers are evaluated without training: a golden cannot hold what they draw.
                training="ropout" not in name and "Noise" not in name,
                reference=reference,
            )
        yield model(f"Dot{suffix}", dotted(1, 1), mse, {"left": normal(5, 4), "right": normal(5, 4)}, normal(5, 1), reference=reference)
        yield model(f"Dot(normalize){suffix}", dotted((2, 1), 2), mse, {"left": normal(5, 3, 4), "right": normal(5, 4, 2)}, normal(5, 3, 2), reference=reference)
        # Keras uses the logits where it knows them, so that the cross-entropy does not saturate.
        for activation, loss_class, wanted in [
            ("softmax", "SparseCategoricalCrossentropy", below(3, 5)),
            ("softmax", "CategoricalCrossentropy", one_hot(3, 5)),
            ("sigmoid", "BinaryCrossentropy", below(2, 5, 3)),
        ]:
            yield model(
                f"a saturated {activation} and {loss_class}{suffix}",
                sequential(lambda k: k.layers.Input((4,)), lambda k: k.layers.Dense(3, activation=activation, name="it")),
                lambda k: getattr(k.losses, loss_class)(),
                lambda rng: 100 * rng.standard_normal((5, 4)),
                wanted,
                reference=reference,
            )
    for name in ["hard_silu", "log_sigmoid"]:
        yield model(
            f"{name}, in Keras 3",
            sequential(lambda k: k.layers.Input((4,)), lambda k: k.layers.Dense(4, activation=name, name="it")),
            mse,
            normal(5, 4),
            normal(5, 4),
            reference=keras3,
        )
    for name, options in [("SimpleRNN", {}), ("LSTM", {}), ("GRU", {})]:
        for flags in [{}, {"return_sequences": True, "go_backwards": True}, {"use_bias": False, "activation": "relu"}]:
            words = ", ".join(f"{key}={value}" for key, value in flags.items())
            yield model(
                f"{name}({words})",
                sequential(lambda k: k.layers.Input((6, 4)), lambda k: getattr(k.layers, name)(3, name="it", **flags)),
                mse,
                steps,
                normal(3, 6, 3) if "return_sequences" in flags else normal(3, 3),
            )


def operations():
    """Functional models of Keras 3 with operations on tensors and constants."""
    import keras as keras3

    def between(make, squash="tanh"):
        def build(k):
            k.backend.clear_session()
            entry = k.layers.Input((4,), name="entry")
            a = k.layers.Dense(3, activation=squash, name="a")(entry)
            b = k.layers.Dense(3, activation=squash, name="b")(entry)
            return k.Model(entry, make(k, a, b))

        return build

    for name, make, *squash in [
        ("a / b", lambda k, a, b: a / b, "sigmoid"),
        ("a / 2.5", lambda k, a, b: a / 2.5 + b),
        ("2.5 / a", lambda k, a, b: 2.5 / a + b, "sigmoid"),
        ("divide(a, 3)", lambda k, a, b: k.ops.divide(a, 3) + b),
        ("a ** 2", lambda k, a, b: a**2 + b),
        ("a ** 3", lambda k, a, b: a**3 + b),
        ("a ** 0.5", lambda k, a, b: a**0.5 + b, "sigmoid"),
        ("2.0 ** a", lambda k, a, b: 2.0**a + b),
        ("a ** b", lambda k, a, b: a**b, "sigmoid"),
        ("-a", lambda k, a, b: -a * b),
        ("1.0 - a", lambda k, a, b: (1.0 - a) * b),
        ("a - 1", lambda k, a, b: (a - 1) * b),
        ("a - b", lambda k, a, b: a - b),
        ("a * b", lambda k, a, b: a * b),
        ("3 * a", lambda k, a, b: 3 * a + b),
        ("a + 3.0", lambda k, a, b: (a + 3.0) * b),
        ("maximum(a, 0.1)", lambda k, a, b: k.ops.maximum(a, 0.1) + b),
        ("minimum(0.1, a)", lambda k, a, b: k.ops.minimum(0.1, a) + b),
        ("abs(a)", lambda k, a, b: abs(a) + b),
        ("square(a)", lambda k, a, b: k.ops.square(a) + b),
        ("sqrt(a)", lambda k, a, b: k.ops.sqrt(a) + b, "sigmoid"),
        ("exp(a)", lambda k, a, b: k.ops.exp(a) + b),
        ("log(a)", lambda k, a, b: k.ops.log(a) + b, "sigmoid"),
        ("a swish of one's own", lambda k, a, b: a * k.ops.minimum(k.ops.maximum(a + 3.0, 0.0), 6.0) / 6.0 - b),
    ]:
        yield model(
            name,
            between(make, *squash),
            lambda k: k.losses.MeanSquaredError(),
            normal(5, 4),
            normal(5, 3),
            reference=keras3,
        )


if __name__ == "__main__":
    (HERE / "losses").mkdir(exist_ok=True)
    topics = {"expressions": expressions, "models": models, "operations": operations}
    for topic in sys.argv[1:] or topics:
        version = {} if topic == "expressions" else {"keras": __import__("keras").__version__}
        write(f"losses/{topic}", {**MADE_BY, **version}, {"cases": list(topics[topic]())})
