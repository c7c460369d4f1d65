import json

from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.explore.web_assets import embed

TEXTS = st.text() | st.sampled_from(["</script>", "<!--", "<script", "]]>", "&lt;", "\u2028"])


@given(st.dictionaries(TEXTS, st.lists(TEXTS | st.integers() | st.none())))
def test_what_is_embedded_is_read_back_and_holds_no_markup(value: dict) -> None:
    text = embed(value)
    assert json.loads(text) == value
    assert not set("<>&") & set(text)
