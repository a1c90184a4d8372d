"""Draws photographs in several processes that end with the one that started them."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from demo.errors import DemoDataError
from demo.portraits import draw_portrait
from demo.recipe import Photo

JPEG_QUALITY = 88
_DRAWN = b"drawn"
_LONGEST_REPORT_BYTES = 2000

Progress = Callable[[int, int], None]


def draw_photos(
    photos: Sequence[Photo], folder: Path, size_px: int, *, workers: int, progress: Progress
) -> None:
    """Draw and write all photographs below `folder`; `progress` hears (drawn, of how many).

    Raises DemoDataError when one cannot be written. No process is left behind, whatever happens.
    """
    for parent in sorted({(folder / photo.path).parent for photo in photos}):
        parent.mkdir(parents=True, exist_ok=True)
    if workers == 1:
        for drawn, photo in enumerate(photos, start=1):
            _draw(photo, folder, size_px)
            progress(drawn, len(photos))
        return
    painters: list[tuple[BaseProcess, Connection]] = []
    try:
        with _interrupts_held():
            for first in range(workers):
                painters.append(_start(photos[first::workers], folder, size_px))
        _follow(painters, len(photos), progress)
    finally:
        for painter, reports in painters:
            painter.terminate()
            painter.join()
            reports.close()


def _draw(photo: Photo, folder: Path, size_px: int) -> None:
    image = draw_portrait(photo.breed, photo.rng(), size_px)
    try:
        image.save(folder / photo.path, "JPEG", quality=JPEG_QUALITY)
    except OSError as error:
        raise _unwritten(f"{photo.path}: {error}") from error


def _unwritten(reason: str) -> DemoDataError:
    fix = "Free some space, or choose a folder that can be written"
    return DemoDataError(f"a photograph was not written ({reason})", fix=fix)


def _start(photos: Sequence[Photo], folder: Path, size_px: int) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    reports, sender = context.Pipe(duplex=False)
    painter = context.Process(
        target=_draw_share, args=(tuple(photos), str(folder), size_px, sender), daemon=True
    )
    try:
        painter.start()
    finally:
        sender.close()
    return painter, reports


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes started here never hear Ctrl-C (the mask is inherited); their parent ends them."""
    # Python's own tracker, started with the first process, would lift the mask: start it before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _draw_share(photos: Sequence[Photo], folder: str, size_px: int, sender: Connection) -> None:
    """One process's share; a report that nobody can read any more ends it."""
    try:
        for photo in photos:
            _draw(photo, Path(folder), size_px)
            sender.send_bytes(_DRAWN)
    except DemoDataError as error:
        with suppress(BrokenPipeError):
            sender.send_bytes(error.message.encode()[:_LONGEST_REPORT_BYTES])
    except BrokenPipeError:
        return


def _follow(
    painters: Sequence[tuple[BaseProcess, Connection]], photos: int, progress: Progress
) -> None:
    drawn = 0
    open_reports = [reports for _, reports in painters]
    while open_reports:
        ready = wait(open_reports)
        for reports in [one for one in open_reports if one in ready]:
            try:
                report = reports.recv_bytes(_LONGEST_REPORT_BYTES)
            except EOFError:
                open_reports.remove(reports)
                continue
            if report != _DRAWN:
                raise _unwritten(report.decode(errors="replace"))
            drawn += 1
            progress(drawn, photos)
    if drawn != photos:
        raise DemoDataError(
            f"a drawing process ended after {drawn} of {photos} photographs",
            fix="Look for its message above, and draw again with workers=1",
        )
