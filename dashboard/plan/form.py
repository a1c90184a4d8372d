"""What a person asks the Plan page: an experiment file, and what is changed in it. All in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import sources, terms
from dashboard.parts import problem
from experiments.errors import PedigreeError
from experiments.prices import PriceBook
from experiments.records import Basis
from experiments.sketch import BACKBONES, LAUNCHERS, Sketch, changed, photos_on_record
from experiments.spec import ExperimentSpec, RunSpec, load_spec, parse_spec

OWN = "own settings"
_CLOUDS = {"local": Basis.SIMULATED, "aws": Basis.BILLED}
_PHOTOS = 1000
_CHANGED = ("backbone", "photos", "epochs", "place", "type", "hosts", "spot")
_STARTING_POINT = """
experiment: own-settings
app: own
data: ../photos
weights: torchvision:resnet50
train: {backbone: resnet50, epochs: 40}
runs: [{name: first, on: sagemaker, instance_type: ml.m5.xlarge}]
"""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The question: the file it starts from (None for own settings), the run, and whose runs predict."""

    path: Path | None
    original: ExperimentSpec
    sketch: Sketch
    cloud: str

    @property
    def basis(self) -> Basis:
        return _CLOUDS[self.cloud]

    @property
    def as_in_file(self) -> bool:
        """Whether the file says exactly this."""
        return self.path is not None and self.sketch.spec == self.original


def spec_files(home: Path) -> Mapping[str, Path]:
    """The experiment files of this folder and those that come with the program, by name."""
    folders = (Path(__file__).parents[2] / "specs", home / "specs", home)
    return {
        path.name: path
        for folder in folders
        for path in sorted(folder.glob("*.yaml"))
        if path.is_file() and (folder.name == "specs" or "runs:" in _head(path))
    }


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return lines.read(64 * 1024)


def ask(book: PriceBook) -> Asked | None:
    """The form. None after a card that says what is wrong with the file or the settings."""
    try:
        return _ask(book)
    except PedigreeError as error:
        problem(error.message, error.fix)
        return None


def _ask(book: PriceBook) -> Asked:
    files = spec_files(sources.home())
    with st.container(horizontal=True, key="plan_file"):
        name = st.selectbox(
            "Experiment file", [*files, OWN], key="spec", bind="query-params", width=240,
            on_change=_forget_changes,
        )  # fmt: skip
        path = files.get(name)
        original = load_spec(path) if path else parse_spec(_STARTING_POINT)
        names = [run.name for run in original.runs]
        run_name = st.selectbox(
            "Run", names, key="of_run", bind="query-params", width=200, on_change=_forget_changes
        )
        cloud = st.segmented_control(
            "Predict for", list(_CLOUDS), default="local", required=True, key="cloud",
            bind="query-params", help=terms.PREDICT_FOR,
        )  # fmt: skip
    run = next((run for run in original.runs if run.name == run_name), original.runs[0])
    seen = [run for basis in _CLOUDS.values() for run in sources.history(basis)]
    photos = photos_on_record(original.experiment, seen) or _PHOTOS
    spec, count = _changes(original, run, book, photos)
    moved = next(other for other in spec.runs if other.name == run.name)
    sketch = Sketch(spec=spec, run=moved, photos=count)
    return Asked(path=path, original=original, sketch=sketch, cloud=cloud)


def _forget_changes() -> None:
    """Another file or run brings its own settings."""
    for name in _CHANGED:
        st.session_state.pop(name, None)
        st.query_params.pop(name, None)


def _changes(
    original: ExperimentSpec, run: RunSpec, book: PriceBook, photos: int
) -> tuple[ExperimentSpec, int]:
    """The second row: what differs from the file. The experiment as changed, and the photos."""
    settings = original.settings_for(run)
    grid = st.grid(4, min_column_width=150)
    backbone = grid.selectbox(
        "Backbone", BACKBONES, BACKBONES.index(str(settings.get("backbone", "resnet50"))),
        key="backbone", bind="query-params",
    )  # fmt: skip
    count = grid.number_input(
        "Photos", 1, 10_000_000, photos, key="photos", bind="query-params",
        help="As many as the newest run on record had, until you say otherwise.",
    )  # fmt: skip
    epochs = grid.number_input(
        "Epochs", 1, 100_000, int(settings.get("epochs", 40)), key="epochs", bind="query-params"
    )
    on = grid.selectbox(
        "Launcher", LAUNCHERS, LAUNCHERS.index(run.on), key="place",
        bind="query-params", help=terms.LAUNCHER,
    )  # fmt: skip
    kind = _instance_type(grid, run, on, book, original.region)
    hosts = grid.number_input(
        "Hosts", 1, 20, run.instance_count if on == run.on else 1, key="hosts",
        bind="query-params", disabled=on == "ec2", help="EC2 runs have one host.",
    )  # fmt: skip
    spot = grid.toggle("Spot", run.spot, key="spot", bind="query-params", help=terms.SPOT)
    spec = changed(
        original, run.name, on=on, instance_type=kind,
        instance_count=1 if on == "ec2" else int(hosts), spot=spot, backbone=backbone,
        epochs=int(epochs), book=book,
    )  # fmt: skip
    return spec, int(count)


def _instance_type(
    grid: DeltaGenerator, run: RunSpec, on: str, book: PriceBook, region: str
) -> str:
    """One of the types that have a price for this launcher in the region."""
    use = ("sagemaker", "training") if on == "sagemaker" else ("ec2", "instance")
    kinds = list(book.instance_types(*use, region))
    own = run.instance_type if on == run.on else _twin(run.instance_type)
    if own not in kinds:
        kinds = [own, *kinds] if on == run.on else kinds
    start = kinds.index(own) if own in kinds else 0
    return str(grid.selectbox("Instance type", kinds, start, key="type", bind="query-params"))


def _twin(instance_type: str) -> str:
    """The same machine at the other launcher."""
    plain = instance_type.removeprefix("ml.")
    return plain if plain != instance_type else f"ml.{instance_type}"
