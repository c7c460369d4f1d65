"""Reads a split in worker processes of PyTorch's DataLoader, and computes the losses of a detector of torchvision.

Run as: python torchvision_read.py FOLDER SPLIT. Prints, as JSON, the ImageIDs by start method of the workers, and the
losses of a batch.
"""

import json
import math
import sys

import torch
from torch.utils.data import DataLoader
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

import oi_tfrecord


def main() -> None:
    """Prints what the workers read and what a detector makes of a batch."""
    torch.manual_seed(1)
    folder, split = sys.argv[1:]
    dataset = oi_tfrecord.RecordDataset(folder, split, image_size=(64, 96), target="torchvision")
    ids = {}
    for method in ("fork", "spawn", "forkserver"):
        loader = DataLoader(
            dataset, 3, num_workers=2, collate_fn=oi_tfrecord.collate, multiprocessing_context=method, shuffle=True
        )
        ids[method] = sorted(target["image_id"] for _, targets in loader for target in targets)
    images, targets = oi_tfrecord.collate(dataset.__getitems__([0, 1, 2, 3]))
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=max(dataset.class_names) + 1)
    losses = {name: float(loss) for name, loss in model(images, targets).items()}
    print(json.dumps({"ids": ids, "losses": losses, "finite": all(map(math.isfinite, losses.values()))}))


if __name__ == "__main__":
    main()
