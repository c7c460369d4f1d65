from typing import Any

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.check_complete import CHECKS, check_complete
from oi_tfrecord.settings.convert_config import ConvertConfig

COMPLETE: dict[str, Any] = {
    "split": "train",
    "data_dir": "/data",
    "output_dir": "/out",
    "images": "/images/{image_id}.jpg",
    "class_descriptions": ("classes.csv",),
    "metadata": ("images.csv",),
}
MASKS: dict[str, Any] = {
    "extra_keys": ("masks",),
    "masks": ("masks.csv",),
    "boxes": ("boxes.csv",),
    "mask_files": "/masks/{mask_path}",
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"images": "", "archives": ("train.tar",)},
        {"images": "", "image_urls": "thumbnail", "image_cache": "/cache"},
        {"images": "", "url_folders": "gs://bucket/folders"},
        {"metadata": (), "driver": "boxes", "boxes": ("boxes.csv",)},
        {"subset": ("train",)},
        {"append_classes": True, "label_map": "map.pbtxt"},
        {"image_mode": "resize", "max_side": 1024},
        {"image_mode": "resize", "pixel_budget": 300_000},
        {"rotation": "apply"},
        {"attribution_csv": True},
        {"task": "classification", "select": "labelled"},
        MASKS,
        MASKS | {"mask_files": "", "mask_archives": ("masks.zip",)},
    ],
)
def test_a_complete_configuration_passes_every_check(change: dict[str, Any]) -> None:
    config = ConvertConfig(**COMPLETE | change)
    assert [check(config) for check in CHECKS] == [None] * len(CHECKS)
    check_complete(config)


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"split": ""}, "split", "give --split"),
        ({"data_dir": ""}, "data_dir", "give --data_dir"),
        ({"output_dir": ""}, "output_dir", "give --output_dir"),
        ({"class_descriptions": ()}, "class_descriptions", "give --class_descriptions"),
        ({"images": ""}, "images", "give --images or one of archives, image_urls, url_folders"),
        ({"image_urls": "original"}, "image_urls", "a second source of the images beside images"),
        ({"url_folders": "/folders"}, "url_folders", "a second source of the images beside images"),
        ({"mask_files": "/masks/{mask_path}"}, "mask_files", "add --extra_keys=masks"),
        (MASKS | {"task": "classification"}, "extra_keys", "belong to boxes"),
        (MASKS | {"masks": ()}, "masks", "give --masks"),
        (MASKS | {"boxes": ()}, "boxes", "give --boxes"),
        (MASKS | {"mask_files": ""}, "mask_files", "give one of the two"),
        (MASKS | {"mask_archives": ("masks.zip",)}, "mask_files", "give one of the two"),
        ({"image_mode": "resize"}, "max_side", "give --max_side=1024 or --pixel_budget=300000"),
        ({"max_side": 300}, "max_side", "give --image_mode=resize"),
        ({"pixel_budget": 300}, "pixel_budget", "give --image_mode=resize"),
        ({"append_classes": True}, "append_classes", "give --label_map"),
        ({"driver": "boxes", "boxes": ("b.csv",), "subset": ("train",)}, "subset", "driver=boxes"),
        ({"images": "", "image_urls": "original"}, "image_cache", "is needed with image_urls"),
        (
            {"images": "", "url_folders": "/f", "metadata": (), "driver": "boxes", "boxes": ("b.csv",)},
            "metadata",
            "is needed with url_folders for the URLs",
        ),
        ({"metadata": (), "rotation": "apply"}, "metadata", "is needed with rotation=apply for the column Rotation"),
        ({"metadata": (), "attribution_csv": True}, "metadata", "is needed with attribution_csv for the authors"),
        ({"task": "classification", "select": "boxed"}, "select", "give --select=labelled"),
        ({"task": "classification", "driver": "boxes"}, "driver", "give --driver=metadata"),
        ({"metadata": ()}, "metadata", "give --metadata or another --driver"),
        ({"driver": "boxes", "human_labels": ("labels.csv",)}, "boxes", "give --boxes or another --driver"),
    ],
)
def test_a_problem_names_the_option_and_the_remedy(change: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_complete(ConvertConfig(**COMPLETE | change))
    assert raised.value.field == field
    assert problem in raised.value.problem
