import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.explore.web_assets import embed, read_asset

TEXTS = st.text() | st.sampled_from(["</script>", "<!--", "<script", "]]>", "&lt;", "\u2028"])


@given(st.dictionaries(TEXTS, st.lists(TEXTS | st.integers() | st.none())))
def test_embedded_values_are_read_back_and_have_no_markup(value: dict) -> None:
    text = embed(value)
    assert json.loads(text) == value
    assert not set("<>&") & set(text)


def test_the_package_has_the_chart_library_with_its_licence() -> None:
    assert "uPlot (v1.6.32)" in read_asset("vendor/uplot/uPlot.iife.min.js")[:100]
    assert "The MIT License" in read_asset("vendor/uplot/LICENSE")


def test_a_name_outside_of_the_package_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        read_asset("none.css")
