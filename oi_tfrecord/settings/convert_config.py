"""The configuration of a conversion: one typed value, from a YAML file and flags."""

import dataclasses
from typing import Any

from oi_tfrecord.images.jpeg_header import MAX_SIDE
from oi_tfrecord.images.values import CHROMAS, MODES
from oi_tfrecord.openimages.image_id import AUTO_FORMAT, ID_FORMATS
from oi_tfrecord.openimages.schema import FLAGS, Table
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.records.label_map import LABEL_ORDERS
from oi_tfrecord.records.sharding import MAX_SHARDS
from oi_tfrecord.settings.allowed_values import (
    BoxesWithoutMask,
    Choice,
    PathPattern,
    Range,
    Text,
    UrlKind,
    parse_max_rejects,
)
from oi_tfrecord.settings.options import Group, check_values, option
from oi_tfrecord.settings.selection import SELECTIONS, default_selection

DRIVERS = (Table.METADATA, Table.BOXES, Table.HUMAN_LABELS)

MASK_SOURCES = ("mask_files", "mask_archives")

CVDF = "cvdf"
"""Value of `images` for the images that the Common Visual Data Foundation hosts."""

IMAGE_SOURCES = ("images", "archives", "image_urls", "url_folders")


@dataclasses.dataclass(frozen=True)
class ConvertConfig:
    """Everything that decides what a conversion reads and writes.

    Every field is a key of the YAML file and a flag of the same name; a flag wins. File names may
    hold `{split}` or `{short_split}` (`val` for validation) and are relative to `data_dir` unless they
    are absolute or have a scheme; of the names given for one file, the first that exists is read, also
    with `.gz` or `.bz2` added.
    """

    release: str = option(
        "",
        "Name of the release, kept in the manifest; another name than v1 to v7 turns the check of headers off.",
        Group.INPUTS,
    )
    split: str = option(
        "",
        "Split to convert, such as train, validation or test.",
        Group.INPUTS,
        Text(r"[A-Za-z0-9_-]+", "may hold only letters, digits, - and _", "letters, digits, - and _"),
    )
    data_dir: str = option("", "Folder of the CSV and class files.", Group.INPUTS, shapes_output=False)
    fetch: bool = option(
        False,
        "First download the tables and class files that are missing in data_dir, or in a folder of the user's cache.",
        Group.INPUTS,
        shapes_output=False,
    )
    mirror: str = option(
        "",
        "Scheme and host that take the place of those of all addresses that fetch downloads from.",
        Group.INPUTS,
        Text(r"https?://[^/\s]+(/\S*)?", "is no address of http:// or https://", "https://HOST"),
        shapes_output=False,
    )
    downloads: str = option(
        "",
        "CSV of the addresses, sizes and checksums for fetch; the published ones by default.",
        Group.EXPERT,
        shapes_output=False,
    )
    output_dir: str = option(
        "", "Folder for records, label map, manifest and rejects.", Group.OUTPUT, shapes_output=False
    )
    task: str = option(
        "detection",
        "What the records are for: detection (boxes and labels) or classification (image-level labels only).",
        Group.RECORDS,
        Choice(("detection", "classification")),
    )
    images: str = option(
        "",
        "Path of an image on a disk, a web server or an object store; cvdf is the public bucket of the CVDF.",
        Group.INPUTS,
        PathPattern("image_id", ("split", "digit"), (CVDF,)),
    )
    anonymous: bool = option(
        False, "Read images from an object store without credentials.", Group.INPUTS, shapes_output=False
    )
    archives: tuple[str, ...] = option(
        (), "Archives of the images (tar, tar.gz, zip), patterns with {split}.", Group.INPUTS
    )
    image_urls: str = option(
        "", "Download the images from the URLs of this kind in the metadata.", Group.INPUTS, Choice(tuple(UrlKind))
    )
    image_cache: str = option(
        "",
        "Local folder that keeps what is downloaded of image_urls, and of images elsewhere.",
        Group.INPUTS,
        Text(r"((?!://).)*", "is not a folder of this machine", "a folder of this machine"),
        shapes_output=False,
    )
    url_folders: str = option(
        "", "Folder of images stored as <first 3 characters>/<base name of OriginalURL>.", Group.INPUTS
    )
    fetch_connections: int = option(
        64, "Connections of a worker to all hosts, for downloads.", Group.EXPERT, Range(1, 1024), shapes_output=False
    )
    fetch_per_host: int = option(
        16, "Connections of a worker to one host, for downloads.", Group.EXPERT, Range(1, 1024), shapes_output=False
    )
    fetch_attempts: int = option(
        5, "Requests for an image before the download gives up.", Group.EXPERT, Range(1, 100), shapes_output=False
    )
    fetch_timeout: float = option(
        300.0, "Limit of one request, in seconds.", Group.EXPERT, Range(1, 86_400), shapes_output=False
    )
    fetch_private_redirects: bool = option(
        False,
        "Follow redirects of downloads to other hosts of this machine or of private networks; ask link-local hosts.",
        Group.EXPERT,
        shapes_output=False,
    )
    metadata: tuple[str, ...] = option((), "Names of the metadata CSV (images.csv).", Group.INPUTS)
    boxes: tuple[str, ...] = option((), "Names of the box CSV.", Group.INPUTS)
    human_labels: tuple[str, ...] = option((), "Names of the CSV of human-verified image labels.", Group.INPUTS)
    machine_labels: tuple[str, ...] = option((), "Names of the CSV of machine-generated image labels.", Group.INPUTS)
    masks: tuple[str, ...] = option(
        (), "Names of the CSV of segmentation masks; read with extra_keys masks.", Group.INPUTS
    )
    mask_files: str = option("", "Path of a mask.", Group.INPUTS, PathPattern("mask_path", ("split", "digit")))
    mask_archives: tuple[str, ...] = option((), "Archives of the masks, patterns with {split}.", Group.INPUTS)
    boxes_without_mask: str = option(
        "drop",
        "With extra_keys masks: drop leaves out boxes that have no mask, empty writes them with an empty mask, groups "
        "writes only group-of boxes with an empty mask.",
        Group.RECORDS,
        Choice(tuple(BoxesWithoutMask)),
    )
    class_descriptions: tuple[str, ...] = option((), "Names of the CSV of MIDs and display names.", Group.CLASSES)
    class_list: tuple[str, ...] = option((), "Names of the list of classes that make the label map.", Group.CLASSES)
    driver: str = option(
        "metadata",
        "Table whose ImageIDs are the images.",
        Group.CHOICE,
        Choice(DRIVERS),
    )
    select: str = option(
        "",
        "Images to write: boxed (with a box), labelled (with a box or a human label) or all; by default labelled for "
        "validation, test and classification, and boxed for other splits.",
        Group.CHOICE,
        Choice(SELECTIONS),
    )
    label_order: str = option("list", "Order of the ids of the label map.", Group.CLASSES, Choice(LABEL_ORDERS))
    label_map: str = option("", "Existing label map (.pbtxt) whose ids are kept.", Group.CLASSES)
    append_classes: bool = option(
        False, "Give classes that label_map lacks new ids, after the highest id.", Group.CLASSES
    )
    hierarchy: tuple[str, ...] = option(
        (), "Names of the class hierarchy (bbox_labels_600_hierarchy.json).", Group.CLASSES
    )
    hierarchy_use: str = option(
        "expand",
        "expand adds boxes and labels of ancestors; label_map writes ancestors and descendants into the label map.",
        Group.CLASSES,
        Choice(("expand", "label_map")),
    )
    subset: tuple[str, ...] = option(
        (), "Values of the metadata's Subset column to keep; all by default.", Group.CHOICE
    )
    classes: tuple[str, ...] = option(
        (), "Classes to keep: MIDs, names, or one file with a MID or name per line.", Group.CLASSES
    )
    box_sources: tuple[str, ...] = option(
        (), "Values of the boxes' Source column to keep; all by default.", Group.RECORDS
    )
    exclude_flags: tuple[str, ...] = option(
        (), "Leave out boxes that have one of these flags.", Group.RECORDS, Choice(tuple(FLAGS))
    )
    min_confidence: float = option(0.0, "Least confidence of boxes and machine labels.", Group.RECORDS, Range(0, 1))
    min_box_side: float = option(
        0.0,
        "Least length of the shorter side of a box, as a fraction of the image's side.",
        Group.RECORDS,
        Range(0, 1),
    )
    min_predicted_iou: float = option(
        0.0,
        "With extra_keys masks: least PredictedIoU of a mask; masks that people drew have none and are kept.",
        Group.RECORDS,
        Range(0, 1),
    )
    box_ids: str = option(
        "", "With extra_keys masks: file with the BoxIDs of the masks to keep, one per line.", Group.RECORDS
    )
    image_ids: str = option("", "File with the ImageIDs to keep, one per line.", Group.CHOICE)
    image_id_format: str = option(
        AUTO_FORMAT,
        "ImageIDs of the tables: hex (published ones), any (names of up to 255 bytes), or auto (by the first rows).",
        Group.INPUTS,
        Choice(ID_FORMATS),
    )
    sample: float = option(
        1.0, "Share of the images to keep, chosen by hash.", Group.CHOICE, Range(0, 1, above_low=True)
    )
    max_images: int = option(
        0, "Keep at most this many images, chosen by hash; 0 keeps all.", Group.CHOICE, Range(0, 1 << 48)
    )
    extra_keys: tuple[str, ...] = option(
        (), "Groups of further keys of the records.", Group.RECORDS, Choice(tuple(ExtraKeys))
    )
    attribution_csv: bool = option(
        False, "Write ATTRIBUTION-<split>.csv beside the records, a row per record.", Group.OUTPUT
    )
    shard_sha256: bool = option(
        False, "Also compute the SHA-256 of each shard for the manifest, which takes time.", Group.OUTPUT
    )
    num_shards: int = option(0, "Number of shards; 0 plans shards of about 150 MB.", Group.OUTPUT, Range(0, MAX_SHARDS))
    dry_run: bool = option(
        False,
        "Join and count, time a sample of the images, and print size, time and cost; write no record.",
        Group.RUNNER,
        shapes_output=False,
    )
    image_mode: str = option(
        "copy",
        "copy checks headers and copies bytes, verify also decodes every image, resize scales large images down.",
        Group.IMAGES,
        Choice(MODES),
    )
    max_side: int = option(
        0, "With resize: longest side of an image, in pixels; 0 is no limit.", Group.IMAGES, Range(0, MAX_SIDE)
    )
    pixel_budget: int = option(
        0, "With resize: largest width x height of an image, in pixels; 0 is no limit.", Group.IMAGES, Range(0, 1 << 40)
    )
    jpeg_quality: int = option(95, "Quality of re-encoded images.", Group.IMAGES, Range(1, 100))
    chroma: str = option("4:4:4", "Chroma subsampling of re-encoded images.", Group.IMAGES, Choice(CHROMAS))
    strip_metadata: bool = option(
        False, "Remove EXIF and all other metadata from copied images, pixels untouched.", Group.IMAGES
    )
    rotation: str = option(
        "keep",
        "keep leaves images as they are stored, apply turns images and boxes by the metadata's Rotation.",
        Group.IMAGES,
        Choice(("keep", "apply")),
    )
    source_id: str = option(
        "hex",
        "Form of image/source_id: hex (the ImageID) or numeric (below 2^24, for Model Garden).",
        Group.RECORDS,
        Choice(("hex", "numeric")),
    )
    max_image_bytes: int = option(
        64 << 20,
        "Largest image file, in bytes; larger ones are rejected.",
        Group.EXPERT,
        Range(1, (1 << 31) - (1 << 20)),
    )
    max_image_pixels: int = option(
        178_956_970, "Largest image, in pixels; larger ones are rejected.", Group.EXPERT, Range(1, 1 << 40)
    )
    missing_images: str = option(
        "reject",
        "reject counts images that are not there as rejects; skip leaves them out and counts them apart from rejects.",
        Group.OUTPUT,
        Choice(("reject", "skip")),
    )
    max_rejects: str = option(
        "1%", "Allowed rejects of each kind: a count, or a percentage.", Group.OUTPUT, shapes_output=False
    )
    csv_block_mb: int = option(
        32, "Size of the CSV ranges, in MiB; bounds the memory of a reader.", Group.EXPERT, Range(1, 1024)
    )
    read_threads: int = option(
        0, "Images read at once by a worker; 0 chooses by storage.", Group.EXPERT, Range(0, 1024), shapes_output=False
    )
    overwrite: bool = option(False, "Replace the files of this split in output_dir.", Group.OUTPUT, shapes_output=False)

    def __post_init__(self) -> None:
        check_values(self)
        parse_max_rejects(self.max_rejects)

    @property
    def selection(self) -> str:
        """Which images are written: `select`, or what the split is for decides."""
        return self.select or default_selection(self.split, self.task)

    def shaping(self) -> dict[str, Any]:
        """Returns the fields that decide the bytes of the output, for the fingerprint and the manifest."""
        fields = dataclasses.fields(self)
        shaping = {field.name: getattr(self, field.name) for field in fields if field.metadata["shapes_output"]}
        return shaping | {"select": self.selection}
