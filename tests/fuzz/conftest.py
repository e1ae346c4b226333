"""What the tests of the harness prepare, too."""

from tests.bench.conftest import empty_store as empty_store
from tests.bench.conftest import one_thread as one_thread
