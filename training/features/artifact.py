"""The test photos through the exported files themselves, each on the host that reads it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from serving.preprocess import Transform, normalise
from training.engines.on_openvino import on_openvino
from training.engines.quantize import graph_files, put_graph
from training.features.feature_pass import read_square
from training.features.survey import Survey
from training.features.table import Features
from training.graph import Floats, Network
from training.hosts.cluster import Cluster


def artifact_logits(
    folder: Path,
    *,
    hint: str,
    survey: Survey,
    features: Features,
    transform: Transform,
    cluster: Cluster,
    threads: int,
) -> Floats:
    """Logits [len(features.test), C] of `model.xml` in the leading host's `folder`, on every host.

    Photos go in one by one, as a server would answer them; `hint` is what serving compiles with.
    All hosts call this together; those that do not lead get the files from the one that does.
    """
    files = graph_files(folder) if cluster.leads else [b"", b""]
    received = [cluster.gather(data)[0] for data in files] if cluster.world > 1 else files
    with tempfile.TemporaryDirectory() as scratch:
        place = folder
        if not cluster.leads:
            place = Path(scratch)
            put_graph(place, received)
        network = on_openvino(place / "model.xml", threads=threads, hint=hint)
        return test_outputs(
            network,
            survey=survey,
            features=features,
            transform=transform,
            cluster=cluster,
            threads=threads,
        )


def test_outputs(
    network: Network,
    *,
    survey: Survey,
    features: Features,
    transform: Transform,
    cluster: Cluster,
    threads: int,
) -> Floats:
    """The network's answers for the readable test photos of all hosts, in order, on every host."""
    reader = {place: chunk.owner for chunk in survey.chunks for place in chunk.places}
    places = [place for place in features.test if reader[place] == cluster.rank]

    def one(place: int) -> Floats:
        square = features.kept.squares.get(place) or read_square(survey, place, transform)
        row: Floats = network(normalise(square, transform)[None])[0]
        return row

    with ThreadPoolExecutor(threads) as pool:
        mine = dict(zip(places, pool.map(one, places), strict=True))
    return _in_order(features.test, mine, cluster)


def _in_order(places: Sequence[int], mine: dict[int, Floats], cluster: Cluster) -> Floats:
    held = list(mine)
    head = json.dumps(held).encode() + b"\n"
    data = head + np.stack([mine[p] for p in held]).tobytes() if held else head
    rows: dict[int, Any] = {}
    for part in cluster.gather(data):
        text, _, raw = part.partition(b"\n")
        of_host = json.loads(text)
        if of_host:
            values = np.frombuffer(raw, np.float32).reshape(len(of_host), -1)
            rows.update(zip(of_host, values, strict=True))
    return np.stack([rows[place] for place in places])
