"""JSON within HTML."""

import json
from typing import Any


def embed(value: Any) -> str:
    """Returns JSON that ends no script element and opens no comment, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
