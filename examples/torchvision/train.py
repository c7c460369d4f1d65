"""Trains torchvision's FCOS on records, and writes what it finds in the validation split.

    oi-tfrecord sample --output_dir=sample/data --train_images=1000 --validation_images=200
    oi-tfrecord convert --config=configs/sample.yaml --split=train
    oi-tfrecord convert --config=configs/sample.yaml --split=validation
    pip install -r examples/torchvision/requirements.txt
    python examples/torchvision/train.py sample/records --detections=detections.json
    python examples/draw_detections.py sample/records detections.json detections.jpg

The backbone is a ResNet-18 with random weights: nothing is downloaded. A GPU is used if there is one.
"""

import argparse
import itertools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.models import resnet18
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead

import oi_tfrecord

IMAGE_SIZE = 128
BATCH = 16
STRIDES = (8, 16, 32, 64)

Targets = list[dict[str, Any]]


def mirror_half(images: list[torch.Tensor], targets: Targets) -> tuple[list[torch.Tensor], Targets]:
    """Returns a batch of which every second image is mirrored."""
    mirrored = []
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        if index % 2:
            xmin, ymin, xmax, ymax = target["boxes"].T
            boxes = torch.stack([IMAGE_SIZE - xmax, ymin, IMAGE_SIZE - xmin, ymax], dim=1)
            image, target = image.flip(-1), target | {"boxes": boxes}
        mirrored.append((image, target))
    return [image for image, _ in mirrored], [target for _, target in mirrored]


def build_model(num_classes: int) -> FCOS:
    """Returns a detector for small images, with ids from 0 (the background) to `num_classes - 1`."""
    channels = 64
    levels = {"layer2": "0", "layer3": "1", "layer4": "2"}
    # A fourth level is pooled from the last.
    backbone = BackboneWithFPN(resnet18(weights=None), levels, [128, 256, 512], channels)
    anchors = AnchorGenerator(sizes=tuple((stride,) for stride in STRIDES), aspect_ratios=((1.0,),) * len(STRIDES))
    return FCOS(
        backbone, num_classes, anchor_generator=anchors, head=FCOSHead(channels, 1, num_classes, num_convs=2),
        min_size=IMAGE_SIZE, max_size=IMAGE_SIZE, image_mean=[0.5] * 3, image_std=[0.25] * 3,
        score_thresh=0.05, detections_per_img=30,
    )  # fmt: skip


def batches(records: str, split: str, *, shuffle: bool) -> DataLoader:
    """Returns the batches of a split."""
    dataset = oi_tfrecord.RecordDataset(records, split, image_size=(IMAGE_SIZE, IMAGE_SIZE), target="torchvision")
    return DataLoader(dataset, BATCH, shuffle=shuffle, drop_last=shuffle, collate_fn=oi_tfrecord.collate)


def endless(loader: DataLoader) -> Iterator[tuple[list[torch.Tensor], Targets]]:
    """Yields the batches of a split again and again, each time in another order."""
    while True:
        yield from loader


def train(model: FCOS, records: str, steps: int, device: torch.device) -> None:
    """Trains, and prints the mean loss of each tenth of the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps, pct_start=0.1)
    tenth = max(1, steps // 10)
    losses: list[float] = []
    model.train()
    for step, (images, targets) in enumerate(itertools.islice(endless(batches(records, "train", shuffle=True)), steps)):
        images, targets = mirror_half(images, targets)
        images = [image.to(device) for image in images]
        targets = [{name: target[name].to(device) for name in ("boxes", "labels")} for target in targets]
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % tenth == 0:
            print(f"step {step + 1} of {steps}: loss {sum(losses[-tenth:]) / tenth:.3f}", flush=True)


@torch.no_grad()
def detect(model: FCOS, records: str, device: torch.device) -> dict[str, dict[str, list]]:
    """Returns what is found in each validation image, by its ImageID; boxes are normalised again."""
    found = {}
    model.eval()
    for images, targets in batches(records, "validation", shuffle=False):
        for target, own in zip(targets, model([image.to(device) for image in images]), strict=True):
            # Torchvision's order is (xmin, ymin, xmax, ymax).
            boxes = own["boxes"][:, [1, 0, 3, 2]] / IMAGE_SIZE
            found[target["image_id"]] = {
                "boxes": boxes.tolist(),
                "scores": own["scores"].tolist(),
                "classes": own["labels"].tolist(),
            }
    return found


def main() -> None:
    """Trains, writes the detections and prints their score by the protocol of Open Images V2."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("records", help="Folder with the splits train and validation.")
    flags.add_argument("--steps", type=int, default=160, help=f"Batches of {BATCH} images to train on.")
    flags.add_argument("--detections", type=pathlib.Path, required=True, help="JSON file to write.")
    options = flags.parse_args()
    # 0 is the background.
    num_classes = max(oi_tfrecord.RecordDataset(options.records, "train").class_names) + 1
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(num_classes).to(device)
    train(model, options.records, options.steps, device)
    found = detect(model, options.records, device)
    options.detections.write_text(json.dumps(found))
    print(f"detections: {sum(len(own['scores']) for own in found.values())} in {len(found)} images")
    scored = oi_tfrecord.EvaluateOptions(output_dir=options.records, detections=str(options.detections))
    print(f"mAP@0.5: {oi_tfrecord.evaluate(scored).summary['mAP@0.5IOU']:.3f}")


if __name__ == "__main__":
    main()
