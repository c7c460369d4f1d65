"""The command on local worker processes whose storage fails, and such a worker.

`python -m tests.support.faulty_local --FLAG=VALUE ...` runs `convert`; its workers are
`python -m tests.support.faulty_local PARENT`.
The schedule is that of `tests.support.engines.faulty_worker`.
"""

import os
import sys

from oi_tfrecord.cli.main import main
from oi_tfrecord.engine import local_runner
from oi_tfrecord.engine import local_worker as worker
from tests.support.engines.faulty_worker import VARIABLE, Faults, Schedule


class _FaultyEnvironment(local_runner.SubprocessSDKEnvironment):
    @classmethod
    def from_command_string(cls, command_string: str) -> "_FaultyEnvironment":
        assert "-m oi_tfrecord.engine.local_worker " in command_string
        return super().from_command_string(
            command_string.replace("oi_tfrecord.engine.local_worker", "tests.support.faulty_local")
        )


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        Faults(Schedule.read(os.environ[VARIABLE]), f"{sys.argv[1]} {os.getpid()}").install()
        worker.main()
    else:
        local_runner.SubprocessSDKEnvironment = _FaultyEnvironment
        sys.exit(main(["convert", *sys.argv[1:]]))
