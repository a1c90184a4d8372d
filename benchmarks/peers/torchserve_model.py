"""TorchServe: `python torchserve_model.py FILE` traces the network for its image classifier."""

import sys

import network
import torch

if __name__ == "__main__":
    example = torch.rand(1, 3, 224, 224)
    torch.jit.save(torch.jit.trace(network.load(), example), sys.argv[1])
