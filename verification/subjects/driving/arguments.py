"""From the arguments of a kind to those of somebody's constructor or function: other names, another
order, two numbers in the place of a pair.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from verification.subjects.loading import SubjectError

RESTS = ("keep_prob", "keep_probability", "keep_rate", "p_keep", "retain_prob")
"""By which names an argument is what others leave of 1."""

OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "in_channels": (
        *("in_ch", "in_c", "c_in", "cin", "n_in", "in_planes", "input_channels", "nin", "channels"),
        *("input_depth", "in_depth", "num_channels", "n_channels"),
    ),
    "out_channels": (
        *("out_ch", "out_c", "c_out", "cout", "n_out", "out_planes", "output_channels", "filters"),
        *("num_filters", "n_filters", "nb_filters", "num_kernels", "n_kernels", "output_depth"),
    ),
    "in_features": (
        *("n_in", "in_dim", "input_dim", "fan_in", "input_size", "d_in", "in_size", "nin"),
        *("n_inputs", "num_inputs", "n_input", "num_in", "input_features", "input_len"),
    ),
    "out_features": (
        *("n_out", "out_dim", "output_dim", "fan_out", "output_size", "d_out", "out_size", "nout"),
        *("n_outputs", "num_outputs", "n_output", "num_out", "output_features", "output_len"),
        *("units", "n_units", "num_units", "neurons", "n_neurons", "num_neurons"),
    ),
    "kernel_size": (
        *("kernel", "ksize", "k", "filter_size", "kernel_shape", "pool_size", "window", "size"),
        *("window_size", "kernel_dim", "pool", "f", "pooling_size"),
    ),
    "stride": ("strides", "s", "step"),
    "padding": ("pad", "p", "paddings"),
    "dilation": ("dilations", "d", "dilate"),
    "groups": ("n_groups", "group"),
    "bias": ("use_bias", "has_bias", "with_bias"),
    "eps": ("epsilon",),
    "momentum": ("beta", "mu", "gamma"),
    "num_features": (
        *("channels", "n_channels", "features", "dim", "in_channels", "c", "size", "n_features"),
        *("num_channels", "input_dim", "in_features", "d"),
    ),
    "normalized_shape": (
        *("dim", "features", "hidden_size", "d_model", "size", "dimension", "width", "n_embd"),
        *("ndim", "embed_dim", "emb_dim", "num_features", "n_features", "hidden_dim", "d"),
    ),
    "num_groups": ("groups", "g"),
    "num_channels": ("channels", "n_channels", "c"),
    "negative_slope": ("alpha", "slope", "leak"),
    "scale_factor": ("scale", "factor", "upscale_factor"),
    "upscale_factor": ("scale", "factor", "r"),
    "num_embeddings": ("vocab_size", "n_vocab", "vocabulary_size"),
    "embedding_dim": ("dim", "d_model", "emb_dim", "embed_dim"),
    "lr": ("learning_rate", "eta", "step_size", "alpha"),
    "weight_decay": ("wd", "l2"),
    "alpha": ("decay_rate", "rho", "smoothing"),
    "dim": ("axis",),
    "p": (
        *("p_drop", "drop_prob", "dropout", "rate", "dropout_rate", "dropout_ratio", "drop_rate"),
        *RESTS,
    ),
}
"""By which names hand-written layers call an argument of the kind."""

PARTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "betas": (("beta1", "beta2"), ("beta_1", "beta_2"), ("b1", "b2")),
    "kernel_size": (
        ("pool_height", "pool_width"),
        ("kernel_height", "kernel_width"),
        ("kernel_h", "kernel_w"),
        ("kh", "kw"),
    ),
}
"""Arguments of the kind that others take in parts."""

IDLE: Mapping[str, Callable[[], Any]] = {
    "name": lambda: "layer",
    "layer_name": lambda: "layer",
    "seed": lambda: 0,
    "rng": lambda: numpy.random.RandomState(0),  # it has the old names of methods and the new
    "random_state": lambda: numpy.random.RandomState(0),
}
"""Required arguments that no formula depends on, and what is given for them."""

Source = tuple[str, int | None]
"""An argument of the kind, and which of its parts; None for the whole."""


@dataclass(frozen=True)
class Matching:
    """Which argument of the kind each argument of the subject is, by the subject's names.

    guessed: those of another name that were matched by their place. constants: what is passed
    always. single: arguments of the kind that the subject's own signature calls one number. idle:
    those of the subject's that are in IDLE. held: those that are parameters of the kind. left:
    those that the kind has not, with the defaults that they are left at.
    """

    sources: Mapping[str, Source]
    constants: Mapping[str, Any] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, Any] = field(default_factory=dict)

    @property
    def taken(self) -> frozenset[str]:
        """The arguments of the kind that the subject takes."""
        return frozenset(argument for argument, _ in self.sources.values())

    def call(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The subject's own arguments; those that a geometry does not give are left out."""
        given = {
            own: _part(arguments[argument], part)
            for own, (argument, part) in self.sources.items()
            if argument in arguments
        }
        return given | {name: IDLE[name]() for name in self.idle} | dict(self.constants)

    @property
    def notes(self) -> Iterator[str]:
        """What was found, in sentences."""
        if self.left:
            left = ", ".join(f"{own}={value!r}" for own, value in self.left.items())
            yield f"arguments of its own, left at: {left}; --kwargs gives others"
        if self.idle:
            yield f"of no account, and made up: {', '.join(self.idle)}"
        renamed = [
            f"{own} is {argument}" + ("" if part is None else f"[{part}]")
            for own, (argument, part) in self.sources.items()
            if own != argument
        ]
        renamed += [f"{own} is {name}" for own, name in self.held.items()]
        if renamed:
            by_place = f" (by their place: {', '.join(self.guessed)})" if self.guessed else ""
            yield f"arguments: {', '.join(renamed)}{by_place}"


def _part(value: Any, part: int | None) -> Any:
    if part is None:
        return value
    return value[part] if isinstance(value, tuple) else value


def matched_by_name(
    own: str, kind: Mapping[str, inspect.Parameter], renamed: Mapping[str, str]
) -> Source | None:
    """The argument of the kind that a name of the subject's means, if any."""
    told = {theirs: argument for argument, theirs in renamed.items()}
    if own in told:
        return told[own], None
    if own in kind:
        return own, None
    plain = _plain(own)
    for argument in kind:
        if plain in map(_plain, (argument, *OTHER_NAMES.get(argument, ()))):
            return argument, None
        for parts in PARTS.get(argument, ()):
            if plain in map(_plain, parts):
                return argument, [*map(_plain, parts)].index(plain)
    return None


def _plain(name: str) -> str:
    """A name however it is written: learning_rate, learningRate."""
    return name.lower().replace("_", "")


def matchings(
    who: str,
    kind_name: str,
    kind: Mapping[str, inspect.Parameter],
    theirs: Mapping[str, inspect.Parameter],
    renamed: Mapping[str, str],
    constants: Mapping[str, Any],
    held: Mapping[str, str],
) -> Iterator[Matching]:
    """The ways to build a subject of these parameters from the arguments of a kind, the likeliest
    first. More than one where required arguments have names that mean nothing to us. `held` are
    those that are parameters of the kind, which tell the sizes that it is built with.

    Raises:
        SubjectError: the subject wants what the kind has not, or lacks what it needs.
    """
    named: dict[str, Source] = {}
    unknown: list[str] = []
    idle: list[str] = []
    left: dict[str, Any] = {}
    for name, parameter in theirs.items():
        known = name in constants or name in held
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or known:
            continue
        source = matched_by_name(name, kind, renamed)
        if source is not None and source not in named.values():
            named[name] = source
        elif parameter.default is parameter.empty:
            (idle if name in IDLE else unknown).append(name)
        elif isinstance(parameter.default, (bool, int, float, str)):
            left[name] = parameter.default
    if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
        taken = {argument for argument, _ in named.values()}
        named |= {name: (name, None) for name in kind if name not in taken}
    taken = {argument for argument, _ in named.values()}
    needed = [n for n, p in kind.items() if p.default is p.empty and n not in taken]
    missing = [] if held else [n for n in needed if n not in constants]
    _require_fit(who, kind_name, kind, unknown, missing)
    for order in itertools.permutations(missing):
        guessed = dict(zip(unknown, ((argument, None) for argument in order), strict=True))
        sources = {**named, **guessed}
        single = tuple(_single(sources, theirs))
        yield Matching(sources, constants, tuple(guessed), single, tuple(idle), held, left)


def _single(
    sources: Mapping[str, Source], theirs: Mapping[str, inspect.Parameter]
) -> Iterator[str]:
    """The arguments of the kind that are one number by their annotation, or by what they are
    called: a `dim` is no shape.
    """
    for own, (argument, _) in sources.items():
        annotation = theirs[own].annotation if own in theirs else None
        renamed = argument == "normalized_shape" and own != argument
        if renamed or annotation in (int, float, "int", "float"):
            yield argument


def _require_fit(
    who: str,
    kind_name: str,
    kind: Mapping[str, inspect.Parameter],
    unknown: list[str],
    missing: list[str],
) -> None:
    if len(unknown) > len(missing):
        raise SubjectError(
            f"{who} wants {', '.join(unknown)}, which {kind_name} has not: give it with --kwargs,"
            f" or wrap it in a function of {', '.join(kind) or 'no arguments'}"
        )
    if len(missing) > len(unknown):
        own = f", but {', '.join(unknown)}" if unknown else ""
        raise SubjectError(
            f"{who} does not take {', '.join(missing)}, without which no {kind_name} is built{own}:"
            " say what they are called with --rename, or wrap it in a function that takes them"
        )
