"""Perturb together what cannot interact: entries of which no output depends on two.

Which outputs depend on an entry is seen by moving it alone, twice. Entries then get colours, so
that no two of one colour share an output, and all of one colour are probed along one line (A.
Curtis, M. Powell and J. Reid 1974). A dependence that neither move shows would be taken for that of
another entry, so what is found this way is paired with random directions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gradcheck.differences.classes import Estimate, Kind
from gradcheck.differences.evaluation import CHUNK_ELEMENTS, Evaluator

_MOST_PAIRS = 1 << 24  # entries times outputs; a byte for each is kept
_FEW = 32  # entries that are quickly done one by one
_WORTH = 4  # entries in one line, on average, that make up for finding out
_SHARES = (1.0, -1 / 64)  # of the step, by which entries are moved


@dataclass(frozen=True)
class Colouring:
    """``colour`` [N] of every entry; ``depends`` [N, M] says which outputs depend on it.

    ``still`` [M] is an output's error over the step by which the entries were moved.
    """

    colour: Tensor
    depends: Tensor
    still: Tensor

    def directions(self, shape: torch.Size) -> Tensor:
        """One direction for each colour, the sum of its unit vectors: [C, *shape]."""
        together = torch.zeros(int(self.colour.max()) + 1, len(self.colour), dtype=torch.float64)
        together[self.colour, torch.arange(len(self.colour))] = 1
        return together.reshape(-1, *shape)

    def owners(self) -> Tensor:
        """The entry that moves an output along a colour's line, [C, M]; any where there is none."""
        owners = torch.zeros(int(self.colour.max()) + 1, self.depends.shape[1], dtype=torch.long)
        entries, outputs = self.depends.nonzero(as_tuple=True)
        owners[self.colour[entries], outputs] = entries
        return owners

    def apart(self, together: Estimate, entries: slice) -> Estimate:
        """The estimate for single ``entries``, from one along every colour's line.

        Outputs that did not move have the derivative 0, within the error of two values.
        """
        colour, depends = self.colour[entries], self.depends[entries]
        noise = torch.where(depends, together.noise[colour], self.still)
        return Estimate(
            torch.where(depends, together.value[colour], 0.0),
            torch.where(depends, together.bound[colour], 2 * noise),
            torch.where(depends, together.kind[colour], int(Kind.AFFINE)),
            noise,
            together.basis,
        )


def coloured(evaluator: Evaluator, name: str, step: float, error: Tensor) -> Colouring | None:
    """Colours for the entries of a tensor; None where too few could share a line.

    Points of the tensor must share calls: each entry is moved alone, by ``step`` and by less.
    ``error`` [M] bounds that of every output.
    """
    base = evaluator.tensor(name)
    entries, outputs = base.numel(), len(evaluator.base)
    if not evaluator.shares_calls(name) or entries < _FEW or entries * outputs > _MOST_PAIRS:
        return None
    depends = torch.zeros(entries, outputs, dtype=torch.bool)
    rows = max(1, CHUNK_ELEMENTS // (entries + outputs))
    for start in range(0, entries, rows):
        end = min(start + rows, entries)
        for share in _SHARES:
            points = base.expand(end - start, *base.shape).clone().reshape(end - start, -1)
            chosen = torch.arange(start, end)
            points[chosen - start, chosen] += share * step
            values = evaluator.values(name, points.reshape(-1, *base.shape))
            depends[start:end] |= values != evaluator.base
        if _fewest_colours(depends) > entries / _WORTH:
            return None
    colour = _colours(depends)
    few = int(colour.max()) + 1 <= entries / _WORTH
    return Colouring(colour, depends, error / step) if few else None


def _fewest_colours(depends: Tensor) -> int:
    """Entries that one output depends on are all of different colours."""
    return int(depends.sum(0).max())


def _colours(depends: Tensor) -> Tensor:
    """The first colour for each entry that none of its outputs has yet."""
    taken: list[set[int]] = [set() for _ in range(depends.shape[1])]
    outputs_of: list[list[int]] = [[] for _ in range(len(depends))]
    for entry, output in depends.nonzero().tolist():
        outputs_of[entry].append(output)
    colours = []
    for outputs in outputs_of:
        others = set().union(*(taken[output] for output in outputs))
        colour = next(c for c in range(len(others) + 1) if c not in others)
        colours.append(colour)
        for output in outputs:
            taken[output].add(colour)
    return torch.tensor(colours)
