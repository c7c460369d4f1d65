"""An independent reading of a dataset in V3's layout, with the csv module, for tests to compare with."""

import csv
import pathlib


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV file in file order."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows_by_image(path: pathlib.Path) -> dict[str, list[dict[str, str]]]:
    """Returns the rows of each image in file order."""
    by_image: dict[str, list[dict[str, str]]] = {}
    for row in read_rows(path):
        by_image.setdefault(row["ImageID"], []).append(row)
    return by_image


def read_list(path: pathlib.Path) -> list[str]:
    """Returns the lines of a class list."""
    return path.read_text().split()


def rows_with_lines(path: pathlib.Path) -> list[tuple[int, list[str]]]:
    """Returns the line, from 1, at which each row of a CSV file starts, and its fields; the header is the first."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        rows = []
        line = 1
        for fields in reader:
            rows.append((line, fields))
            line = reader.line_num + 1
    return rows
