"""The command line: `python -m benchmarks COMMAND ...`, a module each."""

import argparse
import sys

from benchmarks import alarms, compare, functions, gradcheck, layers, overhead, power

COMMANDS = {
    "alarms": alarms,
    "layers": layers,
    "compare": compare,
    "functions": functions,
    "gradcheck": gradcheck,
    "overhead": overhead,
    "power": power,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; its module reads the options and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    options = parser.parse_args(arguments)
    return COMMANDS[options.command].run(options)


if __name__ == "__main__":
    sys.exit(main())
