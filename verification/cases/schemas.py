"""The JSON Schemas of the package: whether data that came from a file fits one."""

import functools
import json
from importlib import resources
from typing import Any

LONGEST = 200
"""Characters of a message: it may quote the whole of what is wrong."""


def misfit(content: object, package: str, schema: str) -> str | None:
    """Where the content does not fit `schema`, a file of `package`, and how; None where it fits."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(package, schema).iter_errors(content))
    if error is None:
        return None
    message = error.message if len(error.message) < LONGEST else error.message[:LONGEST] + " ..."
    return f"{error.json_path.replace('$', 'the file', 1)}: {message}"


@functools.cache
def _validator(package: str, schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(resources.files(package).joinpath(schema).read_text()))
