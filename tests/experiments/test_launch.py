from __future__ import annotations

import json
import re
import subprocess
from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.contract import faults
from experiments.errors import PriceError, SpecError
from experiments.launching.host_script import user_data
from experiments.launching.plan import check_settings, check_spec, plan_experiment, plan_launch
from experiments.launching.sagemaker import training_image
from experiments.records import Artifact
from experiments.source import pack_files
from tests.experiments.build import (
    DIGEST,
    NOW,
    artifact,
    book,
    dataset,
    foundation,
    ingredients,
    plan,
    price,
    record,
    run_spec,
    spec,
)
from training.config import TrainConfig, parse


def script(**changes: Any) -> str:
    given: dict[str, Any] = {
        "run": run_spec(on="ec2", instance_type="c5.xlarge", name="plain"),
        "region": "us-east-1",
        "output_uri": "s3://bucket/runs/dogs-plain-1/output/",
        "dataset": dataset(),
        "source": artifact("code/source.tar.gz"),
        "weights": artifact("weights/lite0.pth"),
        "wheels": None,
        "arguments": ["--epochs=3"],
        **changes,
    }
    return user_data(**given)


def test_a_plan_is_a_function_of_its_arguments() -> None:
    experiment, made_of = spec(), ingredients()
    before = deepcopy((experiment, made_of))
    ids = ["a1", "b2", "c3"]
    first = plan_experiment(experiment, run_ids=ids, made_of=made_of, now=NOW)
    again = plan_experiment(experiment, run_ids=ids, made_of=made_of, now=NOW)
    assert first == again
    assert (experiment, made_of) == before
    assert [found.run_name for found in first] == ["one", "two", "plain"]
    assert json.dumps([c.params for p in first for c in p.calls]) == json.dumps(
        [c.params for p in again for c in p.calls]
    )


def test_a_sagemaker_job_has_three_channels_and_an_end() -> None:
    found = plan("two", "0badcafe")
    (call,) = found.calls
    params = call.params
    assert (call.service, call.operation) == ("sagemaker", "create_training_job")
    assert params["TrainingJobName"] == "dogs-two-0badcafe"
    assert params["ResourceConfig"]["InstanceCount"] == 2
    assert params["StoppingCondition"] == {"MaxRuntimeInSeconds": 1800}
    assert [c["ChannelName"] for c in params["InputDataConfig"]] == ["training", "code", "weights"]
    assert params["RoleArn"].endswith(":role/pedigree-training")
    assert params["HyperParameters"]["epochs"] == "3"
    assert params["HyperParameters"]["dataset_digest"] == DIGEST
    assert all(isinstance(value, str) for value in params["HyperParameters"].values())
    assert found.output_uri == (
        f"{params['OutputDataConfig']['S3OutputPath']}/{params['TrainingJobName']}/output/"
    )


def test_of_the_photos_each_of_several_hosts_gets_its_share_and_of_the_rest_everything() -> None:
    def shares(name: str) -> dict[str, str]:
        (call,) = plan(name, "0badcafe").calls
        return {
            channel["ChannelName"]: channel["DataSource"]["S3DataSource"]["S3DataDistributionType"]
            for channel in call.params["InputDataConfig"]
        }

    whole = dict.fromkeys(("training", "code", "weights"), "FullyReplicated")
    assert shares("two") == {**whole, "training": "ShardedByS3Key"}
    assert shares("one") == whole


def test_an_instance_ends_itself_and_is_closed() -> None:
    (call,) = plan("plain", "0badcafe").calls
    params = call.params
    assert params["ClientToken"] == "dogs-plain-0badcafe"
    assert params["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert params["MetadataOptions"]["HttpTokens"] == "required"
    (disk,) = params["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert disk["Ebs"]["DeleteOnTermination"] is True
    assert "KeyName" not in params
    assert params["SecurityGroups"] == ["pedigree-closed"]
    assert len(params["UserData"].encode()) < 16_384
    # The first thing of all, and kept by the system itself.
    assert params["UserData"].partition("set -uo pipefail\n")[2].startswith("shutdown -h +32\n")


def test_all_launchers_are_told_the_same_settings() -> None:
    (job,), (instance,) = plan("one", "r1").calls, plan("plain", "r1").calls
    arguments = [f"--{k.replace('_', '-')}={v}" for k, v in job.params["HyperParameters"].items()]
    script_text = str(instance.params["UserData"])
    assert all(argument in script_text for argument in arguments)
    assert isinstance(parse(arguments, {}, Path("/nowhere")), TrainConfig)


def test_tags_say_whose_and_until_when() -> None:
    found = plan("plain", owner="Ada Lovelace <ada>; \N{DOG FACE}")
    assert found.tags["pedigree:expires"] == "2027-01-30"
    assert found.tags["pedigree:owner"] == "Ada Lovelace _ada__ _"
    for key, value in found.tags.items():
        assert re.fullmatch(r"[\w.:/=+@ -]{1,128}", key)
        assert re.fullmatch(r"[\w.:/=+@ -]{0,256}", value)
        assert not key.startswith("aws:")
    sent = found.calls[0].params["TagSpecifications"]
    assert [part["ResourceType"] for part in sent] == ["instance", "volume"]
    for part in sent:
        assert {"Key": "Name", "Value": "dogs-plain-00000001"} in part["Tags"]


def test_the_longest_names_fit_aws() -> None:
    long = "x" * 24
    experiment = spec(
        experiment=long,
        runs=[{"name": long, "on": "ec2", "instance_type": "c5.xlarge"}],
    )
    (found,) = plan_experiment(experiment, run_ids=["0badcafe"], made_of=ingredients(), now=NOW)
    assert faults(found.calls[0]) == []
    assert len(found.calls[0].params["ClientToken"]) <= 63


def test_a_setting_that_cannot_be_is_refused_by_run() -> None:
    experiment = spec(train={"crop": 300, "resize": 200})
    with pytest.raises(SpecError) as caught:
        check_settings(experiment, experiment.runs[0])
    assert caught.value.message.startswith("run 'one': crop is 300")
    assert "set resize to 300 or more" in caught.value.fix


def test_lineage_that_is_no_digest_is_refused_as_the_person_s_error() -> None:
    odd = ingredients(weights=Artifact(uri="s3://b/w.pth", digest="sha256:zz"))
    with pytest.raises(SpecError, match="weights_digest"):
        plan_launch(spec(), spec().runs[0], run_id="r1", made_of=odd, now=NOW)


def test_a_type_without_a_price_is_refused_before_anything_else() -> None:
    with pytest.raises(PriceError, match=r"ml\.m5\.large"):
        check_spec(spec(), book(price("sagemaker", "training", "ml.m5.xlarge", "0.23")))
    check_spec(spec(), book())


def test_the_reasons_name_the_price_and_its_date() -> None:
    found = plan("two")
    first = found.reasons[0]
    assert first.startswith("2 x ml.m5.large in us-east-1 at $0.1150 an hour")
    assert "2026-11-01" in first
    assert found.estimate.high_usd > 0


def test_history_narrows_the_estimate() -> None:
    found = plan(history=(record(billable_s=100.0),))
    assert found.estimate.expected_usd is not None
    assert found.estimate.expected_usd < found.estimate.high_usd


def test_a_small_disk_is_warned_of() -> None:
    assert not any("volume" in text for text in plan().warnings)
    *_, warning = plan(dataset=dataset(size_bytes=11 * 1024**3)).warnings
    assert warning.startswith("volume_gb 30 is under three times")


def image_table() -> dict[str, Any]:
    """AWS's own table of training images, as the SageMaker SDK ships it."""
    found_at = find_spec("sagemaker")
    assert found_at is not None
    assert found_at.submodule_search_locations
    root = Path(found_at.submodule_search_locations[0])
    text = (root / "core" / "image_uri_config" / "pytorch-amzn2023.json").read_text()
    table: dict[str, Any] = json.loads(text)
    found: dict[str, Any] = table.get("training", table)["versions"]["2.14"]
    return found


@pytest.mark.parametrize(
    ("kind", "flavour"),
    [("ml.m5.xlarge", "cpu"), ("ml.g4dn.xlarge", "gpu"), ("ml.p3.2xlarge", "gpu")],
)
@pytest.mark.parametrize("region", ["us-east-1", "us-west-2", "eu-west-1", "ap-south-1"])
def test_the_training_image_is_the_one_aws_lists(kind: str, flavour: str, region: str) -> None:
    table = image_table()
    tag = f"{table['tag_prefix']}-{table['container_version'][flavour]}"
    host = f"{table['registries'][region]}.dkr.ecr.{region}.amazonaws.com"
    assert training_image(kind, region) == f"{host}/{table['repository']}:{tag}"


AWKWARD = [
    "plain.pth",
    "two words.pth",
    "it's.pth",
    'a "quoted" name.pth',
    "$(touch pwned).pth",
    "`touch pwned`.pth",
    "a;touch pwned;.pth",
    "ünïcöde & {braces} %s.pth",
    "-rf.pth",
]


def accepted_by_bash(text: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=text.encode(), capture_output=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", AWKWARD)
def test_bash_accepts_the_script(name: str) -> None:
    accepted_by_bash(script(weights=artifact(f"weights/{name}"), arguments=[f"--x={name}"]))


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=30))
def test_bash_accepts_the_script_for_any_name(name: str) -> None:
    accepted_by_bash(script(weights=artifact(f"weights/{name}"), arguments=[f"--x={name}"]))


# `aws s3 cp` between a folder that stands for S3 and the instance's disk; options are skipped.
_AWS = """\
#!/bin/bash
what="$2"
shift 2
paths=()
for word in "$@"; do
  case "$word" in --only-show-errors) ;; --recursive) ;; *) paths+=("${word/#s3:\\/\\//$S3_FOLDER/}") ;; esac
done
if [ "$what" = sync ] && [ ! -e "${paths[0]}" ]; then exit 0; fi
mkdir -p -- "$(dirname -- "${paths[1]}")"
if [ -d "${paths[0]}" ]; then cp -r -- "${paths[0]}/." "${paths[1]}"
else cp -- "${paths[0]}" "${paths[1]}"; fi
"""
_START = """\
printf '%s\\n' "$@" > "$S3_FOLDER/arguments"
while [ $# -gt 0 ]; do case "$1" in
  --weights) cat -- "$2" > "$S3_FOLDER/weights-read"; shift 2 ;;
  --output-dir) echo '{}' > "$2/events.jsonl"; shift 2 ;;
  *) shift ;;
esac; done
exit $EXIT_CODE
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def run_script(tmp_path: Path, text: str, weights: str, exit_code: int) -> Path:
    """Run an instance's script with commands that act on a folder; the folder that stands for S3."""
    bucket, tools = tmp_path / "s3" / "bucket", tmp_path / "tools"
    for folder in (bucket / "code", bucket / "weights", bucket / "data", tools):
        folder.mkdir(parents=True)
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "start.sh").write_text(_START)
    packed = pack_files(tmp_path, [tmp_path / "training" / "start.sh"])
    (bucket / "code" / "source.tar.gz").write_bytes(packed)
    (bucket / "weights" / weights).write_text("the weights")
    (bucket / "data" / "photo.jpg").write_text("a photo")
    executable(tools / "aws", _AWS)
    executable(tools / "shutdown", '#!/bin/bash\necho "$@" >> "$S3_FOLDER/shutdown"\n')
    # The watchdog strikes at once and once; the loop that mirrors events ends at once.
    executable(tools / "sleep", "#!/bin/bash\nexit 1\n")
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "S3_FOLDER": str(tmp_path / "s3"),
        "TMPDIR": str(tmp_path),
        "EXIT_CODE": str(exit_code),
    }
    (tmp_path / "script").write_text(text)
    subprocess.run(
        ["bash", "script"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return tmp_path / "s3"


def awkward_script(weights: str) -> str:
    return script(
        source=Artifact(uri="s3://bucket/code/source.tar.gz", digest=DIGEST),
        weights=Artifact(uri=f"s3://bucket/weights/{weights}", digest=DIGEST),
        dataset=dataset(uri="s3://bucket/data/"),
        output_uri="s3://bucket/runs/dogs-plain-1/output/",
        arguments=["--epochs=3", f"--note={weights}"],
    )


@pytest.mark.parametrize("weights", AWKWARD)
def test_the_script_passes_any_name_on_untouched(tmp_path: Path, weights: str) -> None:
    s3 = run_script(tmp_path, awkward_script(weights), weights, 0)
    arguments = (s3 / "arguments").read_text().splitlines()
    assert (s3 / "weights-read").read_text() == "the weights"
    assert arguments[-2:] == ["--epochs=3", f"--note={weights}"]
    assert not list(tmp_path.rglob("pwned"))
    output = s3 / "bucket" / "runs" / "dogs-plain-1" / "output"
    assert {"end.json", "model.tar.gz", "output.tar.gz"} <= {p.name for p in output.iterdir()}
    assert json.loads((output / "end.json").read_text())["exit_code"] == 0
    assert (s3 / "shutdown").read_text() == "-h +62\n-h now\n"


def test_a_failed_training_leaves_a_note_and_no_model(tmp_path: Path) -> None:
    s3 = run_script(tmp_path, awkward_script("w.pth"), "w.pth", 7)
    output = s3 / "bucket" / "runs" / "dogs-plain-1" / "output"
    assert json.loads((output / "end.json").read_text())["exit_code"] == 7
    assert not (output / "model.tar.gz").exists()
    assert (output / "output.tar.gz").exists()
    assert (s3 / "shutdown").read_text() == "-h +62\n-h now\n"


def test_the_plan_s_region_is_the_foundation_s() -> None:
    home = foundation(region="eu-west-1")
    eu_book = book(
        replace(price("sagemaker", "training", "ml.m5.xlarge", "0.257"), region="eu-west-1")
    )
    experiment = spec(region="eu-west-1", runs=[run_spec().model_dump()])
    made_of = ingredients(foundation=home, book=eu_book)
    found = plan_launch(experiment, experiment.runs[0], run_id="r", made_of=made_of, now=NOW)
    image = found.calls[0].params["AlgorithmSpecification"]["TrainingImage"]
    assert ".ecr.eu-west-1." in image


def launched(**changes: Any) -> dict[str, Any]:
    """The request of one run that differs from the plainest."""
    made_of = ingredients(wheels=changes.pop("wheels", None))
    experiment = spec(runs=[run_spec(**changes).model_dump()])
    found = plan_launch(experiment, experiment.runs[0], run_id="r", made_of=made_of, now=NOW)
    assert [faults(call) for call in found.calls] == [[]]
    return dict(found.calls[0].params)


PLAIN = {"on": "ec2", "instance_type": "c5.xlarge"}


def test_managed_spot_waits_no_longer_than_said_and_keeps_checkpoints() -> None:
    params = launched(spot=True, max_runtime_s=600)
    assert params["EnableManagedSpotTraining"] is True
    assert params["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 600,
        "MaxWaitTimeInSeconds": 1200,
    }
    place = params["CheckpointConfig"]
    assert place["S3Uri"].endswith(f"/runs/{params['TrainingJobName']}/checkpoints/")
    assert launched(spot=True, max_wait_s=4000)["StoppingCondition"]["MaxWaitTimeInSeconds"] == 4000


def test_a_warm_pool_and_a_shell_are_there_only_if_asked_for() -> None:
    plain = launched()
    assert plain["ResourceConfig"].keys() == {"InstanceType", "InstanceCount", "VolumeSizeInGB"}
    assert not {"RemoteDebugConfig", "EnableManagedSpotTraining"} & plain.keys()
    asked = launched(**{"warm_pool_s": 900, "shell": True})
    assert asked["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 900
    assert asked["RemoteDebugConfig"] == {"EnableRemoteDebug": True}


def test_a_spot_instance_ends_for_good_and_its_request_is_tagged_too() -> None:
    params = launched(**PLAIN, spot=True)
    assert params["InstanceMarketOptions"]["SpotOptions"] == {
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
    }
    kinds = [part["ResourceType"] for part in params["TagSpecifications"]]
    assert kinds == ["instance", "volume", "spot-instances-request"]
    assert "spot/instance-action" in params["UserData"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"spot": True, "checkpoints": False}, "loses all work"),
        ({**PLAIN, "spot": True, "checkpoints": False}, "loses all work"),
        ({"max_wait_s": 7200}, "add spot: true"),
        ({"spot": True, "max_wait_s": 60}, "at least max_runtime_s"),
        ({"spot": True, "warm_pool_s": 60}, "neither spot nor ec2"),
        ({**PLAIN, "warm_pool_s": 60}, "neither spot nor ec2"),
        ({"warm_pool_s": 3601}, "less than or equal to 3600"),
    ],
)
def test_options_that_cannot_be_together_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        run_spec(**changes)


def test_wheels_are_a_channel_on_one_and_a_folder_on_the_other() -> None:
    wheels = Artifact(uri="s3://bucket/wheels/abab/", digest=DIGEST)
    channels = launched(wheels=wheels)["InputDataConfig"]
    assert channels[-1]["ChannelName"] == "wheels"
    script_text = launched(**PLAIN, wheels=wheels)["UserData"]
    assert "s3 cp --recursive s3://bucket/wheels/abab/ wheels" in script_text
    assert "if [ -n '' ]" in launched(**PLAIN)["UserData"]


def test_both_launchers_run_the_same_tarball() -> None:
    (job,), (instance,) = plan("one", "r1").calls, plan("plain", "r1").calls
    (code,) = [c for c in job.params["InputDataConfig"] if c["ChannelName"] == "code"]
    uri = code["DataSource"]["S3DataSource"]["S3Uri"]
    assert f"s3 cp {uri} source.tar.gz" in instance.params["UserData"]
    assert plan("one").params["code/digest"] == plan("plain").params["code/digest"] == DIGEST
