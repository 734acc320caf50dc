"""What a report shows beside its sentence: heat maps, and lines of progress on the way to it."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from gradcheck import check_gradients
from gradcheck.reporting import progress as progress_module


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wrong_row(x: Tensor, w: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    gradient = x.T @ g
    gradient[1] = torch.nan
    return g @ w.T, gradient


def test_a_wrong_gradient_is_drawn_beside_the_right_one(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    report = check_gradients((torch.matmul, wrong_row), numbers(3, 4), numbers(4, 2, seed=1))
    figure = report.picture()
    maps = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in maps] == ["expected", "got", "got - expected"]
    got = maps[1].images[0].get_array()
    assert got.shape == (4, 2)
    assert got.mask.all(1).tolist() == [False, True, False, False]
    figure.savefig(tmp_path / "gradient.png")
    with pytest.raises(ValueError, match=r"input_0: whole gradients are known of \['input_1'\]"):
        report.picture("input_0")
    with pytest.raises(ValueError, match="they are kept where one is wrong"):
        check_gradients(torch.sin, numbers(3)).picture()


def test_a_picture_without_matplotlib_says_what_to_do(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"not installed: pip install matplotlib, or read the"):
        check_gradients((torch.sin, lambda x, g: g), numbers(3)).picture()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.complex128])
def test_progress_counts_every_call(monkeypatch: Any, dtype: torch.dtype) -> None:
    monkeypatch.setattr(progress_module, "_SECONDS", 0.0)
    lines: list[str] = []
    calls = 0

    def pieces(x: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        return x.sin(), (x * x).sum()

    for method in ("auto", "full"):
        check_gradients(pieces, numbers(6).to(dtype), method=method, progress=lines.append)
        assert f"; {calls} calls in " in lines[-1]
        calls = 0


def test_a_long_check_tells_where_it_is(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(progress_module, "_SECONDS", 0.0)
    lines: list[str] = []

    def slow(x: Tensor) -> Tensor:
        return x.sin() + x.sum()

    pair = (slow, lambda x, g: g * x.cos() + g.sum())
    assert check_gradients(pair, numbers(6), method="full", progress=lines.append).ok
    assert any(line.startswith("slow: input, 0 of 6 lines; ") for line in lines)
    assert capsys.readouterr().err == ""
    assert check_gradients(pair, numbers(6), progress=True).ok
    assert "calls in 0 s\n" in capsys.readouterr().err
    assert check_gradients(pair, numbers(6)).ok
    assert capsys.readouterr().err == ""
