"""One experiment as plain data: the currency of the whole suite."""

from verification.cases.case import (
    REAL,
    SAME,
    Call,
    Case,
    LayerCall,
    Role,
    Scalar,
    TensorSpec,
    Values,
)
from verification.cases.subject_spec import SubjectSpec

__all__ = [
    "REAL",
    "SAME",
    "Call",
    "Case",
    "LayerCall",
    "Role",
    "Scalar",
    "SubjectSpec",
    "TensorSpec",
    "Values",
]
