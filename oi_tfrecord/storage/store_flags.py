"""Flags of object stores that Beam does not have, declared as Beam's own, so that a job gives them to its workers."""

import argparse

from apache_beam.options.pipeline_options import PipelineOptions


class StoreFlags(PipelineOptions):
    """The flags."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--requester_pays",
            default=False,
            action="store_true",
            help="Pay for the requests to s3:// and gs:// (there the project of --project pays), as some buckets "
            "demand of those who read them.",
        )
