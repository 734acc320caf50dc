"""What a user says of a function that is judged by its inputs' description, as a SubjectSpec."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verification.cases import SubjectSpec
from verification.cases.declarations import Declarations, Surroundings
from verification.strategies.descriptions.annotations import annotated_inputs
from verification.strategies.descriptions.extents import DescriptionError
from verification.subjects.loading import Loaded, SubjectError, importable_name, load, named

Function = Callable[..., Any] | str
"""A function, or the name by which it is found."""


Line = str | tuple[str, Function]
"""An input's axes and domain; the domain apart where it is a function that draws the members."""


@dataclass(frozen=True)
class Said:
    """The arguments of `check` that describe a function; docs/any-function.md explains them."""

    inputs: Mapping[str, Line] | None = None
    where: str = ""
    settings: Mapping[str, Sequence[Any]] | None = None
    batch: str | None = None
    same: Collection[str] = ()
    constant: Collection[str] = ()
    derivative_of: Function | None = None
    vjp: Function | None = None
    scaled_by: float | None = None
    approximate: float | None = None
    stochastic: Function | None = None
    reference: Function | None = None

    def spec(self, function: Loaded | str, name: str | None) -> SubjectSpec:
        """The spec of a function of that description.

        Raises:
            SubjectError: nothing describes the inputs.
        """
        own = function if isinstance(function, str) else importable_name(function)
        settings = {n: _values(n, values) for n, values in (self.settings or {}).items()}
        same = tuple(sorted(self.same))
        around = Surroundings(self.where, tuple(settings.items()), self.batch, same)
        return SubjectSpec(
            name or own,
            inputs=tuple(self._lines(function).items()),
            adapter=around.told,
            declared=Declarations(
                tuple(sorted(self.constant)),
                named(self.derivative_of),
                named(self.vjp),
                self.scaled_by,
                self.approximate,
                named(self.stochastic),
                named(self.reference),
            ).told,
        )

    def _lines(self, function: Loaded | str) -> Mapping[str, str]:
        if self.inputs is not None:
            if not self.inputs:
                raise SubjectError('there are no inputs: write inputs={"x": "n c"}, say')
            return {name: _line(name, line) for name, line in self.inputs.items()}
        loaded = load(function) if isinstance(function, str) else function
        forward = loaded[0] if isinstance(loaded, tuple) else loaded
        try:
            return annotated_inputs(forward, self.settings or ())
        except DescriptionError as error:
            raise SubjectError(
                "say which kind of layer it is with like (--like Conv2d), or what it takes with"
                f" inputs (--input 'x: n c'); without both, {error}"
            ) from None


def _line(name: str, line: Line) -> str:
    if isinstance(line, str):
        return line
    if not isinstance(line, tuple) or len(line) != 2 or not isinstance(line[0], str):
        raise SubjectError(
            f'input {name!r} is {line!r}: write its axes and domain, as in "n c", or its axes and'
            ' the function that draws it, as in ("n c", draw)'
        )
    return f"{line[0]} {named(line[1])}"


def _values(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise SubjectError(
            f"setting {name!r} is {values!r}: give the values that it takes in turn, as in"
            f' settings={{"{name}": [1, 2]}}'
        )
    return tuple(tuple(v) if isinstance(v, list) else v for v in values)
