"""ResNet50 in torch fp32 and the transform, for every peer alike.

`PEER_WEIGHTS` names the state dict, `PEER_CLASSES` how many classes its head has.
"""

import base64
import io
import os

import torch
from PIL import Image
from torchvision import models, transforms

TRANSFORM = transforms.Compose(
    [
        transforms.Resize(224),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def load() -> torch.nn.Module:
    """The network, ready to infer."""
    net = models.resnet50(weights=None, num_classes=int(os.environ["PEER_CLASSES"]))
    net.load_state_dict(torch.load(os.environ["PEER_WEIGHTS"], weights_only=True))
    return net.eval()


def pixels(photo: bytes) -> torch.Tensor:
    """[3, 224, 224] of a photo's bytes."""
    return TRANSFORM(Image.open(io.BytesIO(photo)).convert("RGB"))


def from_base64(text: str) -> torch.Tensor:
    """[3, 224, 224] of a photo in base64."""
    return pixels(base64.b64decode(text))


def probabilities(net: torch.nn.Module, batch: list[torch.Tensor]) -> list[list[float]]:
    """The classes' probabilities of each photo."""
    with torch.inference_mode():
        return torch.softmax(net(torch.stack(batch)), dim=1).tolist()
