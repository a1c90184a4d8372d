"""`python -m demo --out DIR`: draw the dataset from a shell."""

import argparse
import sys
import time
from pathlib import Path

from demo.dataset import draw_dataset
from demo.errors import DemoDataError
from demo.recipe import SPLITS

_EXIT_BAD_INPUT = 2
_EXIT_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """0 when the dataset stands, 2 when it cannot be drawn, 130 after Ctrl-C."""
    chosen = vars(_parser().parse_args(arguments))
    start_s = time.monotonic()
    try:
        summary = draw_dataset(chosen.pop("out"), **chosen, progress=_show)
    except DemoDataError as error:
        print(f"error: {error}", file=sys.stderr)
        return _EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("\nstopped; nothing was left half-written", file=sys.stderr)
        return _EXIT_INTERRUPTED
    counts = ", ".join(f"{count} {split}" for split, count in summary.photos.items())
    done = "found" if summary.reused else f"drew in {time.monotonic() - start_s:.1f} s"
    print(f"{done}: {len(summary.classes)} breeds ({counts}) in {summary.root}")
    print(summary.digest)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description="Draw a dataset of dogs.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--seed", type=int, default=7, help="which dogs (default %(default)s)")
    parser.add_argument("--breeds", type=int, default=8, help="how many (default %(default)s)")
    for split, count in zip(SPLITS, (60, 15, 15), strict=True):
        text = f"{split} photographs for each breed (default %(default)s)"
        parser.add_argument(f"--{split}", type=int, default=count, metavar="N", help=text)
    parser.add_argument(
        "--size-px", type=int, default=256, metavar="PX", help="side (default %(default)s)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: up to 2)")
    return parser


def _show(drawn: int, photos: int) -> None:
    if sys.stderr.isatty() and (drawn % 10 == 0 or drawn == photos):
        end = "\n" if drawn == photos else ""
        print(f"\rdrawing {drawn}/{photos}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
