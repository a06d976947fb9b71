"""`python -m benchmarks FUNCTION JSON`: calls a function in a process that the harness starts."""

import sys

from benchmarks import worker

worker.main(*sys.argv[1:])
