"""`python -m tfrecs`: the command line."""

import sys

from tfrecs.cli import main

sys.exit(main())
