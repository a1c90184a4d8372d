"""BentoML with adaptive batching: torch fp32."""

import bentoml
import network


@bentoml.service(workers=1, traffic={"timeout": 60})
class Classifier:
    def __init__(self) -> None:
        self.net = network.load()

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def classify(self, images: list[str]) -> list[list[float]]:
        return network.probabilities(self.net, [network.from_base64(text) for text in images])
