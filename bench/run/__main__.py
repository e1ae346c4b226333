"""`python -m bench.run RUN_DIR`: see `bench.run.one_run`."""

import sys

from bench.run.one_run import main

sys.exit(main())
