"""MLflow's scoring server: a pyfunc model around torch fp32. `python mlflow_model.py FOLDER` saves it."""

import sys
from pathlib import Path

import mlflow
import network


class Classifier(mlflow.pyfunc.PythonModel):
    def load_context(self, context: object) -> None:
        self.net = network.load()

    def predict(self, context: object, model_input: list[str]) -> list[list[float]]:
        return network.probabilities(self.net, [network.from_base64(text) for text in model_input])


if __name__ == "__main__":
    mlflow.pyfunc.save_model(
        sys.argv[1],
        python_model=Classifier(),
        code_paths=[str(Path(network.__file__))],
        pip_requirements=[],
    )
