"""A subject on coordinates of its domains: any numbers give a member, so that a perturbed tensor
stays inside, and a gradient counts as far as it is seen from inside.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gradcheck.subjects import Subject
from verification.cases import REAL, TensorSpec
from verification.strategies.descriptions.domains import Domain, parse


class Constrained:
    """The map that first brings each tensor into its domain.

    domains: by tensor name; the others may hold any number.
    """

    offers: frozenset[str] = frozenset()

    def __init__(self, subject: Subject, domains: Mapping[str, Domain]) -> None:
        self.name = subject.name
        self._subject = subject
        self._domains = domains
        self._given: dict[str, Tensor] = {}
        self._latest: dict[str, tuple[Tensor, int, Tensor]] = {}

    @classmethod
    def by(cls, subject: Subject, specs: tuple[TensorSpec, ...]) -> Constrained:
        """By the domains of a case's tensors."""
        return cls(subject, {s.name: parse(s.domain) for s in specs if s.domain != REAL})

    def forward(
        self, inputs: Mapping[str, Tensor], parameters: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The subject's outputs at the members."""
        self._given = {**inputs, **parameters}
        return self._subject.forward(self.members(inputs), self.members(parameters))

    def vjp(self, cotangents: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The subject's gradients, pulled back to the coordinates."""
        gradients = self._subject.vjp(cotangents)
        return {name: self._seen(name, gradient) for name, gradient in gradients.items()}

    def members(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The members that coordinates stand for, by name."""
        return {name: self._member(name, tensor) for name, tensor in tensors.items()}

    def _member(self, name: str, tensor: Tensor) -> Tensor:
        """One of them. A judge moves one tensor at a time: the others come again as they were."""
        if name not in self._domains:
            return tensor
        given, version, member = self._latest.get(name, (None, 0, tensor))
        if given is not tensor or version != tensor._version + member._version:
            member = self._domains[name].member(tensor.double()).to(tensor.dtype)
            version = tensor._version + member._version
            self._latest[name] = tensor, version, member
        return member

    def _seen(self, name: str, gradient: Tensor) -> Tensor:
        if name not in self._domains:
            return gradient
        values = self._given[name].double()
        return self._domains[name].tangent(values, gradient.double()).to(gradient.dtype)
