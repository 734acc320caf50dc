"""Is a hand-written layer right, forward and backward, over its whole space of configurations?

The public names; they are imported when they are first used, since the pytest plugin lives in this
package and must not bring torch into runs that need none.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verification.report.verdict import LayerIsWrong, Report
    from verification.running.checking import check
    from verification.running.tests_for import tests_for

__all__ = ["LayerIsWrong", "Report", "check", "tests_for"]


def __getattr__(name: str) -> Any:
    if name == "check":
        from verification.running.checking import check

        return check
    if name == "tests_for":
        from verification.running.tests_for import tests_for

        return tests_for
    if name in ("LayerIsWrong", "Report"):
        from verification.report import verdict

        return getattr(verdict, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
