"""A layer whose constructor is given its parameters: it is built once they are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from verification.cases.subject_spec import Told
from verification.subjects.driving.native import Native
from verification.subjects.driving.stateful import Stateful
from verification.subjects.driving.translation import Translation


class Built:
    """The subject that `make` builds from the constructor's own arguments; `given` says which of
    them is which parameter. Later calls bind theirs, as they would to any other layer.
    """

    offers: frozenset[str] = frozenset()

    def __init__(
        self,
        name: str,
        make: Callable[[Mapping[str, Any]], Native | Stateful],
        given: Mapping[str, str],
        translation: Translation,
    ) -> None:
        self.name = name
        self._make, self._given = make, given
        self._translation = translation
        self._subject: Native | Stateful | None = None

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Outputs by name."""
        if self._subject is None:
            own = {
                argument: self._translation.there(name, parameters[name].clone())
                for argument, name in self._given.items()
                if name in parameters
            }
            self._subject = self._make(own)
        return self._subject.forward(inputs, parameters)

    @property
    def recipe(self) -> Told:
        """How the latest calls went, for a script."""
        return getattr(self._subject, "recipe", ())

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the latest forward.

        Raises:
            RuntimeError: there was none.
        """
        if self._subject is None:
            raise RuntimeError(f"{self.name} is built by its first forward: call that first")
        return self._subject.vjp(cotangents)
