from __future__ import annotations

from pathlib import Path

import pytest

from cli import up
from cli.local_cloud import address, port_wanted, require_up
from cli.workspace import Workspace
from experiments.errors import CloudError


def test_a_workspace_is_where_one_stands_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PEDIGREE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Workspace.here().root == tmp_path
    monkeypatch.setenv("PEDIGREE_HOME", str(tmp_path / "else"))
    assert Workspace.here().state == tmp_path / "else" / ".pedigree"


def test_aws_sent_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    with pytest.raises(CloudError) as caught:
        Workspace(root=tmp_path).open_cloud("aws")
    assert "http://127.0.0.1:4599, which is not AWS" in caught.value.message
    assert "--cloud local" in caught.value.fix


def test_a_local_cloud_that_is_down_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as caught:
        Workspace(root=tmp_path).open_cloud("local")
    assert "`pedigree cloud up`" in caught.value.fix


@pytest.mark.parametrize(
    "written",
    ["", "{", '{"url": "http://127.0.0.1:1"}', '{"url": "http://example.org"}', '{"pid": 1}'],
)
def test_an_address_that_nobody_answers_is_none(tmp_path: Path, written: str) -> None:
    (tmp_path / "address.json").write_text(written)
    assert address(tmp_path) is None
    with pytest.raises(CloudError):
        require_up(tmp_path)


@pytest.mark.parametrize(
    ("text", "port"), [("4599", 4599), ("1024", 1024), ("80", None), ("x", None), ("70000", None)]
)
def test_a_port_is_checked(monkeypatch: pytest.MonkeyPatch, text: str, port: int | None) -> None:
    monkeypatch.setenv("PEDIGREE_PORT", text)
    if port is None:
        with pytest.raises(CloudError, match="PEDIGREE_PORT"):
            port_wanted()
    else:
        assert port_wanted() == port


@pytest.mark.parametrize(
    ("uri", "served", "pages"),
    [
        ("", ["MLflow UI", "dashboard"], "http://127.0.0.1:45991"),
        ("postgresql://u@h/mlflow", ["MLflow UI", "dashboard"], "http://127.0.0.1:45991"),
        ("https://mlflow.example", ["dashboard"], "https://mlflow.example"),
        ("arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/x", ["dashboard"], ""),
    ],
)
def test_a_tracker_that_is_a_server_needs_no_second_one(
    uri: str, served: list[str], pages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PEDIGREE_MLFLOW_PORT", "45991")
    monkeypatch.setenv("PEDIGREE_DASHBOARD_PORT", "45992")
    items = up.planned(Workspace(root=tmp_path))
    assert [item.name for item in items] == served
    assert items[-1].env["PEDIGREE_MLFLOW_URL"] == pages
