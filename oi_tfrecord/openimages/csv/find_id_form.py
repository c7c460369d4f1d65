"""Recognises whether tables have published ImageIDs or names of their own, by their first rows."""

from collections.abc import Sequence

from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.sample_rows import sample_image_ids
from oi_tfrecord.openimages.image_id import ANY_FORMAT, HEX_FORMAT, IdForm, choose_form, choose_name_form


def find_id_form(wanted: str, files: Sequence[InputFile]) -> IdForm:
    """Returns what the ImageIDs of tables are.

    Args:
        wanted: one of image_id.ID_FORMATS; `auto` looks at the first rows of all tables, so that a run and its rerun
            come to the same on any machine.
        files: the tables of a split.
    """
    if wanted == HEX_FORMAT:
        return IdForm.HEX
    names = [name for file in files for name in sample_image_ids(file)]
    return choose_name_form(names) if wanted == ANY_FORMAT else choose_form(names)
