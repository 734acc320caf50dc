"""Where hand-written layers keep their parameters and gradients, in all the ways met in the wild.

Objects with `data` and `grad`; pairs, lists and dicts from `param()`, `params()`, `get_params()` or
an attribute of that name; a flat list of values and gradients; plain attributes, `w` beside `dw`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from gradcheck.subjects.held_parameters import Holder, find_parameters
from verification.cases.subject_spec import Told
from verification.subjects.driving.places import Place, Stored, Way, is_array

VALUES = ("params", "get_params", "param", "parameters", "get_parameters")
"""Methods or attributes that give the parameters, other than those of gradcheck's protocol."""

GRADIENTS = ("grads", "get_grads", "gradients", "get_gradients", "grad_params", "dparams")
"""Methods or attributes that give the gradients, in the order of the parameters."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "weight": ("w", "weights", "kernel", "kernels", "filters", "filter", "gamma", "scale", "gain"),
    "bias": ("b", "biases", "beta", "shift", "offset"),
    "weight_ih_l0": ("weight_ih", "w_ih", "wih", "w_x", "wx", "w_input"),
    "weight_hh_l0": ("weight_hh", "w_hh", "whh", "w_h", "wh", "w_hidden"),
    "bias_ih_l0": ("bias_ih", "b_ih", "bih", "b", "bias"),
    "bias_hh_l0": ("bias_hh", "b_hh", "bhh"),
    "h_0": ("h0", "hx", "h_prev"),
    "c_0": ("c0", "cx", "c_prev"),
    "attn_mask": ("mask",),
}
"""By which names hand-written layers call a parameter or an input of the kind."""

GIVEN = ("w", "weight", "weights", "b", "bias", "biases", "gamma", "beta")
"""By which of these names a constructor takes the parameters themselves."""

GRADIENT_OF = (
    *("d{}", "d_{}", "grad_{}", "{}_grad", "{}_gradient", "gradient_{}", "g{}", "g_{}", "{}g"),
    *("del_{}", "delta_{}", "grad{}", "{}grad", "{}.grad"),
)
"""By which names they call a parameter's gradient."""


def find_places(layer: Any, names: Sequence[str], held: Told = ()) -> dict[str, Place]:
    """The layer's parameters by the names that the kind gives them, which stand in `names`, as far
    as they are found; `held` are those whose attributes the user told.

    Those of a layer that calls them otherwise are matched by names that are usual, else in order.
    """
    if not names:
        return {}
    if held:
        return {name: _told(layer, *_two(attributes)) for name, attributes in held}
    for find in (_protocol, _container, _attributes):
        found = find(layer, names)
        if found:
            return _named(found, names)
    return {}


def _two(attributes: Any) -> tuple[str, str]:
    value, gradient = attributes
    return value, gradient


def _told(layer: Any, value: str, gradient: str) -> Place:
    return Stored(value, _reader(layer, value), _fixed(_reader(layer, gradient)))


def _named(found: list[Place], names: Sequence[str]) -> dict[str, Place]:
    own = [place.name for place in found]
    if set(own) >= set(names):
        return {place.name: place for place in found if place.name in names}
    # All of them by usual names, or all in order: weight before bias is common to all.
    by_name = {name: place for place in found if (name := usual_name(place.name, names))}
    if len(by_name) == len(found):
        return by_name
    return dict(zip(names, found, strict=False))


def usual_name(own: str, names: Sequence[str]) -> str | None:
    """The parameter of the kind that a name usually means, if any."""
    # A private name, _Dense__weights, holds that of its class.
    plain = own.rpartition(".")[2].rpartition("__")[2].strip("_").lower()
    for name in names:
        if plain == name or plain in NAMES.get(name, ()):
            return name
    return None


def _protocol(layer: Any, names: Sequence[str]) -> list[Place]:
    """By named_parameters(), parameters() or param(), as gradcheck takes them."""
    try:
        found = find_parameters(layer)
        tensors = [tensor for place in found for tensor in (place.value, place.gradient)]
        # A bare tensor has a `grad` that its layer may never fill: those are looked at below.
        bare = hasattr(layer, "parameters") and any(map(is_array, layer.parameters()))
    except (TypeError, ValueError, AttributeError, IndexError):
        return []  # of another form: pairs of None, arrays, a dict
    sound = all(isinstance(tensor, Tensor) for tensor in tensors[::2])
    sound = sound and all(t is None or isinstance(t, Tensor) for t in tensors[1::2])
    return list(found) if sound and not bare else []


def _container(layer: Any, names: Sequence[str]) -> list[Place]:
    """A list or dict of values, pairs, or values and gradients."""
    for source in VALUES:
        read = _maker(layer, source)
        content = None if read is None else read()
        if read is None or not isinstance(content, (list, tuple, dict)):
            continue
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        items = [content[key] for key in keys]
        places = list(_items(layer, read, keys, items, names))
        if places:
            return places
    return []


def _items(
    layer: Any,
    read: Way,
    keys: Sequence[Any],
    items: Sequence[Any],
    names: Sequence[str],
) -> Iterator[Place]:
    if items and all(isinstance(item, (list, tuple)) and len(item) == 2 for item in items):
        for key, (value, _) in zip(keys, items, strict=True):
            if value is not None:  # (None, None) holds the place of a layer without parameters
                yield Stored(str(key), _item(read, key, 0), _fixed(_item(read, key, 1)))
    elif items and all(map(is_array, items)):
        yield from _values(layer, read, keys, items, names)
    elif items and all(hasattr(item, "data") and hasattr(item, "grad") for item in items):
        yield from (Holder(str(key), item) for key, item in zip(keys, items, strict=True))


def _values(
    layer: Any,
    read: Way,
    keys: Sequence[Any],
    items: Sequence[Any],
    names: Sequence[str],
) -> Iterator[Place]:
    """Bare values; their gradients follow in the same list, or stand in one of their own, in their
    `grad`, or in attributes.
    """
    half = len(items) // 2
    if len(items) == 2 * half and len(items) > len(names):
        apart = [tuple(item.shape) for item in items]
        order = [(i, half + i) for i in range(half)]
        if apart[:half] != apart[half:]:
            order = [(2 * i, 2 * i + 1) for i in range(half)]
        for value, gradient in order:
            behind = _fixed(_item(read, keys[gradient]))
            yield Stored(str(keys[value]), _item(read, keys[value]), behind)
        return
    gradients = next(filter(None, (_maker(layer, source) for source in GRADIENTS)), None)
    for key, item in zip(keys, items, strict=True):
        own = _attribute_of(layer, item) or str(key)
        if gradients is not None:
            yield Stored(own, _item(read, key), _fixed(_item(gradients, key)))
        else:
            yield Stored(own, _item(read, key), _gradient_reader(layer, own, _item(read, key)))


def _attributes(layer: Any, names: Sequence[str]) -> list[Place]:
    """Attributes that have a usual name."""
    found: list[Place] = []
    for own, value in vars(layer).items():
        if usual_name(own, names) is None:
            continue
        if is_array(value):
            read = _reader(layer, own)
            found.append(Stored(own, read, _gradient_reader(layer, own, read)))
        elif hasattr(value, "data") and hasattr(value, "grad") and is_array(value.data):
            found.append(Holder(own, value))
    return found


def _attribute_of(layer: Any, value: Any) -> str | None:
    return next((name for name, held in vars(layer).items() if held is value), None)


def _maker(layer: Any, source: str) -> Way | None:
    """How a method or an attribute is read; None where the layer has none."""
    if not hasattr(layer, source):
        return None
    found = getattr(layer, source)
    code = f"layer.{source}{'()' if callable(found) else ''}"

    def read() -> Any:
        found = getattr(layer, source)
        content = found() if callable(found) else found
        return list(content) if isinstance(content, Iterator) else content

    return Way(read, f"[*{code}]" if isinstance(read(), list) else code)


def _item(way: Way, *path: Any) -> Way:
    def item() -> Any:
        content = way()
        for key in path:
            content = content[key]
        return content

    return Way(item, way.code + "".join(f"[{key!r}]" for key in path))


def _reader(layer: Any, path: str) -> Way:
    """Reads an attribute, or an attribute of an attribute."""

    def read() -> Any:
        found = layer
        for name in path.split("."):
            found = getattr(found, name, None)
        return found

    return Way(read, f"layer.{path}")


def _fixed(way: Way) -> Callable[[], Way]:
    return lambda: way


def _gradient_reader(layer: Any, own: str, value: Way) -> Callable[[], Way | None]:
    """Finds a gradient in the attribute that is named after its parameter, or in its `grad`.

    Which one it is shows only after a backward.
    """
    kind = next((name for name in NAMES if usual_name(own, [name])), own)
    spellings = dict.fromkeys(
        s for n in (own, kind, *NAMES.get(kind, ())) for s in (n, n.lower(), n.upper())
    )

    def find() -> Way | None:
        for spelling in spellings:
            for pattern in GRADIENT_OF:
                way = _reader(layer, pattern.format(spelling))
                if is_array(way()):
                    return way
        if getattr(value(), "grad", None) is None:
            return None
        return Way(lambda: value().grad, f"{value.code}.grad")

    return find


def code_of(layer: Any, place: Place) -> tuple[str, str] | None:
    """Expressions for a parameter and its gradient, an empty one where that is not kept."""
    if isinstance(place, Stored):
        return place.code
    for way in _ways(layer):
        found = way()
        if isinstance(found, (tuple, list)):
            if len(found) == 2 and found[0] is place.value:
                return f"{way.code}[0]", f"{way.code}[1]"
        elif _shares(getattr(found, "data", None), place.value):
            return f"{way.code}.data", f"{way.code}.grad"
    return None


def _ways(layer: Any) -> Iterator[Way]:
    """To all that a layer holds, and to what is in its lists and dicts of parameters."""
    for source in VALUES:
        way = _maker(layer, source)
        content = None if way is None else way()
        if way is not None and isinstance(content, (list, tuple, dict)):
            keys = content if isinstance(content, dict) else range(len(content))
            yield from (_item(way, key) for key in keys)
    yield from (_reader(layer, name) for name in vars(layer))


def _shares(one: Any, other: Tensor) -> bool:
    return isinstance(one, Tensor) and one.data_ptr() == other.data_ptr()
