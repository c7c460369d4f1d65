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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.models import resnet18
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead

import oi_tfrecord
from oi_tfrecord.dataset.label_map import read_label_map

IMAGE_SIZE = 128
BATCH = 16
STRIDES = (8, 16, 32, 64)

Targets = list[dict[str, torch.Tensor]]


def collate(records: Sequence[Mapping[str, Any]]) -> tuple[list[torch.Tensor], Targets, list[str]]:
    """Returns images, targets and ImageIDs of a batch, as torchvision's detectors take them.

    Args:
        records: what RecordDataset gives: boxes are (ymin, xmin, ymax, xmax), normalised.

    Returns:
        float32 [3, height, width] images from 0 to 1; targets with `boxes` (xmin, ymin, xmax, ymax) in pixels and
        `labels`, ids of the label map; and the ImageIDs.
    """
    images, targets, image_ids = [], [], []
    for record in records:
        # The array of a record is read-only, and a tensor must not be.
        image = torch.from_numpy(record["image"].copy()).permute(2, 0, 1).float() / 255
        height, width = image.shape[1:]
        boxes = torch.from_numpy(record["boxes"])[:, [1, 0, 3, 2]] * torch.tensor([width, height, width, height])
        # torchvision stops at a box without area.
        kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        labels = torch.from_numpy(record["labels"].copy())
        images.append(image)
        targets.append({"boxes": boxes[kept], "labels": labels[kept]})
        image_ids.append(record["image_id"].decode())
    return images, targets, image_ids


def mirror_half(images: list[torch.Tensor], targets: Targets) -> tuple[list[torch.Tensor], Targets]:
    """Returns a batch of which every second image is mirrored."""
    mirrored = []
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        if index % 2:
            image, boxes = image.flip(-1), target["boxes"].clone()
            boxes[:, [0, 2]] = image.shape[-1] - boxes[:, [2, 0]]
            target = target | {"boxes": boxes}
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
    dataset = oi_tfrecord.RecordDataset(records, split, image_size=(IMAGE_SIZE, IMAGE_SIZE))
    return DataLoader(dataset, BATCH, shuffle=shuffle, drop_last=shuffle, collate_fn=collate)


def endless(loader: DataLoader) -> Iterator[tuple[list[torch.Tensor], Targets, list[str]]]:
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
    for step, (images, targets, _) in enumerate(
        itertools.islice(endless(batches(records, "train", shuffle=True)), steps)
    ):
        images, targets = mirror_half(images, targets)
        images = [image.to(device) for image in images]
        targets = [{name: value.to(device) for name, value in target.items()} for target in targets]
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
    for images, _, image_ids in batches(records, "validation", shuffle=False):
        for image_id, own in zip(image_ids, model([image.to(device) for image in images]), strict=True):
            boxes = own["boxes"][:, [1, 0, 3, 2]] / IMAGE_SIZE
            found[image_id] = {
                "boxes": boxes.tolist(),
                "scores": own["scores"].tolist(),
                "classes": own["labels"].tolist(),
            }
    return found


def main() -> None:
    """Trains, and writes the detections."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("records", help="Folder with the splits train and validation.")
    flags.add_argument("--steps", type=int, default=160, help=f"Batches of {BATCH} images to train on.")
    flags.add_argument("--detections", type=pathlib.Path, required=True, help="JSON file to write.")
    options = flags.parse_args()
    label_map = read_label_map(options.records)
    if label_map is None:
        flags.error(f"there is no label map in {options.records}")
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(max(item.id for item in label_map.items) + 1).to(device)
    train(model, options.records, options.steps, device)
    found = detect(model, options.records, device)
    options.detections.write_text(json.dumps(found))
    print(f"detections: {sum(len(own['scores']) for own in found.values())} in {len(found)} images")


if __name__ == "__main__":
    main()
