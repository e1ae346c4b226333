"""`python -m bench.run RUN_DIR`: see `bench.run.one_run`."""

import sys

from bench.device import compiler

compiler.keep_out()

from bench.run.one_run import main  # noqa: E402

sys.exit(main())
