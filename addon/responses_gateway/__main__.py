"""`python -m responses_gateway`: the console command without its script."""

import sys

from responses_gateway.command_line.main import main

sys.exit(main())
