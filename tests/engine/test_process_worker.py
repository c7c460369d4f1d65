import json

import pytest
from apache_beam.portability.api import beam_provision_api_pb2, endpoints_pb2
from google.protobuf import struct_pb2, text_format

from oi_tfrecord.engine.process_worker import parse, worker_environment

FLAGS = ["--id=1-1", "--provision_endpoint=localhost:1"]


def url_of(descriptor: str) -> str:
    return text_format.Parse(descriptor, endpoints_pb2.ApiServiceDescriptor()).url


def test_only_the_id_and_the_provision_endpoint_are_needed() -> None:
    # Flink's and Spark's runners give no more.
    given = parse(FLAGS)
    assert given["id"] == "1-1"
    assert given["provision_endpoint"] == "localhost:1"
    assert given["control_endpoint"] == ""


@pytest.mark.parametrize("flag", FLAGS)
def test_without_either_no_worker_starts(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([flag])
    assert "required" in capsys.readouterr().err


def test_quotes_around_the_id_are_removed() -> None:
    assert parse(["--id='job-001[job]_env'", FLAGS[1]])["id"] == "job-001[job]_env"


def test_endpoints_of_the_flags_are_used_where_the_runner_gives_no_other() -> None:
    given = parse([*FLAGS, "--control_endpoint=localhost:2", "--logging_endpoint=localhost:3"])
    provision = beam_provision_api_pb2.ProvisionInfo(
        logging_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:4"), runner_capabilities=["a", "b"]
    )
    environment = worker_environment(given, provision)
    assert url_of(environment["CONTROL_API_SERVICE_DESCRIPTOR"]) == "localhost:2"
    assert url_of(environment["LOGGING_API_SERVICE_DESCRIPTOR"]) == "localhost:4"
    assert environment["RUNNER_CAPABILITIES"] == "a b"
    assert environment["WORKER_ID"] == "1-1"
    assert "STATUS_API_SERVICE_DESCRIPTOR" not in environment


def test_beam_accepts_the_endpoints() -> None:
    # Its worker refuses one with an authentication, be it an empty one.
    provision = beam_provision_api_pb2.ProvisionInfo(
        control_endpoint=endpoints_pb2.ApiServiceDescriptor(url="localhost:2")
    )
    descriptor = worker_environment(parse(FLAGS), provision)["CONTROL_API_SERVICE_DESCRIPTOR"]
    parsed = text_format.Parse(descriptor, endpoints_pb2.ApiServiceDescriptor())
    assert parsed.url == "localhost:2"
    assert not parsed.HasField("authentication")


def test_options_of_the_pipeline_reach_the_worker() -> None:
    options = struct_pb2.Struct()
    options.update({"beam:option:s3_endpoint_url:v1": "http://localhost:5"})
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=options)
    environment = worker_environment(parse(FLAGS), provision)
    assert json.loads(environment["PIPELINE_OPTIONS"]) == {"beam:option:s3_endpoint_url:v1": "http://localhost:5"}
