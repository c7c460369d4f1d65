from oi_tfrecord.explore.report.class_pairs import MOST_PAIRED_CLASSES, choose_paired, count_pairs, tabulate_pairs


def test_an_image_counts_once_for_each_pair_of_its_classes() -> None:
    pairs = count_pairs([("b", "a", "c"), ("a", "b"), ("c",), ()], frozenset("abc"))
    assert pairs == {("a", "b"): 2, ("a", "c"): 1, ("b", "c"): 1}
    assert tabulate_pairs(pairs, ["c", "a", "b"]) == [[0, 1, 1], [1, 0, 2], [1, 2, 0]]


def test_classes_that_are_not_chosen_have_no_pairs() -> None:
    assert count_pairs([("a", "b", "c")], frozenset("ab")) == {("a", "b"): 1}


def test_the_most_frequent_classes_are_chosen() -> None:
    images = [(f"rare{number:03}", "frequent") for number in range(MOST_PAIRED_CLASSES)]
    chosen = choose_paired(images)
    assert len(chosen) == MOST_PAIRED_CLASSES
    assert "frequent" in chosen
    assert f"rare{MOST_PAIRED_CLASSES - 1:03}" not in chosen
