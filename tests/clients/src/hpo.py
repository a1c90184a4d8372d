"""Script mode as people write it: argparse, SM_* defaults, a frozen backbone and a new head."""

import argparse
import json
import os

import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms


def net():
    model = models.squeezenet1_1(weights=None)
    for param in model.features.parameters():
        param.requires_grad = False
    model.classifier[1] = nn.Conv2d(512, 2, kernel_size=1)
    return model


def loader(folder, batch_size):
    transform = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
    return DataLoader(datasets.ImageFolder(folder, transform), batch_size=batch_size, shuffle=True)


def main(args):
    print(f"Hyperparameters are LR: {args.lr}, Batch Size: {args.batch_size}")
    model, criterion = net(), nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.classifier.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        for inputs, labels in loader(os.path.join(args.data, "train"), args.batch_size):
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch} train loss: {loss.item():.4f}")
    torch.save(model.cpu().state_dict(), os.path.join(args.model_dir, "model.pth"))
    with open(os.path.join(args.output_dir, "said.json"), "w") as stream:
        json.dump({"host": os.environ.get("SM_CURRENT_HOST"), "loss": loss.item()}, stream)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--output-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    main(parser.parse_args())
