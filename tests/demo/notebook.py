"""The notebook of the demo: real digits, a classifier trained epoch by epoch, its loss written for TensorBoard."""

from __future__ import annotations

from typing import Any

CELLS = [
    """\
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from tensorboard.summary import Writer

images, labels = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(images / 16, labels, test_size=0.25, random_state=7)
print(f"{len(images)} images of handwritten digits")""",
    """\
log = Writer("runs/digits")
model = MLPClassifier((64,), random_state=7)
for epoch in range(40):
    model.partial_fit(train_x, train_y, classes=np.unique(labels))
    log.add_scalar("loss/train", log_loss(train_y, model.predict_proba(train_x)), epoch)
    log.add_scalar("loss/test", log_loss(test_y, model.predict_proba(test_x)), epoch)
log.close()
print(f"test accuracy: {model.score(test_x, test_y):.3f}")""",
    """\
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 8, figsize=(9, 1.6))
for axis, image, guess in zip(axes, test_x, model.predict(test_x)):
    axis.imshow(image.reshape(8, 8), cmap="gray_r")
    axis.set_title(int(guess))
    axis.axis("off")""",
]


def document(kernel: str) -> dict[str, Any]:
    """The notebook as JSON; format: https://nbformat.readthedocs.io/en/latest/format_description.html."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for n, text in enumerate(CELLS)
    ]
    spec = {"name": kernel, "display_name": "Digits", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}
