"""The script that a plain EC2 instance starts with: fetch, train, keep what was done, end the instance."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from experiments.records import Artifact, Dataset
from experiments.spec import RunSpec

GRACE_S = 120
"""What an instance may take beyond its maximum run time: to fetch, to checkpoint, to upload."""

_SCRIPT = """\
#!/bin/bash
# The run ends the instance: when it is done, when it fails, when it is asked to stop, when AWS takes the
# spot host back, and at its maximum run time at the latest: the shutdown that the system itself was told
# to make needs neither this script nor the training to be alive.
set -uo pipefail
shutdown -h +{limit_min}
export PATH="/opt/pytorch/bin:$PATH" AWS_DEFAULT_REGION={region}
work=$(mktemp -d)
cd "$work" && mkdir code data weights wheels model output checkpoints
export PEDIGREE_WHEELS="$work/wheels"
output={output}
checkpoints={checkpoints}
metadata() {{
  local at="${{AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254/}}" token
  token=$(curl -sf -m 2 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" "${{at%/}}/latest/api/token") &&
    curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" "${{at%/}}/latest/meta-data/$1"
}}
s3() {{
  # --quiet would hide why an upload failed, and then the console is all that can tell.
  aws s3 "$@" --only-show-errors
}}
keep() {{
  if [ -s output/console.log ]; then s3 cp output/console.log "$output/console.log"; fi
  if [ -z "$checkpoints" ] || [ -z "$(ls checkpoints)" ]; then return; fi
  s3 sync checkpoints "$checkpoints"
}}
told_to_end() {{
  if metadata spot/instance-action > notice.json; then echo interrupted
  elif metadata tags/instance/pedigree:stop > stop; then echo stopped
  else return 1; fi > why.part && mv why.part why
}}
watch() {{
  local turn=0
  while sleep 5; do
    if told_to_end; then kill -TERM "$1"; return; fi
    turn=$((turn + 1))
    if [ $((turn % 2)) -eq 0 ]; then keep; fi
  done
}}
limited() {{
  if command -v timeout > /dev/null; then exec timeout --kill-after=60 {max_runtime_s} "$@"; fi
  exec "$@"
}}
fetch() {{
  s3 cp {source} source.tar.gz && tar -xzf source.tar.gz -C code || return 1
  s3 cp --recursive {data} data && s3 cp {weights} weights/{weights_name} || return 1
  if [ -n {wheels} ]; then s3 cp --recursive {wheels} wheels || return 1; fi
  if [ -n "$checkpoints" ]; then s3 sync "$checkpoints" checkpoints || return 1; fi
}}
started=$(date +%s)
fetch > output/console.log 2>&1
status=$?
fetched=$(date +%s)
if [ "$status" -eq 0 ]; then
  ( limited bash code/training/start.sh --data "$work/data" --weights "$work"/weights/{weights_name} \\
    --model-dir "$work/model" --output-dir "$work/output" {arguments} ) >> output/console.log 2>&1 &
  training=$!
  watch "$training" &
  watching=$!
  wait "$training"
  status=$?
  kill "$watching" 2> /dev/null
fi
why=done
if [ -s why ]; then why=$(cat why); elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then why=limit; fi
if [ "$status" -eq 0 ]; then why=done; fi
tail -c 65536 output/console.log
if [ "$status" -eq 0 ]; then
  tar -czf model.tar.gz -C model . && s3 cp model.tar.gz "$output/model.tar.gz" || status=1
fi
if [ "$why" != done ]; then keep; fi
tar -czf output.tar.gz -C output . && s3 cp output.tar.gz "$output/output.tar.gz"
printf '{{"exit_code": %d, "why": "%s", "started_at": %d, "fetched_at": %d, "ended_at": %d}}' \\
  "$status" "$why" "$started" "$fetched" "$(date +%s)" > end.json
s3 cp end.json "$output/end.json"
shutdown -h now
"""


def user_data(
    *,
    run: RunSpec,
    region: str,
    output_uri: str,
    dataset: Dataset,
    source: Artifact,
    weights: Artifact,
    wheels: Artifact | None,
    arguments: Sequence[str],
) -> str:
    """The script an instance starts with. Every value is quoted for the shell."""
    run_uri = output_uri.rstrip("/").removesuffix("/output")
    own = ['--checkpoints "$work/checkpoints"'] if run.checkpoints else []
    return _SCRIPT.format(
        region=shlex.quote(region),
        output=shlex.quote(output_uri.rstrip("/")),
        checkpoints=shlex.quote(f"{run_uri}/checkpoints" if run.checkpoints else ""),
        limit_min=(run.max_runtime_s + GRACE_S) // 60,
        max_runtime_s=run.max_runtime_s,
        source=shlex.quote(source.uri),
        data=shlex.quote(dataset.uri),
        weights=shlex.quote(weights.uri),
        weights_name=shlex.quote(weights.uri.rsplit("/", 1)[-1]),
        wheels=shlex.quote(wheels.uri if wheels is not None else ""),
        arguments=" ".join([*own, shlex.join(arguments)]),
    )
