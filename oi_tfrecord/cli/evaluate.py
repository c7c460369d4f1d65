"""`oi-tfrecord evaluate`: scores detections against the records of a split."""

import json

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.evaluation.evaluate import EvaluateOptions, evaluate
from oi_tfrecord.evaluation.result import describe_evaluation, to_values


def run(parsed: ParsedFlags, console: Console) -> int:
    """Prints the score."""
    result = evaluate(parsed.make(EvaluateOptions), progress=console.progress)
    if console.summary.format == "json":
        console.print_data(json.dumps(to_values(result), indent=1) + "\n")
    else:
        console.print_data("".join(f"{line}\n" for line in describe_evaluation(result)))
    console.print_warnings(result.warnings)
    return ExitCode.DONE


COMMAND = Command(
    name="evaluate",
    examples=(
        Example("Boxes by the protocol of Open Images V2", "oi-tfrecord evaluate records --detections=detections.json"),
        Example(
            "Boxes by the protocol of the challenge, with the average precision of each class",
            "oi-tfrecord evaluate records --detections=predictions.csv --metrics=oid_challenge "
            "--hierarchy=challenge-2019-label500-hierarchy.json --output=classes.csv",
        ),
        Example(
            "Masks by the metrics of COCO",
            "oi-tfrecord evaluate records --detections=results.json --metrics=coco --masks",
        ),
    ),
    options=(EvaluateOptions, SummaryOptions),
    run=run,
    details=(
        "Detections are results of COCO (JSON), rows with ImageID and LabelName (JSON or CSV) or the PredictionString "
        "rows of the challenge; the guide Evaluate describes each form. Detections of images and classes that the "
        "records do not have are counted and left out.",
        "oid_V2 and oid_challenge give the numbers of the Object Detection API. --masks and coco need hotcoco (the "
        "extra `evaluate`).",
    ),
    beam_flags=BeamFlags.FILESYSTEMS,
)
