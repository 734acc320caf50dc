"""Hypothesis, imported when something is drawn: what only replays draws nothing, and needs none.

Rows and properties stand beside the strategies of their cases. So they name Hypothesis by this
module, and build nothing with it while they are imported.
"""

import functools
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

__all__ = ["DrawFn", "SearchStrategy", "st"]

if TYPE_CHECKING:
    from hypothesis import strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
else:
    Drawn = TypeVar("Drawn")
    DrawFn = Callable

    class SearchStrategy(Generic[Drawn]):
        """Hypothesis's, as far as annotations need it."""

    class _Strategies:
        """`hypothesis.strategies`, from its first use on."""

        def __getattr__(self, name: str) -> Any:
            found = getattr(_hypothesis(), name)
            setattr(self, name, found)  # not looked for again
            return found

        def composite(self, define: Callable) -> Callable:
            """Hypothesis's decorator, applied when the function is first called."""
            made = functools.cache(lambda: _hypothesis().composite(define))

            @functools.wraps(define)
            def strategy(*arguments: Any, **keywords: Any) -> Any:
                return made()(*arguments, **keywords)

            return strategy

    def _hypothesis() -> Any:
        return importlib.import_module("hypothesis.strategies")

    st = _Strategies()
