import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.openimages.demo.drawings import DRAWN_MIDS, draw_group, draw_object


def alpha(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A"))


@pytest.mark.parametrize("draw", [draw_object, draw_group])
@pytest.mark.parametrize("mid", DRAWN_MIDS)
def test_a_drawing_fills_its_picture_with_hard_edges(draw, mid: str) -> None:
    for seed in range(5):
        image = draw(mid, 90.5, np.random.default_rng(seed))
        assert max(image.size) <= 91
        assert max(image.size) > 45
        pixels = alpha(image)
        assert set(np.unique(pixels).tolist()) <= {0, 255}
        # Cropped: each side of the picture touches the object.
        assert all(side.any() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def test_classes_look_different_and_the_same_random_state_draws_the_same() -> None:
    drawn = {mid: draw_object(mid, 60, np.random.default_rng(3)) for mid in DRAWN_MIDS}
    assert len({image.tobytes() for image in drawn.values()}) == len(DRAWN_MIDS)
    for mid, image in drawn.items():
        assert draw_object(mid, 60, np.random.default_rng(3)).tobytes() == image.tobytes()
        assert draw_object(mid, 60, np.random.default_rng(4)).tobytes() != image.tobytes()


def test_a_group_has_more_pixels_than_one_of_its_members() -> None:
    for mid in DRAWN_MIDS:
        group = np.count_nonzero(alpha(draw_group(mid, 100, np.random.default_rng(1))))
        member = np.count_nonzero(alpha(draw_object(mid, 44, np.random.default_rng(1))))
        assert group > 2 * member
