"""The int8 graph of a run: the same photos calibrate it and every host gets the same bytes,
however many hosts there are and whichever of them holds which photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from serving.preprocess import ImageError, Transform, normalise
from training.engines.quantize import (
    CALIBRATION_PHOTOS,
    SEAL,
    Int8Graph,
    graph_files,
    load_graph,
    put_graph,
    quantization_digest,
    quantized,
    save_graph,
)
from training.errors import DataError
from training.features.feature_pass import read_square
from training.features.survey import Survey
from training.files import file_digest
from training.graph import Floats
from training.hosts.cluster import Cluster


def int8_graph(
    graph: Any,
    *,
    survey: Survey,
    transform: Transform,
    weights_digest: str,
    cluster: Cluster,
    cache_root: Path,
) -> Int8Graph:
    """Quantise `graph` on the leading host, once for each lineage, and hand it to all.

    All hosts must call this together. Raises EngineError without NNCF, DataError if no training
    photo can be decoded.
    """
    places = calibration_places(survey)
    lineage = quantization_digest([survey.inspections[place].sha256 for place in places])
    name = hashlib.sha256(f"{weights_digest} {transform.digest()} {lineage}".encode()).hexdigest()
    folder = cache_root / f"int8-{name[:24]}"
    if any(answer == b"0" for answer in cluster.gather(b"1" if load_graph(folder) else b"0")):
        pictures = _pictures(survey, places, transform, cluster)
        if cluster.leads:
            save_graph(quantized(graph, pictures), folder)
        sent = graph_files(folder) if cluster.leads else [b""] * 2
        received = [cluster.gather(data)[0] for data in sent]
        if not cluster.leads:
            put_graph(folder, received)
    found = load_graph(folder)
    if found is None:
        raise OSError(f"the int8 graph in {folder} cannot be read back after writing")
    return Int8Graph(graph=found, lineage=f"{lineage} {file_digest(folder / SEAL)}")


def calibration_places(survey: Survey) -> tuple[int, ...]:
    """Training photos chosen by their digests, so that neither order nor hosts matter."""
    train = [
        (seen.sha256, place)
        for place, (photo, seen) in enumerate(
            zip(survey.listing.photos, survey.inspections, strict=True)
        )
        if photo.split == "train" and not seen.fault
    ]
    return tuple(place for _, place in sorted(train)[:CALIBRATION_PHOTOS])


def _pictures(
    survey: Survey, places: Sequence[int], transform: Transform, cluster: Cluster
) -> list[Floats]:
    """The calibration photos on every host; each decodes those that it reads."""
    reader = {place: chunk.owner for chunk in survey.chunks for place in chunk.places}
    side = transform.crop
    mine = b"".join(
        _square_bytes(survey, place, transform) for place in places if reader[place] == cluster.rank
    )
    size = 3 * side * side
    squares = [
        Image.frombytes("RGB", (side, side), part[at : at + size])
        for part in cluster.gather(mine)
        for at in range(0, len(part), size)
    ]
    if not squares:
        raise DataError("no training photo can be decoded", fix="replace the photos")
    pictures = [normalise(square, transform) for square in squares]
    return sorted(pictures, key=lambda picture: hashlib.sha256(picture.tobytes()).digest())


def _square_bytes(survey: Survey, place: int, transform: Transform) -> bytes:
    """A photo's square as raw RGB; nothing for one that decoding cannot read."""
    try:
        return read_square(survey, place, transform).tobytes()
    except ImageError:
        return b""
