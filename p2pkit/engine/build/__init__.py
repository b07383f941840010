"""From a validated run to networks on their device, with `auto` settled."""
