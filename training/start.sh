#!/bin/bash
# Starts the training program on a host, the same on SageMaker and EC2. Give paths in full: this
# changes to the code's folder. What the machine's PyTorch lacks is installed first, by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "$1" >&2
  output="${SAGEMAKER_BASE_DIR:-/opt/ml}/output"
  if [ -d "$output" ]; then echo "$1" > "$output/failure"; fi
  exit 1
}

python3 -c 'from importlib.util import find_spec; raise SystemExit(find_spec("torch") is None)' ||
  fail "$(command -v python3) has no PyTorch; fix: start in AWS's PyTorch image, or with an environment that has it"

lacking=$(python3 - <<'PYTHON'
from importlib.util import find_spec
print(*(name for name in ("openvino", "safetensors", "timm", "optuna", "colorlog", "tqdm", "nncf") if find_spec(name) is None))
PYTHON
)

if [ -n "$lacking" ]; then
  wheels="${PEDIGREE_WHEELS:-${SAGEMAKER_BASE_DIR:-/opt/ml}/input/data/wheels}"
  from=()
  if [ -n "$(ls "$wheels" 2> /dev/null)" ]; then from=(--no-index --find-links "$wheels"); fi
  echo "installing $lacking" >&2
  python3 -m pip install --quiet --no-deps --require-hashes ${from[@]+"${from[@]}"} \
    -r training/requirements-instance.txt >&2 ||
    fail "cannot install $lacking; fix: give the host a way to a package index, or an image that has them"
fi

exec python3 -m training "$@"
