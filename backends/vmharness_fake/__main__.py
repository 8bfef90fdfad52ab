"""The fake engine's own command, `python -m vmharness_fake`: a way to its machines around any framework.

For tests that need a stranger's machine, or a client that they can kill. It knows only the provider.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vmharness.errors import VMHarnessError
from vmharness.provider import Spec
from vmharness_fake._folder import FolderStore
from vmharness_fake._provider import FakeProvider
from vmharness_fake._settings import FOLDER, Latencies


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = _parser().parse_args(argv)
    provider = FakeProvider(FolderStore(args.dir), latencies=Latencies.from_environ(os.environ))
    try:
        match args.verb:
            case "create":
                labels = {key: value for key, _, value in (label.partition("=") for label in args.label)}
                provider.create(Spec(name=args.name, image=args.image, labels=labels), timeout=args.timeout)
            case "delete":
                provider.delete(args.name, timeout=args.timeout)
            case "stop":
                provider.stop(args.name)
            case _:
                for info in provider.list():
                    sys.stdout.write(f"{info.name}\t{info.state}\t{info.image}\n")
    except VMHarnessError as exc:
        sys.stderr.write(f"{type(exc).__name__}: {exc}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vmharness_fake", description="Machines in a folder.")
    common = argparse.ArgumentParser(add_help=False)
    folder = os.environ.get(FOLDER)
    common.add_argument(
        "--dir", type=Path, default=folder, required=not folder, help=f"the folder; default: ${FOLDER}"
    )
    common.add_argument("--timeout", type=float, default=60.0, help="seconds until the deadline")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", parents=[common], help="show name, state and image of all machines")
    create = verbs.add_parser("create", parents=[common], help="make a machine")
    create.add_argument("--image", default="", help="name of the image")
    create.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="repeatable")
    delete = verbs.add_parser("delete", parents=[common], help="delete a machine, if it is there")
    stop = verbs.add_parser("stop", parents=[common], help="stop a machine")
    for verb in (create, delete, stop):
        verb.add_argument("name", help="name of the machine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
