"""Find a subject outside the catalogue by its name, and the name of one that is at hand."""

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

Factory = Callable[..., Any]
"""A class, a function that builds a layer, or a function of tensors."""

Loaded = Factory | tuple[Factory, Factory]
"""What a name stands for: a factory, or a forward and the backward that belongs to it."""


Source = tuple[str, int]
"""A file, and a line in it."""


AT_HAND: dict[str, Factory] = {}
"""Functions of this process that no other one finds by their names: closures, notebook cells."""


class SubjectError(ValueError):
    """A subject that cannot be found, built or judged; the message says what to do."""


def named(function: Factory | str | None) -> str | None:
    """The name by which a function that a user told of is found again, here at least."""
    if function is None or isinstance(function, str):
        return function
    name = importable_name(function)
    if why_not_importable(function, name):
        while AT_HAND.get(name, function) is not function:
            name += "'"  # several lambdas of one place have one name
        AT_HAND[name] = function
    return name


def at_hand(name: str) -> Loaded:
    """What a name stands for, in this process; raises as `load` does."""
    return AT_HAND[name] if name in AT_HAND else load(name)


def load(name: str) -> Loaded:
    """What `package.module:Name` or `path/to/file.py:Name` names; `module:forward,backward` names a
    pair of functions. Runs the module's code.

    Raises:
        SubjectError: there is no such module, file or name, or importing it fails.
    """
    place, _, names = name.partition(":")
    if not place or not names:
        raise SubjectError(f"layer {name!r}: write package.module:Name or path/to/file.py:Name")
    try:
        module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    except SubjectError:
        raise
    except (Exception, SystemExit) as error:
        raise SubjectError(
            f"layer {name!r}: importing {place} fails: {type(error).__name__}: {error}"
        ) from error
    found = tuple(_attribute(module, qualname, name) for qualname in names.split(","))
    if len(found) > 2:
        raise SubjectError(f"layer {name!r}: name one layer, or a forward and its backward")
    return found if len(found) == 2 else found[0]


def _attribute(module: ModuleType, qualname: str, name: str) -> Factory:
    found: Any = module
    for attribute in qualname.split("."):
        if not hasattr(found, attribute):
            raise SubjectError(f"layer {name!r}: {name.partition(':')[0]} has no {attribute!r}")
        found = getattr(found, attribute)
    if not callable(found):
        raise SubjectError(f"layer {name!r} is a {type(found).__name__}: name a class or function")
    factory: Factory = found
    return factory


def _load_module(place: str) -> ModuleType:
    # A layer beside the caller's own files, as `python -m` finds it; pytest does not look there.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return importlib.import_module(place)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SubjectError(f"there is no file {path}")
    # Known by its path, so that it hides no module of that name, and so that a class of it knows
    # by which name it is found again.
    spec = importlib.util.spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise SubjectError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def importable_name(loaded: Loaded) -> str:
    """The name by which another process finds it: `module:qualname`, or the path of its file where
    the module is a script, or one that pytest imported from a folder outside the path.
    """
    if isinstance(loaded, tuple):
        forward, backward = map(importable_name, loaded)
        return f"{forward},{backward.partition(':')[2]}"
    loaded = getattr(loaded, "_init_fn", loaded)  # a custom operator has its function's name
    place = getattr(loaded, "__module__", None) or ""
    # Of an object without a name its own words, of a module those before its layers.
    qualname = getattr(loaded, "__qualname__", None) or repr(loaded).partition("(\n")[0]
    if place.endswith(".py") or _can_be_found(place):
        return f"{place}:{qualname}"
    file = getattr(sys.modules.get(place), "__file__", None)
    return f"{os.path.relpath(file) if file else place}:{qualname}"


def _can_be_found(module: str) -> bool:
    """Whether a module is found by name; of a package's module only the package is looked for."""
    if module == "__main__":
        return False
    top = module.partition(".")[0]
    return top in sys.builtin_module_names or PathFinder.find_spec(top) is not None


def why_not_importable(loaded: Loaded, name: str) -> str:
    """Why no other process can find it by its name; empty if one can."""
    if isinstance(loaded, tuple):
        return next(filter(None, (why_not_importable(part, name) for part in loaded)), "")
    written = getattr(loaded, "_init_fn", loaded)
    place = getattr(written, "__module__", None) or ""
    if place == "__main__":
        # Importing a script's file would run the script.
        return f"{name} is defined in the script that runs"
    found: Any = sys.modules.get(place)
    for attribute in getattr(written, "__qualname__", "").split("."):
        found = getattr(found, attribute, None)
    return "" if found is loaded else f"{name} cannot be imported by its name"


def digest_of(loaded: Loaded) -> str | None:
    """SHA-256 of the file that holds it; None where there is no file, as in a notebook."""
    first = loaded[0] if isinstance(loaded, tuple) else loaded
    try:
        return hashlib.sha256(Path(inspect.getfile(first)).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return None


def source_of(loaded: Loaded | None) -> Source | None:
    """Where its source begins; None where there is none."""
    first = loaded[0] if isinstance(loaded, tuple) else loaded
    try:
        if first is None:
            return None
        return inspect.getfile(first), inspect.getsourcelines(first)[1]
    except (TypeError, OSError):
        return None
