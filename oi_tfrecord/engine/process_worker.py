"""Starts a Beam worker in this Python for `--environment_type=PROCESS`: Flink, Spark or Prism without containers.

Beam ships such a program only within its container images. This program installs nothing: the package is installed
where it runs.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import grpc  # type: ignore[import-untyped]
from google.protobuf import json_format
from google.protobuf.message import Message

SERVICES = ("logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint")


def main(arguments: Sequence[str] | None = None) -> None:
    """Asks the runner for the job, then works until the runner closes its control channel."""
    given = parse(sys.argv[1:] if arguments is None else arguments)
    # Beam reads the id of the worker when it is imported.
    os.environ["WORKER_ID"] = given["id"]
    os.environ.update(worker_environment(given, _provision(given)))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])


def parse(arguments: Sequence[str]) -> Mapping[str, str]:
    """Parses the flags that Beam's container contract (https://s.apache.org/beam-fn-api-container-contract) names."""
    parser = argparse.ArgumentParser(prog="oi-tfrecord-worker", description=__doc__)
    for name in ("id", *SERVICES):
        parser.add_argument(f"--{name}", default="", required=name in ("id", "provision_endpoint"))
    known, _ = parser.parse_known_args(arguments)
    # Prism puts the id in quotes (Beam 2.77).
    return {**vars(known), "id": known.id.strip("'")}


def worker_environment(given: Mapping[str, str], provision: Message) -> dict[str, str]:
    """Returns the environment variables that Beam's worker reads.

    Args:
        given: flags of `parse`.
        provision: ProvisionInfo of the job; its endpoints take precedence over those of the flags.
    """
    info = cast(Any, provision)
    services = {name: getattr(info, name).url or given[name] for name in ("logging_endpoint", "control_endpoint")}
    environment = {
        "WORKER_ID": given["id"],
        "PIPELINE_OPTIONS": json.dumps(json_format.MessageToDict(info.pipeline_options)),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(services["logging_endpoint"]),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(services["control_endpoint"]),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    if info.status_endpoint.url:
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = _descriptor(info.status_endpoint.url)
    return environment


def _descriptor(url: str) -> str:
    """Returns an ApiServiceDescriptor in protobuf's text format."""
    return f"url: {json.dumps(url)}"


def _provision(given: Mapping[str, str]) -> Message:
    from apache_beam.portability.api import beam_provision_api_pb2 as api
    from apache_beam.portability.api import beam_provision_api_pb2_grpc as services
    from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor

    with grpc.insecure_channel(given["provision_endpoint"]) as plain:
        # The runner identifies its workers by this header.
        channel = grpc.intercept_channel(plain, WorkerIdInterceptor())
        request = api.GetProvisionInfoRequest()
        answer = services.ProvisionServiceStub(channel).GetProvisionInfo(request, wait_for_ready=True, timeout=60)
    return answer.info


if __name__ == "__main__":
    main()
