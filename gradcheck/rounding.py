"""How far rounding may carry a right answer: the error analysis, and the project's only tolerances.

Notation. A floating-point format has t significand bits (the hidden one included) and unit roundoff
u = 2^-t: fl(a op b) = (a op b)(1 + d) + e with |d| <= u, and e != 0 only where the result is
subnormal. Everything here returns float64 numbers, or float64 tensors where a tensor went in.

Sources:
- N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., SIAM 2002: chapter 2 (the
  model of arithmetic, gradual underflow in section 2.1), chapter 3 (Lemma 3.1 and equation 3.5: an
  inner product of n terms, summed in any order, errs by at most gamma_n * sum |x_i y_i|);
- J. J. More, S. M. Wild, *Estimating Computational Noise*, SIAM J. Sci. Comput. 33 (2011).
"""

import math
from typing import overload

import torch
from torch import Tensor

_SIGNIFICAND_BITS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}

NOISE_SAFETY = 16.0
"""Standard deviations of estimated noise that one evaluation may err by. More and Wild's level is
right to a factor of 4 (their section 4); four deviations of a level that is right make 16."""

OUTPUT_ROUNDINGS = 4.0
"""Units of roundoff of its own size that any computed value may err by, however little noise was
seen: the last operation's rounding, and a library function's error of up to 2 ulp = 4 u."""

QUANTUM_SAFETY = 4.0
"""How many of its jumps a value of a function may err by that rounds to few digits inside: half a
jump for the rounding itself, and for up to twenty such roundings of random sign in one value four
deviations of their sum."""

ANALYTIC_SAFETY = 8.0
"""How many times further than the evaluation, per unit of step, an unanalysed gradient may be
carried by rounding. Reverse mode does at most about four operations for one of the evaluation
(Griewank and Walther, *Evaluating Derivatives*, section 4.6); the factor of two is for luck that
the sampled evaluation had and the gradient did not."""

SPREAD_SAFETY = 4.0
"""How many times the largest change that eight perturbations by one relative roundoff make in a
gradient its own intermediate roundings may make: one for the inputs, and as much again for each of
about three operations between them and the gradient."""

NATURAL_LENGTH = 1.0
"""The length over which an unknown function is taken to be smooth, whatever the size of its input:
that of sin, exp, tanh and sigmoid. Curvature seen over longer steps may be an alias."""

PLAUSIBLE_NOISE = 256.0
"""Units of roundoff of a value that its estimated error may be and still look like rounding: 16
deviations of a level that 256 roundings of random sign leave."""

EXACT_ROOM = 64.0
"""How far below 2^t the largest of many sums of signed integers must stay for all their partial
sums to be taken as exact: with random signs a partial sum exceeds the largest final one by a small
factor."""

HIDING = 4.0
"""How many bounds an error must exceed to show in a random direction about as surely as in exact
arithmetic, where any error does: below one bound it hides, and the product with the direction
varies by a factor of about two either way."""

HIDDEN_CUBIC = 4 / 3
"""A t^2 error in a central difference at step h is at most 4/3 of the change from h to h/2."""

HIDDEN_KINK = 2.5
"""A kink at distance s < h, of jump k, moves the central difference at h by k (h - s) / 2h, and
shows in the parabola rows C(h) - 4 C(h/2) or C(h/2) - 4 C(h/4) of second differences C by at least
2/5 of k (h - s) / 2, whatever s is (the worst is s = 3h/8). Many kinks in sum may pass for a smooth
function; the row C(h) - 20 C(h/2) + 64 C(h/4), which is 0 for a quartic, shows them by k (h - s)
and more, but for s near 9h/19 and 7h/45."""

ASYMPTOTIC_RATIO = 0.25
"""How far successive central differences may depart from the ratio 4 of an h^2 error, relatively,
and still be trusted for extrapolation. A smooth function whose next term is a quarter of the first
is accepted; a kink, where the ratio is 2 or 1, is not."""

EXTRAPOLATION_REST = 0.25
"""How much of its last correction an extrapolated value may still be off. With central differences
f' + a h^2 + b h^4 + c h^6 the last correction is 15/64 b h^4 and the error c h^6 / 64, so that a
quarter suffices as long as no term is 3.75 times the term before it."""

CURVATURE_RATIO = 0.1
"""How far second differences may depart from t^2, relatively, at a point called smooth."""


def significand_bits(dtype: torch.dtype) -> int:
    """Number of significand bits t of a floating dtype, the hidden bit included: 53, 24, 11 or 8.

    A complex dtype counts as its real one. Raises TypeError for any other dtype.
    """
    real = dtype.to_real()
    if real not in _SIGNIFICAND_BITS:
        allowed = ", ".join(str(d).removeprefix("torch.") for d in _SIGNIFICAND_BITS)
        raise TypeError(f"dtype is {dtype}: rounding is known for {allowed} and complex of these")
    return _SIGNIFICAND_BITS[real]


def unit_roundoff(dtype: torch.dtype) -> float:
    """Return u = 2^-t, the largest relative error of one rounding to nearest."""
    return 2.0 ** -significand_bits(dtype)


@overload
def gamma(n: float, u: float) -> float: ...
@overload
def gamma(n: Tensor, u: float) -> Tensor: ...
def gamma(n: float | Tensor, u: float) -> float | Tensor:
    """Return gamma_n = n u / (1 - n u), what n roundings can add up to (Higham, Lemma 3.1).

    ``n`` is a number of operations, or a float64 tensor of them. Where n u >= 1 the analysis says
    nothing, and the result is infinity.
    """
    if isinstance(n, Tensor):
        nu = n.to(torch.float64) * u
        return torch.where(nu < 1, nu / (1 - nu), math.inf)
    relative = n * u
    return relative / (1 - relative) if relative < 1 else math.inf


@overload
def underflow(terms: float, dtype: torch.dtype) -> float: ...
@overload
def underflow(terms: Tensor, dtype: torch.dtype) -> Tensor: ...
def underflow(terms: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    """Absolute error that gradual underflow can add to a sum of ``terms`` products.

    (terms + 1) times the smallest subnormal number: half a spacing for every product, doubled,
    because a kernel may round products and partial sums apart (Higham, section 2.1).
    """
    smallest = 2 * unit_roundoff(dtype) * torch.finfo(dtype).smallest_normal
    return (terms + 1) * smallest


def integer_amplitude(terms: int, dtype: torch.dtype, degree: int = 2) -> int:
    """Largest a such that ``terms`` products of ``degree`` integers from [-a, a] fit half of 2^t.

    Such a sum is exact in every order of summation; the other half is left for a bias. 0 where no
    such integer exists: draw sparse or one-hot values then. Raises ValueError for terms < 1.
    """
    if terms < 1:
        raise ValueError(f"terms is {terms}: a sum has at least one product")
    share: int = 2 ** (significand_bits(dtype) - 1) // terms
    amplitude: int = round(share ** (1 / degree))
    return amplitude if amplitude**degree <= share else amplitude - 1


@overload
def is_exact(magnitude: float, dtype: torch.dtype) -> bool: ...
@overload
def is_exact(magnitude: Tensor, dtype: torch.dtype) -> Tensor: ...
def is_exact(magnitude: float | Tensor, dtype: torch.dtype) -> bool | Tensor:
    """Whether sums of integers are exact in ``dtype`` in every order: magnitude <= 2^t.

    ``magnitude`` is the sum of the absolute values of all terms, a number or a tensor (the answer
    then is a tensor of bool). Integers up to 2^t are floating-point numbers, so no partial sum is
    ever rounded.
    """
    return magnitude <= 2.0 ** significand_bits(dtype)
