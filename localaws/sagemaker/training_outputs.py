"""What a training job leaves in S3: model and output archives, and checkpoints as it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from localaws.access.role_objects import ObjectStore
from localaws.sagemaker.archives import pack, regular_files
from localaws.sagemaker.words import Params, split_s3_uri
from localaws.wire.protocol import AwsError

SYNC_S = 5.0
_log = logging.getLogger(__name__)


def merged(folders: Iterable[Path]) -> dict[str, Path]:
    """Files of all hosts by name; where hosts wrote the same name, the first host's stays."""
    files: dict[str, Path] = {}
    for folder in folders:
        files = {**regular_files(folder), **files}
    return files


class OutputLocation:
    """Where one job's results go: <S3OutputPath>/<job>/output/."""

    def __init__(self, params: Params, objects: ObjectStore) -> None:
        config = params["OutputDataConfig"]
        self._compressed = config.get("CompressionType", "GZIP") == "GZIP"
        self._bucket, prefix = split_s3_uri(config["S3OutputPath"])
        start = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._prefix = f"{start}{params['TrainingJobName']}/output"
        self._objects = objects

    def uri(self, name: str) -> str:
        """The S3 URI of `name` (model or output) as SageMaker reports it."""
        return f"s3://{self._bucket}/{self._prefix}/{name}{'.tar.gz' if self._compressed else '/'}"

    def upload(self, name: str, files: Mapping[str, Path], scratch: Path) -> None:
        """Put the files there, packed into one archive or one by one. Raises `AwsError`."""
        if not self._compressed:
            for inner, path in files.items():
                self._objects.put(self._bucket, f"{self._prefix}/{name}/{inner}", path)
            return
        archive = scratch / f"{name}.tar.gz"
        pack(files, archive)
        key = f"{self._prefix}/{name}.tar.gz"
        self._objects.put(self._bucket, key, archive, content_type="application/x-tar")
        archive.unlink()


class CheckpointSync:
    """Keeps folders of checkpoints and one S3 prefix alike: S3 to disk once, then disk to S3.

    Only what changed is written; nothing is deleted from S3.
    """

    def __init__(self, uri: str, folders: list[Path], objects: ObjectStore) -> None:
        self._bucket, prefix = split_s3_uri(uri)
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._folders = folders
        self._objects = objects
        self._known: dict[Path, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def restore(self) -> None:
        """Bring what S3 holds to every folder. Raises `AwsError`."""
        for info in self._objects.list(self._bucket, self._prefix):
            parts = info.key[len(self._prefix) :].split("/")
            if not parts[-1] or ".." in parts:
                continue
            for folder in self._folders:
                path = folder.joinpath(*parts)
                self._objects.download(self._bucket, info.key, path)
                self._known[path] = _stamp(path)

    def start(self) -> None:
        """Begin to write changes to S3 every few seconds."""
        self._thread.start()

    def finish(self) -> None:
        """Write what is left and end. Raises `AwsError`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._save()

    def _run(self) -> None:
        while not self._stop.wait(SYNC_S):
            try:
                self._save()
            except AwsError as error:
                _log.warning("checkpoints were not saved, will be tried again: %s", error)

    def _save(self) -> None:
        for folder in self._folders:
            for name, path in regular_files(folder).items():
                try:
                    stamp = _stamp(path)
                    if self._known.get(path) != stamp:
                        self._objects.put(self._bucket, self._prefix + name, path)
                        self._known[path] = stamp
                except FileNotFoundError:
                    continue  # Written under a passing name; the next round sees the final one.


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
