"""One experiment as plain data: the currency of the whole suite."""

from verification.cases.case import (
    Call,
    Case,
    LayerCall,
    Role,
    Scalar,
    SubjectSpec,
    TensorSpec,
    Values,
)

__all__ = ["Call", "Case", "LayerCall", "Role", "Scalar", "SubjectSpec", "TensorSpec", "Values"]
