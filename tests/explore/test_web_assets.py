import pytest

from oi_tfrecord.explore.web_assets import read_asset


def test_the_chart_library_is_there_with_its_licence() -> None:
    assert "uPlot (v1.6.32)" in read_asset("vendor/uplot/uPlot.iife.min.js")[:100]
    assert "The MIT License" in read_asset("vendor/uplot/LICENSE")


def test_a_name_outside_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        read_asset("none.css")
