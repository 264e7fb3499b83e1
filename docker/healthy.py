"""Exit with 0 if the address in SIGNETFLOW_HEALTH_URL answers with success: a health check."""

import os
import sys
import urllib.error
import urllib.request

try:
    with urllib.request.urlopen(os.environ["SIGNETFLOW_HEALTH_URL"], timeout=8):  # noqa: S310  # the image's own address
        pass
except (OSError, urllib.error.URLError) as error:
    sys.exit(str(error))
