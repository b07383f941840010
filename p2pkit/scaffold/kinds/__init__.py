"""Components that a new plugin begins with, one module for each kind; they are copied, not imported."""
