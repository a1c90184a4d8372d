"""The moving average of the weights."""

import torch

from training.fit.average import Average


def test_it_follows_the_weights_and_gives_them_back() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average = Average(module, 0.5)
    module.weight.data.fill_(1.0)
    average.update()  # decay 1 / 10
    assert average.weights["weight"].item() == torch.tensor(0.9).item()
    for _ in range(2):
        average.update()
    with average.applied():
        assert 0.99 < module.weight.item() <= 0.999
    assert module.weight.item() == 1.0


def test_without_a_decay_it_keeps_nothing() -> None:
    module = torch.nn.Linear(1, 1)
    average = Average(module, 0.0)
    average.update()
    assert average.weights == {} and average.updates == 0
    with average.applied():
        assert module.weight is not None
