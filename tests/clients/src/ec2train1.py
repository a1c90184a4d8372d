"""Training on an instance as it is often written: everything hard-coded, no arguments."""

import torch
from torch import nn, optim
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

batch_size = 8
learning_rate = 1e-4

model = models.squeezenet1_1(weights=None)
for param in model.features.parameters():
    param.requires_grad = False
model.classifier[1] = nn.Conv2d(512, 2, kernel_size=1)
transform = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
data = datasets.ImageFolder("dogImages/train", transform)
optimizer = optim.Adam(model.classifier.parameters(), lr=learning_rate)
print("Starting Model Training")
for inputs, labels in DataLoader(data, batch_size=batch_size, shuffle=True):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(inputs), labels)
    loss.backward()
    optimizer.step()
torch.save(model.state_dict(), "TrainedModels/model.pth")
print("saved")
