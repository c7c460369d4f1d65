"""Flags of the engine behind a job server, which the job server names: those of Flink, Spark and other runners."""

import argparse
import functools
import json
import socket
import urllib.request
from collections.abc import Callable, Mapping

from oi_tfrecord.errors import ConfigError

ANSWER_SECONDS = 5
"""How long a job server may take to name its flags."""

_PLACES = {"job_endpoint": "the job server", "flink_master": "the Flink cluster", "spark_job_server": "the job server"}
"""Flags that name a server by host and port."""

BOOLEAN = ("true", "false")
"""Values of a flag that is on or off."""


def check_servers(value_of: Callable[[str], str]) -> None:
    """Checks that the servers that flags name can be reached: Beam itself waits for minutes.

    Args:
        value_of: returns the value of a flag by its name with dashes; empty for a flag that is not given.

    Raises:
        ConfigError: naming the flag of the server that cannot be reached.
    """
    for flag, server in _PLACES.items():
        # Values such as `embed`, `[auto]` and `[local]` start a server.
        host, _, port = value_of(f"--{flag}").rpartition("://")[2].rpartition(":")
        if not host or not port.isdecimal():
            continue
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            problem = f"{server} cannot be reached at {host}:{port} ({error})"
            raise ConfigError(flag, f"{problem}; start it, or correct the address") from error


def find_free_slots(master: str) -> int:
    """Returns the slots of a Flink cluster that no job has; 0 if the cluster does not say.

    Args:
        master: host and port of Flink's REST service, as of `--flink_master`.
    """
    address = master if "://" in master else f"http://{master}"
    try:
        # Flink's REST API (nightlies.apache.org/flink/flink-docs-stable/docs/ops/rest_api).
        with urllib.request.urlopen(f"{address}/overview", timeout=ANSWER_SECONDS) as answer:
            return int(json.load(answer)["slots-available"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


@functools.cache
def find_server_flags(endpoint: str) -> Mapping[str, argparse.Action]:
    """Returns the flags of a job server by name with the dashes, in the form of `find_flags`.

    Args:
        endpoint: host and port of the job server.

    Raises:
        ConfigError: if no job server answers there.
    """
    import grpc  # type: ignore[import-untyped]
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    kinds = beam_job_api_pb2.PipelineOptionType
    with grpc.insecure_channel(endpoint) as channel:
        request = beam_job_api_pb2.DescribePipelineOptionsRequest()
        try:
            service = beam_job_api_pb2_grpc.JobServiceStub(channel)
            answer = service.DescribePipelineOptions(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            problem = f"no job server answers at {endpoint} ({error.code().name}, {error.details()})"
            raise ConfigError("job_endpoint", f"{problem}; start the job server, or correct the address") from error
    made: dict[str, argparse.Action] = {}
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in answer.options:
        name = f"--{option.name}"
        if option.type == kinds.BOOLEAN:
            made[name] = parser.add_argument(name, choices=BOOLEAN, default=option.default_value or "false")
        elif option.type == kinds.INTEGER:
            made[name] = parser.add_argument(name, type=int)
        elif option.type == kinds.ARRAY:
            made[name] = parser.add_argument(name, action="append")
        else:
            made[name] = parser.add_argument(name)
    return made
