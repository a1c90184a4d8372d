"""The usual inference script: a new head's state dict, a photo as JPEG or by its URL."""

import io
import json
import os
import urllib.request

import torch
from PIL import Image
from torch import nn
from torchvision import models, transforms


def model_fn(model_dir):
    model = models.squeezenet1_1(weights=None)
    model.classifier[1] = nn.Conv2d(512, 2, kernel_size=1)
    with open(os.path.join(model_dir, "model.pth"), "rb") as f:
        model.load_state_dict(torch.load(f, map_location="cpu"))
    return model.eval()


def input_fn(request_body, content_type="image/jpeg"):
    if content_type == "image/jpeg":
        return Image.open(io.BytesIO(request_body))
    if content_type == "application/json":
        with urllib.request.urlopen(json.loads(request_body)["url"]) as content:
            return Image.open(io.BytesIO(content.read()))
    raise Exception(f"Requested unsupported ContentType in content_type: {content_type}")


def predict_fn(input_object, model):
    transform = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
    with torch.no_grad():
        return model(transform(input_object).unsqueeze(0))
