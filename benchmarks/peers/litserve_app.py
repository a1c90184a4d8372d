"""LitServe: torch fp32, or the same OpenVINO graph as Pedigree's when PEER_GRAPH names one."""

import os

import litserve as ls
import network
import numpy as np


class Classifier(ls.LitAPI):
    def setup(self, device: str) -> None:
        graph = os.environ.get("PEER_GRAPH")
        if graph:
            import openvino as ov

            compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1})
            self.infer = lambda batch: compiled(np.stack([x.numpy() for x in batch]))[0].tolist()
        else:
            net = network.load()
            self.infer = lambda batch: network.probabilities(net, batch)

    def decode_request(self, request: dict) -> object:
        return network.from_base64(request["image"])

    def batch(self, inputs: list) -> list:
        return inputs

    def unbatch(self, output: list) -> list:
        return output

    def predict(self, batch: list) -> list:
        return self.infer(batch)

    def encode_response(self, output: list) -> dict:
        return {"probabilities": output}


if __name__ == "__main__":
    api = Classifier(max_batch_size=8, batch_timeout=0.01)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=60)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
