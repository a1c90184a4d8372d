"""Class weights against values worked out by hand."""

import numpy as np

from training.fit.balance import class_weights


def test_weights_undo_imbalance_and_leave_the_mean_loss_as_it_was() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 3, 3])
    found = class_weights(labels, 4, balanced=True).numpy()
    np.testing.assert_allclose(found, [12 / 18, 12 / 6, 0, 12 / 12])
    assert found[labels].mean() == np.float32(1)
    assert class_weights(labels, 4, balanced=False).tolist() == [1, 1, 1, 1]
