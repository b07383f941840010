"""What the paper needs, offered through the same hooks as any other plugin."""
