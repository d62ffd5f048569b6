"""What the gateway does inside mitmproxy's proxy core, below the hooks."""
