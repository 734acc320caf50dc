"""Time the layers against torch.nn, with the report's tables, growth and memory."""

import argparse
import json
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import growth, limits, memory, report_tables, shares
from benchmarks.contests import contests
from benchmarks.layers_tables import show_all
from benchmarks.timing import machine, summary, take_turns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m benchmarks layers`."""
    parser.add_argument("--quick", action="store_true", help="one process, the table alone")
    parser.add_argument("--processes", type=int, default=5, help="measurements of every cell")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each side of a cell")
    parser.add_argument("--threads", default="1", help="numbers of threads, such as 1,2")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for the cells of the table")
    parser.add_argument("--only", default="", help="cells whose group and name contain this")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--plot", type=Path, help="draw the growth into this picture")


def run(options: argparse.Namespace) -> int:
    """Measure, print, write; the exit status is 0 whatever the figures are."""
    if options.device != "cpu" and not torch.cuda.is_available():
        print(f"device {options.device}: not exercised, there is no CUDA device")
        return 2
    processes = 1 if options.quick else options.processes
    threads = [int(number) for number in options.threads.split(",")]
    result: dict[str, Any] = {
        "kind": "layers",
        "machine": machine(),
        "command": "python -m benchmarks " + " ".join(sys.argv[1:]),
        "processes": processes,
        "cells": [],
    }
    for number in threads:
        runs = [
            in_fresh_process(_measure, number, options.seconds, options.only, options.device)
            for _ in range(processes)
        ]
        result["cells"] += _cells(runs, f"threads {number}, {options.device}")
    if not (options.quick or options.only):
        result["tables"] = in_fresh_process(report_tables.measure)
        result["memory"] = memory.measure()
        result["growth"] = in_fresh_process(growth.measure)
        result["limits"] = in_fresh_process(limits.measure)
        result["shares"] = in_fresh_process(shares.measure)
        if options.plot:
            growth.plot(result["growth"], options.plot)
    show_all(result)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of function(*arguments) in a process that has measured nothing yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _measure(threads: int, seconds: float, only: str, device: str) -> dict[str, dict[str, float]]:
    """One process's medians in milliseconds: contest -> side -> time."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    times = {}
    for contest in contests():
        if only in contest.key:
            # Only while building: a default device costs microseconds in every call.
            with torch.device(device):
                contestants = contest.build()
            times[contest.key] = take_turns(contestants, seconds)
    return times


def _cells(runs: list[dict[str, dict[str, float]]], where: str) -> list[dict[str, Any]]:
    """The table's lines as plain data: every side's milliseconds and its ratio to torch.nn."""
    cells = []
    for contest in contests():
        key = contest.key
        if key not in runs[0]:
            continue
        sides = {side: [run[key][side] for run in runs] for side in runs[0][key]}
        reference = sides["torch.nn"]
        ratios = {
            side: summary([time / base for time, base in zip(times, reference, strict=True)])
            for side, times in sides.items()
            if side != "torch.nn"
        }
        cells.append(
            {
                "name": f"{key}, {where}",
                "where": where,
                "must": contest.must,
                "goal": contest.goal,
                "milliseconds": sides,
                "ratio": ratios.pop("ours"),
                "other_ratios": ratios,
            }
        )
    return cells
