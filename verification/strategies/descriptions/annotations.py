"""Descriptions that stand in a signature: Float[Tensor, "n c h w"], as jaxtyping writes it.

Nothing of jaxtyping is imported: an annotation tells its axes by `dim_str` and the dtypes that it
allows by `dtypes`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from verification.strategies.descriptions.extents import DescriptionError


def annotated_inputs(function: Callable[..., Any], settings: Collection[str]) -> dict[str, str]:
    """One line for every argument whose annotation describes a tensor; `settings` are described
    otherwise.

    Raises:
        DescriptionError: the signature describes no tensor, or an argument that must be given
            neither a tensor nor one of the settings.
    """
    called = getattr(function, "forward", function)
    try:
        parameters = inspect.signature(called, eval_str=True).parameters
    except (TypeError, ValueError, NameError) as error:
        raise DescriptionError(f"the signature cannot be read ({error}): give inputs") from None
    lines: dict[str, str] = {}
    for name, parameter in parameters.items():
        axes = getattr(parameter.annotation, "dim_str", None)
        if axes is not None:
            said = (_axis(name, place, token) for place, token in enumerate(axes.split()))
            lines[name] = f"{' '.join(said)}{_domain(name, parameter.annotation.dtypes)}"
        elif parameter.default is parameter.empty and name not in (*settings, "ctx", "self"):
            raise DescriptionError(
                f"argument {name!r} has no annotation such as Float[Tensor, 'n c']: give inputs, or"
                " settings for what is no tensor"
            )
    if not lines:
        raise DescriptionError(
            'no argument is annotated with its axes: give inputs={"x": "n c"}, say'
        )
    return lines


def _axis(name: str, place: int, token: str) -> str:
    """An axis in this language. `rows=3` is 3; what may broadcast (`#c`) has its full size; `_` is
    an extent of its own.
    """
    plain = token.rpartition("=")[2].replace("#", "").replace("?", "")
    return f"{name}_{place}" if plain.startswith("_") else plain


def _domain(name: str, dtypes: Any) -> str:
    """The domain that follows from the dtypes that an annotation allows."""
    # What allows any dtype names none.
    several = dtypes if isinstance(dtypes, (list, tuple)) else [dtypes]
    allowed = [dtype for dtype in several if isinstance(dtype, str)]
    if not allowed or any("float" in dtype for dtype in allowed):
        return ""
    if all("bool" in dtype for dtype in allowed):
        return " mask"
    raise DescriptionError(
        f"argument {name!r} holds whole numbers, and its annotation does not say which: describe it"
        " in inputs, as labels(c), indices(n) or groups(g)"
    )
