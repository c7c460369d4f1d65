from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, TypeOptions

from oi_tfrecord.engine.beam_options import KeptOptions

ARGUMENTS = ("--direct_num_workers=3", "--no_pipeline_type_check", "--temp_location=/t")


def test_a_view_is_made_once_and_is_that_of_beam() -> None:
    options = KeptOptions(ARGUMENTS)
    view = options.view_as(DirectOptions)
    assert options.view_as(DirectOptions) is view
    assert view.direct_num_workers == 3
    assert options.view_as(TypeOptions).pipeline_type_check is False
    assert options.get_all_options() == PipelineOptions(list(ARGUMENTS)).get_all_options()


def test_what_is_set_in_one_view_is_seen_in_all() -> None:
    options = KeptOptions(ARGUMENTS)
    options.view_as(DirectOptions).direct_num_workers = 5
    assert options.get_all_options()["direct_num_workers"] == 5
    assert KeptOptions(ARGUMENTS).view_as(DirectOptions).direct_num_workers == 3
