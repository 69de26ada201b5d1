"""`python -m ui.cli` is `hearth`."""

import sys

from ui.cli.main import main

sys.exit(main())
