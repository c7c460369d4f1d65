"""A generated split whose ten classes follow a power law, some often together, and the flags that convert it."""

import io
import pathlib
import random

from PIL import Image

from tests.support.small_release import HEADERS, write_table

MIDS = tuple(f"/m/0p{number}" for number in range(10))
"""From the most frequent to the rarest class."""


def write_power_law(folder: pathlib.Path, *, images: int = 240, seed: int = 5) -> list[str]:
    """Writes the split; one image in twelve has no box. Returns the flags of `convert` but for the output."""
    chosen = random.Random(seed)
    weights = [1 / (rank + 1) ** 2 for rank in range(len(MIDS))]
    (folder / "images").mkdir(parents=True)
    (folder / "class-descriptions.csv").write_text("".join(f"{mid},Name {mid[-1]}\n" for mid in MIDS))
    (folder / "classes-bbox-trainable.txt").write_text("".join(mid + "\n" for mid in MIDS))
    metadata, boxes, labels = ([header.split(",")] for header in HEADERS)
    ids = sorted(f"{chosen.randrange(1, 1 << 64):016x}" for _ in range(images))
    for number, image_id in enumerate(ids):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 16), (number % 256, 90, 60)).save(buffer, "JPEG")
        (folder / "images" / f"{image_id}.jpg").write_bytes(buffer.getvalue())
        url = f"https://example.org/{image_id}.jpg"
        metadata.append([image_id, "train", url, url, "CC BY", "https://example.org/a", "A", "T", "1", "x", ""])
        # Each class is in one image at least.
        drawn = chosen.choices(MIDS, weights, k=chosen.randrange(1, 5)) + list(MIDS[number : number + 1])
        for box, mid in enumerate([] if number % 12 == 11 else drawn):
            boxes.append([image_id, "xclick", mid, "1", f"{(box + 1) / 10:.1f}", "0.9", "0.2", "0.7"])
        for mid in dict.fromkeys(drawn):
            labels.append([image_id, "verification", mid, str(int(chosen.random() < 0.8))])
    for table, rows in (("metadata", metadata), ("boxes", boxes), ("human_labels", labels)):
        write_table(folder, table, rows)
    return [
        "--config=v3",
        "--split=train",
        f"--data_dir={folder}",
        f"--images={folder}/images/{{image_id}}.jpg",
        "--select=all",
        "--workers=1",
    ]
